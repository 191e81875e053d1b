"""Reduce Customer.io's published descriptions to the facts that the tests need.

`track_api.json` beside this module is the result for the Track API: paths, methods, parameters and
schemas of requests, without Customer.io's prose and examples. `app_api.json` is the result for the
App API, with answers too. To renew them from newer descriptions:

    python -m tests.support.description_facts track/openapi.json > tests/support/track_api.json
    python -m tests.support.description_facts --answers app/openapi.json \\
        > tests/support/app_api.json
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FACTS = Path(__file__).with_name("track_api.json")
APP_FACTS = Path(__file__).with_name("app_api.json")

_METHODS = ("get", "put", "post", "delete")
#: What a schema demands of a value.
_KEYWORDS = {
    *("$ref", "type", "enum", "format", "required"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
}
#: Further keys in the descriptions of answers.
_ANSWER_KEYWORDS = {"pattern", "default"}
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
    return _with_schemas(document, paths, _KEYWORDS)


def reduce_with_answers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a whole description, the answers among them."""
    keywords = _KEYWORDS | _ANSWER_KEYWORDS
    paths = {
        template: {
            method: _answered(document, item[method], keywords)
            for method in _METHODS
            if method in item
        }
        for template, item in document["paths"].items()
    }
    return _with_schemas(document, paths, keywords)


def _answered(
    document: Mapping[str, Any], operation: Mapping[str, Any], keywords: set[str]
) -> dict[str, Any]:
    parameters = [_resolve(document, each) for each in operation.get("parameters", ())]
    reduced: dict[str, Any] = {
        "operationId": operation["operationId"],
        "parameters": [
            {"in": each["in"], "name": each["name"], "schema": _schema(each["schema"], keywords)}
            for each in parameters
        ],
        "responses": {
            status: _content(_resolve(document, response), keywords)
            for status, response in operation["responses"].items()
        },
    }
    if "requestBody" in operation:
        reduced["requestBody"] = _content(operation["requestBody"], keywords)
    return reduced


def _content(body: Mapping[str, Any], keywords: set[str]) -> dict[str, Any]:
    content = body.get("content", {}).get("application/json")
    if content is None:
        return {}
    return {"content": {"application/json": {"schema": _schema(content["schema"], keywords)}}}


def _with_schemas(
    document: Mapping[str, Any], paths: dict[str, Any], keywords: set[str]
) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    open_names = _references(paths)
    while open_names:
        name = open_names.pop()
        schemas[name] = _schema(document["components"]["schemas"][name], keywords)
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


def _schema(node: Any, keywords: set[str] = _KEYWORDS) -> Any:
    if not isinstance(node, dict):
        return node
    reduced: dict[str, Any] = {}
    for keyword, value in sorted(node.items()):
        if keyword in keywords:
            reduced[keyword] = value
        elif keyword in _SCHEMAS_BY_NAME:
            reduced[keyword] = {name: _schema(each, keywords) for name, each in value.items()}
        elif keyword in _LISTS_OF_SCHEMAS:
            reduced[keyword] = [_schema(each, keywords) for each in value]
        elif keyword in _SCHEMAS:
            reduced[keyword] = _schema(value, keywords)
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
    """Return the file's text, with each path and each schema on its own line."""
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
    *options, _source = sys.argv[1:]
    _reduce = reduce_with_answers if options == ["--answers"] else reduce
    sys.stdout.write(write(_reduce(json.loads(Path(_source).read_text("utf-8")))))
