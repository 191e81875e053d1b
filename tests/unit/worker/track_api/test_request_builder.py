"""v1 requests: paths name the intended person, and nobody else."""

import json

import pytest

from trackrelay import Person, operations
from trackrelay.worker.track_api.request_builder import (
    UnsendableDocumentError,
    batch,
    path_segment,
    segment,
    single,
)


def large(person: Person) -> bytes:
    return operations.track(person, "essay", {"text": "x" * 40_000}).body


@pytest.mark.parametrize(
    ("person", "path"),
    [
        (Person(id="a/b c&d"), "/api/v1/customers/a%2Fb%20c%26d/events"),
        (Person(email="Ada+shop@Example.com"), "/api/v1/customers/ada%2Bshop%40example.com/events"),
        (Person(cio_id="cio_a3000001"), "/api/v1/customers/cio_a3000001/events"),
    ],
)
def test_a_path_names_the_person_by_the_shape_that_v1_reads(person: Person, path: str) -> None:
    assert single("person.event", large(person)).path == path


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_what_would_name_another_endpoint_is_not_put_in_a_path(value: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a path"):
        path_segment(value)


def test_a_document_that_fits_no_request_says_so() -> None:
    with pytest.raises(UnsendableDocumentError):
        single("person.event", b'{"type":"person"}')
    with pytest.raises(UnsendableDocumentError):
        single("person.identify", b"{}")


def test_one_operation_goes_by_itself_and_several_in_a_batch() -> None:
    assert batch([b'{"a":1}']).path == "/api/v2/entity"
    request = batch([b'{"a":1}', b'{"b":2}'])
    assert (request.path, json.loads(request.body)) == (
        "/api/v2/batch",
        {"batch": [{"a": 1}, {"b": 2}]},
    )


def test_segment_jobs_are_gathered_in_one_list_of_ids() -> None:
    bodies = [operation.body for operation in operations.add_to_segment(7, ["1", "2"])]
    request = segment(bodies)
    assert (request.path, json.loads(request.body)) == (
        "/api/v1/segments/7/add_customers?id_type=id",
        {"ids": ["1", "2"]},
    )
