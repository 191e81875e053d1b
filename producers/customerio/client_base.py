"""What goes wrong at a call, as one who catches the official client's exception expects it, with our words and attributes."""

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
    """Customer.io refuses this, or the queue did not take it."""


if TYPE_CHECKING:
    CustomerIOException = _CustomerIOException
else:
    CustomerIOException = official_package.shared("CustomerIOException", _CustomerIOException)


class Refused(CustomerIOException, InvalidOperationError):
    """Customer.io would refuse it."""


class Unavailable(CustomerIOException, QueueUnavailableError):
    """The queue could not be reached."""


class Full(CustomerIOException, QueueFullError):
    """The queue has no room."""


class Misconfigured(CustomerIOException, ConfigurationError):
    """The queue was never set up, or a setting is wrong."""


def translated(error: TrackRelayError) -> CustomerIOException:
    """``error`` as one that is the official client's exception as well."""
    if isinstance(error, NotEnqueuedError):
        kind = Full if isinstance(error, QueueFullError) else Unavailable
        return kind(error.message, *error.operations, enqueued_before=error.enqueued_before)
    message = str(error)
    if isinstance(error, InvalidOperationError):
        return Refused(message, field=error.field, limit=error.limit, actual=error.actual)
    return (
        Misconfigured(message)
        if isinstance(error, ConfigurationError)
        else CustomerIOException(message)
    )
