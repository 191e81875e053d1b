"""Checks of relationships between people and objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from trackrelay.operations import limits
from trackrelay.operations.coercion import JSON, Room, mapping_of, whole_room

from .attribute_checks import attributes_of
from .identifier_checks import ANONYMOUS, BY_ID_EMAIL_OR_CIO_ID, of_object, of_person
from .lazy_values import resolved
from .rejection import RefusalError, within, wrong_type
from .text_checks import open_fields

_FIELDS = frozenset({"identifiers", "relationship_attributes"})


def to_objects(value: object) -> list[JSON]:
    """Check ``cio_relationships`` of a person."""
    return _each(value, _object)


def to_people(value: object) -> list[JSON]:
    """Check ``cio_relationships`` of an object to people named by id, email or cio_id."""
    return _each(value, _person)


def to_anonymous(value: object) -> list[JSON]:
    """Check ``cio_relationships`` of an object to anonymous visitors."""
    return _each(value, _anonymous)


def at_least_one(relationships: list[JSON]) -> list[JSON]:
    """Return ``relationships``, and refuse an empty list."""
    if not relationships:
        raise RefusalError("is empty; name at least one", limit="at least 1", actual="0")
    return relationships


def _object(identifiers: object) -> dict[str, JSON]:
    return {**of_object(identifiers)}


def _person(identifiers: object) -> dict[str, JSON]:
    return dict([of_person(identifiers, BY_ID_EMAIL_OR_CIO_ID)])


def _anonymous(identifiers: object) -> dict[str, JSON]:
    return dict([of_person(identifiers, ANONYMOUS)])


def _each(value: object, identifiers_of: Callable[[object], dict[str, JSON]]) -> list[JSON]:
    value = resolved(value)
    # One room for all, because many small ones can be large together.
    room = whole_room()
    if isinstance(value, (dict, Mapping)):
        return [_one(value, identifiers_of, room)]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise wrong_type(value, "a list of relationships, or one")
    made: list[JSON] = []
    for index, each in enumerate(value):
        if index == limits.RELATIONSHIPS:
            raise too_many_relationships()
        made.append(within(index, _one, each, identifiers_of, room))
    return made


def too_many_relationships() -> RefusalError:
    """Return the refusal of more relationships than an operation can hold."""
    return RefusalError(
        f"are more than {limits.RELATIONSHIPS:,}; no operation within {limits.OPERATION_BYTES:,} "
        "bytes has as many",
        limit=f"{limits.OPERATION_BYTES:,} bytes",
        actual=f"more than {limits.RELATIONSHIPS:,}",
    )


def _one(
    relationship: object, identifiers_of: Callable[[object], dict[str, JSON]], room: Room
) -> dict[str, JSON]:
    if type(relationship) is not dict:
        relationship = mapping_of(
            relationship, "an object with identifiers and relationship_attributes"
        )
    clean: dict[str, JSON] = {
        "identifiers": within("identifiers", identifiers_of, relationship.get("identifiers"))
    }
    given = relationship.get("relationship_attributes")
    if given is not None and (
        attributes := within("relationship_attributes", attributes_of, given, room)
    ):
        clean["relationship_attributes"] = attributes
    if not relationship.keys() <= _FIELDS:
        clean |= open_fields(relationship, sorted(_FIELDS), room)
    return clean
