"""Payloads: the arguments of a call, put together as a document for the checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TypeAlias
from uuid import UUID

from trackrelay.errors import InvalidOperationError

from . import limits
from .checks.lazy_values import resolved
from .checks.name_checks import plain_text
from .checks.rejection import kind_of, refusal_for
from .refs import PLAIN, ObjectRef, Person, PersonLike, plain_id, unwrapped
from .unacceptable import Unacceptable

Attributes: TypeAlias = Mapping[str, Any]
#: The caller's own name for a call.
IdempotencyKey: TypeAlias = str | int | UUID | None
#: An object a person belongs to, alone or with the relationship's attributes.
ToObject: TypeAlias = ObjectRef | tuple[ObjectRef, Attributes]
#: A person who belongs to an object, alone or with the relationship's attributes.
ToPerson: TypeAlias = PersonLike | tuple[PersonLike, Attributes]
#: One or several of either.
Others: TypeAlias = ToObject | ToPerson | Iterable[ToObject] | Iterable[ToPerson]


def person_identifiers(person: PersonLike) -> dict[str, Any]:
    """Return the identifiers of a person as the Track API's v2 has them.

    What names nobody is :class:`Unacceptable`, so that the checks refuse the whole operation.
    """
    try:
        if type(person) in PLAIN:
            return {"id": plain_id(person)}
        someone = unwrapped(person)
        if isinstance(someone, Person):
            return someone.identifiers
        return {"id": plain_id(someone)}
    except InvalidOperationError as error:
        return {"id": Unacceptable(person, error)}


def object_identifiers(obj: ObjectRef) -> dict[str, Any]:
    """Return the identifiers of an object as the Track API's v2 has them.

    What names no object is :class:`Unacceptable`, so that the checks refuse the whole operation.
    """
    if (real := object_behind(obj)) is not None:
        return real.identifiers
    kind = kind_of(obj)
    error = InvalidOperationError(
        f"an object is named by ObjectRef(type_id, object_id), not by {kind}",
        field="identifiers",
        limit="an ObjectRef",
        actual=kind,
    )
    return {"object_id": Unacceptable(obj, error)}


def object_behind(value: object) -> ObjectRef | None:
    """Return the object that ``value`` is, or stands for; None if it is none.

    A stand-in is asked once: its next answer may be another one.
    """
    try:
        real = resolved(value)
    except Exception:  # a stand-in without a value raises
        return None
    return real if isinstance(real, ObjectRef) and issubclass(type(real), ObjectRef) else None


def payload(
    type: str, identifiers: Mapping[str, object], action: str, **fields: object
) -> dict[str, Any]:
    """Return a document with those of ``fields`` that are not None."""
    made: dict[str, Any] = {"type": type, "identifiers": identifiers, "action": action}
    for field, value in fields.items():
        if value is not None:
            made[field] = value
    return made


def identify_attributes(
    attributes: Attributes | None, anonymous_id: object, update_only: bool
) -> Attributes | None:
    """Return the attributes of a person together with the other arguments of identify().

    Customer.io has all of them among the attributes.
    """
    if anonymous_id is None and update_only is False:
        return attributes
    try:
        if attributes is not None and not isinstance(attributes, (dict, Mapping)):
            return attributes  # the checks say what is wrong with it
        made = {} if attributes is None else dict(islice(attributes.items(), limits.VALUES))
        if update_only:
            made["_update"] = True
    except Exception as error:
        refusal = refusal_for(error)
        raise refusal.error("what identify() was given") from refusal.__cause__
    if anonymous_id is not None:
        if "anonymous_id" in made and not _same_text(made["anonymous_id"], anonymous_id):
            contradiction = InvalidOperationError(
                "attribute 'anonymous_id' contradicts the anonymous_id in the call",
                field="attributes.anonymous_id",
                limit="the same anonymous_id or none",
                actual="another one",
            )
            anonymous_id = Unacceptable([made["anonymous_id"], anonymous_id], contradiction)
        made["anonymous_id"] = anonymous_id
    return made


def _same_text(one: object, other: object) -> bool:
    try:
        return plain_text(one) == plain_text(other)
    except Exception:  # the checks say what is wrong with it
        return False


def relationships_of(others: Others, attributes: Attributes | None = None) -> list[dict[str, Any]]:
    """Return ``cio_relationships`` to one other or several.

    Args:
        others: objects or people, each alone or with the attributes of its relationship.
        attributes: the attributes of each relationship that has none of its own.
    """
    if type(others) is tuple and not others:
        return []
    # One more than the limit, so that the checks refuse it.
    each = several(others, limits.RELATIONSHIPS + 1)
    try:
        return [_relationship(other, attributes) for other in each]
    except Exception as error:
        refusal = refusal_for(error).inside("cio_relationships")
        raise refusal.error("the relationships") from refusal.__cause__


def several(given: Any, limit: int) -> list[Any]:
    """Return the first ``limit`` items of an iterable, or a single item as a list.

    Text, and a pair of another and its attributes, are single items.

    Raises:
        InvalidOperationError: the code of ``given`` raised.
    """
    try:
        given = resolved(given)
        if (
            isinstance(given, (str, bytes, Mapping))
            or _is_pair(given)
            or not isinstance(given, Iterable)
        ):
            return [given]
        return list(islice(given, limit))
    except Exception as error:
        refusal = refusal_for(error)
        raise refusal.error("the list that the call was given") from refusal.__cause__


def _is_pair(given: object) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping)


def _relationship(other: Any, attributes: Attributes | None) -> dict[str, Any]:
    if _is_pair(other):
        other, attributes = other
    obj = object_behind(other)
    identifiers = person_identifiers(other) if obj is None else obj.identifiers
    made: dict[str, Any] = {"identifiers": identifiers}
    if attributes is not None:
        made["relationship_attributes"] = attributes
    return made
