"""What can go wrong at a call: a short tree under one root, so that one ``except`` can catch all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .operations.operation import Operation
    from .operations.refused_operations import RefusedPayload


class TrackRelayError(Exception):
    """The root of everything trackrelay raises on purpose."""


class ConfigurationError(TrackRelayError):
    """A setting is missing, wrong, or contradicts what the queue was set up with. The message names the setting."""


class QueueNotSetUpError(ConfigurationError):
    """This Redis has no queue: ``trackrelay migrate`` was never run, or Redis lost everything a moment ago."""


class InvalidOperationError(TrackRelayError, ValueError):
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
        #: What the call would have enqueued, in order: operations, and in the places of those that were refused what was passed.
        self.parts: tuple[Operation | RefusedPayload, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        # What was passed may be anything, and stays in this process.
        return type(self), self.args, {**self.__dict__, "parts": ()}


class GeneratorEndedError(InvalidOperationError):
    """An operation that a generator made was refused, and that ended the generator: Python resumes none that has raised."""


class NotEnqueuedError(TrackRelayError):
    """What the call enqueues was valid, but the queue did not confirm that it has it.

    It may have it all the same (an answer can be lost on its way). Enqueueing ``error.operations`` again keeps their ids, so
    that "maybe accepted" never becomes twice.

    Attributes:
        operations: what was not confirmed: all of the call, for it is all or none; of ``enqueue_many`` the group that was sent together.
        enqueued_before: how many operations that came before them ``enqueue_many`` has enqueued.
    """

    def __init__(self, message: str, *operations: Operation, enqueued_before: int = 0) -> None:
        super().__init__(message)
        self.operations = operations
        self.enqueued_before = enqueued_before

    @property
    def operation(self) -> Operation | None:
        """The first of :attr:`operations`; of most calls the only one."""
        return self.operations[0] if self.operations else None

    @property
    def job_id(self) -> str | None:
        """The id under which the first job is, or would have been, known everywhere."""
        return self.operation.id if self.operation else None

    @property
    def message(self) -> str:
        """What happened, without how many jobs it happened to."""
        return str(self.args[0])

    def __str__(self) -> str:
        count, before = len(self.operations), self.enqueued_before
        numbers = [f"{count:,} jobs"] if count > 1 else []
        if before:
            numbers.append(f"after {before:,} that were enqueued")
        return f"{self.message} ({', '.join(numbers)})" if numbers else self.message


class QueueUnavailableError(NotEnqueuedError):
    """Redis could not be reached, or did not answer in time."""


class QueueFullError(NotEnqueuedError):
    """The queue is at its length limit, or Redis at three quarters of its memory: workers need the rest to drain it."""


#: The names of 0.1.0.
InvalidOperation = InvalidOperationError
QueueFull = QueueFullError
QueueUnavailable = QueueUnavailableError
