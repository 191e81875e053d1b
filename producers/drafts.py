"""Drafts: what callers of the vocabulary say, put together as documents for the gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from .errors import InvalidOperation
from .people import PLAIN, ObjectRef, Person, PersonLike, plain_id, recognised
from .unacceptable import Unacceptable

Attributes: TypeAlias = Mapping[str, Any]
#: An object a person belongs to, alone or with the relationship's attributes.
ToObject: TypeAlias = ObjectRef | tuple[ObjectRef, Attributes]
#: A person who belongs to an object, alone or with the relationship's attributes.
ToPerson: TypeAlias = PersonLike | tuple[PersonLike, Attributes]
#: One or several of either.
Others: TypeAlias = ToObject | ToPerson | Iterable[ToObject] | Iterable[ToPerson]


def person_identifiers(person: PersonLike) -> dict[str, Any]:
    """Who is meant, as the Track API's v2 says it; what names nobody is :class:`Unacceptable`, and refused by the gate."""
    if isinstance(person, Person):
        return person.identifiers
    if type(person) not in PLAIN and (known := recognised(person)):
        return known.identifiers
    try:
        return {"id": plain_id(person)}
    except InvalidOperation as error:
        return {"id": Unacceptable(person, error)}


def object_identifiers(obj: ObjectRef) -> dict[str, Any]:
    """What is meant, as the Track API's v2 says it; what names nothing is :class:`Unacceptable`, and refused by the gate."""
    if isinstance(obj, ObjectRef):
        return obj.identifiers
    error = InvalidOperation(
        f"an object is named by ObjectRef(type_id, object_id), not by {type(obj).__name__}",
        field="identifiers",
        limit="an ObjectRef",
        actual=type(obj).__name__,
    )
    return {"object_id": Unacceptable(obj, error)}


def draft(type: str, identifiers: Mapping[str, object], action: str, **fields: object) -> dict[str, Any]:
    """A document with those of ``fields`` that were given."""
    made: dict[str, Any] = {"type": type, "identifiers": identifiers, "action": action}
    for field, value in fields.items():
        if value is not None:
            made[field] = value
    return made


def identify_attributes(attributes: Attributes | None, anonymous_id: object, update_only: bool) -> Attributes | None:
    """A person's attributes with what identify() takes beside them: Customer.io has both among the attributes."""
    if anonymous_id is None and not update_only:
        return attributes
    if attributes is not None and not isinstance(attributes, (dict, Mapping)):
        return attributes  # the gate says what is wrong with it
    made = dict(attributes or {})
    if update_only:
        made["_update"] = True
    if anonymous_id is not None:
        if str(made.get("anonymous_id", anonymous_id)) != str(anonymous_id):
            error = InvalidOperation(
                "attribute 'anonymous_id' contradicts the anonymous_id in the call",
                field="attributes.anonymous_id",
                limit="the same anonymous_id or none",
                actual="another one",
            )
            anonymous_id = Unacceptable([made["anonymous_id"], anonymous_id], error)
        made["anonymous_id"] = anonymous_id
    return made


def relationships(others: Others, attributes: Attributes | None = None) -> list[dict[str, Any]]:
    """``cio_relationships`` to one or several others; ``attributes`` are of those that bring none of their own."""
    return [_relationship(other, attributes) for other in several(others)]


def several(given: Any) -> Iterable[Any]:
    """``given`` if it is several; else, like text, or one other with its attributes, it alone."""
    if isinstance(given, (str, bytes, Mapping)) or _is_pair(given) or not isinstance(given, Iterable):
        return (given,)
    return given


def _is_pair(given: object) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping)


def _relationship(other: Any, attributes: Attributes | None) -> dict[str, Any]:
    if _is_pair(other):
        other, attributes = other
    identifiers = other.identifiers if isinstance(other, ObjectRef) else person_identifiers(other)
    made: dict[str, Any] = {"identifiers": identifiers}
    if attributes is not None:
        made["relationship_attributes"] = attributes
    return made
