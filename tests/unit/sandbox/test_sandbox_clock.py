"""Durations as tests and requests write them, and times as messages show them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from trackrelay.sandbox.sandbox_clock import Clock, parse_span, span_text


@pytest.mark.parametrize(
    ("span", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5_400), ("30d", 2_592_000), (7, 7), ("7", 7)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(span: str | float, seconds: float) -> None:
    assert parse_span(span) == seconds
    assert parse_span(timedelta(seconds=seconds)) == seconds


@pytest.mark.parametrize(
    "span", ["soon", "", "1h30m", -1, "9" * 400, 10**400, float("nan"), True, None, [1]]
)
def test_what_is_no_duration_is_refused(span: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|must be between 0 and ten years"):
        parse_span(span)


def test_a_clock_goes_on_from_where_it_was_advanced_to() -> None:
    clock = Clock()
    before = clock.now()
    clock.advance("1h")
    clock.advance(timedelta(days=1))
    assert clock.now() >= before + 90_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00:00"), (3_725.4, "01:02:05"), (180_000, "2d 02:00:00"), (-600, "-00:10:00")],
)
def test_times_are_shown_since_the_start(seconds: float, text: str) -> None:
    assert span_text(seconds) == text
