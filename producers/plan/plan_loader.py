"""Load a tracking plan from its file, with the line of everything that is wrong."""

from __future__ import annotations

import copy
import hashlib
import importlib.resources
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from trackrelay.configuration.value_types import parse_duration
from trackrelay.errors import ConfigurationError
from trackrelay.operations.limits import EVENT_NAME_BYTES
from trackrelay.suggestion import did_you_mean

from .plan_errors import PlanError, PlanProblem
from .plan_model import Enforcement, EventPlan, ObjectPlan, Plan, Policy, PropertyPlan
from .property_schema import keyword_problems, schema_of

#: A plan's file, in bytes.
MAX_BYTES = 1_000_000
#: Packages of the extra.
MISSING = "a tracking plan needs the package {}: pip install 'trackrelay[plan]'"


def load_plan(path: str | Path) -> Plan:
    """Return the plan in a file.

    Raises:
        PlanError: it cannot be read, or is no plan.
        ConfigurationError: a package of the extra ``plan`` is missing.
    """
    file = str(path)
    try:
        with open(path, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise _one_problem(file, f"cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise _one_problem(file, f"is larger than {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _one_problem(file, "is not UTF-8") from None
    return parse_plan(text, file)


def parse_plan(text: str, name: str = "plan") -> Plan:
    """Return the plan in a text.

    Args:
        text: YAML, or JSON.
        name: the file that errors name.

    Raises:
        PlanError: it is no plan.
        ConfigurationError: a package of the extra ``plan`` is missing.
    """
    try:
        from .plan_yaml import YamlDocument, YamlError, read_yaml
    except ModuleNotFoundError as error:
        raise ConfigurationError(MISSING.format(error.name)) from None
    try:
        document: YamlDocument = read_yaml(text)
    except YamlError as error:
        raise PlanError([PlanProblem(name, error.line, "", str(error))]) from None
    reader = _PlanReader(document, name)
    plan = reader.plan(text)
    if reader.problems:
        raise PlanError(sorted(reader.problems, key=lambda each: each.line))
    return plan


def digest_of(document: Any) -> str:
    """Return the SHA-256 of a plan's document, whatever the order of its names."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()


def schema_text() -> str:
    """Return the JSON Schema of plan files."""
    return (importlib.resources.files(__package__) / "plan_schema.json").read_text()


@cache
def _structure() -> Any:
    from .schema_validator import SchemaValidator

    return SchemaValidator(json.loads(schema_text()))


def _one_problem(file: str, problem: str) -> PlanError:
    return PlanError([PlanProblem(file, 0, "", problem)])


class _PlanReader:
    """Makes a plan of a document, and notes what is wrong with it."""

    def __init__(self, document: Any, file: str) -> None:
        self._document = document
        self._file = file
        self.problems: list[PlanProblem] = []

    def plan(self, text: str) -> Plan:
        try:
            given = self._structured(self._document.value)
        except ModuleNotFoundError as error:
            raise ConfigurationError(MISSING.format(error.name)) from None
        attributes = self._properties(("attributes",), given.get("attributes"), ())
        events = {
            name: self._event(("events", name), name, event or {})
            for name, event in (given.get("events") or {}).items()
        }
        self._check_event_names(events)
        self._check_changes(events, attributes, given.get("additional_attributes", True))
        return Plan(
            name=given.get("name", ""),
            description=given.get("description", ""),
            policy=Policy(
                Enforcement(given.get("enforcement", "warn")), _by_source(given.get("sources"))
            ),
            events=events,
            attributes=attributes,
            objects=self._objects(given.get("objects") or {}),
            additional_events=given.get("additional_events", False),
            additional_attributes=given.get("additional_attributes", True),
            file=self._file,
            text=text,
            digest=digest_of(given),
        )

    def _structured(self, given: Any) -> dict[str, Any]:
        """Return the parts of a document that have the structure of a plan."""
        wrong: list[tuple[str | int, ...]] = []
        for fault in _structure().faults(given):
            if fault.actual != "null" or not _may_be_empty(fault.at):
                self._note(fault.at, fault.sentence)
                wrong.append(fault.at)
        return _without(given, wrong) if isinstance(given, dict) else {}

    def _event(self, place: tuple[str, ...], name: str, given: Mapping[str, Any]) -> EventPlan:
        required = given.get("required", [])
        properties = self._properties(
            (*place, "properties"), given.get("properties"), tuple(required)
        )
        for index, each in enumerate(required):
            self._check_known((*place, "required", index), each, properties, "a property")
        id_property = given.get("id_property")
        if id_property is not None:
            self._check_known((*place, "id_property"), id_property, properties, "a property")
        for each in (name, *given.get("aliases", [])):
            self._check_event_name(place, each)
        return EventPlan(
            name=name,
            description=given.get("description", ""),
            owners=_owners(given.get("owner")),
            aliases=tuple(given.get("aliases", [])),
            policy=_policy(given.get("enforcement")),
            lateness_s=self._lateness((*place, "lateness"), given.get("lateness")),
            changes=tuple(given.get("changes", [])),
            id_property=id_property,
            properties=properties,
            additional_properties=given.get("additional_properties", True),
            line=self._document.line(place),
        )

    def _properties(
        self, place: tuple[str, ...], given: Mapping[str, Any] | None, required: tuple[str, ...]
    ) -> dict[str, PropertyPlan]:
        made: dict[str, PropertyPlan] = {}
        for name, below in (given or {}).items():
            words = below or {}
            at = (*place, name)
            if not name.strip() or not name.isprintable():
                self._note(at, f"is named {name[:100]!r}; a name is printable text")
            for fault_at, problem in keyword_problems(
                words, of_attribute=place[-1] != "properties"
            ):
                self._note((*at, *fault_at), problem)
            made[name] = PropertyPlan(
                name=name,
                schema=schema_of(words),
                description=words.get("description", ""),
                required=name in required,
                aliases=tuple(words.get("aliases", [])),
                owners=_owners(words.get("owner")),
                privacy=words.get("privacy"),
                policy=_policy(words.get("enforcement")),
                line=self._document.line(at),
            )
        self._check_aliases(place, made)
        return made

    def _objects(self, given: Mapping[str, Any]) -> dict[str, ObjectPlan]:
        made: dict[str, ObjectPlan] = {}
        numbers: dict[str, str] = {}
        for name, below in given.items():
            place, words = ("objects", name), below or {}
            number = str(words.get("id", name if name.isdecimal() else ""))
            if not number:
                self._note(place, "needs id, the number of the type in the workspace")
            elif number in numbers:
                self._note(place, f"has the id {number}, which {numbers[number]!r} has already")
            numbers[number] = name
            made[name] = ObjectPlan(
                name=name,
                type_id=number,
                description=words.get("description", ""),
                attributes=self._properties((*place, "attributes"), words.get("attributes"), ()),
                additional_attributes=words.get("additional_attributes", True),
                line=self._document.line(place),
            )
        return made

    def _check_event_name(self, place: tuple[str, ...], name: str) -> None:
        if name != name.strip() or not name.isprintable() or not name:
            self._note(place, f"is named {name[:100]!r}: Customer.io trims such a name")
        elif (size := len(name.encode(errors="replace"))) > EVENT_NAME_BYTES:
            self._note(place, f"has a name of {size} bytes; it can have {EVENT_NAME_BYTES}")

    def _check_event_names(self, events: Mapping[str, EventPlan]) -> None:
        names: dict[str, str] = {name: name for name in events}
        for event in events.values():
            for alias in event.aliases:
                if alias in names:
                    whose = names[alias]
                    self._note(
                        ("events", event.name, "aliases"),
                        f"has {alias!r}, which is "
                        + ("an event" if alias == whose else f"an alias of {whose!r}"),
                    )
                names[alias] = event.name

    def _check_aliases(
        self, place: tuple[str, ...], properties: Mapping[str, PropertyPlan]
    ) -> None:
        names = {name: name for name in properties}
        for each in properties.values():
            for alias in each.aliases:
                if alias in names:
                    self._note(
                        (*place, each.name, "aliases"),
                        f"has {alias!r}, which names {names[alias]!r} already",
                    )
                names[alias] = each.name

    def _check_changes(
        self,
        events: Mapping[str, EventPlan],
        attributes: Mapping[str, PropertyPlan],
        additional: bool,
    ) -> None:
        if additional and not attributes:
            return
        for event in events.values():
            for index, name in enumerate(event.changes):
                place = ("events", event.name, "changes", index)
                self._check_known(place, name, attributes, "an attribute")

    def _check_known(
        self, place: tuple[str | int, ...], name: str, known: Mapping[str, Any], what: str
    ) -> None:
        if name not in known:
            hint = did_you_mean(name, known)
            self._note(
                place, f"is {name[:100]!r}, which is not {what} here" + (f"; {hint}" * bool(hint))
            )

    def _lateness(self, place: tuple[str, ...], given: str | None) -> float | None:
        if given is None:
            return None
        try:
            return parse_duration(given).total_seconds()
        except ValueError as error:
            self._note(place, str(error))
            return None

    def _note(self, place: tuple[str | int, ...], problem: str) -> None:
        line = self._document.line(place)
        self.problems.append(PlanProblem(self._file, line, _written(place), problem))


def _may_be_empty(place: tuple[str | int, ...]) -> bool:
    """Whether a name may have nothing under it, as is common while a plan is written."""
    if not place or place[0] not in ("events", "attributes", "objects"):
        return False
    return len(place) <= 2 or (len(place) <= 4 and place[2] in ("properties", "attributes"))


def _without(document: dict[str, Any], places: list[tuple[str | int, ...]]) -> dict[str, Any]:
    """Return a document without some places, so that the rest can be checked."""
    if not places:
        return document
    rest = copy.deepcopy(document)
    for place in filter(None, places):
        inside: Any = rest
        for step, after in zip(place, (*place[1:], None), strict=True):
            # A list goes as a whole, so that the other places stay where they are.
            if after is None or isinstance(after, int):
                inside.pop(step, None)
                break
            inside = inside.get(step, {})
    return rest


def _written(place: tuple[str | int, ...]) -> str:
    return "".join(_steps(place)).lstrip(".")


def _steps(place: tuple[str | int, ...]) -> Iterator[str]:
    for step in place:
        if isinstance(step, int):
            yield f"[{step}]"
        else:
            text = step[:100]
            yield f".{text}" if text.isprintable() and " " not in text else f".{text!r}"


def _owners(given: str | list[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _policy(given: str | Mapping[str, Any] | None) -> Policy:
    if given is None:
        return Policy()
    if isinstance(given, str):
        return Policy(Enforcement(given))
    default = given.get("default")
    return Policy(Enforcement(default) if default else None, _by_source(given.get("sources")))


def _by_source(given: Mapping[str, str] | None) -> dict[str, Enforcement]:
    return {source: Enforcement(word) for source, word in (given or {}).items()}
