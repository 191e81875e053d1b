"""The sandbox and the description judge random operations of v2; known differences are listed.

The operations are good ones, with something put in, taken out or changed in one to three places.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from tests.support.description import description
from tests.support.request_examples import OPERATIONS
from trackrelay.sandbox.in_process import InProcessSandbox

PATH = "/api/v2/entity"
#: Operations for each seed: 300 in `make test`, a quarter in `make unit`.
COUNT = 3 * settings.default.max_examples

# fmt: off
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 42, 1.5, 2**70, 1_700_000_000, 1_700_000_000_000, "", "  ", "x",
    "42", "x" * 200, "x" * 1_200, "a@b.co", "a@b@c.co", "+14155552671", "cio_1",
    "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN", "ios", "opened", "true", [], [1], ["a"], {}, {"a": 1},
    {"id": "1"}, {"email": "a@b.co"}, {"anonymous_id": "a"},
    {"topics": {"topic_1": True}}, {"topics": 1}, {"token": "t", "platform": "ios"},
    {"object_type_id": "1", "object_id": "a"},
    [{"identifiers": {"id": "1"}}], [{"identifiers": {"object_type_id": "1", "object_id": "a"}}],
    {"n": "x" * 40_000}, {str(n): n for n in range(301)},
]
NAMES = [
    "type", "action", "identifiers", "attributes", "name", "id", "timestamp", "device",
    "cio_relationships", "primary", "secondary", "email", "phone", "cio_id",
    "anonymous_id", "object_type_id", "object_id", "cio_object_id", "token", "platform",
    "last_used", "relationship_attributes", "recipient", "from_address", "reply_to", "path",
    "referrer", "search", "title", "url", "keywords", "_update", "cio_subscription_preferences",
    "topics", "device_token", "push_enabled", "_last_status", "device_os", "extra", "", "n" * 160,
]
ACTIONS = [
    "identify", "delete", "event", "page", "screen", "merge", "suppress", "unsuppress",
    "add_device", "delete_device", "add_relationships", "delete_relationships",
    "identify_anonymous",
]
# fmt: on


class Listed(NamedTuple):
    """An intended difference, recognised by the message of the side that refuses."""

    why: str
    pattern: str


#: The sandbox takes it, the description does not.
TAKEN = [
    Listed("clients of Customer.io send numbers that name people and objects",
        r"\.(id|cio_id|object_id|cio_object_id|anonymous_id): -?\d+ is not of type 'string'"),
    Listed("null says nothing, as in the attributes", r": None is not of type"),
    Listed("a time of any size is taken and read as seconds, as Customer.io is believed to read it",
        r"is not a 'unix timestamp'"),
    Listed("empty and missing preferences are the topic's default, says the description's prose",
        r"topics\.\S+: (None|'') is not"),
    Listed("an address in an event's data may be a template, as the description's own example is",
        r"\.(recipient|from_address|reply_to): "),
    Listed("what a device was last told is Customer.io's to write, and ignored", r"_last_status"),
]  # fmt: skip
#: The description's schemas take it, the sandbox does not.
REFUSED = [
    Listed("prose: an object's type is a string that holds an integer from 1",
        r"object_type_id: must be a string that holds an integer"),
    Listed("prose: people and objects are named by at most 150 bytes",
        r"cannot be longer than 150 bytes"),
    Listed("prose: an event's name is not blank, and at most 100 bytes",
        r"^name: (cannot be blank|cannot be longer than 100 bytes)"),
    Listed("prose: a request has at most 300 attributes, with names of at most 150 bytes and "
    "values of at most 1,000", r"(more than 300 attributes|property (name|value) cannot be "
    r"longer)"),
    Listed("nobody is named by blanks", r"(cannot be an empty string|a delivery id must be "
    r"present|device\.token: must be a string value)"),
    Listed("prose: an email is one, a phone number is in E.164",
        r"(is not an email address|must be in E\.164 format)"),
    Listed("the schema of people in relationships requires nothing of them",
        r"^cio_relationships\[\d+\]\.identifiers(\.\w+)?: "),
    Listed("the schema does not know the time of a delivery's event, "
    "and has no type for an anonymous_id", r"^(timestamp: must be an "
    r"integer|attributes\.anonymous_id: )"),
    Listed("the schema does not know the anonymous_id of its own example",
        r"^anonymous_id\.anonymous_id: "),
]  # fmt: skip


def spots(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(document, dict):
        for name, value in document.items():
            yield from spots(value, (*path, name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from spots(value, (*path, index))


def changed(chance: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the document that is different in one place."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    *enclosing, last = chance.choice([path for path in spots(copy) if path])
    whole: Any = copy
    for step in enclosing:
        whole = whole[step]
    what = chance.random()
    if what < 0.5:
        whole[last] = chance.choice(ACTIONS if last == "action" and what < 0.35 else VALUES)
    elif what < 0.65:
        del whole[last]
    else:
        inner = whole[last] if isinstance(whole[last], dict) else whole
        if isinstance(inner, dict):
            inner[chance.choice(NAMES)] = chance.choice(VALUES)
    return copy


def operations(seed: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(seed)
    for _ in range(COUNT):
        document = chance.choice(OPERATIONS)
        for _ in range(chance.choice((1, 1, 2, 3))):
            document = changed(chance, document)
        yield document


def verdict(sandbox: InProcessSandbox, document: dict[str, Any]) -> str | None:
    """Return what the sandbox objects to, in an operation alone and in a batch; None if nothing."""
    answer = sandbox.send("POST", PATH, json.dumps(document).encode())
    healthy = {"type": "person", "action": "delete", "identifiers": {"id": "healthy"}}
    together = sandbox.send(
        "POST", "/api/v2/batch", json.dumps({"batch": [healthy, document]}).encode()
    )
    if answer.status == 200:
        assert (together.status, document) == (200, document)
        return None
    assert answer.status == 400
    (error,) = json.loads(answer.body)["errors"]
    assert (together.status, json.loads(together.body)["errors"]) == (
        207,
        [{"batch_index": 1, **error}],
    )
    return f"{error['field']}: {error['message']}"


@pytest.mark.parametrize("seed", range(4))
def test_the_sandbox_and_the_description_differ_in_what_is_listed_and_nothing_else(
    seed: int,
) -> None:
    for document in operations(seed):
        refused = verdict(InProcessSandbox(), document)
        violations = description().violations("POST", PATH, "", document)
        if refused is None:
            unlisted = [
                each
                for each in violations
                if not any(re.search(listed.pattern, each) for listed in TAKEN)
            ]
            assert not unlisted, json.dumps(document)
        elif not violations:
            assert any(re.search(listed.pattern, refused) for listed in REFUSED), (
                refused,
                json.dumps(document),
            )
