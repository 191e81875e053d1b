"""Packing: everything goes along once, under every limit, and no order is broken."""

import json
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from trackrelay.operations.limits import OPERATION_BYTES
from trackrelay.worker.delivery.batching import (
    MAX_BATCH_BYTES,
    MAX_OPERATIONS,
    MAX_SEGMENT_IDS,
    Wave,
    pack,
    route_of,
)
from trackrelay.worker.storage.stored_job import Job


def job(
    number: int,
    *keys: str,
    operation: str = "person.event",
    size: int = 50,
    max_batch: int = 1000,
    segment: int = 1,
) -> Job:
    """A job of about `size` bytes."""
    if operation == "segment.add":
        document = {
            "action": "add",
            "identifiers": {"segment_id": segment},
            "person": {"id": keys[0]},
        }
        body = json.dumps(document).encode()
    else:
        body = b'"' + b"x" * (size - 2) + b'"'
    return Job(
        id=f"{number:026}",
        operation=operation,
        keys=keys,
        shards=(0,) * len(keys),
        body=body,
        lane="live",
        enqueued_at=0.0,
        age_from=0.0,
        max_batch=max_batch,
    )


OPERATIONS = st.sampled_from(
    [
        "person.event",
        "person.identify",
        "person.delete",
        "anonymous.event",
        "segment.add",
        "form.submit",
    ]
)


@st.composite
def some_jobs(draw: st.DrawFn) -> list[Job]:
    names = st.sampled_from("abcd")
    return [
        job(
            number,
            *draw(st.lists(names, min_size=1, max_size=2, unique=True)),
            operation=draw(OPERATIONS),
            size=draw(st.sampled_from([50, 31_000, 40_000])),
            max_batch=draw(st.sampled_from([1, 2, 1000, 1000])),
            segment=draw(st.integers(1, 2)),
        )
        for number in range(draw(st.integers(0, 40)))
    ]


def places(waves: list[Wave]) -> dict[str, tuple[int, int, int]]:
    """Where each job is: wave, request, place in the request."""
    return {
        each.id: (wave, request, place)
        for wave, requests in enumerate(waves)
        for request, packed in enumerate(requests)
        for place, each in enumerate(packed.jobs)
    }


@given(some_jobs())
@settings(max_examples=3 * settings.default.max_examples, deadline=None)
def test_no_job_overtakes_an_earlier_one_of_any_of_its_keys(jobs: list[Job]) -> None:
    waves = pack(jobs)
    where = places(waves)
    assert sorted(where) == sorted(each.id for each in jobs)
    for earlier, later in combinations(jobs, 2):
        if set(earlier.keys).isdisjoint(later.keys):
            continue
        first, second = where[earlier.id], where[later.id]
        together = first[:2] == second[:2]
        assert (together and first < second) or first[0] < second[0]
        if earlier.is_barrier or later.is_barrier:
            assert first[0] < second[0]


@given(some_jobs())
@settings(max_examples=2 * settings.default.max_examples, deadline=None)
def test_every_request_keeps_every_limit(jobs: list[Job]) -> None:
    for packed in (packed for wave in pack(jobs) for packed in wave):
        assert packed.jobs
        assert len({route_of(each) for each in packed.jobs}) == 1
        assert len(packed.jobs) <= min(each.max_batch for each in packed.jobs)
        if packed.route == "v2":
            body = b'{"batch":[' + b",".join(each.body for each in packed.jobs) + b"]}"
            assert len(body) <= MAX_BATCH_BYTES
            assert all(len(each.body) <= OPERATION_BYTES for each in packed.jobs)
        if packed.route == "single":
            assert len(packed.jobs) == 1


def test_different_people_share_one_request_up_to_a_thousand_operations() -> None:
    waves = pack([job(number, str(number)) for number in range(2500)])
    assert [[len(packed.jobs) for packed in wave] for wave in waves] == [
        [MAX_OPERATIONS, MAX_OPERATIONS, 500]
    ]


def test_one_persons_jobs_share_requests_in_order_and_the_next_request_waits() -> None:
    waves = pack([job(number, "a") for number in range(1500)])
    assert [[len(packed.jobs) for packed in wave] for wave in waves] == [[1000], [500]]


def test_segment_jobs_of_one_segment_are_gathered() -> None:
    jobs = [
        job(number, str(number), operation="segment.add", segment=number % 2)
        for number in range(2200)
    ]
    (wave,) = pack(jobs)
    assert sorted(len(packed.jobs) for packed in wave) == [
        100,
        100,
        MAX_SEGMENT_IDS,
        MAX_SEGMENT_IDS,
    ]
    assert all(
        len({each.body.split(b'"person"')[0] for each in packed.jobs}) == 1 for packed in wave
    )


def test_a_key_that_v1_holds_up_does_not_hold_up_another_key() -> None:
    jobs = [
        job(0, "a", operation="form.submit"),
        job(1, "a"),
        job(2, "b"),
        job(3, "c"),
    ]
    where = places(pack(jobs))
    assert where[jobs[2].id][0] == where[jobs[3].id][0] == 0
    assert where[jobs[1].id][0] == 1


def test_suspects_of_one_size_travel_apart_from_the_others() -> None:
    jobs = [job(number, str(number), max_batch=2 if number < 4 else 1000) for number in range(10)]
    (wave,) = pack(jobs)
    assert sorted(len(packed.jobs) for packed in wave) == [2, 2, 6]
