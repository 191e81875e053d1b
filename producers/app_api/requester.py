"""Sends the requests of the App API: within the budget, with retries, until it is cancelled."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests

from trackrelay.transport.answers import Answer, NoAnswer
from trackrelay.transport.http_transport import Call, HttpTransport

from .answer_check import document_of, result_of, retry_after_s
from .app_api_errors import AppApiError, AppApiUnavailableError
from .app_api_settings import Settings
from .read_requests import Read
from .request_budget import LIMIT, FleetBudget, LocalBudget, budget_key, jitter

#: Tries of one request.
MAX_TRIES = 6
#: The longest pause between two tries. The first is up to a sixteenth of it, and each may be
#: twice the last.
MAX_PAUSE_S = 8.0
#: How long the budget is left alone after a 429 that says no time of its own.
LIMITED_PAUSE_S = 1.0
#: How long one request may wait for its share of the budget.
MAX_BUDGET_WAIT_S = 60.0
#: A hundred profiles in one answer have room in it.
MAX_ANSWER_BYTES = 32_000_000

T = TypeVar("T")
_here = threading.local()
#: All clients of a process that have the same key share one; a forked child makes its own.
_local_budgets: dict[tuple[int, str], LocalBudget] = {}


class CancelledReadError(AppApiError):
    """The caller no longer waits for the answer."""


class Cancellation:
    """Ends reads of another thread: what waits wakes up, and a request under way is cut."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._call: Call | None = None

    def cancel(self) -> None:
        """End the reads."""
        with self._lock:
            self._event.set()
            call = self._call
        if call is not None:
            call.cut()

    def sleep(self, wait_s: float) -> None:
        """Wait, and raise an error if the reads were cancelled."""
        if self._event.wait(wait_s):
            raise CancelledReadError("the read was cancelled")

    @contextmanager
    def during(self, call: Call) -> Iterator[None]:
        """Let :meth:`cancel` cut a request inside the block."""
        with self._lock:
            self._call = call
        try:
            self.sleep(0)
            yield
        finally:
            with self._lock:
                self._call = None

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let :meth:`cancel` end the reads of this thread inside the block."""
        _here.cancellation = self
        try:
            yield
        finally:
            _here.cancellation = None


class _Process:
    """What one process has: a forked child must not use its parent's connections and locks."""

    def __init__(self, settings: Settings) -> None:
        self.pid = os.getpid()
        self.transport = HttpTransport(settings.timeout_s, MAX_ANSWER_BYTES)
        key = budget_key(settings.app_api_key)
        local = _local_budgets.setdefault((self.pid, key), LocalBudget())
        self.budget: FleetBudget | LocalBudget = local
        if settings.redis_url:
            self.budget = FleetBudget(settings.redis_url, key, local)

    def close(self) -> None:
        self.transport.close()
        if isinstance(self.budget, FleetBudget):
            self.budget.close()


class Requester:
    """Sends requests to one App API with one key. Thread-safe, and usable in a forked child.

    Args:
        settings: address and key.
        reserve: how many of the ten requests a second are left to others.
        retry_for_s: how long one read may go on trying; 0: one try.
    """

    def __init__(self, settings: Settings, reserve: int, retry_for_s: float) -> None:
        self.base_url = settings.base_url
        self._settings = settings
        self._most = LIMIT - reserve
        self._retry_for_s = retry_for_s
        self._process = _Process(settings)

    def read(self, read: Read[T]) -> T:
        """Send a request, and return its result.

        Raises:
            AppApiError: there is none.
        """
        cancellation: Cancellation = getattr(_here, "cancellation", None) or Cancellation()
        process = self._current()
        give_up = time.monotonic() + self._retry_for_s
        target = read.target
        for tried in range(1, MAX_TRIES + 1):
            self._wait(process, cancellation)
            answer = self._send(process, read, target, cancellation)
            try:
                result: T = result_of(document_of(answer, read, self.base_url), read)
            except AppApiUnavailableError as error:
                wait_s = _pause_s(tried)
                asked_s = retry_after_s(answer)
                if error.status == 429:
                    process.budget.pause(LIMITED_PAUSE_S if asked_s is None else asked_s)
                elif asked_s is not None:
                    wait_s += asked_s
                if tried == MAX_TRIES or time.monotonic() + wait_s > give_up:
                    if tried > 1:
                        raise AppApiUnavailableError(
                            f"{error} ({tried} tries)", status=error.status
                        ) from None
                    raise
                cancellation.sleep(wait_s)
            else:
                return result
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections. A later read opens new ones."""
        self._current().close()

    def _current(self) -> _Process:
        process = self._process
        if process.pid != os.getpid():
            process = self._process = _Process(self._settings)
        return process

    def _wait(self, process: _Process, cancellation: Cancellation) -> None:
        give_up = time.monotonic() + MAX_BUDGET_WAIT_S
        while (wait_s := process.budget.take(self._most)) > 0:
            if time.monotonic() + wait_s > give_up:
                raise AppApiUnavailableError(
                    f"other readers used up the {LIMIT} requests a second for "
                    f"{MAX_BUDGET_WAIT_S:g} s"
                )
            cancellation.sleep(jitter(wait_s))

    def _send(
        self, process: _Process, read: Read[Any], target: str, cancellation: Cancellation
    ) -> Answer | NoAnswer:
        request = requests.Request(
            read.method,
            self.base_url + target,
            data=read.body,
            headers={"Content-Type": "application/json"} if read.body is not None else None,
            auth=self._authorize,
        )
        call = process.transport.call()
        with cancellation.during(call):
            answer = process.transport.send(request, call)
        if not isinstance(answer, Answer):
            cancellation.sleep(0)
        return answer

    def _authorize(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        # As `auth`, because a .netrc file would otherwise replace the header.
        prepared.headers["Authorization"] = f"Bearer {self._settings.app_api_key}"
        return prepared


def _pause_s(tried: int) -> float:
    longest: float = min(MAX_PAUSE_S, MAX_PAUSE_S / 16 * 2 ** (tried - 1))
    return random.random() * longest
