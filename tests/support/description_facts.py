"""Reduce Customer.io's published description of the Track API to the facts that the tests need.

`track_api.json` beside this module is the result: paths, methods, parameters and schemas of requests,
without Customer.io's prose and examples. To renew it from a newer description:

    python -m tests.support.description_facts openapi.json > tests/support/track_api.json
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FACTS = Path(__file__).with_name("track_api.json")

_METHODS = ("get", "put", "post", "delete")
#: What a schema demands of a value.
_KEYWORDS = {
    *("$ref", "type", "enum", "format", "required"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
}
_SCHEMAS_BY_NAME = {"properties"}
_LISTS_OF_SCHEMAS = {"allOf", "anyOf", "oneOf"}
_SCHEMAS = {"items", "additionalProperties"}


def reduce(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a whole description, with only the schemas that requests refer to."""
    paths = {
        template: {
            **_parameters(document, item),
            **{method: _operation(document, item[method]) for method in _METHODS if method in item},
        }
        for template, item in document["paths"].items()
    }
    schemas: dict[str, Any] = {}
    open_names = _references(paths)
    while open_names:
        name = open_names.pop()
        schemas[name] = _schema(document["components"]["schemas"][name])
        open_names |= _references(schemas[name]) - schemas.keys()
    return {"components": {"schemas": dict(sorted(schemas.items()))}, "paths": paths}


def _operation(document: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    reduced = _parameters(document, operation)
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is not None:
        schema = {"schema": _schema(content["schema"])}
        reduced["requestBody"] = {"content": {"application/json": schema}}
    return reduced


def _parameters(document: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    parameters = [_resolve(document, each) for each in item.get("parameters", ())]
    reduced = [
        {"in": each["in"], "name": each["name"], "schema": _schema(each["schema"])}
        for each in parameters
    ]
    return {"parameters": reduced} if reduced else {}


def _resolve(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    target: Any = node
    while "$ref" in target:
        steps = target["$ref"].removeprefix("#/").split("/")
        target = document
        for step in steps:
            target = target[step]
    return target  # type: ignore[no-any-return]


def _schema(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    reduced: dict[str, Any] = {}
    for keyword, value in sorted(node.items()):
        if keyword in _KEYWORDS:
            reduced[keyword] = value
        elif keyword in _SCHEMAS_BY_NAME:
            reduced[keyword] = {name: _schema(each) for name, each in value.items()}
        elif keyword in _LISTS_OF_SCHEMAS:
            reduced[keyword] = [_schema(each) for each in value]
        elif keyword in _SCHEMAS:
            reduced[keyword] = _schema(value)
    return reduced


def _references(node: Any) -> set[str]:
    """Return the names of the schemas that a node refers to."""
    if isinstance(node, list):
        return {name for each in node for name in _references(each)}
    if not isinstance(node, dict):
        return set()
    own = {str(node["$ref"]).rpartition("/")[2]} if isinstance(node.get("$ref"), str) else set()
    return own | {name for each in node.values() for name in _references(each)}


def write(facts: Mapping[str, Any]) -> str:
    """Return the file's text, with each path and each schema on a line of its own."""
    return (
        '{"components": {"schemas": {\n'
        + ",\n".join(
            f"{json.dumps(name)}: {json.dumps(schema)}"
            for name, schema in facts["components"]["schemas"].items()
        )
        + '\n}},\n"paths": {\n'
        + ",\n".join(
            f"{json.dumps(template)}: {json.dumps(item)}"
            for template, item in facts["paths"].items()
        )
        + "\n}}\n"
    )


if __name__ == "__main__":
    sys.stdout.write(write(reduce(json.loads(Path(sys.argv[1]).read_text("utf-8")))))
