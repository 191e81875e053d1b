"""The import itself: lines become operations, operations go into the queue, bad lines into the rejects file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from trackrelay.calls.producer import chunks
from trackrelay.operations.operation import Operation
from trackrelay.worker.cli.enqueue.operation_document import BadDocument, operation_of

from .line import Line
from .line_identity import Identity
from .rejects import Rejects
from .survey import Survey


@dataclass(slots=True)
class Progress:
    """How far it has come."""

    #: The last line that was read, and the last one whose operation is in the queue.
    read: int = 0
    enqueued_line: int = 0
    enqueued: int = 0


class Import:
    """One run over a file.

    Args:
        identity: names the lines that bring no idempotency key.
        append: takes a chunk of operations; left out, nothing is enqueued (a dry run).
        moved: called after each chunk.
    """

    def __init__(
        self,
        identity: Identity,
        rejects: Rejects,
        survey: Survey,
        append: Callable[[Sequence[Operation]], None] | None,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self._identity = identity
        self._rejects = rejects
        self._survey = survey
        self._append = append
        self._moved = moved
        self.progress = Progress()

    def run(self, lines: Iterable[Line]) -> None:
        """Take ``lines``, as many as there are."""
        for chunk in chunks(self._operations(lines)):
            if self._append is not None:
                self._append(chunk)
                self.progress.enqueued += len(chunk)
                self.progress.enqueued_line = self.progress.read
            self._rejects.flush()
            self._moved()

    def _operations(self, lines: Iterable[Line]) -> Iterator[Operation]:
        for line in lines:
            self.progress.read = line.number
            operation = checked(line, self._survey, self._rejects, self._identity)
            if operation is not None:
                yield operation


def checked(
    line: Line, survey: Survey, rejects: Rejects, identity: Identity | None = None
) -> Operation | None:
    """Return the operation that ``line`` describes, and count it; None if it is refused.

    Args:
        identity: names a line that brings no idempotency key; left out, nothing is named.
    """
    if line.document is None:
        survey.refuse()
        rejects.add(line, line.problem)
        return None
    try:
        unnamed = identity is not None and line.document.get("idempotency_key") is None
        key = identity.key_of(line.document) if identity is not None and unnamed else None
        operation = operation_of(line.document, idempotency_key=key)
    except BadDocument as error:
        survey.refuse()
        rejects.add(line, str(error), error.field)
        return None
    survey.add(line.document)
    return operation
