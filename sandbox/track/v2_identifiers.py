"""Whom an operation of v2 is about: exactly one identifier, of a kind that is allowed there."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import (
    ObjectRef,
    PersonRef,
    cio_object_ref,
    object_ref,
    person_ref,
)
from trackrelay.sandbox.shape_checks import as_name, is_email, is_phone, is_type_id, longer

from .refusal import Refused

PERSON_KINDS = frozenset({"id", "email", "phone", "cio_id"})
#: In a merge, and where an object names people, a phone does not do.
PLAIN_PERSON_KINDS = frozenset({"id", "email", "cio_id"})
ANONYMOUS_KINDS = frozenset({"anonymous_id"})


def person(
    identifiers: Any, field: str = "identifiers", kinds: frozenset[str] = PERSON_KINDS
) -> PersonRef:
    """Read a person's one identifier."""
    if type(identifiers) is not dict:
        raise _missing_or_wrong(identifiers, field)
    if len(identifiers) != 1:
        raise Refused(field, f"exactly one identifier is required, got {len(identifiers)}")
    for kind, value in identifiers.items():
        if kind not in kinds:
            raise Refused(
                f"{field}.{kind}", f"unknown identifier, expected one of {', '.join(sorted(kinds))}"
            )
        named = _checked(kind, value, f"{field}.{kind}")
    return person_ref(kind, named)


def some_object(identifiers: Any, field: str = "identifiers") -> ObjectRef:
    """Read what names an object: type and id, or the id that Customer.io gave it."""
    if type(identifiers) is not dict:
        raise _missing_or_wrong(identifiers, field)
    if identifiers.keys() == {"object_type_id", "object_id"}:
        return _object_by_id(identifiers["object_type_id"], identifiers["object_id"], field)
    if identifiers.keys() == {"cio_object_id"}:
        cio_object_id = _text(identifiers["cio_object_id"], f"{field}.cio_object_id")
        return cio_object_ref(cio_object_id)
    raise Refused(
        field, "an object is named by object_type_id and object_id, or by cio_object_id alone"
    )


def _object_by_id(type_id: Any, object_id: Any, field: str) -> ObjectRef:
    if not is_type_id(type_id):
        raise Refused(f"{field}.object_type_id", "must be a string that holds an integer from 1")
    object_id = _text(as_name(object_id), f"{field}.object_id")
    if longer(object_id, published_limits.OBJECT_ID_BYTES):
        raise Refused(
            f"{field}.object_id", f"cannot be longer than {published_limits.OBJECT_ID_BYTES} bytes"
        )
    return object_ref(type_id, object_id)


def _checked(kind: str, value: Any, field: str) -> str:
    text = _text(value if kind in ("email", "phone") else as_name(value), field)
    if kind == "email":
        if not is_email(text):
            raise Refused(field, "is not an email address")
    elif kind == "phone":
        if not is_phone(text):
            raise Refused(field, "must be in E.164 format")
    elif longer(text, published_limits.PERSON_ID_BYTES):
        raise Refused(field, f"cannot be longer than {published_limits.PERSON_ID_BYTES} bytes")
    return text


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise Refused(field, "must be a string value")
    if not value.strip():
        raise Refused(field, "cannot be an empty string")
    return value


def _missing_or_wrong(identifiers: Any, field: str) -> Refused:
    if identifiers is None:
        return Refused(field, "must be present", "required")
    return Refused(field, "must be an object")
