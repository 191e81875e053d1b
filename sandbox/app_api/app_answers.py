"""The App API's reads, by method and path."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox.parsed_operations import object_ref, person_ref
from trackrelay.sandbox.track.parsed_request import Request
from trackrelay.sandbox.track.refusal import Malformed
from trackrelay.sandbox.track.track_answers import Answer, json_answer
from trackrelay.sandbox.workspace.objects import Object
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.workspace_state import State

from .attribute_strings import text
from .filters import BadFilter, Subject, compile_filter
from .pages import BadPage, page

#: The most results of a page.
CUSTOMERS, OBJECTS, RELATIONSHIPS = 1_000, 1_000, 100


def answer_app(state: State, request: Request) -> Answer:
    """Answer a read of the App API."""
    try:
        return _answer(state, request)
    except (BadFilter, BadPage, Malformed) as error:
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
        raise BadFilter("a search needs a filter")
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
    """A person as the App API shows them."""
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
