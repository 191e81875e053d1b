"""What takes long to read is read once for everybody who looks."""

import threading
from typing import Any

import pytest
from redis import RedisError

from tests.support.waiting import wait_until
from trackrelay.worker.console.facts import FRESH_S, GLANCE_S, MAX_FRESH_S, USABLE_S, Facts


class Reader:
    def __init__(self) -> None:
        self.now, self.reads = 0.0, 0
        self.may_read = threading.Event()
        self.may_read.set()
        self.takes = 0.0
        self.facts = Facts(self.read, clock=lambda: self.now)

    def read(self) -> Any:
        assert self.may_read.wait(20)
        self.reads += 1
        self.now += self.takes
        return self.reads


def test_fresh_facts_are_read_once() -> None:
    reader = Reader()
    assert [reader.facts.current() for _ in range(5)] == [1] * 5
    assert (reader.reads, reader.facts.glance()) == (1, 1)


def test_older_facts_are_shown_while_one_thread_reads_newer_ones() -> None:
    reader = Reader()
    reader.facts.current()
    reader.now = FRESH_S + 1
    reader.may_read.clear()
    assert [reader.facts.current() for _ in range(5)] == [1] * 5
    reader.may_read.set()
    wait_until(lambda: reader.facts.glance() == 2)
    assert reader.reads == 2


def test_facts_that_are_too_old_are_not_shown() -> None:
    reader = Reader()
    reader.facts.current()
    reader.now = USABLE_S + 1
    assert reader.facts.current() == 2


def test_a_store_that_hung_once_makes_no_facts_old() -> None:
    reader = Reader()
    reader.takes = 60.0
    reader.facts.current()
    reader.takes = 0.0
    reader.now += 2 * MAX_FRESH_S + 1
    assert reader.facts.current() == 2


def test_a_glance_never_waits_and_a_later_one_has_what_was_read_meanwhile() -> None:
    reader = Reader()
    reader.may_read.clear()
    assert [reader.facts.glance() for _ in range(5)] == [None] * 5
    reader.may_read.set()
    wait_until(lambda: reader.facts.glance() == 1)
    # Older than what a page shows, and good enough beside a name.
    reader.now = USABLE_S + 1
    assert reader.facts.glance() == 1
    wait_until(lambda: reader.facts.glance() == 2)
    reader.now += GLANCE_S + 1
    assert reader.facts.glance() is None
    wait_until(lambda: reader.facts.glance() == 3)
    assert reader.reads == 3


def test_after_an_act_the_facts_are_read_again() -> None:
    reader = Reader()
    reader.facts.current()
    assert reader.facts.renew() == 2
    assert reader.facts.current() == 2


def test_what_takes_long_is_shown_older_and_what_is_quick_is_read_anew() -> None:
    reader = Reader()
    reader.facts = Facts(reader.read, lambda: reader.now, usable_s=600.0, patience_s=0.3)
    reader.takes = 0.2
    reader.facts.current()
    reader.now += FRESH_S + 1
    assert reader.facts.current() == 2
    reader.takes = 0.5
    reader.now += FRESH_S + 1
    assert reader.facts.current() == 3
    reader.now += 500
    assert reader.facts.current() == 3
    wait_until(lambda: reader.facts.glance() == 4)
    reader.now += 601
    assert reader.facts.current() == 5


def test_a_failure_that_nobody_waits_for_leaves_the_older_facts() -> None:
    reader = Reader()
    reader.facts.current()
    failures = [0]

    def fail() -> Any:
        failures[0] += 1
        raise RedisError

    reader.facts.read = fail
    reader.now = FRESH_S + 1
    assert reader.facts.current() == 1
    wait_until(lambda: failures[0] == 1)
    reader.now = USABLE_S + 1
    with pytest.raises(RedisError):
        reader.facts.current()
