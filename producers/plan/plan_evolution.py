"""What changed between two versions of a plan, and whether it breaks what works. Pure.

A change breaks if a job that fits the old plan can violate the new one, or if a name is gone.
New events, new optional properties and wider types are additive: they break nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .plan_model import EventPlan, ObjectPlan, Plan, Policy, PropertyPlan


@dataclass(frozen=True, slots=True)
class PlanChange:
    """One difference between two versions of a plan.

    Attributes:
        is_breaking: whether it can break what works with the old version.
        place: where it is, such as ``events.order_completed.total``.
        text: what changed, as the end of a sentence about the place.
    """

    is_breaking: bool
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place} {self.text}"


#: Keywords of JSON Schema that allow the same values whatever they say.
_ANNOTATIONS = frozenset(
    ["$comment", "title", "description", "default", "examples", "deprecated", "readOnly"]
)
_LOWER_BOUNDS = frozenset(
    ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"]
)
_UPPER_BOUNDS = frozenset(
    ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"]
)
_MISSING = object()


def plan_changes(old: Plan, new: Plan) -> tuple[PlanChange, ...]:
    """Return what changed, the breaking changes first."""
    found = [
        *_of_plan(old, new),
        *_of_events(old, new),
        *_of_properties("attributes", old.attributes, new.attributes, "attribute"),
        *_of_objects(old, new),
    ]
    return tuple(sorted(found, key=lambda each: not each.is_breaking))


def _of_plan(old: Plan, new: Plan) -> Iterator[PlanChange]:
    yield from _switch("additional_events", old.additional_events, new.additional_events)
    yield from _switch(
        "additional_attributes", old.additional_attributes, new.additional_attributes
    )
    yield from _of_policy("the plan", old.policy, new.policy)


def _of_events(old: Plan, new: Plan) -> Iterator[PlanChange]:
    for name, event in old.events.items():
        place = f"events.{name}"
        if name in new.events:
            yield from _of_event(place, event, new.events[name])
        elif name in new.event_aliases:
            yield PlanChange(True, place, f"is now an alias of {new.event_aliases[name]}")
        else:
            yield PlanChange(True, place, "is gone")
    for name in _added(old.events, new.events):
        yield PlanChange(False, f"events.{name}", "is new")


def _of_event(place: str, old: EventPlan, new: EventPlan) -> Iterator[PlanChange]:
    yield from _of_owners(place, old.owners, new.owners)
    yield from _of_aliases(place, old.aliases, new.aliases)
    yield from _of_policy(place, old.policy, new.policy)
    yield from _of_text(place, old.description, new.description)
    yield from _switch(
        f"{place}.additional_properties", old.additional_properties, new.additional_properties
    )
    for word, before, after in (
        ("lateness", old.lateness_s, new.lateness_s),
        ("changes", old.changes, new.changes),
        ("id_property", old.id_property, new.id_property),
    ):
        if before != after:
            yield PlanChange(False, f"{place}.{word}", "changed")
    yield from _of_properties(place, old.properties, new.properties, "property")


def _of_properties(
    place: str, old: Mapping[str, PropertyPlan], new: Mapping[str, PropertyPlan], what: str
) -> Iterator[PlanChange]:
    aliases = {alias: each.name for each in new.values() for alias in each.aliases}
    for name, before in old.items():
        at = f"{place}.{name}"
        after = new.get(name)
        if after is None:
            gone = f"is now an alias of {aliases[name]}" if name in aliases else "is gone"
            yield PlanChange(True, at, gone)
            continue
        if before.required != after.required:
            text = "is required now" if after.required else "is optional now"
            yield PlanChange(after.required, at, text)
        yield from _of_owners(at, before.owners, after.owners)
        yield from _of_aliases(at, before.aliases, after.aliases)
        yield from _of_policy(at, before.policy, after.policy)
        yield from _of_text(at, before.description, after.description)
        if before.privacy != after.privacy:
            yield PlanChange(False, at, f"has the privacy {after.privacy or 'unknown'} now")
        yield from _of_schema(at, before.schema, after.schema)
    for name in _added(old, new):
        required = new[name].required
        yield PlanChange(required, f"{place}.{name}", f"is a new{' required' * required} {what}")


def _of_objects(old: Plan, new: Plan) -> Iterator[PlanChange]:
    for name, before in old.objects.items():
        place, after = f"objects.{name}", new.objects.get(name)
        if after is None:
            yield PlanChange(True, place, "is gone")
        else:
            yield from _of_object(place, before, after)
    for name in _added(old.objects, new.objects):
        yield PlanChange(False, f"objects.{name}", "is new")


def _of_object(place: str, old: ObjectPlan, new: ObjectPlan) -> Iterator[PlanChange]:
    if old.type_id != new.type_id:
        yield PlanChange(True, place, f"has the id {new.type_id} now; it had {old.type_id}")
    yield from _switch(
        f"{place}.additional_attributes", old.additional_attributes, new.additional_attributes
    )
    yield from _of_text(place, old.description, new.description)
    yield from _of_properties(place, old.attributes, new.attributes, "attribute")


def _added(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in new if name not in old]


def _of_owners(place: str, old: Sequence[str], new: Sequence[str]) -> Iterator[PlanChange]:
    if set(old) == set(new):
        return
    narrowed = bool(new) and (not old or not set(old) <= set(new))
    owners = " and ".join(new) if new else "any source"
    yield PlanChange(narrowed, place, f"is owned by {owners} now")


def _of_aliases(place: str, old: Sequence[str], new: Sequence[str]) -> Iterator[PlanChange]:
    for alias in sorted({*old} - {*new}):
        yield PlanChange(True, place, f"has no alias {alias} any more")
    for alias in sorted({*new} - {*old}):
        yield PlanChange(False, place, f"has the new alias {alias}")


def _of_policy(place: str, old: Policy, new: Policy) -> Iterator[PlanChange]:
    if old.default != new.default:
        yield PlanChange(False, place, f"has the enforcement {new.default or 'of the plan'} now")
    if old.sources != new.sources:
        yield PlanChange(False, place, "has another enforcement for some sources")


def _of_text(place: str, old: str, new: str) -> Iterator[PlanChange]:
    if old != new:
        yield PlanChange(False, place, "has another description")


def _switch(place: str, old: bool, new: bool) -> Iterator[PlanChange]:
    if old != new:
        yield PlanChange(old and not new, place, f"is {str(new).lower()} now")


def _of_schema(place: str, old: Any, new: Any) -> Iterator[PlanChange]:
    """Yield how a JSON Schema changed."""
    if not isinstance(new, Mapping) or not isinstance(old, Mapping):
        if old != new:
            yield PlanChange(new is not True, place, "has another schema")
        return
    for keyword in dict.fromkeys([*old, *new]):
        before, after = old.get(keyword, _MISSING), new.get(keyword, _MISSING)
        if before == after and type(before) is type(after):
            continue
        if keyword in ("enum", "const"):
            yield _of_values(place, old, new)
        elif keyword in _LOWER_BOUNDS or keyword in _UPPER_BOUNDS:
            yield _of_bound(place, keyword, before, after)
        elif keyword in _ANNOTATIONS or keyword.startswith("x-"):
            yield PlanChange(False, place, f"has another {keyword}")
        else:
            yield from _of_keyword(place, keyword, before, after)


def _of_keyword(place: str, keyword: str, old: Any, new: Any) -> Iterator[PlanChange]:
    if keyword == "type":
        yield _of_type(place, old, new)
    elif keyword == "required":
        yield from _of_required(place, old, new)
    elif keyword == "properties":
        yield from _of_nested(place, old, new)
    elif keyword == "items" and _MISSING not in (old, new):
        yield from _of_schema(f"{place}[]", old, new)
    else:
        gone = new is _MISSING or (keyword == "additionalProperties" and new is True)
        text = f"has no {keyword} any more" if gone else f"has another {keyword}"
        yield PlanChange(not gone, place, text)


def _of_type(place: str, old: Any, new: Any) -> PlanChange:
    before, after = _types(old), _types(new)
    wider = not after or (bool(before) and all(_is_within(each, after) for each in before))
    return PlanChange(
        not wider,
        place,
        f"is {' or '.join(after) or 'any type'} now; it was {' or '.join(before) or 'any type'}",
    )


def _types(given: Any) -> list[str]:
    if given is _MISSING:
        return []
    return [given] if isinstance(given, str) else list(given)


def _is_within(one: str, types: Sequence[str]) -> bool:
    return one in types or (one == "integer" and "number" in types)


def _of_values(place: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> PlanChange:
    before, after = _values(old), _values(new)
    if after is None:
        return PlanChange(False, place, "may have any value now")
    if before is None:
        return PlanChange(True, place, "may have certain values only now")
    gone = [each for each in before if each not in after]
    if gone:
        return PlanChange(True, place, f"may not be {', '.join(map(str, gone))[:200]} any more")
    more = [each for each in after if each not in before]
    return PlanChange(False, place, f"may be {', '.join(map(str, more))[:200]} now")


def _values(schema: Mapping[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _of_required(place: str, old: Any, new: Any) -> Iterator[PlanChange]:
    before, after = (set(() if each is _MISSING else each) for each in (old, new))
    for name in sorted(after - before):
        yield PlanChange(True, f"{place}.{name}", "is required now")
    for name in sorted(before - after):
        yield PlanChange(False, f"{place}.{name}", "is optional now")


def _of_nested(place: str, old: Any, new: Any) -> Iterator[PlanChange]:
    before, after = ({} if each is _MISSING else each for each in (old, new))
    for name, schema in before.items():
        if name in after:
            yield from _of_schema(f"{place}.{name}", schema, after[name])
        else:
            yield PlanChange(True, f"{place}.{name}", "is gone")
    for name in _added(before, after):
        yield PlanChange(False, f"{place}.{name}", "is a new property")


def _of_bound(place: str, keyword: str, old: Any, new: Any) -> PlanChange:
    if new is _MISSING:
        return PlanChange(False, place, f"has no {keyword} any more")
    is_lower = keyword in _LOWER_BOUNDS
    wider = old is not _MISSING and (new <= old if is_lower else new >= old)
    return PlanChange(not wider, place, f"has the {keyword} {new} now")
