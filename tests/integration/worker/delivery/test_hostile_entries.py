"""Any bytes in a stream become a job or a dead letter, and the jobs beside them are delivered."""

import re
from contextlib import suppress
from typing import Any

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from tests.support import hostile_entries
from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    OK,
    FakeApi,
    Worker,
    make_due,
    people_of,
    probe_now,
    refusal,
)
from tests.support.waiting import wait_until
from trackrelay import operations
from trackrelay.worker.delivery import cycle, entry_decoder, intake
from trackrelay.worker.storage import settlement
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import Answer, NoAnswer

SHARD = 0
NAMES = re.compile(rb'"name":"(healthy [^"]*)"')


class RawApi(FakeApi):
    """A stand-in that takes any bytes. Like the real one, it refuses what is no JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.healthy: list[str] = []
        self.is_away = False

    def send(self, request: Request, send_until: float = float("inf")) -> Answer | NoAnswer:
        if self.is_away:
            return BUSY
        try:
            msgspec.json.decode(request.body)
        except (ValueError, RecursionError) as error:
            return refusal(f"not JSON: {type(error).__name__}")
        self.healthy += [name.decode() for name in NAMES.findall(request.body)]
        return OK


@pytest.fixture
def api() -> RawApi:
    return RawApi()


def add(harness: Harness, lane: str, fields: hostile_entries.Fields) -> None:
    harness.redis.xadd(f"trackrelay:{SHARD}:{lane}", fields)  # type: ignore[arg-type]


def healthy(harness: Harness, name: str, lane: str) -> str:
    """A job of one person, whose order must hold."""
    person = people_of(SHARD, 1)[0]
    if lane == "live":
        return harness.producer.track(person, f"healthy {name}")
    job = operations.track(person, f"healthy {name}")
    harness.producer.enqueue_many([job])
    return job.id


@pytest.mark.parametrize("lane", ["live", "bulk"])
@pytest.mark.parametrize("outage", [False, True], ids=["", "through an outage"])
def test_no_entry_holds_up_the_jobs_beside_it(
    harness: Harness, api: RawApi, worker: Worker, lane: str, outage: bool
) -> None:
    cases = hostile_entries.all_cases()
    expected = []
    api.is_away = outage
    for number, fields in enumerate(cases.values()):
        add(harness, lane, fields)
        expected.append(healthy(harness, str(number), lane))
        # A few at a time: what is too large for one read would say nothing of what comes after it.
        if number % 25 == 24:
            worker.run_shard(SHARD)

    def is_settled() -> bool:
        worker.run_shard(SHARD)
        if outage and harness.stream_length() == 0:
            # Each family of endpoints finds out by itself that the outage is over.
            api.is_away = False
            probe_now(harness.redis)
            make_due(harness.engine)
        return harness.stream_length() == harness.backlog_size() == 0

    wait_until(
        is_settled,
        120,
        lambda: (
            f"streams ({harness.stream_length()}) and backlog ({harness.backlog_size()}) to be "
            "empty"
        ),
    )
    assert set(expected) <= harness.ledger_ids()
    assert api.healthy == [f"healthy {number}" for number in range(len(cases))]
    reasons = {
        row.reason for row in harness.rows("SELECT DISTINCT reason FROM trackrelay_dead_letters")
    }
    assert reasons == {"undecodable", "rejected"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("version of 5,000 nines", "undecodable"),
        ("body: null", "undecodable"),
        ("body: a list", "undecodable"),
        ("body: delivery.metric null", "undecodable"),
        ("body: 980 levels", "undecodable"),
        ("body: 3 MB", "undecodable"),
        ("body: anonymous.event 1e400", "rejected"),
        ("body: segment.add wrong types", "rejected"),
        ("body: form: 200 kB", "rejected"),
        ("job: key of 3 kB", "undecodable"),
        ("job: key of 1,900 letters of four bytes", "undecodable"),
        ("job: idempotency key of 20 kB", "undecodable"),
        ("job: three keys", "undecodable"),
        ("5,000 jobs", "undecodable"),
        ("body: empty, stamped", None),
        ("body: 199 levels", None),
        ("job: the same key twice", None),
        ("job: accepted in the year 9999", None),
        ("job: trace with escapes", None),
        ("count: 'inf'", None),
    ],
)
def test_a_hostile_entry_ends_at_once_with_its_reason(
    harness: Harness, api: RawApi, worker: Worker, name: str, reason: str | None
) -> None:
    fields = hostile_entries.all_cases()[name]
    add(harness, "live", fields)
    worker.run_shard(SHARD)
    assert harness.stream_length() == harness.backlog_size() == 0
    assert [row.reason for row in harness.rows("SELECT reason FROM trackrelay_dead_letters")] == (
        [reason] if reason else []
    )
    assert len(harness.ledger_ids()) == (0 if reason else 1)


@pytest.mark.parametrize("version", ["2", "99", "0002", "9999"])
def test_a_newer_format_halts_its_shard_and_a_longer_number_does_not(
    harness: Harness, api: RawApi, worker: Worker, version: str
) -> None:
    add(harness, "live", {"v": version, "j": "whatever it is"})
    worker.run_shard(SHARD)
    assert harness.stream_length() == 1
    harness.redis.delete(f"trackrelay:{SHARD}:live")
    add(harness, "live", {"v": "0" * 4 + version, "j": "whatever it is"})
    worker.run_shard(SHARD)
    assert harness.stream_length() == 0


def test_an_entry_whose_id_is_in_no_calendar_is_delivered(
    harness: Harness, api: RawApi, worker: Worker
) -> None:
    for lane in ("live", "bulk"):
        fields = hostile_entries.jobs(hostile_entries.job())
        harness.redis.xadd(f"trackrelay:{SHARD}:{lane}", fields, id="18446744073709551000-5")  # type: ignore[arg-type]
    worker.run_shard(SHARD)
    assert len(harness.ledger_ids()) == 2
    healthy(harness, "after", "bulk")
    worker.run_shard(SHARD)
    assert api.healthy == ["healthy after"]


def test_a_job_in_a_shard_that_none_of_its_keys_belongs_to_is_not_lost_in_an_outage(
    harness: Harness, api: RawApi, worker: Worker
) -> None:
    elsewhere = people_of(1, 2)
    one = hostile_entries.job(keys=[f"id:{elsewhere[0]}"])
    two = hostile_entries.job(keys=[f"id:{person}" for person in elsewhere])
    api.is_away = True
    add(harness, "live", hostile_entries.jobs(one, two))
    worker.run_shard(SHARD)
    assert (harness.stream_length(), harness.backlog_size()) == (0, 3)
    api.is_away = False

    def is_delivered() -> bool:
        probe_now(harness.redis)
        make_due(harness.engine)
        return harness.ledger_ids() == {one["id"], two["id"]}

    worker.work_off(is_delivered)
    assert harness.backlog_size() == 0


def test_what_an_entry_claims_to_hold_does_not_spoil_the_count(
    harness: Harness, api: RawApi, worker: Worker
) -> None:
    add(harness, "bulk", hostile_entries.jobs(hostile_entries.job()) | {"n": "999"})
    add(harness, "bulk", hostile_entries.jobs(hostile_entries.job()) | {"n": "999"})
    assert harness.stream_length() == 2
    worker.run_shard(SHARD)
    assert int(harness.redis.get(f"trackrelay:{SHARD}:bulk:more") or 0) == 0
    assert len(harness.ledger_ids()) == 2


# -- the last resort: entries that pass the checks, but that Postgres refuses


def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the decoder pass what it would refuse."""
    monkeypatch.setattr(entry_decoder, "check_storable", lambda data, wire: None)
    monkeypatch.setattr(entry_decoder, "_stored_key", lambda key, hasher: key)


UNSTORABLE: dict[str, dict[str, Any]] = {
    "NUL in the source": {"source": "\0"},
    "a key too large": {"keys": ["id:" + "".join(map(chr, range(0x20000, 0x20000 + 1_900)))]},
}


@pytest.mark.parametrize("outage", [False, True], ids=["", "in an outage"])
@pytest.mark.parametrize("name", UNSTORABLE)
def test_a_document_that_postgres_still_refuses_is_kept_as_bytes(
    harness: Harness,
    api: RawApi,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    outage: bool,
) -> None:
    unchecked(monkeypatch)
    api.is_away = outage
    bad = hostile_entries.job(**UNSTORABLE[name])
    before = [healthy(harness, f"before {number}", "live") for number in range(20)]
    add(harness, "live", hostile_entries.jobs(bad))
    after = [healthy(harness, f"after {number}", "live") for number in range(20)]
    worker.run_shard(SHARD)
    assert harness.stream_length() == 0
    if outage:
        letter = harness.dead(bad["id"])
        assert (letter.reason, letter.key, letter.body) == ("undecodable", "unknown", None)
        assert msgspec.json.decode(letter.raw)["id"] == bad["id"]
        assert harness.backlog_size() == 40
        return
    # It was delivered: that is what must be known, if nothing else.
    assert harness.ledger_ids() == {*before, bad["id"], *after}
    assert harness.delivered(bad["id"]).key == "unknown"


def test_what_postgres_does_not_even_look_up_ends_as_a_dead_letter(
    harness: Harness, api: RawApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    unchecked(monkeypatch)
    bad = hostile_entries.job(keys=["id:\0"])
    add(harness, "live", hostile_entries.jobs(bad))
    after = healthy(harness, "after", "live")
    for _ in range(intake.MAX_DELIVERIES + 2):
        with suppress(ValueError, sa.exc.DataError, psycopg.DataError):
            worker.run_shard(SHARD)
    assert harness.stream_length() == 0
    assert harness.ledger_ids() == {after}
    assert harness.dead(bad["id"]).reason == "undecodable"


def test_a_store_in_trouble_is_not_taken_for_data_that_it_refuses(
    harness: Harness, api: RawApi, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> bool:
        raise OSError("the disk is full")

    monkeypatch.setattr(cycle.settlement, "settle", fail)
    job = healthy(harness, "waits", "live")
    with pytest.raises(OSError, match="disk"):
        worker.run_shard(SHARD)
    monkeypatch.undo()
    assert settlement.settle is cycle.settlement.settle
    worker.run_shard(SHARD)
    assert harness.ledger_ids() == {job}
