"""What can go wrong at a call: a short tree under one root, so that one ``except`` can catch all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .operation import Operation


class TrackRelayError(Exception):
    """The root of everything trackrelay raises on purpose."""


class ConfigurationError(TrackRelayError):
    """A setting is missing, wrong, or contradicts what the queue was set up with. The message names the setting."""


class QueueNotSetUp(ConfigurationError):
    """This Redis has no queue: ``trackrelay migrate`` was never run, or Redis lost everything a moment ago."""


class InvalidOperation(TrackRelayError, ValueError):
    """Customer.io would refuse this operation, so it was not enqueued.

    Attributes:
        field: where in the operation the trouble is, e.g. ``attributes.plan`` or ``identifiers.email``; ``operation`` if
            it is all of it.
        limit: what Customer.io takes, in words.
        actual: what was given, in words; never the whole value.
    """

    def __init__(self, message: str, *, field: str = "", limit: str = "", actual: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.limit = limit
        self.actual = actual


class GeneratorEnded(InvalidOperation):
    """An operation that a generator made was refused, and that ended the generator: Python resumes none that has raised."""


class NotEnqueued(TrackRelayError):
    """The operation was valid, but the queue did not confirm that it has it.

    It may have it all the same (an answer can be lost on its way). Enqueueing ``error.operation`` again keeps its id, so
    that "maybe accepted" never becomes twice.
    """

    def __init__(self, message: str, operation: Operation | None = None) -> None:
        super().__init__(message)
        self.operation = operation

    @property
    def job_id(self) -> str | None:
        """The id under which the job is, or would have been, known everywhere."""
        return self.operation.id if self.operation else None


class QueueUnavailable(NotEnqueued):
    """Redis could not be reached, or did not answer in time."""


class QueueFull(NotEnqueued):
    """The queue is at its length limit, or Redis at three quarters of its memory: workers need the rest to drain it."""
