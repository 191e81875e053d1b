"""A worker in this process that verifies what it delivers to the sandbox."""

from __future__ import annotations

from typing import Any

from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from tests.support.waiting import wait_until
from trackrelay.app_api import AppApi
from trackrelay.worker.quality.verification_run import (
    RUN_KEY,
    Run,
    make_api,
    run_verification,
)
from trackrelay.worker.storage import verdicts
from trackrelay.worker.storage.verdicts import Verdict


class _NoBudget:
    """Lets every request through at once."""

    def take(self, most: int) -> float:
        return 0.0

    def pause(self, seconds: float) -> None:
        return

    def close(self) -> None:
        return


def unlimited(api: AppApi) -> AppApi:
    """A client without a limit of requests, for a sandbox without one."""
    api._requester._process.budget = _NoBudget()  # type: ignore[assignment]
    return api


class Verifying:
    """Delivers to the sandbox, and verifies when the test asks."""

    def __init__(self, harness: Harness, settings: dict[str, str]) -> None:
        self.harness = harness
        self.settings = {
            **harness.settings,
            "TRACKRELAY_MERGE_DELAY": "0s",
            "TRACKRELAY_VERIFY": "all",
            "TRACKRELAY_VERIFY_AFTER": "0s",
            "TRACKRELAY_VERIFY_RATE": "10",
            **settings,
        }
        self.worker = Worker(self.settings)
        self.sandbox = harness.sandbox
        self.producer = harness.producer
        # The limit of the App API has its own test.
        self.sandbox.settings(app_rate_limit=None)
        self.api: AppApi = unlimited(make_api(self.worker.resources.settings))

    def deliver(self, *jobs: Any) -> None:
        """Deliver what was enqueued."""
        wanted = {job for each in jobs for job in (each if isinstance(each, list) else [each])}
        self.worker.work_off(lambda: wanted <= self.harness.ledger_ids())

    def run(self) -> Run:
        """Let the fleet verify once, without a rest."""
        self.harness.redis.delete(RUN_KEY)
        result = run_verification(self.worker.resources, self.api)
        assert result is not None
        return result

    def verify(self, timeout: float = 60.0) -> None:
        """Verify until every item has a verdict."""

        def done() -> bool:
            run = self.run()
            assert not run.problem, run.problem
            return not self.harness.rows("SELECT 1 FROM trackrelay_sent WHERE due_at IS NOT NULL")

        wait_until(done, timeout, "every item to have a verdict")

    def read_complaints(self) -> None:
        """Make every type of complaint due, and read it."""
        with self.harness.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM trackrelay_state WHERE name = 'complaints'")
        for _ in range(10):
            self.run()

    def open(self) -> list[Verdict]:
        """The open verdicts, the latest first."""
        with self.harness.engine.connect() as connection:
            return verdicts.select(connection)

    def found(self) -> set[tuple[str, str, str]]:
        """Kind, key and item of each open verdict, an event without its id."""
        return {
            (each.verdict, each.key, ":".join(each.item.split(":")[:2])) for each in self.open()
        }

    def close(self) -> None:
        """Close every connection."""
        self.api.close()
        self.worker.close()
