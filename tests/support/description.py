"""Validate requests against the published description of the Track API, with jsonschema.

The facts of the description are in `track_api.json`; `description_facts` explains where they come
from.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import jsonschema  # type: ignore[import-untyped]

from tests.support.description_facts import FACTS

JsonObject = dict[str, Any]

#: The path of a copy of Customer.io's openapi.json, which the project does not contain.
ENVIRONMENT = "TRACK_API_DESCRIPTION"
BESIDE = Path("shared/track-api/openapi.json")
APP_ENVIRONMENT = "APP_API_DESCRIPTION"
APP_BESIDE = Path("shared/app-api/openapi.json")

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
#: What may stand bare in a segment of a path; everything else is percent-encoded.
_ENCODED = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+")
_PERSON = {"id", "email", "phone", "cio_id"}
_PLAIN_PERSON = {"id", "email", "cio_id"}
_OBJECT = {"object_type_id", "object_id"}
_CIO_OBJECT = {"cio_object_id"}
#: Actions that the description gives relationships.
_RELATING = ("identify", "identify_anonymous", "add_relationships", "delete_relationships")
_OPERATION_BYTES, _BATCH_BYTES = 32_000, 500_000
_METHODS = ("get", "put", "post", "delete")


def _is_ulid(value: object) -> bool:
    return not isinstance(value, str) or _ULID.fullmatch(value) is not None


def _is_unix_seconds(value: object) -> bool:
    """Milliseconds would be a year past 5000."""
    return not isinstance(value, int) or 0 <= value < 10**11


def _format_checker() -> Any:
    checker = jsonschema.FormatChecker(formats=["email"])
    for name, check in (
        ("ULID", _is_ulid),
        ("ulid", _is_ulid),
        ("unix timestamp", _is_unix_seconds),
    ):
        checker.checks(name)(check)
    return checker


_FORMATS = _format_checker()


@cache
def description() -> Description:
    """Return the description by the facts that the project carries."""
    return Description(json.loads(FACTS.read_text("utf-8")))


def original_document() -> JsonObject | None:
    """Return Customer.io's own document, or None where there is no copy."""
    named = os.environ.get(ENVIRONMENT)
    path = Path(named) if named else Path(__file__).resolve().parents[3] / BESIDE
    return _document(path)


def original_app_document() -> JsonObject | None:
    """Return Customer.io's own document of the App API, or None where there is no copy."""
    named = os.environ.get(APP_ENVIRONMENT)
    return _document(Path(named) if named else Path(__file__).resolve().parents[3] / APP_BESIDE)


def _document(path: Path) -> JsonObject | None:
    document: JsonObject | None = json.loads(path.read_text("utf-8")) if path.is_file() else None
    return document


class Description:
    """Judges requests by the description.

    The branches of its `oneOf` overlap and would refuse legitimate requests, so they are read as
    `anyOf`.
    """

    def __init__(self, document: JsonObject) -> None:
        self.document: JsonObject = _any_for_one(document)
        self._templates = {
            template: tuple(template.split("/")[1:]) for template in self.document["paths"]
        }
        self._validators: dict[int, Any] = {}

    def operations(self) -> Iterator[tuple[str, str, JsonObject]]:
        """Yield every operation: its method, path template and description."""
        for template, item in self.document["paths"].items():
            for method in _METHODS:
                if method in item:
                    yield method.upper(), template, item[method]

    def violations(
        self,
        method: str,
        path: str,
        query: str = "",
        body: object = None,
        content_type: str | None = "application/json",
    ) -> list[str]:
        """Return what the description has against a request; empty if nothing.

        Args:
            path: as it was sent, still percent-encoded.
            query: as it was sent, without the question mark.
            body: as it was sent, or decoded.
        """
        found = self._find(path)
        if found is None:
            return [f"the path {path} is not described"]
        template, values = found
        item = self.document["paths"][template]
        operation = item.get(method.lower())
        if operation is None:
            return [f"{method} is not described for {template}"]
        parameters = self.resolved([*item.get("parameters", ()), *operation.get("parameters", ())])
        return [
            *_path_violations(values, parameters),
            *_query_violations(query, parameters),
            *self._body_violations(method, template, operation, body, content_type),
        ]

    def _find(self, path: str) -> tuple[str, dict[str, str]] | None:
        segments = path.split("/")[1:]
        for template, parts in self._templates.items():
            if len(parts) != len(segments):
                continue
            pairs = list(zip(parts, segments, strict=True))
            if all(
                part == segment or (part.startswith("{") and segment) for part, segment in pairs
            ):
                return template, {
                    part[1:-1]: segment for part, segment in pairs if part.startswith("{")
                }
        return None

    def resolved(self, node: Any) -> Any:
        """Replace every reference in a node by its target: validation is much faster then."""
        if isinstance(node, list):
            return [self.resolved(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" not in node:
            return {name: self.resolved(value) for name, value in node.items()}
        target: Any = self.document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return self.resolved(target)

    def _body_violations(
        self,
        method: str,
        template: str,
        operation: JsonObject,
        body: object,
        content_type: str | None,
    ) -> list[str]:
        if "requestBody" not in operation:
            return [] if body in (None, b"", b"{}", {}) else [f"{method} {template} takes no body"]
        if (content_type or "").partition(";")[0].strip().lower() != "application/json":
            return [f"the content type is {content_type}, not application/json"]
        try:
            document = json.loads(body) if isinstance(body, bytes) else body
        except ValueError as error:
            return [f"the body is not JSON: {error}"]
        found = [*self._schema_violations(operation, document)]
        if template.startswith("/api/v2/"):
            found += _v2_violations(template, document, _size(body))
        return found

    def _schema_violations(self, operation: JsonObject, document: Any) -> Iterator[str]:
        if id(operation) not in self._validators:
            schema = self.resolved(
                operation["requestBody"]["content"]["application/json"]["schema"]
            )
            validator = jsonschema.Draft202012Validator(schema, format_checker=_FORMATS)
            self._validators[id(operation)] = validator
        for error in self._validators[id(operation)].iter_errors(document):
            closest = _closest(error)
            yield f"{closest.json_path}: {closest.message[:500]}"


def _any_for_one(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            ("anyOf" if name == "oneOf" else name): _any_for_one(value)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_any_for_one(value) for value in node]
    return node


def _closest(error: Any) -> Any:
    """Return the error of the intended branch: the one whose type and action fit."""
    branches = _branches(error)
    return _closest(min(branches, key=_distance)[0]) if branches else error


def _branches(error: Any) -> list[list[Any]]:
    branches: dict[Any, list[Any]] = {}
    for each in error.context:
        branches.setdefault(each.schema_path[0], []).append(each)
    return list(branches.values())


def _distance(errors: list[Any]) -> int:
    return sum(
        min(map(_distance, branches)) if (branches := _branches(error)) else _weight(error)
        for error in errors
    )


def _weight(error: Any) -> int:
    return 100 if error.validator == "enum" and error.path[-1] in ("type", "action") else 1


def _path_violations(values: Mapping[str, str], parameters: list[JsonObject]) -> Iterator[str]:
    for name, segment in values.items():
        if _ENCODED.fullmatch(segment) is None:
            yield f"{name} {segment!r} in the path is not percent-encoded"
        if unquote(segment) in (".", ".."):
            yield f"{name} {segment!r} in the path names another path"
        schemas = [
            each["schema"] for each in parameters if each["in"] == "path" and each["name"] == name
        ]
        integer = any(schema.get("type") == "integer" for schema in schemas)
        if integer and not (segment.isascii() and segment.isdigit() and int(segment) < 2**31):
            yield f"{name} {segment!r} in the path is not an integer"


def _query_violations(query: str, parameters: list[JsonObject]) -> Iterator[str]:
    described = {each["name"]: each for each in parameters if each["in"] == "query"}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in described:
            yield f"the query parameter {name} is not described"
        elif value not in described[name]["schema"].get("enum", [value]):
            yield f"the query parameter {name} cannot be {value!r}"


def _size(document: object) -> int:
    """Return the bytes on the wire; for a decoded document, the smallest possible number."""
    if isinstance(document, bytes):
        return len(document)
    return len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def _v2_violations(template: str, document: Any, size: int) -> Iterator[str]:
    """Check the rules that stand only in the description's prose."""
    if template == "/api/v2/entity":
        if size > _OPERATION_BYTES:
            yield f"the operation is {size} bytes, more than {_OPERATION_BYTES}"
        yield from _identifier_violations("$", document)
        return
    if size >= _BATCH_BYTES:
        yield f"the batch is {size} bytes, not less than {_BATCH_BYTES}"
    operations = document.get("batch") if isinstance(document, dict) else None
    if not isinstance(operations, list):
        yield "the body has no batch"
        return
    for index, operation in enumerate(operations):
        if (own := _size(operation)) > _OPERATION_BYTES:
            yield f"$.batch[{index}]: the operation is {own} bytes, more than {_OPERATION_BYTES}"
        yield from _identifier_violations(f"$.batch[{index}]", operation)


def _identifier_violations(where: str, operation: Any) -> Iterator[str]:
    if not isinstance(operation, dict):
        return
    kind, action = operation.get("type"), operation.get("action")
    if kind == "person" and action == "merge":
        for role in ("primary", "secondary"):
            yield from _named_by(f"{where}.{role}", operation.get(role), _PLAIN_PERSON)
    elif kind == "person":
        yield from _named_by(f"{where}.identifiers", operation.get("identifiers"), _PERSON)
    elif kind == "object":
        yield from _object_named(f"{where}.identifiers", operation.get("identifiers"))
    elif kind == "delivery":
        yield from _named_by(f"{where}.identifiers", operation.get("identifiers"), {"id"})
    relationships = operation.get("cio_relationships") if action in _RELATING else None
    for index, each in enumerate(relationships if isinstance(relationships, list) else ()):
        there = f"{where}.cio_relationships[{index}].identifiers"
        named = each.get("identifiers") if isinstance(each, dict) else None
        if kind == "person":
            yield from _object_named(there, named)
        elif kind == "object":
            yield from _named_by(
                there, named, {"anonymous_id"} if action == "identify_anonymous" else _PLAIN_PERSON
            )


def _named_by(where: str, identifiers: Any, allowed: set[str]) -> Iterator[str]:
    if (
        not isinstance(identifiers, dict)
        or len(identifiers) != 1
        or not identifiers.keys() <= allowed
    ):
        yield f"{where} is not exactly one of {', '.join(sorted(allowed))}"


def _object_named(where: str, identifiers: Any) -> Iterator[str]:
    if not isinstance(identifiers, dict) or identifiers.keys() not in (_OBJECT, _CIO_OBJECT):
        yield f"{where} is not object_type_id with object_id, nor cio_object_id"
