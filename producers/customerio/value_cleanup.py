"""Values as the official client puts them on the wire."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from .client_base import CustomerIOException


def clean(data: Any) -> Any:
    """The members of ``data``: datetimes as unix seconds, a naive one taken for UTC; NaN as None; all the way down dicts and lists.

    Raises:
        AttributeError: it has no members; the official client raises that, too.
    """
    return {name: _value(value) for name, value in data.items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return seconds(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return clean(value)
    return [_value(item) for item in value] if isinstance(value, list) else value


def seconds(moment: datetime) -> int:
    """Unix seconds; a datetime without a zone is taken for UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def whole_seconds(timestamp: Any) -> int:
    """A datetime, a number or its text as unix seconds.

    Raises:
        TypeError, ValueError, OverflowError: it is none of these.
    """
    if isinstance(timestamp, datetime):
        return seconds(timestamp)
    return timestamp if isinstance(timestamp, int) else int(timestamp)


def as_sent(data: Any) -> Any:
    """``data`` as it would arrive: through JSON, by which tuples become lists and Enums of text become text.

    Raises:
        CustomerIOException: JSON cannot say it.
    """
    try:
        return json.loads(json.dumps(clean(data), allow_nan=False))
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise CustomerIOException(
            f"this cannot be sent as JSON: {type(error).__name__}: {error}"
        ) from error
