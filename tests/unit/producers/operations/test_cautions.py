"""What is written about live events that happened long ago, or not yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from trackrelay import Producer, aio, operations
from trackrelay.default import overridden
from trackrelay.operations import cautions

NOW = 1_800_000_000


@pytest.fixture(autouse=True)
def _at_a_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(time, "time", lambda: NOW)
    cautions.forget()
    yield
    cautions.forget()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "trackrelay"]


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (NOW - 73 * 3_600, "event 'bought' happened more than 72 hours ago"),
        (NOW + 3_600, "event 'bought' has a timestamp in the future"),
    ],
)
def test_a_live_event_out_of_time_is_written_about_once_for_each_name(
    timestamp: int, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    producer = Producer(backend="memory")
    for who in ("42", "43"):
        producer.track(who, "bought", {"total": 5}, timestamp=timestamp)
    (line,) = warnings(caplog)
    assert expected in line
    assert str(timestamp) not in line
    producer.page("42", "/prices", timestamp=timestamp)
    assert len(warnings(caplog)) == 2


def test_coroutines_write_about_it_too(caplog: pytest.LogCaptureFixture) -> None:
    with overridden(backend="memory"):
        asyncio.run(aio.track("42", "bought", timestamp=NOW - 73 * 3_600))
    assert len(warnings(caplog)) == 1


def test_nothing_is_written_about_events_in_time_other_operations_and_the_bulk_lane(
    caplog: pytest.LogCaptureFixture,
) -> None:
    producer = Producer(backend="memory")
    old = NOW - 90 * 86_400
    producer.track("42", "bought", timestamp=NOW - 71 * 3_600)
    producer.track("42", "bought", timestamp=NOW + 60)
    producer.track("42", "bought")
    producer.identify("42", {"plan": "pro"}, timestamp=old)
    producer.report_metric("delivery", "opened", timestamp=old)
    producer.enqueue_many([operations.track("42", "bought", timestamp=old)])
    producer.enqueue(operations.track("42", "bought", timestamp=old), lane="bulk")
    assert warnings(caplog) == []
