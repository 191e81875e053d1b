"""``trackrelay enqueue``."""

from __future__ import annotations

import sys

import click

from trackrelay.calls.producer import Producer
from trackrelay.default import overrides

from .common.command_errors import CommandFailed
from .common.output import say
from .enqueue.operation_document import BadDocument, operation_of, parsed


@click.command()
@click.argument("operation")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Your own name for this call: the same key is the same job.",
)
def enqueue(operation: str, idempotency_key: str | None) -> None:
    """Enqueue one OPERATION of the Track API's v2 (JSON; `-`: from stdin), and print its job's id.

    \b
    trackrelay enqueue '{"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "greeted"}'
    """
    text = sys.stdin.buffer.read() if operation == "-" else operation
    try:
        made = operation_of(parsed(text), idempotency_key=idempotency_key)
    except BadDocument as error:
        raise CommandFailed(str(error)) from None
    producer = Producer(**{**overrides(), "on_unavailable": "raise"})
    try:
        say(producer.enqueue(made))
    finally:
        producer.close()
