"""Checks of operations on objects."""

from __future__ import annotations

from collections.abc import Mapping

from trackrelay.operations.coercion import JSON
from trackrelay.operations.keys import object_key

from .attribute_checks import attributes_of, refuse_other_identifier
from .check_result import Checked, Document
from .identifier_checks import OBJECT, anonymous_id, of_object
from .rejection import within
from .relationship_checks import at_least_one, to_anonymous, to_people


def identify(document: Document) -> Checked:
    """Check a new or changed object, with its relationships to people."""
    checked = _with_attributes(document)
    given = document.get("cio_relationships")
    if given is not None and (made := within("cio_relationships", to_people, given)):
        checked.document["cio_relationships"] = made
    return checked


def identify_anonymous(document: Document) -> Checked:
    """Check an object with relationships to anonymous visitors.

    Customer.io's description names them in relationships, and its example in a field.
    """
    checked = _with_attributes(document)
    if document.get("anonymous_id") is not None:
        checked.document["anonymous_id"] = within(
            "anonymous_id", anonymous_id, document["anonymous_id"]
        )
    given = document.get("cio_relationships")
    if given is not None and (made := within("cio_relationships", to_anonymous, given)):
        checked.document["cio_relationships"] = made
    return checked


def bare(document: Document) -> Checked:
    """Check the deletion of an object."""
    return _start(document)[0]


def relate(document: Document) -> Checked:
    """Check added or deleted relationships to people."""
    checked, _ = _start(document)
    made = within("cio_relationships", to_people, document["cio_relationships"])
    checked.document["cio_relationships"] = within("cio_relationships", at_least_one, made)
    return checked


def _start(document: Document) -> tuple[Checked, dict[str, str]]:
    identifiers = within("identifiers", of_object, document["identifiers"])
    clean: dict[str, JSON] = {
        "type": "object",
        "identifiers": {**identifiers},
        "action": str(document["action"]),
    }
    return Checked(clean, (object_key(identifiers),)), identifiers


def _with_attributes(document: Document) -> Checked:
    checked, identifiers = _start(document)
    given = document.get("attributes")
    if given is not None and (attributes := within("attributes", _attributes, given, identifiers)):
        checked.document["attributes"] = attributes
    return checked


def _attributes(given: object, identifiers: Mapping[str, str]) -> dict[str, JSON]:
    attributes = attributes_of(given)
    for name, identifier in identifiers.items():
        if name in attributes:
            refuse_other_identifier(
                attributes, name, identifier, OBJECT[name], "an object keeps its identifiers"
            )
    return attributes
