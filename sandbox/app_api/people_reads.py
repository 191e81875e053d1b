"""The App API's operations about people."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox.parsed_operations import JsonObject
from trackrelay.sandbox.track.track_messages import Request
from trackrelay.sandbox.workspace.account import Delivery, Topic
from trackrelay.sandbox.workspace.conditions import Test, person_test, text
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.timed_attributes import PREFERENCES
from trackrelay.sandbox.workspace.workspace_state import State

from .app_messages import (
    BadRequestError,
    Limit,
    find_person,
    id_type,
    identifiers,
    number,
    page,
    path_person,
)

MAX_IDS = 100
#: How far back messages go.
_SIX_MONTHS_S = 183 * 24 * 3600
_COMPUTED = f"_{PREFERENCES}_computed"


def by_email(state: State, request: Request) -> JsonObject:
    """Answer getPeopleEmail."""
    email = request.query("email", "")
    if not email:
        raise BadRequestError("email is required")
    person = find_person(state, "email", email)
    return {"results": [identifiers(person)] if person else []}


def search_filter(document: Any) -> Any:
    """Return the filter of a search.

    Raises:
        BadRequestError: There is none.
    """
    if not isinstance(document, dict) or "filter" not in document:
        raise BadRequestError("a search needs a filter")
    return document["filter"]


def search(state: State, request: Request) -> JsonObject:
    """Answer getPeopleFilter."""
    test: Test = person_test(state, search_filter(request.json()))
    found = (person for person in state.people if test(person))
    people, more = page(state, request, found, Limit(50, 1_000), place)
    return {
        "identifiers": [identifiers(person) for person in people],
        "ids": [person.identifiers.get("id", "") for person in people],
        **more,
    }


def place(person: Person) -> int:
    """Return the place of a person in the order of all people."""
    return int(person.cio_id, 16)


def by_ids(state: State, request: Request) -> JsonObject:
    """Answer getPeopleById: unknown people are left out."""
    document = request.json()
    ids = document.get("ids") if isinstance(document, dict) else None
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS:
        raise BadRequestError(f"ids must be a list of 1 to {MAX_IDS} strings")
    if not all(isinstance(each, str) for each in ids):
        raise BadRequestError("ids must be strings")
    kind = id_type(state, request)
    found = (find_person(state, kind, each) for each in dict.fromkeys(ids))
    return {"customers": [_profile(state, person) for person in found if person is not None]}


def attributes(state: State, request: Request) -> JsonObject:
    """Answer getPersonAttributes."""
    return _profile(state, path_person(state, request))


def _profile(state: State, person: Person) -> JsonObject:
    values = {name: text(value) for name, value in person.all_attributes().items()}
    times = person.attributes.times
    timestamps = {name: int(times[name]) for name in values if name in times}
    if state.account.topics:
        wanted = {
            f"topic_{topic.id}": _is_subscribed(person, topic) for topic in state.account.topics
        }
        values[_COMPUTED] = text({"topics": wanted})
        timestamps[_COMPUTED] = 0
    return {
        "customer": {
            "id": person.identifiers.get("id", ""),
            "identifiers": identifiers(person),
            "attributes": values,
            "timestamps": timestamps,
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
    }


def relationships(state: State, request: Request) -> JsonObject:
    """Answer getPersonRelationships."""
    person = path_person(state, request)
    found, more = page(state, request, list(person.relationships.items()), Limit(100, 100))
    shown = []
    for cio_object_id, relationship in found:
        if (other := state.objects.by_cio_id(cio_object_id)) is not None:
            shown.append(
                {
                    "object_type_id": int(other.type_id),
                    "identifiers": {"object_id": other.object_id, "cio_object_id": cio_object_id},
                    "attributes": relationship.values,
                    "timestamps": whole(relationship.times),
                }
            )
    return {"cio_relationships": shown, **more}


def whole(times: dict[str, float]) -> dict[str, int]:
    """Return times in whole seconds."""
    return {name: int(at) for name, at in times.items()}


def messages(state: State, request: Request) -> JsonObject:
    """Answer getPersonMessages: the messages of at most six months, the newest first."""
    person = path_person(state, request)
    until = number(request, "end_ts", int(state.clock.now()) + 1)
    since = max(number(request, "start_ts", 0), until - _SIX_MONTHS_S)
    keys = set(person.keys)
    found = [
        (delivery_id, delivery)
        for delivery_id, delivery in state.account.deliveries.items()
        if delivery.person_key in keys and since <= delivery.created <= until
    ]
    newest = sorted(found, key=lambda each: -each[1].created)
    shown, more = page(state, request, newest, Limit(50, 1_000))
    return {"messages": [_message(person, *each) for each in shown], **more}


def _message(person: Person, delivery_id: str, delivery: Delivery) -> JsonObject:
    kind = delivery.fields.get("type", "email")
    return {
        "type": kind,
        "recipient": person.identifiers.get("email" if kind == "email" else "phone", ""),
        "subject": "",
        "campaign_id": 1,
        "action_id": 1,
        "newsletter_id": None,
        "content_id": None,
        "broadcast_id": None,
        "failure_message": None,
        "forgotten": False,
        **delivery.fields,
        "id": delivery_id,
        "deduplicate_id": f"{delivery_id}:{delivery.created}",
        "customer_id": person.identifiers.get("id", ""),
        "created": delivery.created,
        "metrics": {"sent": delivery.created, **delivery.times},
    }


def subscriptions(state: State, request: Request) -> JsonObject:
    """Answer getPersonSubscriptionPreferences, with topics that only the person names."""
    person = path_person(state, request)
    language = request.query("language", "") or request.headers.get(b"accept-language", b"").decode(
        "latin-1"
    )
    known = {f"topic_{topic.id}" for topic in state.account.topics}
    own = [name for name in _preferences(person) if name not in known]
    topics = [*state.account.topics, *(Topic(name.removeprefix("topic_"), name) for name in own)]
    return {
        "customer": {
            "id": person.identifiers.get("id"),
            "identifiers": identifiers(person),
            "topics": [
                {
                    "id": topic.id,
                    "subscribed": _is_subscribed(person, topic),
                    "name": topic.name,
                    "description": topic.description,
                    **topic.translations.get(language, {}),
                }
                for topic in topics
            ],
            "unsubscribed": person.unsubscribed,
            "header": state.account.header,
        }
    }


def _preferences(person: Person) -> JsonObject:
    preferences = person.attributes.values.get(PREFERENCES)
    topics = preferences.get("topics") if isinstance(preferences, dict) else None
    return topics if isinstance(topics, dict) else {}


def _is_subscribed(person: Person, topic: Topic) -> bool:
    wanted = _preferences(person).get(f"topic_{topic.id}")
    return topic.subscribed if wanted in (None, "") else bool(wanted)
