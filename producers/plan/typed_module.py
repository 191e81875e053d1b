"""A typed Python module of a plan: a function for each event, and a type for its data."""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .plan_model import EventPlan, ObjectPlan, Plan, PropertyPlan
from .python_types import PythonTypes, TypedDictionary, UniqueNames, class_name, function_name

_WORD = re.compile(r"\w+")
#: Columns of a docstring.
WIDTH = 88
#: Names that the module has, whatever the plan says.
_OWN = frozenset(
    [
        "Any",
        "Awaitable",
        "Attributes",
        "Decimal",
        "IdempotencyKey",
        "Literal",
        "Mapping",
        "NotRequired",
        "ObjectRef",
        "PersonLike",
        "Protocol",
        "Required",
        "Sequence",
        "Timestamp",
        "TypedDict",
        "annotations",
        "datetime",
        "trackrelay",
        "Through",
        "identify",
    ]
)
#: Names of types that members of a class can have.
_TYPES = frozenset(
    [
        *("Any", "Decimal", "Literal", "Mapping", "NotRequired", "Sequence"),
        *("bool", "datetime", "float", "int", "str"),
    ]
)
_PERSON = "Person attributes"
#: What the module can import, by module. It imports what it uses.
_IMPORTS = {
    "collections.abc": ("Awaitable", "Mapping", "Sequence"),
    "datetime": ("datetime",),
    "decimal": ("Decimal",),
    "typing": ("Any", "Literal", "NotRequired", "Protocol", "TypedDict"),
    "trackrelay.operations.payloads": ("Attributes", "IdempotencyKey"),
    "trackrelay.operations.refs": ("ObjectRef", "PersonLike"),
    "trackrelay.operations.scalars": ("Timestamp",),
}

_HEAD = '''"""{title}

Made by `trackrelay plan python`. Do not edit: change the plan, and run the command again.
Version {version} of the plan.
"""

# fmt: off
# ruff: noqa

{imports}


'''

_THROUGH = '''
class Through(Protocol):
    """What sends the operations: the module `{module}`{others}."""

    def track(
        self,
        person: PersonLike,
        name: str,
        data: Attributes | None = None,
        *,
        person_attributes: Attributes | None = None,
        timestamp: Timestamp | None = None,
        idempotency_key: IdempotencyKey = None,
    ) -> {result}: ...

    def identify(
        self,
        person: PersonLike,
        attributes: Attributes | None = None,
        *,
        anonymous_id: str | None = None,
        timestamp: Timestamp | None = None,
        idempotency_key: IdempotencyKey = None,
    ) -> {result}: ...

    def identify_object(
        self,
        obj: ObjectRef,
        attributes: Attributes | None = None,
        *,
        idempotency_key: IdempotencyKey = None,
    ) -> {result}: ...
'''

_EVENT = """
{define} {name}(
    person: PersonLike,
    data: {data},
    *,
    person_attributes: {changes} | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
    through: Through = {module},
) -> str:
{docstring}
    return {wait}through.track(
        person,
        {event!r},
        data,
        person_attributes=person_attributes,
        timestamp=timestamp,
        idempotency_key=idempotency_key,
    )
"""

_IDENTIFY = '''
{define} identify(
    person: PersonLike,
    attributes: {attributes},
    *,
    anonymous_id: str | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
    through: Through = {module},
) -> str:
    """Create or change a person. None takes an attribute away."""
    return {wait}through.identify(
        person,
        attributes,
        anonymous_id=anonymous_id,
        timestamp=timestamp,
        idempotency_key=idempotency_key,
    )
'''

_OBJECT = """
{define} {name}(
    object_id: str,
    attributes: {attributes},
    *,
    idempotency_key: IdempotencyKey = None,
    through: Through = {module},
) -> str:
{docstring}
    return {wait}through.identify_object(
        ObjectRef({type_id!r}, object_id), attributes, idempotency_key=idempotency_key
    )
"""


def typed_module(plan: Plan, *, is_async: bool = False) -> str:
    """Return the source of the module.

    Args:
        plan: the plan.
        is_async: whether its functions are coroutines.
    """
    return _Writer(plan, is_async).source()


class _Writer:
    """Writes one module."""

    def __init__(self, plan: Plan, is_async: bool) -> None:
        self._plan = plan
        self._names = UniqueNames(_OWN)
        self._types = PythonTypes(self._names)
        self._words = {
            "define": "async def" if is_async else "def",
            "wait": "await " if is_async else "",
            "module": "trackrelay.aio" if is_async else "trackrelay",
        }
        self._is_async = is_async
        self._attributes = self._attribute_members(plan.attributes)

    def source(self) -> str:
        """Return the source."""
        people = ""
        if self._attributes:
            people = self._types.dictionary(_PERSON, self._attributes, "Attributes of a person.")
        functions = [self._event(each) for each in self._plan.events.values()]
        if people:
            functions.append(_IDENTIFY.format(attributes=people, **self._words))
        functions += [self._object(each) for each in self._plan.objects.values()]
        classes = "\n\n".join(map(_class, self._types.classes))
        parts = [self._through(), classes, "\n".join(functions)]
        body = "\n\n".join(part.strip("\n") + "\n" for part in parts if part)
        return self._head(body) + body

    def _head(self, body: str) -> str:
        title = f"Events and attributes of the tracking plan {self._plan.name}."
        return _HEAD.format(
            title=_escaped(title),
            version=self._plan.digest[:12],
            imports="\n".join(self._imports(body)),
        )

    def _imports(self, body: str) -> Iterator[str]:
        yield "from __future__ import annotations\n"
        words = frozenset(_WORD.findall(body))
        lines: list[str] = []
        for module, names in _IMPORTS.items():
            if used := [name for name in names if name in words]:
                lines.append(f"from {module} import {', '.join(used)}")
        ours = [line for line in lines if line.startswith("from trackrelay")]
        yield from (line for line in lines if line not in ours)
        yield f"\nimport {self._words['module']}"
        yield from ours

    def _through(self) -> str:
        return _THROUGH.format(
            module=self._words["module"],
            others="" if self._is_async else ", a pipeline, or an outbox",
            result="Awaitable[str]" if self._is_async else "str",
        )

    def _event(self, event: EventPlan) -> str:
        name = self._names.unique(function_name(event.name))
        return _EVENT.format(
            name=name,
            event=event.name,
            data=self._data_type(event),
            changes=self._changes_type(event),
            docstring=_docstring(event.description or f"Send {event.name}.", 4),
            **self._words,
        )

    def _data_type(self, event: EventPlan) -> str:
        if not event.properties:
            return "Attributes | None = None"
        members = [
            (each.name, {**each.schema, "description": each.description}, each.required)
            for each in event.properties.values()
        ]
        made = self._types.dictionary(event.name, members, event.description)
        return made if event.required else f"{made} | None = None"

    def _changes_type(self, event: EventPlan) -> str:
        if not self._attributes:
            return "Attributes"
        if not event.changes:
            return class_name(_PERSON)
        members = [(name, schema, name in event.changes) for name, schema, _ in self._attributes]
        description = f"Attributes that change with {event.name}."
        return self._types.dictionary(f"{event.name} changes", members, description)

    def _object(self, planned: ObjectPlan) -> str:
        members = self._attribute_members(planned.attributes)
        attributes = "Attributes | None = None"
        if members:
            attributes = self._types.dictionary(
                f"{planned.name} attributes", members, planned.description
            )
        return _OBJECT.format(
            name=self._names.unique(function_name(f"identify {planned.name}")),
            attributes=attributes,
            type_id=planned.type_id,
            docstring=_docstring(planned.description or f"Create or change a {planned.name}.", 4),
            **self._words,
        )

    def _attribute_members(
        self, attributes: Mapping[str, PropertyPlan]
    ) -> list[tuple[str, Mapping[str, Any], bool]]:
        return [(each.name, _or_none(each), False) for each in attributes.values()]


def _or_none(attribute: PropertyPlan) -> dict[str, Any]:
    """Return the schema of an attribute that may be taken away."""
    schema = {**attribute.schema, "description": attribute.description}
    if "enum" in schema or "const" in schema:
        values = [schema.pop("const")] if "const" in schema else list(schema["enum"])
        return {**schema, "enum": values if None in values else [*values, None]}
    for alternatives in schema.keys() & {"anyOf", "oneOf"}:
        schema[alternatives] = [*schema[alternatives], {"type": "null"}]
    if not attribute.types:
        return schema
    return {**schema, "type": list(dict.fromkeys([*attribute.types, "null"]))}


def _class(made: TypedDictionary) -> str:
    if all(each.name.isidentifier() and not _is_word(each.name) for each in made.fields):
        lines = [f"class {made.name}(TypedDict):"]
        if made.description:
            lines.append(_docstring(made.description, 4))
            lines.append("")
        for each in made.fields:
            lines.append(f"    {each.name}: {_field_type(each.type, each.required)}")
            if each.description:
                lines.append(_docstring(each.description, 4))
        return "\n".join(lines) + "\n"
    # Names that are no identifiers need the other form. There annotations are evaluated.
    lines = [f"{made.name} = TypedDict(", f"    {made.name!r},", "    {"]
    for each in made.fields:
        lines.append(f"        {each.name!r}: {_field_type(each.type, each.required)!r},")
    return "\n".join([*lines, "    },", ")"]) + "\n"


def _is_word(name: str) -> bool:
    # A private name would be mangled inside a class, and a type's name would hide the type.
    return keyword.iskeyword(name) or name.startswith("__") or name in _TYPES


def _field_type(type: str, required: bool) -> str:
    return type if required else f"NotRequired[{type}]"


def _docstring(text: str, indent: int) -> str:
    prefix = " " * indent
    lines = list(_wrapped(_escaped(" ".join(text.split("\n\n")[0].split())), WIDTH - indent))
    if len(lines) == 1 and len(lines[0]) <= WIDTH - indent - 6:
        return f'{prefix}"""{lines[0]}"""'
    body = "\n".join(f"{prefix}{line}" for line in lines[1:])
    return (
        f'{prefix}"""{lines[0]}\n{body}\n{prefix}"""'
        if body
        else f'{prefix}"""{lines[0]}\n{prefix}"""'
    )


def _wrapped(text: str, width: int) -> Iterable[str]:
    return textwrap.wrap(text, width - 3, break_long_words=False) or [""]


def _escaped(text: str) -> str:
    """Return a text that can stand in a docstring."""
    safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    safe = "".join(each if each.isprintable() else " " for each in safe)
    return f"{safe} " if safe.endswith('"') else safe
