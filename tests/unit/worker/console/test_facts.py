"""The facts of `status` are read once for everybody who looks."""

import threading
from typing import Any

from tests.support.waiting import wait_until
from trackrelay.worker.console.facts import FRESH_S, GLANCE_S, USABLE_S, Facts


class Reader:
    def __init__(self) -> None:
        self.now, self.reads = 0.0, 0
        self.may_read = threading.Event()
        self.may_read.set()
        self.facts = Facts(self.read, clock=lambda: self.now)

    def read(self) -> Any:
        assert self.may_read.wait(20)
        self.reads += 1
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
