"""``trackrelay demo``."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--jobs",
    default=2_000,
    show_default=True,
    type=click.IntRange(100, 200_000),
    help="About how many jobs.",
)
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(1, 3_600),
    help="How long the shop is open.",
)
@click.option(
    "--json",
    "as_document",
    is_flag=True,
    help="One JSON document on stdout; the story goes to stderr.",
)
def demo(jobs: int, seconds: float, as_document: bool) -> None:
    """Watch a small shop's traffic get to Customer.io through an outage, on servers that come along.

    Starts Valkey, PostgreSQL, a sandbox that plays Customer.io, a worker and a beat, in a temporary folder. Some operations
    are refused, and repaired and replayed. In the end it compares what the queue accepted with what arrived: exit status 0
    only if every job arrived exactly once, and in order.
    """
    from trackrelay.worker.devstack.demo.demo_run import perform

    perform(jobs=jobs, seconds=seconds, as_document=as_document)
