"""Numbers, times and places as commands print them."""

import pytest

from trackrelay.configuration.server_urls import place
from trackrelay.worker.cli.common.humanize import ago, count, duration, listed, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.35, "350 ms"),
        (1.4, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (75, "1 min 15 s"),
        (725, "12 min"),
        (3_600, "1 h"),
        (12_000, "3 h 20 min"),
        (86_400, "1 d"),
        (1_051_200, "12 d 4 h"),
    ],
)
def test_a_duration_is_as_precise_as_it_helps(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_what_has_just_happened_has_no_number() -> None:
    assert (ago(0.4), ago(61)) == ("just now", "1 min 1 s ago")


def test_counts_agree_with_their_nouns() -> None:
    assert [count(number, "entry", "entries") for number in (0, 1, 1_240)] == [
        "0 entries",
        "1 entry",
        "1,240 entries",
    ]


def test_sizes_have_two_digits() -> None:
    assert [size(number) for number in (512, 1_300, 15_000_000, 3e9, 5e12)] == [
        "512 B",
        "1.3 KiB",
        "14 MiB",
        "2.8 GiB",
        "4.5 TiB",
    ]


def test_lists_end_with_their_conjunction() -> None:
    assert [listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@redis.example:6380/2", "redis.example:6380/2"),
        ("postgresql+psycopg://app:p%40ss@[::1]:5432/app?sslmode=require", "[::1]:5432/app"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        ("redis://host:port", "an unknown place"),
        ("", "an unknown place"),
    ],
)
def test_a_place_has_nothing_secret(url: str, shown: str) -> None:
    assert place(url) == shown
