"""The command ``trackrelay sandbox``."""

from __future__ import annotations

from typing import Any

import click

from .options import DEFAULT_PORT, SandboxOptions


@click.command(name="sandbox", context_settings={"show_default": True, "max_content_width": 110})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option(
    "--port",
    default=DEFAULT_PORT,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0: any free port.",
)
@click.option(
    "--allowed-host",
    multiple=True,
    metavar="NAME",
    help="Host name that /_sandbox/ accepts, besides localhost and --host. Repeatable.",
)
@click.option("--site-id", default="sandbox-site", help="Site id: the user name of the Track API.")
@click.option("--api-key", default="sandbox-track-key", help="Track API key.")
@click.option("--app-api-key", default="sandbox-app-key", help="App API key.")
@click.option(
    "--region", type=click.Choice(["us", "eu"]), default="us", help="Region of the account."
)
@click.option("--environment-id", default=123, help="Id of the workspace.")
@click.option(
    "--latency", default="0", metavar="DURATION", help="Delay of every answer: 50ms, 1.5s."
)
@click.option(
    "--rate-limit", type=click.IntRange(1), help="Requests per second; further requests get a 429."
)
@click.option(
    "--fail",
    multiple=True,
    metavar="WHAT:SHARE%",
    help="Random failures, like 503:5%. WHAT is a status, close_before, close_after or hang. "
    "Repeatable.",
)
@click.option(
    "--retry-after", metavar="TEXT", help="Retry-After header of 429 and of random failures."
)
@click.option(
    "--batch-operations",
    default=1_000,
    type=click.IntRange(1),
    help="Maximum operations in a batch.",
)
@click.option(
    "--email-updates-with-id", is_flag=True, help="Allow an identify by id to change the email."
)
@click.option(
    "--event-merging/--no-event-merging",
    default=True,
    help="Join anonymous events with the person who is identified later.",
)
@click.option(
    "--app-rate-limit",
    default=10,
    type=click.IntRange(0),
    help="Requests per second to the App API; further requests get a 429. 0: no limit.",
)
@click.option(
    "--max-records", default=10_000, type=click.IntRange(1), help="Number of requests to remember."
)
@click.option(
    "--max-effects",
    default=1_000_000,
    type=click.IntRange(1),
    help="Number of accepted operations to remember.",
)
@click.option(
    "--max-body-mb",
    default=256,
    type=click.IntRange(0),
    help="MB of bodies to remember; the oldest are dropped.",
)
@click.option(
    "--bodies/--no-bodies", default=True, help="Remember the bodies of requests and operations."
)
@click.option("--seed", type=int, help="Makes random failures repeatable.")
@click.option(
    "--exit-with-stdin",
    is_flag=True,
    help="Stop when stdin closes: for programs that start a sandbox.",
)
def sandbox(**options: Any) -> None:
    """Run a Customer.io Track API and App API in memory, to develop and test against.

    The sandbox checks requests by Customer.io's published description, and keeps people, objects
    and events as Customer.io does. The App API reads them, and shows activities and segments. It
    can misbehave: set faults with the options below, or with requests to /_sandbox/faults. Requests
    to /_sandbox/losses make it accept operations and then lose them. Point your Track URL and your
    App API URL at the address it prints. Open /_sandbox/ there to see what arrived.
    """
    from .server import serve

    try:
        chosen = SandboxOptions(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        serve(chosen)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {chosen.host}:{chosen.port}: {error.strerror}"
        ) from None
