"""Checks of forms."""

from __future__ import annotations

from trackrelay.operations.coercion import JSON, json_object
from trackrelay.operations.keys import key_of

from .attribute_checks import refuse_other_identifier
from .check_result import Checked, Document
from .delivery_checks import identifier_of
from .identifier_checks import BY_ID_OR_EMAIL, PERSON, of_person
from .rejection import RefusalError, within
from .text_checks import text_of

#: Track API, forms: Customer.io ignores these fields.
RESERVED = frozenset({"form_id", "form_name", "form_type", "form_url", "form_url_param"})


def submit(document: Document) -> Checked:
    """Check a form that a person, named by id or email, filled in."""
    form_id = within("identifiers", identifier_of, document["identifiers"], "form_id")
    kind, value = within("person", of_person, document["person"], BY_ID_OR_EMAIL)
    clean: dict[str, JSON] = {
        "type": "form",
        "action": "submit",
        "identifiers": {"form_id": form_id},
        "person": {kind: value},
    }
    given = document.get("attributes")
    if given is not None and (fields := within("attributes", _fields, given, kind, value)):
        clean["attributes"] = fields
    return Checked(clean, (key_of(kind, value),), name=form_id)


def _fields(given: object, kind: str, value: str) -> dict[str, JSON]:
    fields = json_object(given, "an object of fields, such as a dict")
    if kind in fields:
        # The same identifier is redundant.
        refuse_other_identifier(fields, kind, value, PERSON[kind], "a form has one respondent")
        del fields[kind]
    return {name: within(name, _field, name, field, kind) for name, field in fields.items()}


def _field(name: str, value: JSON, kind: str) -> str:
    if name in BY_ID_OR_EMAIL:
        raise RefusalError(
            f"is a second identifier beside the {kind} in the call; Customer.io takes one of id "
            "and email",
            limit="one identifier",
            actual="two",
        )
    if name in RESERVED:
        raise RefusalError(
            "has a name that Customer.io keeps for itself", limit="another name", actual=name
        )
    return text_of(value)
