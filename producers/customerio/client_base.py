"""What goes wrong at a call, as one who catches the official client's exception expects it, with our words and attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackrelay.errors import (
    ConfigurationError,
    InvalidOperation,
    NotEnqueued,
    QueueFull,
    QueueUnavailable,
    TrackRelayError,
)

from . import official_package


class _CustomerIOException(Exception):
    """Customer.io refuses this, or the queue did not take it."""


if TYPE_CHECKING:
    CustomerIOException = _CustomerIOException
else:
    CustomerIOException = official_package.shared("CustomerIOException", _CustomerIOException)


class Refused(CustomerIOException, InvalidOperation):
    """Customer.io would refuse it."""


class Unavailable(CustomerIOException, QueueUnavailable):
    """The queue could not be reached."""


class Full(CustomerIOException, QueueFull):
    """The queue has no room."""


class Misconfigured(CustomerIOException, ConfigurationError):
    """The queue was never set up, or a setting is wrong."""


def translated(error: TrackRelayError) -> CustomerIOException:
    """``error`` as one that is the official client's exception as well."""
    if isinstance(error, NotEnqueued):
        kind = Full if isinstance(error, QueueFull) else Unavailable
        return kind(error.message, *error.operations, enqueued_before=error.enqueued_before)
    message = str(error)
    if isinstance(error, InvalidOperation):
        return Refused(message, field=error.field, limit=error.limit, actual=error.actual)
    return (
        Misconfigured(message)
        if isinstance(error, ConfigurationError)
        else CustomerIOException(message)
    )
