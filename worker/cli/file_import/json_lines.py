"""JSON Lines: a line is an operation of the Track API's v2, plus an optional ``idempotency_key``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from trackrelay.worker.cli.common.command_errors import CommandFailed
from trackrelay.worker.cli.enqueue.operation_document import BadDocument, parsed

from .line import Line

#: No operation is longer; a longer line is refused without being held in memory.
LINE_BYTES = 1_000_000
#: As much of a line that is no operation goes into the rejects file.
_QUOTED = 2_000
_BOM = b"\xef\xbb\xbf"


def read(file: BinaryIO, name: str) -> Iterator[Line]:
    """The lines of ``file``; empty ones are passed over.

    Raises:
        CommandFailed: it is one JSON document instead of a document a line.
    """
    for number, raw in enumerate(_lines(file), 1):
        text = (raw.removeprefix(_BOM) if number == 1 else raw).strip()
        if number == 1 and text in (b"[", b"{"):
            raise CommandFailed(
                f"{name} is one JSON document, not JSON Lines: jq -c '.[]' makes a line of each element"
            )
        if text:
            yield _line(number, text)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES + 1):
        yield line
        while len(line) > LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(LINE_BYTES + 1)


def _line(number: int, text: bytes) -> Line:
    if len(text) > LINE_BYTES:
        return _no_operation(number, text, f"longer than {LINE_BYTES:,} bytes")
    try:
        return Line(number, _unwrapped(parsed(text)))
    except BadDocument as error:
        return _no_operation(number, text, str(error))


def _unwrapped(document: dict[str, Any]) -> dict[str, Any]:
    # A line of a rejects file, its operation repaired, can be imported as it is.
    if "reason" not in document or "line" not in document or "type" in document:
        return document
    inner = document.get("operation")
    if not isinstance(inner, dict):
        raise BadDocument(f"was rejected before, and is not repaired: {document['reason']}")
    return inner


def _no_operation(number: int, text: bytes, problem: str) -> Line:
    return Line(number, text=text[:_QUOTED].decode(errors="replace"), problem=problem)
