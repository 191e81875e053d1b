"""Waiting for a condition, with a deadline, instead of sleeping for luck."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.02
#: How many times as long as on an idle machine a test waits before it fails. A deadline only ends a
#: test that would hang: no test may pass, or fail, because the machine does other things too.
PATIENCE = float(os.environ.get("TEST_PATIENCE", "10"))
#: The longest deadline that patience makes, so that a broken test ends before pytest gives it up.
LONGEST_S = 300.0


def patient(seconds: float) -> float:
    """Return the deadline for what takes at most `seconds` on an idle machine."""
    return max(seconds, min(seconds * PATIENCE, LONGEST_S))


def wait_until(
    condition: Callable[[], T], timeout: float = 10.0, what: str | Callable[[], str] = ""
) -> T:
    """Calls `condition` until it returns something true, and returns that.

    An assertion error inside it counts as "not yet". The failure has `what` was waited for and the
    last answer.

    Args:
        timeout: what is enough on an idle machine; a busy one gets `patient(timeout)`.
    """
    timeout = patient(timeout)
    deadline = time.monotonic() + timeout
    while True:
        try:
            answer, reason = condition(), ""
        except AssertionError as error:
            answer, reason = None, f": {error}"
        if answer:
            return answer
        if time.monotonic() > deadline:
            named = (
                what()
                if callable(what)
                else what or getattr(condition, "__name__", "the condition")
            )
            raise AssertionError(
                f"waited {timeout:g} s for {named}; last answer {answer!r}{reason}"
            )
        time.sleep(POLL_S)
