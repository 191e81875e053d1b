"""The App API's operations about objects."""

from __future__ import annotations

from trackrelay.sandbox.parsed_operations import JsonObject, object_ref
from trackrelay.sandbox.track.track_messages import Request
from trackrelay.sandbox.workspace.account import ObjectType
from trackrelay.sandbox.workspace.conditions import object_test
from trackrelay.sandbox.workspace.objects import Object
from trackrelay.sandbox.workspace.workspace_state import State

from .app_messages import BadRequestError, Limit, MissingError, identifiers, page
from .people_reads import search_filter, whole


def types(state: State, request: Request) -> JsonObject:
    """Answer getObjectTypes: the types that objects have, and those that were named."""
    ids = {found.type_id for found in state.objects} | state.account.object_types.keys()
    return {"types": [_type(state, type_id) for type_id in sorted(ids, key=int)]}


def object_type(state: State, type_id: str) -> ObjectType:
    """Return the names of an object type."""
    return state.account.object_types.get(type_id) or ObjectType(f"Objects {type_id}")


def _type(state: State, type_id: str) -> JsonObject:
    named = object_type(state, type_id)
    singular = named.singular_name or named.name.removesuffix("s")
    return {
        "id": type_id,
        "name": named.name,
        "singular_name": singular,
        "slug": named.slug or _slug(named.name),
        "singular_slug": named.singular_slug or _slug(singular),
        "enabled": named.enabled,
        "icon": named.icon,
    }


def _slug(name: str) -> str:
    return "-".join(name.lower().split())


def search(state: State, request: Request) -> JsonObject:
    """Answer getObjectsFilter."""
    document = request.json()
    test = object_test(search_filter(document))
    type_id = str(document.get("object_type_id") or "")
    if not type_id:
        raise BadRequestError("object_type_id is required")
    found = (each for each in state.objects if each.type_id == type_id and test(each))
    shown, more = page(state, request, found, Limit(100, 1_000), _place)
    return {
        "identifiers": [
            {"cio_object_id": each.cio_object_id, "object_id": each.object_id} for each in shown
        ],
        "ids": [each.object_id for each in shown],
        **more,
    }


def _place(found: Object) -> int:
    return int(found.cio_object_id.removeprefix("o"), 16)


def relationships(state: State, request: Request) -> JsonObject:
    """Answer getObjectRelationships."""
    found = _object(state, request)
    people, more = page(state, request, state.people.by_cio_ids(found.people), Limit(100, 100))
    disabled = not object_type(state, found.type_id).enabled
    return {
        "cio_relationships": [
            {
                "object_type_id": found.type_id,
                "object_type_disabled": disabled,
                "identifiers": identifiers(person),
            }
            for person in people
        ],
        **more,
    }


def attributes(state: State, request: Request) -> JsonObject:
    """Answer getObjectAttributes."""
    found = _object(state, request)
    return {
        "object": {
            "attributes": found.attributes.values,
            "timestamps": whole(found.attributes.times),
            "identifiers": {
                "cio_object_id": found.cio_object_id,
                "id": found.object_id,
                "object_id": found.object_id,
            },
            "object_type_id": found.type_id,
        }
    }


def _object(state: State, request: Request) -> Object:
    """Return the object that the path names.

    Raises:
        BadRequestError: The ``id_type`` is not valid.
        MissingError: There is no such object.
    """
    _, _, type_id, object_id, _ = request.segments
    kind = request.query("id_type", "object_id")
    if kind not in ("object_id", "cio_object_id"):
        raise BadRequestError("id_type must be one of object_id, cio_object_id")
    found = (
        state.objects.by_cio_id(object_id)
        if kind == "cio_object_id"
        else state.objects.find(object_ref(type_id, object_id).key)
    )
    if found is None or found.type_id != type_id:
        raise MissingError
    return found
