"""Numbers and times as JSON and Customer.io take them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from math import floor, isfinite, nan
from numbers import Integral, Real
from typing import Any, TypeAlias

from . import limits
from .checks.lazy_values import resolved
from .checks.rejection import RefusalError, wrong_type

#: When something happened: unix seconds, an aware datetime, or a date (its midnight in UTC).
Timestamp: TypeAlias = "int | float | date"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_TIMES = (int, float, datetime)

_naive_timezone: tzinfo | Callable[[], tzinfo | None] | None = None


def set_naive_timezone(zone: tzinfo | Callable[[], tzinfo | None] | None) -> None:
    """Set the time zone of naive datetimes in the whole process.

    Args:
        zone: a time zone, a function that returns one when a naive datetime is met, or None: naive
            datetimes are refused.
    """
    global _naive_timezone
    _naive_timezone = zone


def timestamp(value: object) -> int:
    """Return the time of an operation in unix seconds, without parts of a second.

    Raises:
        RefusalError: it is milliseconds, a naive datetime, text, or outside the years 1990 to 2099.
    """
    if type(value) not in _TIMES:
        value = resolved(value)
    if isinstance(value, date):
        seconds = instant(value)
    elif isinstance(value, Real | Decimal) and not isinstance(value, bool):
        number = number_of(value)
        refuse_milliseconds(number)
        seconds = floor(number)
    else:
        raise wrong_type(value, "unix seconds or an aware datetime")
    if not limits.TIMESTAMP_MIN <= seconds <= limits.TIMESTAMP_MAX:
        raise _implausible(seconds)
    return seconds


def _implausible(seconds: int) -> RefusalError:
    side = "before 1990" if seconds < limits.TIMESTAMP_MIN else "after 2099"
    return RefusalError(
        f"is {seconds:,}, which is a time {side}: it is probably not in unix seconds",
        limit="unix seconds from 1990 to 2099",
        actual=f"{seconds:,}",
    )


def instant(value: date) -> int:
    """Return the unix seconds of a datetime, or of the midnight in UTC that begins a date."""
    if not isinstance(value, datetime):
        return (value.toordinal() - _EPOCH_DAY) * 86_400
    if value.tzinfo is None or _offset_of(value) is None:
        zone = _naive_timezone() if callable(_naive_timezone) else _naive_timezone
        if zone is None:
            raise RefusalError(
                "is a naive datetime: give it a time zone, or say with naive_timezone which one is "
                "meant",
                limit="an aware datetime",
                actual="a naive datetime",
            )
        value = value.replace(tzinfo=zone)
    if value != value:
        # NaT of pandas is a datetime, but no time.
        raise RefusalError("is not a time", limit="an aware datetime", actual="not a time")
    return floor((value - _EPOCH).total_seconds())


def _offset_of(value: datetime) -> timedelta | None:
    try:
        return value.utcoffset()
    except Exception as error:
        # The code of a tzinfo can raise, and Python refuses offsets of a day or more.
        raise RefusalError(
            "has a time zone that gives it no offset",
            limit="an aware datetime",
            actual="a time zone that fails",
        ) from error


def refuse_milliseconds(number: int | float) -> None:
    """Refuse a number that is too large for unix seconds."""
    if abs(number) > limits.SECONDS_MAX:
        raise RefusalError(
            f"is {floor(number):,}, which reads as milliseconds; Customer.io takes unix seconds",
            limit="unix seconds",
            actual=f"{floor(number):,}",
        )


def number_of(value: object) -> int | float:
    """Return a number as JSON has it: finite, and an integer of at most 64 bits.

    Raises:
        RefusalError: it is neither.
    """
    cls = type(value)
    if cls is int or cls is float:
        number: int | float = value  # type: ignore[assignment]
    elif isinstance(value, Decimal):
        number = _of_decimal(value)
    else:
        number = _of_other(value)
    if isinstance(number, float):
        if not isfinite(number):
            raise RefusalError(
                f"is {number}, which JSON does not have",
                limit="a finite number",
                actual=str(number),
            )
    elif not limits.INTEGER_MIN <= number <= limits.INTEGER_MAX:
        raise RefusalError(
            "is an integer beyond 64 bits: send it as text",
            limit="a 64-bit integer",
            actual=f"{number.bit_length()} bits",
        )
    return number


def _of_other(value: Any) -> int | float:
    if isinstance(value, Integral):
        return int(value)
    try:
        return float(value)
    except OverflowError:
        raise RefusalError(
            "is a number too large for JSON", limit="a 64-bit number", actual="a larger one"
        ) from None


def _of_decimal(value: Decimal) -> int | float:
    # As a float (12.50 is 12.5), but exactly for large integers, which a float would round.
    number = nan if value.is_snan() else float(value)
    if (
        isfinite(number)
        and abs(number) >= 2**53
        and value.adjusted() < 30
        and value == value.to_integral_value()
    ):
        return int(value)
    return number
