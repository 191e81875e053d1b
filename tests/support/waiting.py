"""Waiting for a condition, with a deadline, instead of sleeping for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.02


def wait_until(condition: Callable[[], T], timeout: float = 10.0, what: str | Callable[[], str] = "") -> T:
    """Calls `condition` until it returns something true, and returns that.

    An assertion error inside it counts as "not yet". Fails with `what` was waited for and the last answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            answer, reason = condition(), ""
        except AssertionError as error:
            answer, reason = None, f": {error}"
        if answer:
            return answer
        if time.monotonic() > deadline:
            named = what() if callable(what) else what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"waited {timeout:g} s for {named}; last answer {answer!r}{reason}")
        time.sleep(POLL_S)
