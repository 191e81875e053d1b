"""The command that runs a sandbox."""

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
    help="Port to listen on; 0: any free one.",
)
@click.option(
    "--allowed-host",
    multiple=True,
    metavar="NAME",
    help="Another name by which /_sandbox/ may be asked for, beside localhost and --host. Repeatable.",
)
@click.option("--site-id", default="sandbox-site", help="Track API user.")
@click.option("--api-key", default="sandbox-track-key", help="Track API key.")
@click.option("--app-api-key", default="sandbox-app-key", help="App API key.")
@click.option(
    "--region", type=click.Choice(["us", "eu"]), default="us", help="The region the account is in."
)
@click.option("--environment-id", default=123, help="The workspace the credentials belong to.")
@click.option(
    "--latency", default="0", metavar="DURATION", help="Added to every answer: 50ms, 1.5s."
)
@click.option("--rate-limit", type=click.IntRange(1), help="Requests a second; beyond, 429.")
@click.option(
    "--fail",
    multiple=True,
    metavar="WHAT:SHARE%",
    help="Fail at random; WHAT is a status, close_before, close_after or hang: 503:5%. Repeatable.",
)
@click.option(
    "--retry-after", metavar="TEXT", help="Retry-After header of 429 and of random failures."
)
@click.option(
    "--batch-operations", default=1_000, type=click.IntRange(1), help="Operations a batch may have."
)
@click.option(
    "--email-updates-with-id", is_flag=True, help="The workspace allows updates to email using id."
)
@click.option(
    "--event-merging/--no-event-merging",
    default=True,
    help="Anonymous events join who is identified.",
)
@click.option("--max-records", default=10_000, type=click.IntRange(1), help="Requests to remember.")
@click.option(
    "--max-effects",
    default=1_000_000,
    type=click.IntRange(1),
    help="Accepted operations to remember.",
)
@click.option(
    "--max-body-mb",
    default=256,
    type=click.IntRange(0),
    help="MB of bodies to remember; the oldest go.",
)
@click.option("--bodies/--no-bodies", default=True, help="Remember bodies at all.")
@click.option("--seed", type=int, help="Makes random failures repeatable.")
@click.option(
    "--exit-with-stdin",
    is_flag=True,
    help="Stop when stdin closes: for programs that start a sandbox.",
)
def sandbox(**options: Any) -> None:
    """Run a Customer.io Track API and App API in memory, to develop and test against.

    It checks what Customer.io's description says, keeps people, objects and events as Customer.io would, and misbehaves
    when asked to: at start with the options below, while it runs with requests to /_sandbox/faults. Point your Track
    URL at the address it prints, and look at the same address, at /_sandbox/, to see what arrived.
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
