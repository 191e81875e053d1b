"""The reads of the App API: people, objects, relationships and searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from trackrelay.sandbox.track.track_messages import Answer, MalformedError, Request, json_answer
from trackrelay.sandbox.workspace.objects import Object
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.workspace_state import State

from .parsed_operations import object_ref, person_ref

#: Maximum results in a page.
CUSTOMERS, OBJECTS, RELATIONSHIPS = 1_000, 1_000, 100


class BadRequestError(ValueError):
    """A filter or a page that the App API refuses."""


def answer_app(state: State, request: Request) -> Answer:
    """Return the answer to a read of the App API."""
    try:
        return _answer(state, request)
    except (BadRequestError, MalformedError) as error:
        return _error(400, str(error))
    except RecursionError:
        return _error(400, "the filter is nested too deep")


def _answer(state: State, request: Request) -> Answer:
    match request.method, request.segments:
        case "GET", (_, "customers"):
            return _by_email(state, request)
        case "POST", (_, "customers"):
            return _search_people(state, request)
        case "GET", (_, "customers", name, "attributes"):
            return _attributes(state, name, request.query("id_type", "id"))
        case "POST", (_, "objects"):
            return _search_objects(state, request)
        case "GET", (_, "objects", type_id, object_id, "relationships"):
            return _relationships(state, type_id, object_id, request)
    return _error(404, "not found")


def _error(status: int, detail: str) -> Answer:
    return json_answer(status, {"errors": [{"detail": detail, "status": str(status)}]})


def _named(person: Person) -> dict[str, str | None]:
    return {
        "email": person.identifiers.get("email"),
        "id": person.identifiers.get("id"),
        "cio_id": person.cio_id,
    }


def _by_email(state: State, request: Request) -> Answer:
    email = request.query("email", "")
    if not email:
        return _error(400, "email is required")
    person = state.people.find(person_ref("email", email).key)
    return json_answer(200, {"results": [_named(person)] if person else []})


def _filter(request: Request) -> tuple[dict[str, Any], Any]:
    document = request.json()
    if not isinstance(document, dict) or "filter" not in document:
        raise BadRequestError("a search needs a filter")
    return document, compile_filter(document["filter"])


def _search_people(state: State, request: Request) -> Answer:
    _, test = _filter(request)
    found = (
        each
        for each in state.people
        if test(Subject(each.all_attributes(), frozenset(each.segments)))
    )
    people, following = page(request, found, CUSTOMERS)
    ids = [each.identifiers["id"] for each in people if "id" in each.identifiers]
    return json_answer(
        200, {"identifiers": [_named(each) for each in people], "ids": ids, "next": following}
    )


def _attributes(state: State, name: str, id_type: str) -> Answer:
    if id_type not in ("id", "email", "cio_id"):
        return _error(400, "id_type must be one of id, email, cio_id")
    person = state.people.find(person_ref(id_type, name).key)
    return (
        json_answer(200, {"customer": customer(person)})
        if person
        else _error(404, "customer not found")
    )


def customer(person: Person) -> dict[str, Any]:
    """Return the JSON of a person in the App API."""
    attributes = {name: text(value) for name, value in person.all_attributes().items()}
    times = person.attributes.times
    return {
        "id": person.identifiers.get("id"),
        "identifiers": _named(person),
        "attributes": attributes,
        "timestamps": {name: int(times[name]) for name in attributes if name in times},
        "unsubscribed": person.unsubscribed,
        "devices": [
            {
                "id": each.token,
                "platform": each.platform,
                "last_used": each.last_used,
                "attributes": each.attributes,
            }
            for each in person.devices.values()
        ],
    }


def _search_objects(state: State, request: Request) -> Answer:
    document, test = _filter(request)
    type_id = document.get("object_type_id")
    if not type_id:
        return _error(400, "object_type_id is required")
    found = (
        each
        for each in state.objects
        if each.type_id == str(type_id) and test(Subject(each.attributes, type_id=each.type_id))
    )
    objects, following = page(request, found, OBJECTS)
    named = [{"cio_object_id": each.cio_object_id, "object_id": each.object_id} for each in objects]
    return json_answer(
        200, {"identifiers": named, "ids": [each.object_id for each in objects], "next": following}
    )


def _relationships(state: State, type_id: str, object_id: str, request: Request) -> Answer:
    found = _object(state, type_id, object_id, request.query("id_type", "object_id"))
    if found is None:
        return _error(404, "object not found")
    people, following = page(request, state.people.by_cio_ids(found.people), RELATIONSHIPS)
    related = [{"object_type_id": found.type_id, "identifiers": _named(each)} for each in people]
    return json_answer(200, {"cio_relationships": related, "next": following})


def _object(state: State, type_id: str, object_id: str, id_type: str) -> Object | None:
    if id_type == "cio_object_id":
        return state.objects.by_cio_id(object_id)
    return state.objects.find(object_ref(type_id, object_id).key)


def text(value: Any) -> str:
    """Return an attribute value as the App API shows it: as a string, or as JSON in a string."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class Subject(NamedTuple):
    """The parts of a person or an object that filters test."""

    attributes: Mapping[str, Any]
    segments: frozenset[int] = frozenset()
    type_id: str | None = None


Test = Callable[[Subject], bool]


def compile_filter(filter: Any) -> Test:
    """Return the test of a filter.

    Raises:
        BadRequestError: The filter is not valid.
    """
    if not isinstance(filter, dict) or len(filter) != 1:
        raise BadRequestError(
            "a filter is an object with one of and, or, not, attribute, object_attribute, segment"
        )
    [(kind, body)] = filter.items()
    try:
        return _COMPILERS[kind](body)
    except KeyError:
        raise BadRequestError(f"unknown filter {kind}") from None


def _all(body: Any) -> Test:
    tests = [compile_filter(each) for each in _filters(body)]
    return lambda subject: all(test(subject) for test in tests)


def _any(body: Any) -> Test:
    tests = [compile_filter(each) for each in _filters(body)]
    return lambda subject: any(test(subject) for test in tests)


def _filters(body: Any) -> list[Any]:
    if not isinstance(body, list) or not body:
        raise BadRequestError("and, or take a list of filters")
    return body


def _not(body: Any) -> Test:
    test = compile_filter(body)
    return lambda subject: not test(subject)


def _attribute(body: Any) -> Test:
    field, operator = _field_and_operator(body)
    if operator == "exists":
        return lambda subject: field in subject.attributes
    if "value" not in body:
        raise BadRequestError("the operator eq needs a value")
    wanted = text(body["value"])
    return lambda subject: field in subject.attributes and text(subject.attributes[field]) == wanted


def _object_attribute(body: Any) -> Test:
    test = _attribute(body)
    type_id = str(body.get("type_id", ""))
    if not type_id:
        raise BadRequestError("an object_attribute needs a type_id")
    return lambda subject: subject.type_id == type_id and test(subject)


def _field_and_operator(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict) or not isinstance(body.get("field"), str):
        raise BadRequestError("an attribute filter needs a field")
    if body.get("operator") not in ("eq", "exists"):
        raise BadRequestError("the operator of an attribute filter is eq or exists")
    return body["field"], body["operator"]


def _segment(body: Any) -> Test:
    if not isinstance(body, dict) or type(body.get("id")) is not int:
        raise BadRequestError("a segment filter needs an integer id")
    return lambda subject: body["id"] in subject.segments


_COMPILERS: dict[str, Callable[[Any], Test]] = {
    "and": _all,
    "or": _any,
    "not": _not,
    "attribute": _attribute,
    "object_attribute": _object_attribute,
    "segment": _segment,
}


class Page(NamedTuple):
    """Some results, and the start of the next page ("" if there is none)."""

    items: list[Any]
    next: str


def page(request: Request, items: Iterable[Any], max_items: int) -> Page:
    """Return the page of ``items`` that a request asks for.

    Raises:
        BadRequestError: The start or the limit is not valid.
    """
    start = _number(request, "start", 0)
    limit = min(_number(request, "limit", max_items), max_items)
    if limit < 1:
        raise BadRequestError("limit must be at least 1")
    found = list(islice(items, start, start + limit + 1))
    return Page(found[:limit], str(start + limit) if len(found) > limit else "")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadRequestError(f"{name} must be a number")
    return int(text)
