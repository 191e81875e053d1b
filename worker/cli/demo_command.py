"""Try out: deliver a small shop's traffic through an outage, on embedded servers."""

from __future__ import annotations

import click

from .common.command_options import json_option


@click.command()
@click.option(
    "--jobs",
    default=2_000,
    show_default=True,
    type=click.IntRange(100, 200_000),
    help="About how many jobs to send.",
)
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(1, 3_600),
    help="How long to send jobs.",
)
@click.option(
    "--keep", is_flag=True, help="Leave everything running until Ctrl-C, with the web console."
)
@json_option
def demo(jobs: int, seconds: float, keep: bool, as_json: bool) -> None:
    """Deliver a small shop's traffic through an outage, and check that every job arrived.

    Starts Valkey, PostgreSQL, a sandbox that imitates Customer.io, a worker and a beat in a
    temporary folder. Nothing has to be installed, and nothing is sent to Customer.io.

    The sandbox refuses some operations; the demo repairs and replays them. At the end it compares
    what the queue accepted with what the sandbox received. The exit status is 0 only if every job
    arrived exactly once and in order.
    """
    if keep and as_json:
        raise click.UsageError("--keep cannot be used with --json")
    from trackrelay.worker.devstack.demo.demo_run import run_demo

    run_demo(jobs=jobs, seconds=seconds, as_document=as_json, keep=keep)
