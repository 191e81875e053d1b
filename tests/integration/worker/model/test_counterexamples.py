"""Sequences that the model found, as small as it could make them."""

from typing import Any

import pytest

from tests.integration.worker.model.process import Fault, Plan, Sleeper, hold
from tests.integration.worker.model.world import World
from tests.support.in_process_worker import probe_now
from trackrelay import Person, operations
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.maintenance import ticks

#: Of the two shards, those of the person and of the anonymous id are different ones.
PERSON, ANONYMOUS, ANONYMOUS_BESIDE = "p0", "a4", "a0"
OF_PERSON, OF_ANONYMOUS = 1, 0
BEING_SENT = Plan(fault=Fault("asleep", "before_settle"))


@pytest.fixture
def anew(world: World) -> World:
    """A world with nothing in it."""
    world.begin_anew()
    return world


def work_off(world: World, cycles: int = 10) -> None:
    """Hold every shard again and again, nothing going wrong."""
    for _ in range(cycles):
        for shard in range(world.shards):
            hold(world.processes[0], shard, Plan())


def join(anonymous: str = ANONYMOUS, **options: Any) -> Any:
    """A person and an anonymous id."""
    return operations.identify(PERSON, {}, anonymous_id=anonymous, **options)


def test_two_jobs_of_the_same_two_keys_in_opposite_orders_in_two_lanes_do_not_block_each_other(
    anew: World,
) -> None:
    one, two = join(), join()
    for operation in (two, one):
        anew.producer.enqueue(operation, lane="bulk")
    hold(anew.processes[0], OF_ANONYMOUS, Plan())
    for operation in (one, two):
        anew.producer.enqueue(operation)
    work_off(anew)
    assert anew.look().ledger == {one.id, two.id}


def test_a_part_is_not_left_if_both_shards_read_it_at_once(anew: World) -> None:
    one, two = join(), join()
    for operation in (two, one):
        anew.producer.enqueue(operation, lane="bulk")
    other = Sleeper(anew.processes[1], OF_ANONYMOUS, BEING_SENT)
    assert other.asleep
    for operation in (one, two):
        anew.producer.enqueue(operation)
    hold(anew.processes[0], OF_PERSON, Plan())
    other.wake()
    work_off(anew)
    assert anew.look().ledger == {one.id, two.id}


def test_a_repeat_whose_second_key_is_elsewhere_leaves_nothing_behind_when_the_first_is_delivered(
    anew: World,
) -> None:
    operation = join(ANONYMOUS_BESIDE, idempotency_key="k")
    anew.producer.enqueue(operation)
    anew.producer.enqueue(join(ANONYMOUS, idempotency_key="k"))
    after = operations.track_anonymous(ANONYMOUS, "after", {})
    anew.producer.enqueue(after)
    hold(anew.processes[0], OF_ANONYMOUS, Plan())
    work_off(anew)
    assert anew.look().ledger == {operation.id, after.id}


def test_a_job_across_shards_whose_dead_letter_is_discarded_between_two_reads_leaves_nothing(
    anew: World,
) -> None:
    operation = join(idempotency_key="k")
    anew.api.moods[operation.id] = "bad"
    anew.producer.enqueue(operation)
    work_off(anew)
    anew.producer.enqueue(operation)
    hold(anew.processes[0], OF_PERSON, Plan())
    list(anew.replayer.discard([operation.id]))
    after = operations.track_anonymous(ANONYMOUS, "after", {})
    anew.producer.enqueue(after)
    work_off(anew)
    anew.backoffs_pass()
    work_off(anew)
    seen = anew.look()
    assert not seen.rows
    assert seen.ledger == {after.id}


DISCARDED = ReplayPolicy(states=frozenset({"discarded"}))


def discarded(world: World, operation: Any) -> None:
    """A job whose dead letter is discarded, and that would be accepted now."""
    world.api.moods[operation.id] = "bad"
    world.producer.enqueue(operation)
    work_off(world, 2)
    list(world.replayer.discard([operation.id]))
    world.api.moods[operation.id] = "good"


def test_a_discarded_dead_letter_is_not_replayed_while_its_job_waits_again(anew: World) -> None:
    operation = operations.track(PERSON, "said", {}, idempotency_key="k")
    discarded(anew, operation)
    anew.producer.enqueue(operation)
    anew.processes[0].breaker.failed(Family.V2, "away", retry_after_s=3600)
    hold(anew.processes[0], OF_PERSON, Plan())
    ((refused,),) = (outcome.refused for outcome in anew.replayer.replay([operation.id], DISCARDED))
    assert "enqueued again" in refused.why
    probe_now(anew.redis)
    work_off(anew)
    assert anew.look().ledger == {operation.id}
    assert anew.look().letters[operation.id][0] == "discarded"


def test_a_discarded_dead_letter_replayed_while_its_job_is_being_sent_is_not_delivered_twice(
    anew: World,
) -> None:
    operation = operations.submit_form("f", Person(id=PERSON), {"a": "b"}, idempotency_key="k")
    discarded(anew, operation)
    anew.producer.enqueue(operation)
    holder = Sleeper(anew.processes[1], OF_PERSON, BEING_SENT)
    assert holder.asleep
    list(anew.replayer.replay([operation.id], DISCARDED))
    holder.wake()
    work_off(anew)
    assert anew.look().ledger == {operation.id}
    assert [job.id for job in anew.api.effects] == [operation.id]


def test_a_late_part_whose_other_half_was_taken_for_an_orphan_is_no_second_job(
    anew: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = operations.track(PERSON, "before", {})
    operation = join()
    anew.processes[0].breaker.failed(Family.V2, "away", retry_after_s=3600)
    anew.producer.enqueue(before)
    anew.producer.enqueue(operation)
    hold(anew.processes[0], OF_ANONYMOUS, Plan())  # and the other shard's holder is slow
    is_read = ticks._is_read

    def meanwhile(*args: Any) -> bool:
        hold(anew.processes[0], OF_PERSON, Plan())
        return is_read(*args)

    monkeypatch.setattr(ticks, "_is_read", meanwhile)
    anew.backoffs_pass()
    probe_now(anew.redis)
    hold(anew.processes[0], OF_ANONYMOUS, Plan())
    work_off(anew)
    assert [job.id for job in anew.api.effects] == [before.id, operation.id]
