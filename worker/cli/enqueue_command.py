"""Send: enqueue one operation."""

from __future__ import annotations

import sys

import click

from trackrelay.calls.producer import Producer
from trackrelay.default import overrides

from .common.command_errors import CommandError
from .common.operation_document import DocumentError, operation_of, parse_document
from .common.output import say


@click.command()
@click.argument("operation")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Your own name for this call: calls with the same key are one job.",
)
def enqueue(operation: str, idempotency_key: str | None) -> None:
    """Enqueue one OPERATION of the Track API v2 and print the job's id.

    OPERATION is JSON; `-` reads it from stdin.

    \b
    trackrelay enqueue '{"type": "person", "action": "event",
                         "identifiers": {"id": "42"}, "name": "greeted"}'
    """
    text = sys.stdin.buffer.read() if operation == "-" else operation
    try:
        parsed = operation_of(parse_document(text), idempotency_key=idempotency_key)
    except DocumentError as error:
        raise CommandError(str(error)) from None
    producer = Producer(**{**overrides(), "on_unavailable": "raise"})
    try:
        say(producer.enqueue(parsed))
    finally:
        producer.close()
