"""A dead letter that is replayed for ever has a history of bounded length."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from tests.support.harness import Harness
from trackrelay import operations
from trackrelay.operations.keys import shard_of
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.storage import dead_letter_queries, dead_letters
from trackrelay.worker.storage.dead_letter_queries import DeadLetter
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.letter_history import FIRST, MAX_ENTRIES, NEWEST
from trackrelay.worker.storage.stored_job import Job

THEN = 1_790_000_000.0
EVENT = operations.track("42", "bought")
JOB = Job(
    id=EVENT.id, operation=EVENT.name, keys=EVENT.keys, shards=(shard_of(EVENT.keys[0], 4),),
    body=EVENT.body, lane="live", enqueued_at=THEN, age_from=THEN, attempts=1,
)  # fmt: skip


def die(harness: Harness, entries: list[dict[str, Any]]) -> None:
    letter = NewDeadLetter(
        job=replace(JOB), reason=DeathReason.REJECTED, error="no", history=tuple(entries)
    )
    with harness.engine.begin() as connection:
        dead_letters.insert(connection, [letter])
        connection.execute(sa.text("DELETE FROM trackrelay_backlog"))


def letter(harness: Harness) -> DeadLetter:
    with harness.engine.connect() as connection:
        (found,) = dead_letter_queries.load(connection, [JOB.id])
    return found


def numbered(first: int, last: int) -> list[dict[str, Any]]:
    return [{"at": THEN + n, "what": "failed", "n": n} for n in range(first, last)]


def test_each_change_of_a_letter_keeps_the_first_and_the_newest_entries(harness: Harness) -> None:
    die(harness, [*numbered(0, MAX_ENTRIES - 1), {"at": THEN + 150, "what": "rejected", "n": 150}])
    before = letter(harness)
    assert len(before.history) == MAX_ENTRIES
    replayer = Replayer(harness.engine, harness.redis, KeyHasher(b"x"), 5, who="ada")
    states = ReplayPolicy(states=frozenset({"open", "discarded"}))
    written = list(before.history)

    def check(*whats: str) -> None:
        """Compare the history with one that was never cut."""
        found = letter(harness).history
        written.extend(found[-len(whats) :])
        assert [each["what"] for each in found[-len(whats) :]] == [*whats]
        assert list(found[:FIRST]) == written[:FIRST]
        assert list(found[-NEWEST:]) == written[-NEWEST:]
        gone = written[FIRST:-NEWEST]
        died = [each["died_at"] for each in gone if "died_at" in each]
        assert found[FIRST] == {
            "what": "left_out",
            "entries": len(gone),
            "at": gone[-1]["at"],
            **({"died_at": min(died)} if died else {}),
        }
        assert len(found) == MAX_ENTRIES

    for _ in range(NEWEST // 2):
        (outcome,) = replayer.replay([JOB.id], states)
        assert len(outcome.replays) == 1
        check("replayed")
        die(harness, [{"at": THEN + 900, "what": "rejected"}])
        check("rejected")
    (discarded,) = replayer.discard([JOB.id])
    assert discarded == {JOB.id}
    check("discarded")
    (outcome,) = replayer.replay([JOB.id], states)
    check("replayed")
    die(harness, numbered(500, 504))
    check(*["failed"] * 4)
    with harness.engine.begin() as connection:
        assert dead_letters.discard_old(connection, timedelta(seconds=-1)) == 1
    check("discarded")
    with harness.engine.begin() as connection:
        dead_letters.mark_delivered(connection, [JOB.id])
    check("delivered")
    # Which later deletion counts depends on when it died first; that was a replay ago.
    assert letter(harness).first_died_at == before.died_at


def test_a_job_that_failed_a_thousand_times_is_a_letter_of_bounded_size(harness: Harness) -> None:
    die(harness, numbered(0, 1000))
    history = letter(harness).history
    assert [each.get("n") for each in history] == [*range(FIRST), None, *range(1000 - NEWEST, 1000)]
    assert history[FIRST] == {
        "what": "left_out", "entries": 1000 - FIRST - NEWEST, "at": THEN + 1000 - NEWEST - 1,
    }  # fmt: skip
    die(harness, numbered(1000, 2000))
    (left_out,) = (each for each in letter(harness).history if each["what"] == "left_out")
    assert left_out["entries"] == 2000 - FIRST - NEWEST
    assert len(msgspec.json.encode(letter(harness).history)) < 10_000
