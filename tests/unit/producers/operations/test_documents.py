"""The gate, as raw documents meet it: imports, repaired dead letters, entity()."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.refusals import document_of, refusal_of
from trackrelay import operations
from trackrelay.errors import InvalidOperationError
from trackrelay.operations.ids import new_id
from trackrelay.operations.registry import ACTIONS, BY_TYPE_AND_ACTION
from trackrelay.operations.validation import check

EVENT = {"type": "person", "identifiers": {"id": "42"}, "action": "event", "name": "x"}


class Kind(str, Enum):  # noqa: UP042 - its str() is not its text
    PERSON = "person"


TYPES = "Customer.io takes person, anonymous, object, delivery, segment, form"
ID = "01HWTP00000000000000000000"


@pytest.mark.parametrize(
    ("raw", "field", "message"),
    [
        ([], "operation", "an operation is a list; it must be an object, such as a dict"),
        (
            {},
            "type",
            "the type of an operation is None; {types}",
        ),
        (
            {"type": "persn"},
            "type",
            "the type of an operation is 'persn'; {types}; did you mean 'person'?",
        ),
        (
            {"type": Kind.PERSON, "action": "delete"},
            "type",
            "the type of a person is a Kind; {types}; did you mean 'person'?",
        ),
        ({"type": []}, "type", "the type of an operation is a list; {types}"),
        (
            {"type": "segment", "action": "ad"},
            "action",
            "the action of segment ad of a person is 'ad'; Customer.io takes add, remove; "
            "did you mean 'add'?",
        ),
        (
            EVENT | {"nme": "y"},
            "nme",
            "'nme' of event 'x' of person id:42 is not known; did you mean 'name'?",
        ),
        (
            EVENT | {"data": {}},
            "data",
            "'data' of event 'x' of person id:42 is not known; did you mean 'attributes'?",
        ),
        (
            {"type": "delivery", "identifiers": {"id": "d"}, "action": "unsubscribe", "wholly": 1},
            "wholly",
            "'wholly' of a delivery's unsubscribe is not known; there are action, identifiers, "
            "type",
        ),
        (
            {
                "type": "person",
                "identifiers": {"id": "42"},
                "action": "identify",
                "anonymous_id": "c",
            },
            "anonymous_id",
            "'anonymous_id' of person id:42 is not known; did you mean 'attributes.anonymous_id'?",
        ),
        (
            {"type": "person", "identifiers": {"id": "42"}, "action": "event"},
            "name",
            "the name of event of person id:42 is missing",
        ),
        (
            {"type": "person", "action": "event", "name": "x"},
            "identifiers",
            "event 'x' of a person needs identifiers",
        ),
        (
            EVENT | {"identifiers": {"id": "1", "email": "a@b.co"}},
            "identifiers",
            "event 'x' of a person needs exactly one of id, email, phone, cio_id; "
            "it has id and email",
        ),
        (
            EVENT | {"identifiers": {"anonymous_id": "c"}},
            "identifiers",
            "event 'x' of person anonymous:c… cannot be named by 'anonymous_id' here; "
            "Customer.io takes id, email, phone, cio_id",
        ),
        (
            EVENT | {"identifiers": {"email": "secret@@b.co"}},
            "identifiers.email",
            "the email of event 'x' of a person is not an email address: more than one @",
        ),
        (
            {
                "type": "delivery",
                "identifiers": {"id": "d"},
                "action": "event",
                "name": "opened",
                "attributes": {},
            },
            "attributes.device_token",
            "attribute 'device_token' of a delivery's event is None; it must be text, "
            "a whole number or a UUID",
        ),
        (
            {"type": "object", "identifiers": {"object_id": "a"}, "action": "delete"},
            "identifiers",
            "an object needs object_type_id and object_id, or cio_object_id alone; "
            "it has object_id",
        ),
        (EVENT | {"id": "no"}, "id", "the id of event 'x' of person id:42 is not a ULID"),
        (EVENT | {"id": 7}, "id", "the id of event 'x' of person id:42 is not a ULID"),
        (
            {
                "type": "person",
                "identifiers": {"id": "42"},
                "action": "add_relationships",
                "cio_relationships": [
                    {"identifiers": {"object_type_id": 1, "object_id": "a"}, "attributes": {}}
                ],
            },
            "cio_relationships[0].attributes",
            "'cio_relationships[0].attributes' of person id:42 is not known; "
            "did you mean 'relationship_attributes'?",
        ),
    ],
)
def test_a_wrong_document_is_refused_with_a_message(raw: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidOperationError) as caught:
        operations.entity(raw)
    assert str(caught.value) == message.replace("{types}", TYPES)
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


def test_a_documents_identifiers_are_normalised_everywhere() -> None:
    email = {"email": " Ada@EXAMPLE.com "}
    lower = {"email": "ada@example.com"}
    for raw in (
        EVENT | {"identifiers": email},
        {"type": "person", "action": "merge", "primary": email, "secondary": {"id": 1}},
        {
            "type": "object",
            "identifiers": {"object_type_id": 1, "object_id": 7},
            "action": "add_relationships",
            "cio_relationships": [{"identifiers": email}],
        },
        {"type": "segment", "action": "add", "identifiers": {"segment_id": "7"}, "person": email},
        {"type": "form", "action": "submit", "identifiers": {"form_id": 7}, "person": email},
    ):
        made = document_of(operations.entity(raw))
        assert json.dumps(lower, separators=(",", ":")) in json.dumps(made, separators=(",", ":"))
        assert "EXAMPLE" not in str(made)


def test_fields_that_are_null_are_left_out() -> None:
    raw = EVENT | {"timestamp": None, "attributes": None, "id": None}
    assert document_of(operations.entity(raw)) == EVENT
    identify = {"type": "person", "identifiers": {"id": "42"}, "action": "identify"}
    assert document_of(operations.entity(identify | {"cio_relationships": None})) == identify


def test_an_events_own_id_is_the_jobs() -> None:
    operation = operations.entity(EVENT | {"id": ID.lower()}, idempotency_key="k")
    assert operation.id == ID
    assert json.loads(operation.body)["id"] == ID
    assert operation.idempotency_key == "k"


def test_a_repaired_document_keeps_its_jobs_id() -> None:
    for raw in (
        EVENT,
        EVENT | {"id": ID},
        {"type": "person", "identifiers": {"id": "42"}, "action": "delete"},
    ):
        assert check(raw, id=ID, idempotency_key="k").id == ID


def test_a_document_with_another_id_than_its_job_is_refused() -> None:
    assert refusal_of(lambda: check(EVENT | {"id": new_id()}, id=ID)).field == "id"


def test_an_id_is_no_field_of_what_customer_io_does_not_deduplicate() -> None:
    raw = {"type": "person", "identifiers": {"id": "42"}, "action": "identify", "id": ID}
    assert refusal_of(lambda: operations.entity(raw)).field == "id"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = sorted({field for action in ACTIONS for field in action.fields} | {"data", ""})
LIKELY = st.sampled_from(
    [
        {"id": "42"},
        {"email": "a@b.co"},
        {"object_type_id": "1", "object_id": "a"},
        {"segment_id": 7},
        {"form_id": "f"},
        [{"identifiers": {"id": "42"}, "relationship_attributes": {"a": 1}}],
        {"token": "t", "platform": "ios"},
        "opened",
        {"device_token": "t"},
        1714564800,
        ID,
    ]
)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(BY_TYPE_AND_ACTION)),
    st.dictionaries(st.sampled_from(FIELDS), LIKELY | JSON),
)
def test_whatever_the_document_the_gate_answers_with_an_operation_or_a_refusal(
    kind: tuple[str, str], fields: dict[str, Any]
) -> None:
    raw = {**fields, "type": kind[0], "action": kind[1]}
    try:
        operation = operations.entity(raw)
    except InvalidOperationError:
        refusal_of(lambda: operations.entity(raw))
        return
    assert operation.name == ".".join(kind)
    assert operation.keys
    assert (
        json.loads(operations.entity(json.loads(operation.body)).body).keys()
        == json.loads(operation.body).keys()
    )
