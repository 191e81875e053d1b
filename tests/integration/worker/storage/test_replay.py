"""Replaying against a real Postgres and Valkey, without anybody delivering."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.support.replay_stores import HASHER, SHARDS, THEN, Stores, opened
from tests.support.waiting import patient, wait_until
from trackrelay import operations
from trackrelay.operations.keys import shard_of
from trackrelay.queue.redis_keys import QUEUE_KEY
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.replay_batches import CHUNK, Tally
from trackrelay.worker.storage import dead_letter_queries, settlement, shards
from trackrelay.worker.storage.dead_letter_queries import Filters
from trackrelay.worker.storage.settlement import Holder, Settlement


@pytest.fixture
def stores(database_url: str, redis_url: str) -> Iterator[Stores]:
    with opened(database_url, redis_url) as stores:
        yield stores


def test_a_replayed_job_is_the_last_of_its_key_in_the_bulk_lane_and_due_if_it_is_the_first(
    stores: Stores,
) -> None:
    first = stores.wait_in_backlog(operations.track("42", "a"), THEN, lane="bulk")
    (behind,) = stores.bury(operations.track("42", "b"))
    (alone,) = stores.bury(operations.track("43", "c"))
    assert stores.replay(behind, alone).replayed == 2
    rows = {row.job_id: row for row in stores.backlog()}
    assert rows[first].position < rows[behind].position
    assert (
        rows[behind].lane,
        rows[behind].reason,
        rows[behind].attempts,
        rows[behind].replayed,
    ) == (
        "bulk",
        "replayed",
        0,
        True,
    )
    assert rows[behind].due_at is None
    assert rows[alone].due_at is not None
    assert rows[alone].enqueued_at.timestamp() == THEN
    assert rows[alone].age_from.timestamp() > THEN + 60
    assert rows[alone].body == msgspec.json.decode(stores.letter(alone).body or b"")


def test_its_history_says_who_replayed_it_when_and_why_and_its_state_that_it_is_on_its_way(
    stores: Stores,
) -> None:
    (id,) = stores.bury(operations.track("42", "b"))
    stores.replay(id)
    letter = stores.letter(id)
    assert letter.state == "replaying"
    rejected, replayed = letter.history
    assert rejected["what"] == "rejected"
    assert {name: replayed[name] for name in ("what", "who", "note", "reason")} == {
        "what": "replayed",
        "who": "ada@test",
        "note": "a test",
        "reason": "rejected",
    }
    assert replayed["died_at"] == pytest.approx(letter.died_at, abs=0.001)


def test_a_job_with_two_keys_gets_a_row_for_each_and_is_due_when_it_is_first_in_both(
    stores: Stores,
) -> None:
    here, there = next(
        (a, b)
        for a in ("a", "b", "c", "d")
        for b in ("e", "f", "g", "h")
        if shard_of(f"id:{a}", SHARDS) != shard_of(f"anonymous:{b}", SHARDS)
    )
    (id,) = stores.bury(operations.identify(here, {"plan": "x"}, anonymous_id=there))
    stores.replay(id)
    rows = stores.backlog()
    assert {(row.key, row.shard, row.sends, row.parts) for row in rows} == {
        (f"id:{here}", shard_of(f"id:{here}", SHARDS), True, 2),
        (HASHER.stored(f"anonymous:{there}"), shard_of(f"anonymous:{there}", SHARDS), False, 2),
    }
    assert all(row.due_at for row in rows)


def test_replays_keep_the_order_they_were_enqueued_in(stores: Stores) -> None:
    later = stores.bury(operations.track("42", "later"), at=THEN + 10)
    sooner = stores.bury(operations.track("42", "sooner"), at=THEN)
    made = (
        operations.track("42", "with attributes", person_attributes={"n": 1}) for _ in range(100)
    )
    # Ids order nothing: here they say the opposite.
    companion = next(each for each in made if each.companion and each.companion.id > each.id)
    assert companion.companion is not None
    both = stores.bury(companion, companion.companion, at=THEN + 5)
    ids = stores.ids()
    assert ids == [*sooner, both[1], both[0], *later]
    stores.replay(*ids)
    assert [row.job_id for row in sorted(stores.backlog(), key=lambda row: row.position)] == ids


def test_the_next_job_of_a_holder_goes_behind_what_was_replayed(stores: Stores) -> None:
    (id,) = stores.bury(operations.track("42", "replayed"))
    stores.replay(id)
    after = stores.wait_in_backlog(operations.track("42", "after"), THEN + 60, lane="bulk")
    positions = {row.job_id: row.position for row in stores.backlog()}
    assert positions[id] < positions[after]


def test_workers_are_called(stores: Stores) -> None:
    (id,) = stores.bury(operations.track("42", "b"))
    assert stores.redis.llen(QUEUE_KEY) == 0
    stores.plan(id)
    assert stores.redis.llen(QUEUE_KEY) == 0
    stores.replay(id)
    assert stores.redis.llen(QUEUE_KEY) == 1


def test_a_plan_changes_nothing(stores: Stores) -> None:
    (id,) = stores.bury(operations.track("42", "b"))
    before = stores.letter(id)
    assert stores.plan(id).replayed == 1
    assert stores.letter(id) == before
    assert stores.backlog() == []


def test_many_are_replayed_in_chunks_each_a_transaction(stores: Stores) -> None:
    ids = stores.bury(*(operations.track(str(n % 7), "b", {"n": n}) for n in range(2 * CHUNK + 5)))
    sizes = []
    for outcome in stores.replayer.replay(ids, ReplayPolicy()):
        sizes.append(outcome.size)
        if len(sizes) == 2:
            break
    assert sizes == [CHUNK, CHUNK]
    assert len(stores.ids(states=("replaying",))) == 2 * CHUNK
    assert len(stores.ids(states=("open",))) == 5
    assert stores.replay(*ids).replayed == 5
    by_key: dict[str, list[Any]] = {}
    for row in stores.backlog():
        by_key.setdefault(row.key, []).append(row)
    assert all(sum(row.due_at is not None for row in rows) == 1 for rows in by_key.values())


def test_two_processes_that_replay_the_same_dead_letters_replay_each_once(stores: Stores) -> None:
    ids = stores.bury(*(operations.track(str(n % 5), "b", {"n": n}) for n in range(200)))
    tallies: list[Tally] = []
    threads = [
        threading.Thread(target=lambda: tallies.append(stores.replay(*ids))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patient(30))
    assert sum(tally.replayed for tally in tallies) == 200
    assert len(stores.backlog()) == 200
    assert {len(stores.letter(id).history) for id in ids} == {2}


def test_a_replay_waits_for_a_holder_that_is_settling(stores: Stores) -> None:
    """Or it could miss a deletion that is being written down just now."""
    (id,) = stores.bury(operations.identify("42", {"a": 1}))
    delete = stores.job(operations.delete_person("42"), THEN + 60)
    done = threading.Event()

    def replay() -> None:
        tallies.append(stores.replay(id))
        done.set()

    tallies: list[Tally] = []
    with stores.engine.begin() as connection:
        fence = shards.take_over(connection, delete.shards[0]).fence
    with stores.engine.begin() as connection:
        settlement.settle(
            connection, Holder(delete.shards[0], fence), Settlement(delivered=[delete]), 5
        )
        threading.Thread(target=replay).start()
        wait_until(
            lambda: stores.rows("SELECT 1 FROM pg_locks WHERE NOT granted"),
            what="the replay to wait",
        )
        assert not done.is_set()
    assert done.wait(patient(10))
    assert [each.kind for each in tallies[0].refused] == ["removed"]


def test_a_discarded_dead_letter_keeps_its_row_and_names_who_discarded_it(stores: Stores) -> None:
    first, second, third = stores.bury(*(operations.track("42", name) for name in ("a", "b", "c")))
    stores.replay(third)
    (discarded,) = stores.replayer.discard([first, third])
    assert discarded == {first}
    letter = stores.letter(first)
    assert letter.state == "discarded"
    assert {name: letter.history[-1][name] for name in ("what", "who", "note")} == {
        "what": "discarded",
        "who": "ada@test",
        "note": "a test",
    }
    assert (stores.letter(second).state, stores.letter(third).state) == ("open", "replaying")


def test_a_discarded_dead_letter_can_be_replayed_on_request(stores: Stores) -> None:
    (id,) = stores.bury(operations.track("42", "a"))
    list(stores.replayer.discard([id]))
    assert stores.replay(id).replayed == 0
    assert stores.replay(id, states=frozenset({"discarded"})).replayed == 1


def test_a_document_with_a_nul_in_it_is_repaired_and_replayed(stores: Stores) -> None:
    from trackrelay.worker.dead_letters.patch import Patch

    (id,) = stores.bury(operations.track("42", "a", {"text": "x\x00y", "path": "C:\\u0000"}))
    assert stores.replay(id, repair=Patch.parse(("attributes.text=z",))).replayed == 1
    (change,) = stores.letter(id).history[-1]["changes"]
    assert change == {"path": "attributes.text", "before": "x\ufffdy", "after": "z"}


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"reasons": ("expired",)}, {"b"}),
    ({"operations": ("person.add_device",)}, {"c"}),
    ({"keys": ("id:2",)}, {"b", "d"}),
    ({"sources": ("shop",)}, {"d"}),
    ({"error": "SUCH plan"}, {"a", "b", "c", "d"}),
    ({"error": "attributes.PLAN"}, {"a", "b", "c", "d"}),
    ({"error": "100%"}, set()),
    ({"states": ("discarded",)}, set()),
    ({"since": 0.0}, {"a", "b", "c", "d"}),
    ({"until": 0.0}, set()),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
def test_dead_letters_are_found_by_each_filter(
    stores: Stores, filters: dict[str, Any], expected: set[str]
) -> None:
    (a,) = stores.bury(operations.track("1", "a"))
    (b,) = stores.bury(operations.track("2", "b"), reason="expired")
    (c,) = stores.bury(operations.add_device("3", "t", "ios"))
    (d,) = stores.bury(operations.merge(primary="4", secondary="2"), source="shop")
    names = {a: "a", b: "b", c: "c", d: "d"}
    assert {names[id] for id in stores.ids(**filters)} == expected
    with stores.engine.connect() as connection:
        assert sum(
            each.letters for each in dead_letter_queries.counts(connection, Filters(**filters))
        ) == len(expected)


def test_round_trips_do_not_grow_with_the_chunk(stores: Stores) -> None:
    def statements(ids: list[str]) -> int:
        count = 0

        def note(*_: Any) -> None:
            nonlocal count
            count += 1

        listen: Callable[..., Any] = sa.event.listen
        listen(stores.engine, "before_cursor_execute", note)
        stores.replay(*ids)
        sa.event.remove(stores.engine, "before_cursor_execute", note)
        return count

    few = statements(stores.bury(*(operations.track(str(n), "b") for n in range(40))))
    many = statements(stores.bury(*(operations.track(str(n), "b") for n in range(400))))
    assert few == many
