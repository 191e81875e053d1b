"""Verification keeps to its budget and disturbs nobody, whatever the App API and the stores do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import Worker, make_due
from tests.support.silent_servers import dripping
from tests.support.verification_harness import Verifying
from tests.support.waiting import wait_until
from trackrelay.app_api.request_budget import WINDOW_S
from trackrelay.worker.maintenance.retention import PRUNE_KEY, prune_all
from trackrelay.worker.quality import verification_run
from trackrelay.worker.quality.verification_run import (
    OUTAGE_S,
    REFUSED_S,
    RUN_KEY,
    make_api,
    run_verification,
)
from trackrelay.worker.storage import verdicts


def problem(verifying: Verifying) -> str:
    rows = verifying.harness.rows("SELECT value FROM trackrelay_state WHERE name = 'verification'")
    return str(rows[0].value["problem"]) if rows else ""


def rest_s(verifying: Verifying) -> float:
    return float(verifying.harness.redis.pttl(RUN_KEY)) / 1000  # type: ignore[arg-type]


def test_one_process_verifies_at_a_time(verifying: Verifying) -> None:
    verifying.harness.redis.set(RUN_KEY, "somebody else", px=60_000)
    assert run_verification(verifying.worker.resources, verifying.api) is None
    assert verifying.harness.redis.get(RUN_KEY) == b"somebody else"


def test_with_verification_off_nothing_is_asked(make_verifying: Callable[..., Verifying]) -> None:
    off = make_verifying(TRACKRELAY_VERIFY="off")
    assert run_verification(off.worker.resources, off.api) is None
    assert not off.harness.redis.exists(RUN_KEY)


def test_a_refused_key_is_reported_and_stops_nothing(
    make_verifying: Callable[..., Verifying], run: CommandLine
) -> None:
    verifying = make_verifying(CUSTOMERIO_APP_API_KEY="wrong-key-1")
    verifying.deliver(verifying.producer.identify("1", {"a": 1}))
    assert "refuses CUSTOMERIO_APP_API_KEY (401)" in verifying.run().problem
    assert REFUSED_S - 5 < rest_s(verifying) <= REFUSED_S
    assert "refuses CUSTOMERIO_APP_API_KEY" in problem(verifying)
    assert "Deliveries are not verified for" in run("status").out
    verifying.deliver(verifying.producer.identify("1", {"a": 2}))
    assert verifying.open() == []


def test_a_missing_key_is_reported(make_verifying: Callable[..., Verifying]) -> None:
    verifying = make_verifying()
    worker = Worker({**verifying.settings, "CUSTOMERIO_APP_API_KEY": ""})
    result = run_verification(worker.resources)
    worker.close()
    assert result is not None
    assert result.problem.startswith("CUSTOMERIO_APP_API_KEY is not set")


def test_an_outage_of_the_app_api_gives_no_verdict_and_passes(verifying: Verifying) -> None:
    verifying.deliver(verifying.producer.identify("1", {"plan": "x"}))
    with verifying.sandbox.outage():
        for _ in range(6):
            assert verifying.run().problem
        assert OUTAGE_S - 5 < rest_s(verifying) <= OUTAGE_S
    assert verifying.open() == []
    with verifying.harness.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trackrelay_sent SET due_at = now()")
    verifying.verify()
    assert verifying.open() == []
    assert problem(verifying) == ""


def test_an_app_api_that_drips_is_cut(
    make_verifying: Callable[..., Verifying], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification_run, "RUN_S", 0.5)
    beginning = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with dripping(beginning, b" ") as port:
        verifying = make_verifying(CUSTOMERIO_APP_URL=f"http://127.0.0.1:{port}")
        verifying.deliver(verifying.producer.identify("1", {"a": 1}))
        result = verifying.run()
    assert "did not answer within 0.5 s" in result.problem or "cannot be reached" in result.problem
    assert verifying.open() == []


def test_a_run_is_followed_by_a_rest_that_keeps_the_rate(
    make_verifying: Callable[..., Verifying],
) -> None:
    verifying = make_verifying(TRACKRELAY_VERIFY_RATE="0.05")
    verifying.deliver(verifying.producer.identify("1", {"a": 1}))
    assert verifying.run().requests >= 1
    assert rest_s(verifying) > 15


def test_three_workers_ask_at_most_ten_times_a_second(
    make_verifying: Callable[..., Verifying],
) -> None:
    workers = [make_verifying(TRACKRELAY_VERIFY_RATE="10") for _ in range(3)]
    first = workers[0]
    jobs = [first.producer.identify(f"p{number}", {"a": 1}) for number in range(60)]
    first.deliver(*jobs)
    # Three that do not know of each other would ask thirty times. On a busy machine, requests that
    # are delayed arrive with those of the next second.
    first.sandbox.settings(app_rate_limit=20)
    over = threading.Event()

    def work(verifying: Verifying) -> None:
        api = make_api(verifying.worker.resources.settings)
        while not over.is_set():
            # As if no process kept the lease: the limit is the client's.
            verifying.harness.redis.delete(RUN_KEY)
            run_verification(verifying.worker.resources, api)
        api.close()

    threads = [threading.Thread(target=work, args=(each,)) for each in workers]
    for thread in threads:
        thread.start()
    time.sleep(6)
    over.set()
    for thread in threads:
        thread.join()
    asked = [each for each in first.sandbox.requests() if each["path"].startswith("/v1/")]
    assert [each for each in asked if each["status"] == 429] == []
    assert 20 < len(asked) < 11 * (6 + 6 + WINDOW_S)


def test_no_verdict_while_a_job_of_the_person_waits(verifying: Verifying) -> None:
    verifying.sandbox.lose("attribute", name="plan", times=1)
    verifying.deliver(verifying.producer.identify("1", {"plan": "x"}))
    verifying.worker.breaker.halt("credentials", "for the test")
    waiting = verifying.producer.identify("1", {"plan": "y"})
    for _ in range(3):
        # First unread in the stream, then in the backlog.
        for _ in range(6):
            verifying.run()
        assert verifying.open() == []
        verifying.worker.work(slice_s=0.2)
    assert verifying.harness.waiting(waiting)
    verifying.worker.breaker.resumed()
    make_due(verifying.harness.engine)
    verifying.deliver(waiting)
    verifying.verify()
    assert verifying.open() == []


@pytest.mark.parametrize("place", ["record", "count_verified", "resolve_verified"])
def test_a_verifier_that_is_killed_loses_no_verdict(
    verifying: Verifying, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    verifying.sandbox.lose("attribute", name="plan")
    verifying.deliver(verifying.producer.identify("1", {"plan": "x", "age": 7}))

    def killed(*_: Any, **__: Any) -> None:
        raise OSError("killed")

    with monkeypatch.context() as during:
        during.setattr(verdicts, place, killed)
        for _ in range(8):
            try:
                verifying.run()
            except OSError:
                continue
    assert not verifying.harness.rows("SELECT 1 FROM trackrelay_verdicts")
    verifying.verify()
    assert verifying.found() == {("missing", "id:1", "attribute:plan")}
    (row,) = verifying.harness.rows("SELECT value FROM trackrelay_state WHERE name = 'verified'")
    assert sum(row.value.values()) == 2


def test_a_subject_that_is_written_while_it_is_compared_is_compared_again(
    verifying: Verifying,
) -> None:
    verifying.sandbox.lose("attribute", name="plan", times=1)
    verifying.deliver(verifying.producer.identify("1", {"plan": "x"}))
    attributes = verifying.api.attributes

    def asked(person: Any) -> Any:
        found = attributes(person)
        verifying.api.attributes = attributes  # type: ignore[method-assign]
        verifying.deliver(verifying.producer.identify("1", {"plan": "y"}))
        return found

    verifying.api.attributes = asked  # type: ignore[method-assign]
    verifying.verify()
    assert verifying.open() == []


def test_what_is_older_than_the_window_is_forgotten(
    make_verifying: Callable[..., Verifying],
) -> None:
    verifying = make_verifying(TRACKRELAY_VERIFY_WINDOW="1h", TRACKRELAY_VERDICT_RETENTION="1d")
    verifying.sandbox.lose("attribute", name="a")
    verifying.deliver(
        verifying.producer.identify("1", {"a": 1}), verifying.producer.identify("2", {"b": 1})
    )
    verifying.verify()
    with verifying.harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_sent SET last_sent_at = now() - interval '2 h' WHERE key = 'id:1'"
        )
        connection.exec_driver_sql(
            "UPDATE trackrelay_verdicts SET checked_at = now() - interval '2 d'"
        )
    verifying.harness.redis.delete(PRUNE_KEY)
    pruned = prune_all(verifying.worker.resources)
    assert (pruned["sent"], pruned["verdicts"]) == (1, 1)
    assert [row.key for row in verifying.harness.rows("SELECT key FROM trackrelay_sent")] == [
        "id:2"
    ]


def test_a_running_worker_verifies_by_itself(
    harness: Harness, start_worker: Callable[..., Any]
) -> None:
    harness.sandbox.lose("attribute", name="phone")
    settings = {
        **harness.settings,
        "TRACKRELAY_VERIFY": "all",
        "TRACKRELAY_VERIFY_AFTER": "0s",
        "TRACKRELAY_VERIFY_RATE": "10",
    }
    start_worker(settings, pool="threads", concurrency=2)
    job = harness.producer.identify("1", {"phone": "+4915112345678"})

    def found() -> Any:
        return harness.rows("SELECT job_id, verdict FROM trackrelay_verdicts WHERE state = 'open'")

    ((job_id, verdict),) = [tuple(row) for row in wait_until(found, 60, "a verdict")]
    assert (job_id, verdict) == (job, "missing")
