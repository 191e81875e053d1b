"""The App API of the sandbox answers any request, and never fails with an exception."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trackrelay.sandbox.app_api.app_endpoints import APP_ENDPOINTS, AppEndpoint
from trackrelay.sandbox.in_process import InProcessSandbox

WORDS = ["1", "id", "email", "cio_id", "a3000001", "a@b.c", "+4917", "7", "bounces", "-1", "x"]
NAMES = ["id_type", "start", "limit", "type", "name", "deleted", "customer_id", "offset", "email"]
texts = st.sampled_from(WORDS) | st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["and", "or", "not", "attribute", "field", "operator", "value", "segment", "id"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
documents = values | st.dictionaries(
    st.sampled_from(["filter", "ids", "object_type_id", "attributes", "events"]), values, max_size=3
)


@pytest.fixture(scope="module")
def sandbox() -> InProcessSandbox:
    """A workspace whose values are as odd as what is asked."""
    sandbox = InProcessSandbox(app_rate_limit=0)
    odd = {"big": 2**70, "small": -(2**70), "deep": [[{"a": None}]], "topics": {}, "n": 1e300}
    operations: list[dict[str, Any]] = [
        {"action": "identify", "attributes": {**odd, "cio_subscription_preferences": "none"}},
        {"action": "identify", "attributes": {"cio_subscription_preferences": {"topics": {"": 1}}}},
        {"action": "event", "name": "seen", "timestamp": 2**62},
        {
            "action": "add_relationships",
            "cio_relationships": [
                {
                    "identifiers": {"object_type_id": "1", "object_id": "1"},
                    "relationship_attributes": odd,
                }
            ],
        },
    ]
    for operation in operations:
        document = {"type": "person", "identifiers": {"id": "1"}, **operation}
        sandbox.send("POST", "/api/v2/entity", json.dumps(document).encode())
    return sandbox


@example(APP_ENDPOINTS[1], "1", {}, {"filter": {"and": [[]]}})
@example(APP_ENDPOINTS[7], "1", {}, None)
@example(APP_ENDPOINTS[17], "1", {"start": "é", "limit": "9" * 30}, None)
@given(
    st.sampled_from(APP_ENDPOINTS),
    texts,
    st.dictionaries(st.sampled_from(NAMES), texts, max_size=3),
    documents,
)
@settings(max_examples=3 * settings.default.max_examples, deadline=None)
def test_every_request_is_answered(
    sandbox: InProcessSandbox,
    endpoint: AppEndpoint,
    named: str,
    query: dict[str, str],
    document: Any,
) -> None:
    path = "/".join(
        quote(named, safe="") if part.startswith("{") else part
        for part in endpoint.template.split("/")
    )
    body = json.dumps(document).encode()
    answer = sandbox.send(endpoint.method, f"{path}?{urlencode(query)}", body)
    assert answer.status in (200, 204, 400, 404, 405, 422)
    if answer.body:
        json.loads(answer.body)


@pytest.mark.parametrize("endpoint", APP_ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_odd_values_are_shown(sandbox: InProcessSandbox, endpoint: AppEndpoint) -> None:
    path = endpoint.template
    for name in ("customer_id", "object_type_id", "object_id", "segment_id"):
        path = path.replace(f"{{{name}}}", "1")
    body = {"filter": {"attribute": {"field": "big", "operator": "exists"}}, "ids": ["1"]}
    answer = sandbox.send(endpoint.method, path, json.dumps(body).encode())
    assert answer.status < 500
