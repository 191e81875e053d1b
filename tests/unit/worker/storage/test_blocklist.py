"""Which jobs are dropped, and what is left of their names."""

from typing import Any, cast

import sqlalchemy as sa

from trackrelay.worker.storage.blocklist import BlockedKeys, BlockGuard, Blocklist
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.stored_job import Job

HASHER = KeyHasher(b"a secret of the tests")
NO_CONNECTION = cast(sa.Connection, None)


def job(id: str, *keys: str) -> Job:
    return Job(
        id=id, operation="person.event", keys=keys, shards=(0,) * len(keys), body=b"{}",
        lane="live", enqueued_at=1.0, age_from=1.0, idempotency_key="call 42", entry="1-0",
    )  # fmt: skip


def blocked(*keys: str, exempt: frozenset[str] = frozenset()) -> BlockedKeys:
    return BlockedKeys(7, frozenset(map(HASHER.hidden, keys)), exempt)


class Rows:
    """A connection on which rows are loaded."""

    def __init__(self, *rows: tuple[str, str | None]) -> None:
        self.rows = [type("Row", (), {"key": key, "job_id": job})() for key, job in rows]
        self.asked = 0

    def execute(self, statement: Any) -> Any:
        self.asked += 1
        return self

    def all(self) -> list[Any]:
        return self.rows


def test_while_nobody_is_blocked_the_jobs_are_passed_on_as_they_are() -> None:
    jobs = [job("a", "id:42")]
    assert Blocklist(HASHER).split(BlockedKeys(), jobs) == (jobs, [])
    assert BlockGuard(Blocklist(HASHER)).split(jobs)[0] is jobs


def test_jobs_of_blocked_keys_are_dropped_and_name_nobody() -> None:
    jobs = [job("a", "id:42"), job("b", "id:420"), job("c", "id:43", "id:42")]

    passed, dropped = Blocklist(HASHER).split(blocked("id:42"), jobs)

    hidden = HASHER.hidden("id:42")
    assert passed == [jobs[1]]
    assert [each.keys for each in dropped] == [(hidden,), ("id:43", hidden)]
    assert {each.idempotency_key for each in dropped} == {None}


def test_a_job_that_tells_customerio_passes_without_the_name() -> None:
    (passed,), dropped = Blocklist(HASHER).split(
        blocked("id:42", exempt=frozenset({"a"})), [job("a", "id:42")]
    )
    assert passed.keys == (HASHER.hidden("id:42"),)
    assert dropped == []


def test_the_keys_are_loaded_once_for_each_version() -> None:
    blocklist, rows = Blocklist(HASHER), Rows((HASHER.hidden("id:42"), "a"))
    connection = cast(sa.Connection, rows)

    assert blocklist.at(NO_CONNECTION, 0) == BlockedKeys()
    first = blocklist.at(connection, 7)
    assert blocklist.at(NO_CONNECTION, 7) is first
    assert first.exempt == {"a"}
    blocklist.at(connection, 3)  # a failover lost the latest commits
    assert rows.asked == 2


def test_a_guard_compares_with_what_it_learnt_and_keeps_it_when_it_is_not_asked() -> None:
    guard = BlockGuard(Blocklist(HASHER))
    guard.learn(cast(sa.Connection, Rows((HASHER.hidden("id:42"), None))), 7)
    guard.learn(NO_CONNECTION, None)

    passed, dropped = guard.split([job("a", "id:42"), job("b", "id:1")])

    assert [each.id for each in passed] == ["b"]
    assert [each.id for each in dropped] == ["a"]
