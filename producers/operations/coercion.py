"""Values of callers, made into what JSON has, or refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set, Sized
from datetime import date
from decimal import Decimal
from enum import Enum
from itertools import islice
from numbers import Real
from typing import TypeAlias
from uuid import UUID

import msgspec

from . import limits
from .checks.lazy_values import is_disguised, resolved
from .checks.name_checks import plain_text, refuse_surrogates
from .checks.rejection import RefusalError, brief, kind_of, refusal_for, within, wrong_type
from .scalars import instant, number_of, refuse_milliseconds

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

_NUMBERS = (int, float)
# A number in this range is finite and no milliseconds, so it needs no further check.
_LEAST, _MOST = -limits.SECONDS_MAX, limits.SECONDS_MAX
_VALUES, _CHARACTERS, _DEPTH = limits.VALUES, limits.CHARACTERS, limits.DEPTH
_FEW_VALUES_LEFT = _VALUES - 100

#: A name in a dead letter's object. It marks a value that could not be encoded when the call was
#: refused.
NOT_ENCODED = "trackrelay:not_encoded"

#: How many values and characters a document may still have. They are counted before anything is
#: encoded: a small value that contains another one many times can stand for gigabytes. A list is
#: made fastest.
Room: TypeAlias = list[int]


def whole_room() -> Room:
    """Return the room of a whole document."""
    return [limits.VALUES, limits.CHARACTERS]


def json_object(
    value: object, takes: str = "an object, such as a dict", room: Room | None = None
) -> dict[str, JSON]:
    """Return a mapping as a JSON object.

    Times become unix seconds, Decimals numbers, UUIDs text, and Enums their values. Sets (sorted)
    and tuples become lists; int and UUID keys become text.

    Args:
        value: the mapping.
        takes: what the message says is accepted.
        room: the room of the whole document, if this is a part of one.

    Raises:
        RefusalError: JSON cannot express a value, or would change its meaning: bytes, NaN, integers
            beyond 64 bits, naive datetimes, milliseconds under a name that ends in ``_at``,
            circular or too deep values. Or it is larger than any document can be.
    """
    if type(value) is not dict:
        value = mapping_of(value, takes)
    return _object(value, 1, room or [_VALUES, _CHARACTERS])


def mapping_of(value: object, takes: str) -> Mapping[object, object]:
    """Return ``value``, or what it stands for, which must be a mapping."""
    value = resolved(value)
    if not isinstance(value, Mapping):
        raise wrong_type(value, takes)
    return value


def _json(value: object, depth: int, room: Room) -> JSON:
    # The common types come first, by identity: this runs for each value in the web request.
    cls = type(value)
    if cls is str:
        return _counted(value, room)  # type: ignore[arg-type]
    if cls is bool or value is None:
        return value  # type: ignore[return-value]
    if cls is int or cls is float:
        return number_of(value)
    if cls is dict:
        return _object(value, depth + 1, room)  # type: ignore[arg-type]
    if cls is list or cls is tuple:
        return _array(value, depth + 1, room)  # type: ignore[arg-type]
    return _uncommon(value, depth, room)


def scalar(value: object) -> JSON:
    """Return a value that is neither text nor a container as JSON has it.

    Raises:
        RefusalError: JSON cannot express it.
    """
    return _json(value, _DEPTH, [_VALUES, _CHARACTERS])


def _uncommon(value: object, depth: int, room: Room) -> JSON:
    if is_disguised(value) and (real := resolved(value)) is not value:
        return _json(real, depth, room)
    if isinstance(value, Enum):
        return _json(value.value, depth, room)
    if isinstance(value, str):
        return _counted(str.__str__(value), room)
    if isinstance(value, Real | Decimal):
        return number_of(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date):
        return instant(value)
    return _uncommon_container(value, depth, room)


def _uncommon_container(value: object, depth: int, room: Room) -> JSON:
    if isinstance(value, Mapping):
        return _object(value, depth + 1, room)
    if isinstance(value, bytes | bytearray | memoryview):
        raise RefusalError(
            "is bytes: decode them to text first", limit="what JSON has", actual="bytes"
        )
    if isinstance(value, Set):
        return sorted(_array(value, depth + 1, room), key=encoded)
    if isinstance(value, Sequence):
        return _array(value, depth + 1, room)
    # Lazily translated text claims no other class.
    if (real := resolved(value)) is not value:
        return _json(real, depth, room)
    raise RefusalError(
        f"is {kind_of(value)}, which JSON does not have",
        limit="what JSON has",
        actual=kind_of(value),
    )


def _counted(text: str, room: Room) -> str:
    room[1] -= len(text)
    if room[1] < 0:
        raise _too_long()
    return text


def _object(mapping: Mapping[object, object], depth: int, room: Room) -> dict[str, JSON]:
    if type(mapping) is dict:
        count = len(mapping)
        members: Iterable[tuple[object, object]] = mapping.items()
        was_not_kept = NOT_ENCODED in mapping
    else:
        # It can be endless, whatever its length says.
        count = _length(mapping)
        members = islice(mapping.items(), count + 1)
        was_not_kept = False
    room[0] -= count
    if depth > _DEPTH or room[0] < 0 or was_not_kept:
        raise _unfit(depth, room)
    characters = 0
    clean: dict[str, JSON] = {}
    key: object = None
    try:
        for key, value in members:
            name = key if type(key) is str else _member(key)
            cls = type(value)
            if cls is str:
                characters += len(value)  # type: ignore[arg-type]
                clean[name] = value  # type: ignore[assignment]
            elif cls is bool or value is None or (cls in _NUMBERS and _LEAST <= value <= _MOST):  # type: ignore[operator]
                clean[name] = value  # type: ignore[assignment]
            else:
                clean[name] = made = _json(value, depth, room)
                # A date makes seconds, however far away it is. Only a number can be milliseconds.
                if name.endswith("_at") and type(made) in _NUMBERS and not isinstance(value, date):
                    refuse_milliseconds(made)  # type: ignore[arg-type]
    except Exception as error:
        refusal = refusal_for(error).inside(key if type(key) is str else brief(key))
        raise refusal from refusal.__cause__
    if depth > 1 and room[0] < _FEW_VALUES_LEFT:
        # Names are unique in one object, so they only add up where there are many objects.
        characters += sum(map(len, clean))
    room[1] -= characters
    if room[1] < 0 or len(clean) != count:
        raise _too_long() if room[1] < 0 else _named_twice()
    return clean


def _unfit(depth: int, room: Room) -> RefusalError:
    if depth > _DEPTH:
        return _too_deep()
    if room[0] < 0:
        return _too_many()
    return RefusalError(
        "was not kept when its call was refused: put a value there",
        limit="a value",
        actual="a description",
    )


def _named_twice() -> RefusalError:
    return RefusalError(
        "has two names that are the same text", limit="each name once", actual="a name twice"
    )


def _member(key: object) -> str:
    key = resolved(key)
    if isinstance(key, str | int | UUID | Enum) and not isinstance(key, bool):
        return plain_text(key)
    raise RefusalError(
        f"is named by {kind_of(key)}; names are text", limit="text", actual=kind_of(key)
    )


def _array(items: Collection[object], depth: int, room: Room) -> list[JSON]:
    if depth > _DEPTH:
        raise _too_deep()
    count = len(items) if type(items) is list else _length(items)
    room[0] -= count
    if room[0] < 0:
        raise _too_many()
    characters = 0
    clean: list[JSON] = []
    try:
        for item in items if type(items) is list else islice(items, count):
            cls = type(item)
            if cls is str:
                characters += len(item)  # type: ignore[arg-type]
                clean.append(item)  # type: ignore[arg-type]
            elif cls is bool or item is None:
                clean.append(item)  # type: ignore[arg-type]
            else:
                clean.append(_json(item, depth, room))
    except Exception as error:
        refusal = refusal_for(error).inside(len(clean))
        raise refusal from refusal.__cause__
    room[1] -= characters
    if room[1] < 0:
        raise _too_long()
    return clean


def _length(container: Sized) -> int:
    try:
        return len(container)
    except OverflowError:
        return limits.VALUES + 1


def _too_many() -> RefusalError:
    return RefusalError(
        f"has more than {limits.VALUES:,} values in it",
        limit=f"{limits.VALUES:,} values",
        actual="more",
    )


def _too_deep() -> RefusalError:
    return RefusalError(
        f"is nested more than {limits.DEPTH} deep, or contains itself",
        limit=f"{limits.DEPTH} levels",
        actual="more",
    )


def _too_long() -> RefusalError:
    return RefusalError(
        f"has more than {limits.CHARACTERS:,} characters in it; Customer.io takes "
        f"{limits.EVENT_DATA_BYTES:,} bytes at most",
        limit=f"{limits.EVENT_DATA_BYTES:,} bytes",
        actual=f"more than {limits.CHARACTERS:,} characters",
    )


def encoded(value: JSON) -> bytes:
    """Return the JSON of ``value``.

    Raises:
        RefusalError: a text cannot be encoded.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        _refuse_surrogates_in(value)
        raise


def _refuse_surrogates_in(value: JSON) -> None:
    if isinstance(value, str):
        refuse_surrogates(value)
    elif isinstance(value, dict):
        for key, member in value.items():
            within(key, refuse_surrogates, key)
            within(key, _refuse_surrogates_in, member)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            within(index, _refuse_surrogates_in, item)
