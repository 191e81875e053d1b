"""Run: serve metrics for Prometheus, and probes of readiness."""

from __future__ import annotations

import signal

import click

from .common.command_errors import CommandError
from .common.command_stores import open_stores


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=9464,
    type=click.IntRange(0, 65535),
    show_default=True,
    help="The port to listen on. 0 takes a free one.",
)
@click.option("--once", is_flag=True, help="Print the metrics on stdout, and end.")
def metrics(host: str, port: int, once: bool) -> None:
    """Serve /metrics for Prometheus, and /healthz and /readyz for probes.

    One process is enough for an installation: the counters are in Postgres and Redis, whatever
    worker counted. Nobody is asked for a password, so listen only where you trust the network.
    """
    from .metrics.metric_facts import read_facts
    from .metrics.metrics_app import metrics_server, metrics_text

    with open_stores() as stores:
        if once:
            body, _ = metrics_text(read_facts(stores))
            click.echo(body.decode(), nl=False)
            return
        try:
            server = metrics_server(stores, host, port)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(f"cannot listen on {host}:{port}: {reason}") from None
        with server:
            at = f"[{host}]" if ":" in host else host
            click.echo(f"http://{at}:{server.server_port}/metrics", err=True)
            # The first process of a container would ignore SIGTERM.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                return
