"""Marks: how a job is recognised in what the sandbox saw.

Only events have an id at Customer.io, so every job carries its number in its payload where there is
a place for it. Where there is none, something else is unique: a device's token, a delivery's id, a
segment each person enters once. Deletes and suppressions all look alike; their place among the
others identifies them (see `order.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trackrelay.sandbox.client import Effect


def numbered(number: str) -> str:
    """The mark of a job with a number in its payload."""
    return f"n:{number}"


def device(action: str, token: str) -> str:
    return f"{action}:{token}"


def segment(action: str, segment_id: int, key: str) -> str:
    return f"segment.{action}:{segment_id}:{key}"


def delivery(action: str, delivery_id: str) -> str:
    return f"{action}:{delivery_id}"


def plain(action: str, *keys: str) -> str:
    """The mark of a job that carries only its person."""
    return f"{action}:{','.join(keys)}"


def of_effect(effect: Effect) -> Iterator[str]:
    """The marks of an effect: one, but for a request that puts several people into a segment."""
    seen: dict[str, Any] = dict(effect)
    action = effect["action"]
    if effect["type"] == "segment":
        verb = action.removesuffix("_customers")
        yield from (segment(verb, int(effect["name"] or 0), key) for key in effect["keys"])
    elif effect["type"] == "delivery":
        yield delivery(action, effect["keys"][0].partition(":")[2])
    elif "device" in seen:
        yield device(action, seen["device"]["token"])
    elif (number := _number(seen)) is not None:
        yield numbered(number)
    else:
        yield plain(action, *effect["keys"])


def _number(seen: dict[str, Any]) -> str | None:
    attributes = seen.get("attributes") or {}
    for relationship in seen.get("cio_relationships") or ():
        attributes = attributes | (relationship.get("relationship_attributes") or {})
    number = attributes.get("n", attributes.get("form_n"))
    return None if number is None else str(number)
