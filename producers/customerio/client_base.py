"""Errors that are the official client's exception and ours at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackrelay.errors import (
    ConfigurationError,
    InvalidOperationError,
    NotEnqueuedError,
    QueueFullError,
    QueueUnavailableError,
    TrackRelayError,
)

from . import official_package


class _CustomerIOException(Exception):
    """Customer.io would refuse the call, or the queue did not take it."""


if TYPE_CHECKING:
    CustomerIOException = _CustomerIOException
else:
    CustomerIOException = official_package.shared("CustomerIOException", _CustomerIOException)


class InvalidRequestError(CustomerIOException, InvalidOperationError):
    """Customer.io would refuse the call."""


class UnavailableError(CustomerIOException, QueueUnavailableError):
    """The queue is unreachable."""


class FullError(CustomerIOException, QueueFullError):
    """The queue has no room."""


class MisconfiguredError(CustomerIOException, ConfigurationError):
    """The queue was never set up, or a setting is wrong."""


def translated(error: TrackRelayError) -> CustomerIOException:
    """Return ``error`` as an error that is the official client's exception as well."""
    if isinstance(error, NotEnqueuedError):
        kind = FullError if isinstance(error, QueueFullError) else UnavailableError
        return kind(error.message, *error.operations, enqueued_before=error.enqueued_before)
    message = str(error)
    if isinstance(error, InvalidOperationError):
        return InvalidRequestError(
            message, field=error.field, limit=error.limit, actual=error.actual
        )
    return (
        MisconfiguredError(message)
        if isinstance(error, ConfigurationError)
        else CustomerIOException(message)
    )
