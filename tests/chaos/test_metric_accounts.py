"""Each comparison finds a counter that is wrong: a made-up scrape beside made-up books."""

from typing import Any

import pytest

from tests.chaos.calls import Call
from tests.chaos.metric_accounts import Books, Scraped, books_of, compare
from tests.chaos.stores import Dead, Stores

#: Four jobs were accepted, one of them twice; three were delivered, and an entry was junk.
CALLS = [
    Call(
        id=id,
        operation="person.event",
        keys=("id:1",),
        mark=mark,
        told="accepted",
        began=0.0,
        ended=0.0,
        tries=tries,
    )
    for id, mark, tries in (
        ("A", "n:1", 1),
        ("B", "n:2:companion", 2),
        ("C", "n:2", 2),
        ("A", "n:1", 1),
    )
]
FOUND = Stores(
    outbox=frozenset(),
    stream=frozenset(),
    backlog={},
    dead={"J": Dead("J", "undecodable", "no", "open", 0.0)},
    ledger=dict.fromkeys("ABC", 0.0),
)


def effect(number: str, path: str = "/api/v2/batch") -> Any:
    return {
        "type": "person",
        "action": "event",
        "path": path,
        "keys": ["id:1"],
        "attributes": {"n": number},
    }


def request(status: int | None, fault: str | None = None, path: str = "/api/v2/batch") -> Any:
    return {"path": path, "status": status, "fault": fault}


#: The first arrived twice. One request was not answered, and one about credentials is of no family.
ARRIVALS = [effect("1"), effect("1"), effect("2"), effect("2:companion")]
REQUESTS = [
    *(request(200), request(200), request(200, "body (fault 1)"), request(429), request(None)),
    *(request(503) for _ in range(40)),
    request(200, path="/api/v1/accounts/region"),
]


def books(**changes: Any) -> Books:
    how: dict[str, Any] = {"workers": 4, "failed_attempts": 2}
    return books_of(CALLS, FOUND, ARRIVALS, REQUESTS, **(how | changes))


#: What agrees with these books.
RIGHT = {
    'jobs_delivered_total family="v2"': 3,
    'delivery_latency_seconds_count family="v2"': 3,
    'jobs_died_total reason="undecodable"': 1,
    'jobs_died_total reason="expired"': 0,
    'dead_letters reason="undecodable"': 1,
    'jobs_dropped_total reason="repeat"': 1,
    'jobs_dropped_total reason="redelivered"': 5,
    'jobs_dropped_total reason="blocked"': 0,
    "lost_jobs ": 0,
    'calls_failed_total result="refused"': 0,
    'calls_failed_total result="unavailable"': 0,
    "queue_jobs ": 0,
    'workers state="running"': 4,
    "stream_entries_total ": 4,
    'jobs_deferred_total reason="failed"': 7,
    'jobs_deferred_total reason="breaker"': 3,
    'requests_total family="v2",status="2xx"': 2,
    'requests_total family="v2",status="429"': 1,
    'requests_total family="v2",status="5xx"': 38,
    'requests_total family="v2",status="none"': 1,
    'request_duration_seconds_count family="v2"': 42,
}


def scraped(changes: dict[str, float] | None = None, **more: Any) -> Scraped:
    values = {}
    for series, value in (RIGHT | (changes or {})).items():
        name, _, labels = series.partition(" ")
        pairs = (label.split("=") for label in labels.split(",") if label)
        values[name, frozenset((label, text.strip('"')) for label, text in pairs)] = value
    return Scraped(values, **({"resets": {"requests_total": 0}, "scrapes": 60} | more))


def problems(found: Scraped, expected: Books | None = None) -> list[str]:
    return [
        line.problem("metrics") for line in compare(found, expected or books()) if not line.agrees
    ]


def test_metrics_that_are_right_agree_and_both_numbers_of_each_are_shown() -> None:
    assert problems(scraped()) == []
    shown = {line.metric: (line.found, line.expected) for line in compare(scraped(), books())}
    assert shown['trackrelay_jobs_delivered_total{family="v2"}'] == ("3", "3")
    assert shown["trackrelay_stream_entries_total"] == ("4", "4 … 5")
    assert shown['trackrelay_requests_total{status="2xx"}'] == ("2", "≥ 1")


@pytest.mark.parametrize(
    ("series", "value", "problem"),
    [
        ('jobs_delivered_total family="v2"', 2, 'jobs_delivered_total{family="v2"}'),
        ('jobs_delivered_total family="forms"', 1, 'jobs_delivered_total{family="forms"}'),
        (
            'delivery_latency_seconds_count family="v2"',
            4,
            'delivery_latency_seconds_count{family="v2"}',
        ),
        ('jobs_died_total reason="undecodable"', 2, 'jobs_died_total{reason="undecodable"}'),
        ('jobs_died_total reason="expired"', 1, 'jobs_died_total{reason="expired"}'),
        ('dead_letters reason="undecodable"', 0, 'dead_letters{reason="undecodable"}'),
        ('jobs_dropped_total reason="blocked"', 1, 'jobs_dropped_total{reason="blocked"}'),
        ("lost_jobs ", 1, "lost_jobs"),
        ('calls_failed_total result="refused"', 1, 'calls_failed_total{result="refused"}'),
        ("queue_jobs ", 1, "queue_jobs"),
        ('backlog_jobs reason="failed"', 1, "backlog_jobs"),
        ('workers state="running"', 3, 'workers{state="running"}'),
        ("stream_entries_total ", 3, "stream_entries_total"),
        ("stream_entries_total ", 6, "stream_entries_total"),
        ('jobs_dropped_total reason="repeat"', 4, 'jobs_dropped_total{reason="repeat"}'),
        ('jobs_deferred_total reason="breaker"', 5, 'jobs_deferred_total{reason!="failed"}'),
        ('jobs_deferred_total reason="failed"', 1, 'jobs_deferred_total{reason="failed"}'),
    ],
)
def test_a_counter_that_is_wrong_is_named_with_both_numbers(
    series: str, value: float, problem: str
) -> None:
    (found,) = problems(scraped({series: value}))
    assert found.startswith(f"trackrelay_{problem} of metrics is {value:g} in Prometheus, ")


def test_repeats_that_nobody_counted_are_missed() -> None:
    none = {f'jobs_dropped_total reason="{each}"': 0.0 for each in ("repeat", "redelivered")}
    assert problems(scraped(none)) == [
        "trackrelay_jobs_dropped_total of metrics is 0 in Prometheus, ≥ 1 by the journals"
    ]


@pytest.mark.parametrize(
    ("status", "value", "problems_are"),
    [
        # More than the sandbox answered.
        ("2xx", 4, ['{family="v2",status="2xx"}']),
        ("429", 2, ['{family="v2",status="429"}']),
        ("none", 6, [""]),
        # Two requests succeeded, and one job arrived again: one may be missing, not both.
        ("2xx", 1, []),
        ("2xx", 0, ['{status="2xx"}']),
        # A fifth of 42 failures may be missing, and 16.
        ("5xx", 15, []),
        ("5xx", 14, ['{status!="2xx"}']),
    ],
)
def test_requests_have_bounds_on_both_sides(
    status: str, value: int, problems_are: list[str]
) -> None:
    right = 42 - RIGHT[f'requests_total family="v2",status="{status}"'] + value
    changed = {
        f'requests_total family="v2",status="{status}"': value,
        'request_duration_seconds_count family="v2"': right,
    }
    found = problems(scraped(changed))
    assert [each.partition(" of ")[0] for each in found] == [
        f"trackrelay_requests_total{each}" for each in problems_are
    ]


def test_a_request_without_a_duration_a_fallen_counter_and_too_few_scrapes_are_problems() -> None:
    short = {'request_duration_seconds_count family="v2"': 41.0}
    assert "is 41 in Prometheus, 42 by the requests_total" in problems(scraped(short))[0]
    fallen = scraped(resets={"requests_total": 1})
    assert problems(fallen)[0].startswith("resets(trackrelay_requests_total) of metrics is 1")
    assert problems(scraped(scrapes=3)) == [
        "good scrapes of metrics is 3 in Prometheus, ≥ 10 by the interval"
    ]


def test_no_series_at_all_is_not_agreement() -> None:
    assert len(problems(Scraped({}, scrapes=60))) > 5


def test_a_job_of_the_ledger_that_is_in_no_journal_is_a_problem() -> None:
    stranger = books_of(CALLS[:2], FOUND, ARRIVALS, REQUESTS, workers=4)
    assert any('{family="unknown"}' in each for each in problems(scraped(), stranger))
