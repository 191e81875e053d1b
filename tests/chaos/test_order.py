"""The judge of order: what it lets pass, and what not."""

import pytest

from tests.chaos.order import Step, follow


def steps(words: str) -> list[Step]:
    """`a b D c`: capitals are barriers."""
    return [Step(word, word.isupper()) for word in words.split()]


@pytest.mark.parametrize(
    ("expected", "arrivals"),
    [
        ("a b c", "a b c"),
        # A worker died before it settled: its request comes again, whole and in order.
        ("a b c", "a b a b c"),
        ("a b c", "a b c a b c"),
        ("a b c d", "a b c b c d"),
        # A barrier, too, may come again as long as nothing came after it.
        ("a D b", "a D D b"),
        # Two deletes look the same.
        ("a D b D c", "a D b D c"),
        ("a D D b", "a D D b"),
        # Marks that are not of this key are ignored.
        ("a b", "x a y b"),
        ("", "a"),
    ],
)
def test_arrivals_in_the_order_of_the_calls_pass(expected: str, arrivals: str) -> None:
    walk = follow(steps(expected), arrivals.split())

    assert walk.faults == []
    assert walk.missing == []


@pytest.mark.parametrize(
    ("expected", "arrivals", "what"),
    [
        ("a b", "b a", "b arrived before a"),
        ("a b c", "a c b", "c arrived before b"),
        ("a b c", "a b a c b", "c arrived before b"),
        # The old value would be the last one.
        ("a b c", "a b c b", "b arrived last"),
        # The person was gone, and is brought back.
        ("a D", "a D a D", "a arrived again after D"),
        ("a D b", "a D b D b", "D arrived again after D"),
        ("a D b", "a D b a D b", "a arrived again after D"),
    ],
)
def test_a_job_that_overtakes_or_comes_back_too_late_is_a_fault(
    expected: str, arrivals: str, what: str
) -> None:
    walk = follow(steps(expected), arrivals.split())

    assert what in "; ".join(walk.faults)


def test_a_job_that_never_arrives_is_missing() -> None:
    walk = follow(steps("a b c"), ["a", "b"])

    assert walk.missing == ["c"]


def test_one_of_two_deletes_that_look_the_same_is_missed() -> None:
    walk = follow(steps("a D b D"), ["a", "D", "b"])

    assert walk.missing == ["D"]
