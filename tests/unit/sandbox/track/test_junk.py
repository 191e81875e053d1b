"""The sandbox accepts or refuses any input, and never fails with an exception."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from trackrelay.sandbox.core import Sandbox
from trackrelay.sandbox.faults import Traffic
from trackrelay.sandbox.options import SandboxOptions
from trackrelay.sandbox.track.endpoints import ENDPOINTS, Endpoint
from trackrelay.sandbox.track.track_messages import MalformedError, Request, split_path
from trackrelay.sandbox.views.control_messages import json_response
from trackrelay.sandbox.views.view_shapes import object_line, others, person_page

# fmt: off
WORDS = [
    "person", "object", "delivery", "identify", "delete", "event", "page", "screen", "merge",
    "suppress", "unsuppress", "add_device", "delete_device", "add_relationships",
    "delete_relationships", "identify_anonymous", "id", "email", "phone", "cio_id", "anonymous_id",
    "a@b.c", "+4917", "1", "ios", "opened", "a3000001", "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN",
    "cio_subscription_preferences", "cio_subscription_preferences.topics.a",
]
# fmt: on
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)
# fmt: off
FIELDS = [
    "type", "action", "identifiers", "attributes", "name", "id", "timestamp", "device", "token",
    "platform", "cio_relationships", "primary", "secondary", "data", "ids", "delivery_id", "metric",
    "event", "recipient", "anonymous_id", "object_type_id", "object_id", "relationship_attributes",
    "_timestamp",
]
# fmt: on
identifiers = st.dictionaries(
    st.sampled_from(WORDS), st.sampled_from(WORDS), min_size=1, max_size=2
)
people = (
    st.sampled_from([{"id": "1"}, {"email": "a@b.c"}, {"cio_id": "a3000001"}, {"id": "2"}])
    | identifiers
)
attributes = st.dictionaries(st.sampled_from(WORDS) | st.text(), values, max_size=4)
operations = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["person", "object", "delivery"]) | values,
        "action": st.sampled_from(WORDS) | values,
        "identifiers": people | st.just({"object_type_id": "1", "object_id": "acme"}) | values,
        "attributes": attributes | values,
        "name": st.just("opened") | values,
        "device": st.fixed_dictionaries({"token": values, "platform": values | st.just("ios")})
        | values,
        "cio_relationships": st.lists(
            st.fixed_dictionaries({"identifiers": people}) | values, max_size=2
        )
        | values,
        "timestamp": values,
        "primary": people | values,
        "secondary": people | values,
        "data": attributes | values,
    },
)
documents = (
    operations | st.dictionaries(st.sampled_from(FIELDS) | st.text(), values, max_size=5) | values
)


def apply(sandbox: Sandbox, endpoint: Endpoint, body: bytes) -> None:
    path = endpoint.template.replace("{", "").replace("}", "")
    request = Request(
        endpoint.method, path, "", {b"content-type": b"application/json"}, body, split_path(path)
    )
    try:
        parsed = endpoint.read(request, 1_000)
    except MalformedError:
        return
    traffic = Traffic(endpoint.method, path, body, parsed.operations)
    endpoint.answer(sandbox.apply(traffic, parsed, endpoint.template))


def views(sandbox: Sandbox) -> list[Any]:
    state = sandbox.state
    return [
        *(json_response(person_page(state, person)) for person in state.people),
        *(json_response(object_line(state, found)) for found in state.objects),
        json_response(others(state)),
        *(json_response(effect.view()) for effect in sandbox.effects.after(0, ignored=True)),
    ]


PREFERENCES = "cio_subscription_preferences"
IDENTIFY = {"type": "person", "action": "identify", "identifiers": {"id": "1"}}


@example([{PREFERENCES: "none", f"{PREFERENCES}.topics.topic_1": True}], ENDPOINTS[3])
@example(
    [{"attributes": {"big": [2**70], "small": -(2**70)}, "timestamp": 2**70, **IDENTIFY}],
    ENDPOINTS[1],
)
@given(st.lists(documents, max_size=6), st.sampled_from(ENDPOINTS))
@settings(max_examples=60, deadline=None)
def test_every_document_is_answered(sent: list[Any], endpoint: Endpoint) -> None:
    sandbox = Sandbox(SandboxOptions())
    for document in sent:
        for body in (document, {"batch": [document]}):
            apply(sandbox, endpoint, json.dumps(body).encode())
    assert views(sandbox)
