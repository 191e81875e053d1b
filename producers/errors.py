"""The errors that calls raise. ``except TrackRelayError`` catches all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .operations.operation import Operation
    from .operations.refused_operations import RefusedPayload


class TrackRelayError(Exception):
    """The base class of all errors of trackrelay."""


class ConfigurationError(TrackRelayError):
    """A setting is missing, is wrong or contradicts the queue. The message names the setting."""


class QueueNotSetUpError(ConfigurationError):
    """Redis has no queue: ``trackrelay migrate`` was never run, or Redis has just lost its data."""


class InvalidOperationError(TrackRelayError, ValueError):
    """Customer.io would refuse this operation, so it was not enqueued.

    Attributes:
        field: the wrong part of the operation, e.g. ``attributes.plan`` or ``identifiers.email``;
            ``operation``: all of it.
        limit: what Customer.io accepts, in words.
        actual: what the call passed, in words and without the whole value.
    """

    def __init__(self, message: str, *, field: str = "", limit: str = "", actual: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.limit = limit
        self.actual = actual
        #: What the call would have enqueued, in order. A RefusedPayload stands for each refused
        #: operation.
        self.parts: tuple[Operation | RefusedPayload, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        # The parts may be of any type, so they stay in this process.
        return type(self), self.args, {**self.__dict__, "parts": ()}


class GeneratorEndedError(InvalidOperationError):
    """A refused operation ended the generator that made it. Python cannot resume it."""


class NotEnqueuedError(TrackRelayError):
    """The queue did not confirm valid operations.

    It may have accepted them, because an answer can be lost. ``error.operations`` can be enqueued
    again: they keep their ids, so each is delivered once.

    Attributes:
        operations: the unconfirmed operations: all of the call; for ``enqueue_many`` one chunk.
        enqueued_before: how many operations ``enqueue_many`` had enqueued before them.
    """

    def __init__(self, message: str, *operations: Operation, enqueued_before: int = 0) -> None:
        super().__init__(message)
        self.operations = operations
        self.enqueued_before = enqueued_before

    @property
    def operation(self) -> Operation | None:
        """The first of :attr:`operations`, which most calls have alone."""
        return self.operations[0] if self.operations else None

    @property
    def job_id(self) -> str | None:
        """The id of the first job."""
        return self.operation.id if self.operation else None

    @property
    def message(self) -> str:
        """What happened, without the number of jobs."""
        return str(self.args[0])

    def __str__(self) -> str:
        count, before = len(self.operations), self.enqueued_before
        numbers = [f"{count:,} jobs"] if count > 1 else []
        if before:
            numbers.append(f"after {before:,} that were enqueued")
        return f"{self.message} ({', '.join(numbers)})" if numbers else self.message


class QueueUnavailableError(NotEnqueuedError):
    """Redis is unreachable, or did not answer in time."""


class QueueFullError(NotEnqueuedError):
    """The queue has reached its maximum length, or Redis 75% of its memory.

    The workers need the remaining memory to drain the queue.
    """


#: The names of 0.1.0.
InvalidOperation = InvalidOperationError
QueueFull = QueueFullError
QueueUnavailable = QueueUnavailableError


def without_frames(error: BaseException) -> BaseException:
    """Return ``error`` without its traceback and those of its causes. Types and messages stay.

    Drivers have passwords in their frames, which debug pages and error trackers show.
    """
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        each = rest.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            rest += [each.__cause__, each.__context__]
    return error
