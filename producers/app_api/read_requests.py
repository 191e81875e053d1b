"""The requests of the App API: path, query and body. Pure: nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from trackrelay.operations.checks.object_types import object_type_id
from trackrelay.operations.checks.rejection import RefusalError
from trackrelay.operations.refs import ObjectRef, Person, PersonLike
from trackrelay.operations.unacceptable import Unacceptable

from .app_api_errors import AppApiCallError
from .json_fields import Fields

T = TypeVar("T")
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """One request, and how its answer is read.

    Attributes:
        label: method and path for messages, without anybody's identifiers.
        method: ``GET`` or ``POST``.
        path: percent-encoded, with the identifiers.
        parse: makes the result of the answer's JSON.
        query: parameters, not encoded; None leaves one out.
        body: of a POST, as JSON.
        subject: what a 404 means is missing; None: a 404 means a wrong address.
        id_type: how the person is identified, for the message of a 400.
    """

    label: str
    method: str
    path: str
    parse: Callable[[Fields], T]
    query: Mapping[str, Any]
    body: bytes | None = None
    subject: str | None = None
    id_type: str | None = None

    @property
    def target(self) -> str:
        """Path and query, encoded."""
        given = {
            name: _query_text(value) for name, value in self.query.items() if value is not None
        }
        try:
            # Not quote_plus: a space is %20 and a plus is %2B, which every server reads alike.
            query = urlencode(given, quote_via=quote, safe="")
        except UnicodeError:
            raise _not_encodable() from None
        return f"{self.path}?{query}" if query else self.path

    def with_query(self, **query: Any) -> Read[T]:
        """Return the same read with further parameters."""
        return replace(self, query={**self.query, **query})


def get(
    template: str,
    parse: Callable[[Fields], T],
    *names: str,
    subject: str | None = None,
    **query: Any,
) -> Read[T]:
    """Return a GET.

    Args:
        template: the path, with a placeholder such as ``{customer_id}`` for each name.
        parse: makes the result of the answer's JSON.
        names: what belongs into the path.
        subject: what a 404 means is missing.
        query: parameters.
    """
    parts = map(_path_part, names)
    path = _PLACEHOLDER.sub(lambda _: next(parts), template)
    return Read(f"GET {template}", "GET", path, parse, query, subject=subject)


def post(
    path: str, parse: Callable[[Fields], T], document: Mapping[str, Any], **query: Any
) -> Read[T]:
    """Return a POST with ``document`` as JSON."""
    try:
        body = msgspec.json.encode(document)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise AppApiCallError(f"the request cannot be JSON: {type(error).__name__}") from None
    return Read(f"POST {path}", "POST", path, parse, query, body)


def person_of(value: PersonLike) -> Person:
    """Return the person, whom the App API can be asked about.

    Raises:
        AppApiCallError: the person is anonymous.
        InvalidOperationError: it is no person.
    """
    person = Person.of(value)
    if isinstance(person.value, Unacceptable):
        raise person.value.error
    if person.kind == "anonymous_id":
        raise AppApiCallError(
            "the App API knows no anonymous visitors: name the person by id, email, phone or cio_id"
        )
    return person


def person_get(what: str, parse: Callable[[Fields], T], value: PersonLike, **query: Any) -> Read[T]:
    """Return the read of ``/v1/customers/{customer_id}/WHAT``."""
    person = person_of(value)
    read = get(
        f"/v1/customers/{{customer_id}}/{what}",
        parse,
        person.value,
        subject="person",
        id_type=id_type(person),
        **query,
    )
    return replace(read, id_type=person.kind)


def id_type(person: Person) -> str | None:
    """Return the ``id_type`` of a person; None for an id, which is what Customer.io expects."""
    return None if person.kind == "id" else person.kind


def object_get(
    what: str, parse: Callable[[Fields], T], ref: ObjectRef, type: str | int | None
) -> Read[T]:
    """Return the read of ``/v1/objects/{object_type_id}/{object_id}/WHAT``.

    Args:
        what: the end of the path.
        parse: makes the result of the answer's JSON.
        ref: the object.
        type: its type, which an object named by ``cio_object_id`` needs.
    """
    if not isinstance(ref, ObjectRef):
        raise AppApiCallError("an object is an ObjectRef, as in ObjectRef(1, 'acme')")
    if isinstance(ref.cio_object_id, Unacceptable):
        raise ref.cio_object_id.error
    if type is None and ref.type_id is None:
        raise AppApiCallError(
            "an object named by cio_object_id needs its type as well: type=1, or its name"
        )
    type_id = type_number(type if ref.type_id is None else ref.type_id)
    if type is not None and type_number(type) != type_id:
        raise AppApiCallError(
            f"the object has type {type_id}, and the call type {type_number(type)}"
        )
    return get(
        f"/v1/objects/{{object_type_id}}/{{object_id}}/{what}",
        parse,
        type_id,
        ref.object_id or ref.cio_object_id or "",
        subject="object",
        id_type=None if ref.object_id else "cio_object_id",
    )


def type_number(type: object) -> str:
    """Return the number of an object type as text, by number or by a name in the settings.

    Raises:
        AppApiCallError: it is neither.
    """
    try:
        return object_type_id(type)
    except RefusalError as refusal:
        raise AppApiCallError(f"the type of an object {refusal}") from None


def chunks(values: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return ``values`` in parts of at most ``size``."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def _path_part(text: str) -> str:
    if text in (".", ".."):
        raise AppApiCallError(
            f"{text!r} would name another address of the App API, even when it is percent-encoded"
        )
    try:
        return quote(text, safe="")
    except UnicodeError:
        raise _not_encodable() from None


def _not_encodable() -> AppApiCallError:
    return AppApiCallError("an identifier or a value has characters that UTF-8 cannot hold")


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
