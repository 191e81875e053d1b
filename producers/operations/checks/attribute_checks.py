"""Checks of attributes of people, objects and relationships: their number, names and sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from trackrelay.operations import limits
from trackrelay.operations.cautions import Caution, caution_about
from trackrelay.operations.coercion import JSON, Room, encoded, json_object

from .name_checks import size
from .rejection import RefusalError, too_many_bytes, within

# So many characters are always within the limit: UTF-8 takes at most four bytes for each.
_SHORT_NAME = limits.ATTRIBUTE_NAME_BYTES // 4
_NUMBERS = (int, float)
_FIRST, _LAST = limits.TIMESTAMP_MIN, limits.TIMESTAMP_MAX
_SHORT_VALUE = limits.ATTRIBUTE_VALUE_BYTES // 4


def attributes_of(value: object, room: Room | None = None) -> dict[str, JSON]:
    """Return attributes as JSON has them.

    Raises:
        RefusalError: it is no mapping, has more than 300 attributes, a name or a value is too long,
            or :func:`~trackrelay.operations.coercion.json_object` refuses it.
    """
    clean = json_object(value, "an object of attributes, such as a dict", room)
    _refuse_too_many(clean)
    for name, member in clean.items():
        if not name or len(name) > _SHORT_NAME:
            within(name, _check_name, name)
        if type(member) is str:
            if len(member) > _SHORT_VALUE:
                within(name, _check_size, size(member))
        elif type(member) is dict or type(member) is list:
            within(name, _check_encoded, member)
        elif type(member) in _NUMBERS and name[-3:] == "_at" and not _FIRST <= member <= _LAST:  # type: ignore[operator]
            _caution_about_time(name, value)
    return clean


def refuse_other_identifier(
    attributes: dict[str, JSON],
    kind: str,
    identifier: str,
    check: Callable[[object], str],
    hint: str,
) -> None:
    """Refuse attributes that contradict the identifier in the call.

    Customer.io would accept the request and then fail the update. An attribute that means the same
    is written like the identifier.

    Args:
        attributes: the attributes, among them ``kind``.
        kind: ``email``, ``id`` …
        identifier: the identifier in the call.
        check: checks an identifier of that kind.
        hint: says what the caller probably meant.
    """
    try:
        same = check(attributes[kind]) == identifier
    except RefusalError:
        same = False
    if not same:
        raise RefusalError(
            f"contradicts the {kind} in the call; {hint}",
            limit=f"the same {kind} or none",
            actual="another one",
            at=(kind,),
        )
    attributes[kind] = identifier


def _caution_about_time(name: str, given: object) -> None:
    # Any date is plausible. A number outside these years is most likely no time.
    if isinstance(given, Mapping) and not isinstance(given.get(name), date):
        caution_about(Caution.TIME, name)


def _refuse_too_many(attributes: Mapping[str, JSON]) -> None:
    # _update is an instruction, not an attribute.
    count = len(attributes) - ("_update" in attributes)
    if count > limits.ATTRIBUTES:
        raise RefusalError(
            f"are {count:,}; Customer.io takes {limits.ATTRIBUTES} in one request",
            limit=f"{limits.ATTRIBUTES} attributes",
            actual=f"{count:,} attributes",
        )


def _check_name(name: str) -> None:
    if not name.strip():
        raise RefusalError("has a blank name", limit="a name", actual="blank")
    if size(name) > limits.ATTRIBUTE_NAME_BYTES:
        raise RefusalError(
            f"has a name of {size(name):,} bytes; Customer.io takes {limits.ATTRIBUTE_NAME_BYTES}",
            limit=f"{limits.ATTRIBUTE_NAME_BYTES} bytes",
            actual=f"{size(name):,} bytes",
        )


def _check_encoded(value: JSON) -> None:
    _check_size(len(encoded(value)))


def _check_size(length: int) -> None:
    if length > limits.ATTRIBUTE_VALUE_BYTES:
        raise too_many_bytes(length, limits.ATTRIBUTE_VALUE_BYTES)
