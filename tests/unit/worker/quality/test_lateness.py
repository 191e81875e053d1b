"""How late events arrive."""

import pytest

from trackrelay.worker.quality.lateness import FUTURE, lateness_type, quantile_s, share_over


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3_600, FUTURE),
        (-30, "late 1"),
        (0, "late 1"),
        (1.5, "late 5"),
        (300, "late 300"),
        (301, "late 900"),
        (10**9, "late more"),
    ],
)
def test_a_delay_has_a_class(seconds: float, expected: str) -> None:
    assert lateness_type(seconds) == expected


def test_shares_and_quantiles_follow_from_the_classes() -> None:
    counts = {"late 1": 90, "late 900": 8, "late more": 2}
    assert share_over(counts, 300) == 0.1
    assert quantile_s(counts, 0.5) == 1
    assert quantile_s(counts, 0.95) == 900
    assert quantile_s(counts, 0.999) == float("inf")
    assert quantile_s({}, 0.5) is None
