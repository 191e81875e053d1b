"""What must not be replayed any more: people who are gone, values that are older than others."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.support.replay_stores import THEN, Stores, opened
from trackrelay import operations
from trackrelay.operations.operation import Operation


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Stores]:
    with opened(database_url, redis_url) as stores:
        yield stores


@pytest.mark.parametrize("removal", [operations.delete_person("42"), operations.suppress("42")])
def test_nothing_is_replayed_once_its_person_was_deleted_or_suppressed(
    stores: Stores, removal: Operation
) -> None:
    ids = stores.bury(
        operations.track("42", "b"),
        operations.identify("42", {"a": 1}),
        operations.add_device("42", "t", "ios"),
    )
    gone = stores.deliver(removal, THEN + 60)
    tally = stores.replay(*ids, even_if_newer=True)
    assert tally.replayed == 0
    assert {each.kind for each in tally.refused} == {"removed"}
    assert {each.later and each.later.id for each in tally.refused} == {gone}
    assert {stores.letter(id).state for id in ids} == {"open"}
    assert stores.backlog() == []


def test_an_earlier_removal_blocks_nothing(stores: Stores) -> None:
    stores.deliver(operations.delete_person("42"), THEN - 60)
    (id,) = stores.bury(operations.identify("42", {"a": 1}))
    assert stores.replay(id).replayed == 1


def test_of_two_jobs_of_one_millisecond_a_removal_is_later_only_if_it_came_after_the_death(
    stores: Stores,
) -> None:
    stores.deliver(operations.delete_person("42"), THEN)
    (after,) = stores.bury(operations.identify("42", {"a": 1}))
    (before,) = stores.bury(operations.identify("43", {"a": 1}))
    stores.deliver(operations.delete_person("43"), THEN)
    tally = stores.replay(after, before)
    assert tally.replayed == 1
    assert [each.id for each in tally.refused] == [before]


def test_a_removal_of_either_key_counts_and_of_nobody_else(stores: Stores) -> None:
    (both,) = stores.bury(operations.merge(primary="1", secondary="2"))
    stores.deliver(operations.delete_person("2"), THEN + 60)
    stores.deliver(operations.delete_person("3"), THEN + 60)
    (refused,) = stores.replay(both, even_if_newer=True).refused
    assert refused.kind == "removed"


def test_an_operation_without_a_time_is_not_replayed_past_a_later_job_of_its_key(
    stores: Stores,
) -> None:
    device, event = stores.bury(
        operations.add_device("42", "t", "ios"), operations.track("42", "b")
    )
    (other,) = stores.bury(operations.add_device("43", "t", "ios"))
    stores.deliver(operations.track("42", "sooner"), THEN - 60)
    newer = stores.deliver(operations.delete_device("42", "t"), THEN + 60)
    tally = stores.replay(device, event, other)
    assert tally.replayed == 2
    (refused,) = tally.refused
    assert (refused.id, refused.kind, refused.later and refused.later.id) == (
        device,
        "newer",
        newer,
    )
    assert newer in refused.why
    assert "person.delete_device" in refused.why
    assert stores.letter(device).state == "open"
    assert stores.replay(device, even_if_newer=True).replayed == 1
    assert stores.letter(device).history[-1]["even_if_newer"] == newer


def test_a_later_job_that_still_waits_counts_like_a_delivered_one(stores: Stores) -> None:
    (device,) = stores.bury(operations.add_device("42", "t", "ios"))
    waiting = stores.wait_in_backlog(operations.delete_device("42", "t"), THEN + 60)
    (refused,) = stores.replay(device).refused
    assert refused.later
    assert (refused.later.id, refused.later.delivered_at) == (waiting, None)


def test_a_removal_counts_as_the_second_key_of_a_merge_does(stores: Stores) -> None:
    (device,) = stores.bury(operations.add_device("2", "t", "ios"))
    merged = stores.deliver(operations.merge(primary="1", secondary="2"), THEN + 60)
    (refused,) = stores.replay(device).refused
    assert refused.later
    assert refused.later.id == merged


def test_refused_dead_letters_do_not_stop_the_others_and_each_has_a_result(
    stores: Stores,
) -> None:
    good = stores.bury(*(operations.track(str(n), "b") for n in range(3)))
    (raw,) = stores.bury(operations.track("9", "b"), reason="undecodable")
    with stores.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE trackrelay_dead_letters SET body = NULL WHERE job_id = :id"),
            {"id": raw},
        )
    tally = stores.replay(good[0], raw, good[1], "NOBODY", good[2])
    assert tally.replayed == 3
    assert [(each.id, each.kind) for each in tally.refused] == [
        (raw, "undecodable"),
        ("NOBODY", "missing"),
    ]
    again = stores.replay(*good)
    assert [each.kind for each in again.refused] == ["state"] * 3


def test_a_job_that_was_delivered_after_all_is_not_replayed(stores: Stores) -> None:
    operation = operations.track("42", "b")
    (id,) = stores.bury(operation)
    stores.deliver(operation, THEN)
    (refused,) = stores.replay(id).refused
    assert refused.kind == "delivered"
