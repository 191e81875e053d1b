"""Which reports of producers can be judged."""

import math

import pytest

from trackrelay.worker.maintenance.failover_losses import Report, due, parse


@pytest.mark.parametrize(
    ("raw", "latest", "ids", "is_second"),
    [
        (b"1700000000000:a,b", 1_700_000_000_000, ("a", "b"), False),
        (b"0:a", 0, ("a",), False),
        (b"7:again,a,b", 7, ("a", "b"), True),
        (b"5:", 5, (), False),
        (b"somebody else's", 0, (), False),
        (b"\xff:a", 0, (), False),
        (b"", 0, (), False),
    ],
)
def test_a_report_is_read_and_anything_else_names_no_job(
    raw: bytes, latest: int, ids: tuple[str, ...], is_second: bool
) -> None:
    assert parse(raw) == Report(raw, latest, ids, is_second)


def test_a_report_waits_until_what_was_in_the_streams_is_settled() -> None:
    reports = [parse(b"10:a"), parse(b"20:b")]
    assert list(due(reports, 10)) == []
    assert list(due(reports, 11)) == reports[:1]
    assert list(due(reports, math.inf)) == reports
