"""Read the tracking plans of Segment and RudderStack, and make documents of our own form.

Both describe an event by a JSON Schema of the whole message: the data is below ``properties``,
what is known of a person below ``traits``. Their files differ in where the list of events stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trackrelay.errors import TrackRelayError

from .property_schema import KEYWORDS, LISTS, NAMED, SINGLE

#: Calls of both that become events here …
_TRACK = frozenset(["track", ""])
#: … and those that become attributes of people.
_IDENTIFY = frozenset(["identify"])
MAX_DESCRIPTION = 2_000
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


class ForeignPlanError(TrackRelayError):
    """The file is no tracking plan of Segment or RudderStack."""


@dataclass(slots=True)
class ForeignPlan:
    """What was made of a file.

    Attributes:
        document: the plan, in our form.
        notes: what was left out, and why.
    """

    document: dict[str, Any]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule of a foreign plan."""

    kind: str
    name: str
    description: str
    version: float
    schema: Mapping[str, Any]


def foreign_plan(text: str) -> ForeignPlan:
    """Return the plan in an export, or in an answer of the API, of Segment or RudderStack.

    Raises:
        ForeignPlanError: it is neither.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise ForeignPlanError("the file is not JSON; both export tracking plans as JSON") from None
    rules = list(_rules(given))
    if not rules:
        raise ForeignPlanError(
            "the file has no events: it needs a list below rules, rules.events, events or data"
        )
    made = _Importer(_name_of(given))
    for rule in sorted(rules, key=lambda each: each.version):
        made.add(rule)
    return made.plan


class _Importer:
    """Collects rules. A later version of an event replaces an earlier one."""

    def __init__(self, name: str) -> None:
        self._events: dict[str, Any] = {}
        self._attributes: dict[str, Any] = {}
        document = {
            "plan": 1,
            "name": name,
            "enforcement": "warn",
            "events": self._events,
            "attributes": self._attributes,
        }
        self.plan = ForeignPlan(document)

    def add(self, rule: _Rule) -> None:
        if rule.kind in _IDENTIFY:
            traits = _inside(rule.schema, ("traits", "context.traits"))
            self._attributes |= self._properties(traits, "attributes")
        elif rule.kind in _TRACK and rule.name:
            self._events[rule.name] = self._event(rule)
        elif rule.kind in _TRACK:
            self._note("a rule without a name")
        else:
            self._note(f"the rules of {rule.kind} calls")

    def _event(self, rule: _Rule) -> dict[str, Any]:
        data = _inside(rule.schema, ("properties",))
        event: dict[str, Any] = {}
        if rule.description:
            event["description"] = rule.description[:MAX_DESCRIPTION]
        event["properties"] = self._properties(data, f"events.{rule.name}")
        required = [each for each in _texts(data.get("required")) if each in event["properties"]]
        if required:
            event["required"] = required
        if data.get("additionalProperties") is False:
            event["additional_properties"] = False
        return {name: value for name, value in event.items() if value != {}}

    def _properties(self, data: Mapping[str, Any], place: str) -> dict[str, Any]:
        given = data.get("properties")
        if not isinstance(given, Mapping):
            return {}
        return {
            str(name): self._schema(words, f"{place}.{name}")
            for name, words in given.items()
            if isinstance(words, Mapping)
        }

    def _schema(self, words: Any, place: str) -> Any:
        """Return a JSON Schema of draft 4 to 7 as draft 2020-12 has it."""
        if not isinstance(words, Mapping):
            return words
        made: dict[str, Any] = {}
        for keyword, value in words.items():
            if keyword in _RENEWED:
                made |= _RENEWED[keyword](value, words)
            elif keyword == "items" and isinstance(value, list):
                made["prefixItems"] = [self._schema(each, place) for each in value]
            elif keyword in KEYWORDS:
                made[keyword] = self._below(keyword, value, place)
            elif keyword not in _IGNORED:
                self._note(f"{keyword} of {place}")
        return made

    def _below(self, keyword: str, value: Any, place: str) -> Any:
        """Return the value of a keyword, with the schemas in it renewed."""
        if keyword in SINGLE:
            return self._schema(value, place)
        if keyword in LISTS and isinstance(value, list):
            return [self._schema(each, place) for each in value]
        if keyword in NAMED and isinstance(value, Mapping):
            return {name: self._schema(each, place) for name, each in value.items()}
        return value

    def _note(self, what: str) -> None:
        note = f"left out: {what}"
        if note not in self.plan.notes:
            self.plan.notes.append(note)


def _rules(given: Any) -> Iterator[_Rule]:
    """Yield the rules, wherever the file has them."""
    if isinstance(given, list):
        for each in given:
            yield from _one_rule(each)
        return
    if not isinstance(given, Mapping):
        return
    for wrapper in ("data", "tracking_plan", "trackingPlan"):
        if isinstance(given.get(wrapper), Mapping | list):
            yield from _rules(given[wrapper])
    rules = given.get("rules")
    if isinstance(rules, Mapping):
        yield from _rules(rules.get("events"))
        identify = rules.get("identify")
        if isinstance(identify, Mapping):
            yield _Rule("identify", "", "", 1, identify)
    elif isinstance(rules, list):
        yield from _rules(rules)
    if isinstance(given.get("events"), list):
        yield from _rules(given["events"])


def _one_rule(given: Any) -> Iterator[_Rule]:
    if not isinstance(given, Mapping):
        return
    schema: Any = given.get("rules") or given.get("jsonSchema") or given.get("json_schema") or {}
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError):
            schema = {}
    if not isinstance(schema, Mapping):
        return
    description = given.get("description") or schema.get("description") or ""
    version = given.get("version")
    yield _Rule(
        kind=str(given.get("eventType") or given.get("type") or "").lower(),
        name=str(given.get("name") or given.get("key") or "").strip(),
        description=str(description),
        version=version if isinstance(version, int | float) else 1,
        schema=schema,
    )


def _inside(schema: Mapping[str, Any], places: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the first part of a message's schema that describes anything."""
    for place in places:
        found: Any = schema
        for step in place.split("."):
            found = found.get("properties", {}) if isinstance(found, Mapping) else {}
            found = found.get(step, {}) if isinstance(found, Mapping) else {}
        if isinstance(found, Mapping) and found.get("properties"):
            return found
    return {}


def _name_of(given: Any) -> str:
    while isinstance(given, Mapping):
        for name in ("display_name", "displayName", "name"):
            if isinstance(text := given.get(name), str) and text.strip():
                plain = _NOT_IN_A_NAME.sub("-", text.lower()).strip("-")
                return plain[:100] or "imported"
        given = given.get("data") or given.get("tracking_plan") or given.get("trackingPlan")
    return "imported"


def _type(value: Any, _: Mapping[str, Any]) -> dict[str, Any]:
    types = _texts(value if isinstance(value, list) else [value])
    known = [each for each in types if each in _TYPES]
    if not known:
        return {}
    return {"type": known[0] if len(known) == 1 else known}


def _required(value: Any, _: Mapping[str, Any]) -> dict[str, Any]:
    # Draft 3 had a switch at each property.
    return {"required": names} if (names := _texts(value)) else {}


def _bound(keyword: str, inclusive: str) -> Callable[[Any, Mapping[str, Any]], dict[str, Any]]:
    def renewed(value: Any, words: Mapping[str, Any]) -> dict[str, Any]:
        # Draft 4 had a switch beside the bound.
        if isinstance(value, bool):
            value = words.get(inclusive) if value else None
        return {} if value is None else {keyword: value}

    return renewed


def _description(value: Any, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": str(value)[:MAX_DESCRIPTION]}


def _texts(given: Any) -> list[str]:
    return [each for each in given if isinstance(each, str)] if isinstance(given, list) else []


_TYPES = frozenset(["string", "number", "integer", "boolean", "null", "array", "object"])
#: What says nothing about values.
_IGNORED = frozenset(["$schema", "$id", "id", "labels", "key"])
#: Keywords that an earlier draft wrote in another way.
_RENEWED: Mapping[str, Callable[[Any, Mapping[str, Any]], dict[str, Any]]] = {
    "type": _type,
    "required": _required,
    "exclusiveMinimum": _bound("exclusiveMinimum", "minimum"),
    "exclusiveMaximum": _bound("exclusiveMaximum", "maximum"),
    "description": _description,
}
