"""The parts that the App API's operations share: errors, people in requests, pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from trackrelay.sandbox.parsed_operations import JsonObject, person_ref
from trackrelay.sandbox.track.track_messages import Answer, Request, json_answer
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.workspace_state import State

ID_TYPES = ("id", "email", "phone", "cio_id")


class BadRequestError(ValueError):
    """The App API refuses the request."""


class MissingError(LookupError):
    """What the path names does not exist."""


def empty(status: int) -> Answer:
    """Return an answer without a body, as most failures have none."""
    return Answer(status, b"", ())


def error_list(status: int, detail: str, pointer: str | None = None) -> Answer:
    """Return an answer with one error in a list."""
    error: JsonObject = {"detail": detail, "status": str(status)}
    if pointer is not None:
        error["source"] = {"pointer": pointer}
    return json_answer(status, {"errors": [error]})


def id_type(state: State, request: Request) -> str:
    """Return the kind of the identifiers in a request.

    Raises:
        BadRequestError: There is no such kind, or the workspace does not use it.
    """
    kind = request.query("id_type", "id")
    if kind not in ID_TYPES:
        raise BadRequestError(f"id_type must be one of {', '.join(ID_TYPES)}")
    if kind in ("email", "phone") and kind not in state.settings.identifiers:
        raise BadRequestError(f"{kind} is not an identifier in this workspace")
    return kind


def find_person(state: State, kind: str, value: str) -> Person | None:
    """Return the person with an identifier; a cio_id with or without its prefix."""
    bare = value.removeprefix("cio_") if kind == "cio_id" else value
    return state.people.find(person_ref(kind, bare).key)


def path_person(state: State, request: Request) -> Person:
    """Return the person that the path names.

    Raises:
        BadRequestError: The ``id_type`` is not valid.
        MissingError: There is no such person.
    """
    person = find_person(state, id_type(state, request), request.segments[2])
    if person is None:
        raise MissingError
    return person


def identifiers(person: Person) -> dict[str, str | None]:
    """Return the identifiers of a person as answers show them: never the phone number."""
    return {
        "email": person.identifiers.get("email"),
        "id": person.identifiers.get("id"),
        "cio_id": person.cio_id,
    }


class Limit(NamedTuple):
    """The number of results in a page: the default, and the maximum."""

    default: int
    max: int


class Page(NamedTuple):
    """Some results, and the fields of the answer that lead to the next page."""

    items: list[Any]
    fields: JsonObject


#: The place of a result in the order of all results; by default, its index.
Position = Callable[[Any], int]


def page(
    state: State,
    request: Request,
    items: Iterable[Any],
    limit: Limit,
    position: Position | None = None,
) -> Page:
    """Return the page of ``items`` that a request asks for.

    Args:
        state: Its settings decide what pages repeat, and how the last page ends.
        request: Its ``start`` and ``limit`` choose the page.
        items: All results.
        limit: The number of results in a page.
        position: A place that stays when other results come or go; the places ascend.

    Raises:
        BadRequestError: The start or the limit is not valid.
    """
    count = page_limit(request, limit)
    token = request.query("start", "")
    places: Iterator[tuple[int, Any]] = (
        enumerate(items) if position is None else ((position(each), each) for each in items)
    )
    if token:
        after = _position_of(token)
        places = (each for each in places if each[0] > after)
    found = list(islice(places, count + 1))
    shown = [item for _, item in found[:count]]
    if len(found) > count:
        last = count - 1
        if state.settings.repeat_across_pages and last > 0:
            last -= 1
        return Page(shown, {"next": _token(found[last][0])})
    at_end = {"empty": {"next": ""}, "repeated": {"next": token}, "absent": {}}
    return Page(shown, at_end[state.settings.next_at_end])


def page_limit(request: Request, limit: Limit) -> int:
    """Return the number of results that a request asks for, at most the maximum.

    Raises:
        BadRequestError: It is not a number from 1.
    """
    wanted = number(request, "limit", limit.default)
    if wanted < 1:
        raise BadRequestError("limit must be at least 1")
    return min(wanted, limit.max)


def number(request: Request, name: str, default: int) -> int:
    """Return a number in the query.

    Raises:
        BadRequestError: It is not a number.
    """
    given = request.query(name, "") or str(default)
    if not (given.isascii() and given.isdigit() and len(given) <= 15):
        raise BadRequestError(f"{name} must be a number")
    return int(given)


def _token(place: int) -> str:
    return base64.urlsafe_b64encode(f"0:{place}".encode()).decode()


def _position_of(token: str) -> int:
    try:
        _, _, place = base64.urlsafe_b64decode(token).decode().partition(":")
        return int(place)
    except (ValueError, binascii.Error):
        raise BadRequestError("start must be the next of an earlier answer") from None
