"""``python -m benchmarks.plans``: query plans of the hot path, with a million rows in the ledger.

The worker's own functions run; each statement they make is explained on the way and then carried
out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
import sqlalchemy as sa

from trackrelay import operations
from trackrelay.operations.ids import new_id
from trackrelay.operations.keys import shard_of
from trackrelay.queue.redis_keys import LANES
from trackrelay.worker.reasons import DeferReason
from trackrelay.worker.storage import due_jobs, duplicate_check, settlement, shards
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.stored_job import Job

from .documents import between_markers
from .machine import heading
from .mixes import event_attributes
from .stack import Stack
from .stored_rows import fill_backlog, fill_ledger

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "query-plans.md"
SHARDS = 4
CYCLE_JOBS = 1000
#: An array parameter, which the report leaves out.
_ARRAY = re.compile(r"'\{[^']*\}'")


@dataclass(frozen=True)
class Plan:
    """A statement and its output of EXPLAIN (ANALYZE, BUFFERS)."""

    what: str
    statement: str
    lines: tuple[str, ...]


class Explainer:
    """Explains every statement while it listens."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.what = ""

    @contextmanager
    def listening(self, engine: sa.Engine) -> Iterator[None]:
        """Explain the statements of ``engine`` until the block ends."""
        sa.event.listen(engine, "before_cursor_execute", self._explain)
        yield
        sa.event.remove(engine, "before_cursor_execute", self._explain)

    def _explain(
        self,
        connection: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: bool,
    ) -> None:
        cursor.execute("SAVEPOINT explained")
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
        lines = tuple(_ARRAY.sub("'{…}'", row[0]) for row in cursor.fetchall())
        cursor.execute("ROLLBACK TO SAVEPOINT explained")
        self.plans.append(Plan(self.what, statement, lines))


@click.command()
@click.option("--ledger", default=1_000_000, help="Rows in the ledger.")
@click.option("--backlog", "waiting", default=100_000, help="Rows in the backlog.")
@click.option("--people", default=10_000, help="Whose jobs the backlog has.")
@click.option(
    "--write", is_flag=True, help=f"Write them into {PAGE.name} instead of printing them."
)
def main(ledger: int, waiting: int, people: int, write: bool) -> None:
    """Explain the statements of a cycle."""
    with Stack() as stack:
        stack.fresh(SHARDS)
        fill_ledger(stack.engine, ledger)
        data = msgspec.json.encode(event_attributes(1)).decode()
        fill_backlog(stack.engine, waiting, data, shards=SHARDS, people=people)
        explainer = Explainer()
        with explainer.listening(stack.engine):
            _cycles(stack.engine, explainer)
    intro = (
        f"{heading('python -m benchmarks.plans')}; {ledger:,} rows in the ledger, {waiting:,} in "
        "the backlog.\n"
    )
    text = intro + "".join(_section(plan) for plan in explainer.plans)
    if write:
        between_markers(PAGE, "plans", text)
    else:
        click.echo(text)


def _cycles(engine: sa.Engine, explainer: Explainer) -> None:
    fresh = _jobs()
    holder = settlement.Holder(0, 1)
    with engine.begin() as connection:
        explainer.what = "Taking a shard over"
        shards.take_over(connection, 0)
    with engine.begin() as connection:
        explainer.what = (
            f"Repeats among {CYCLE_JOBS:,} fresh jobs, keys that wait, whether anything is due"
        )
        ids, keys = [job.id for job in fresh], list({key for job in fresh for key in job.keys})
        duplicate_check.find_duplicates(connection, 0, "live", ids, keys)
    with engine.begin() as connection:
        explainer.what = f"Settling {CYCLE_JOBS:,} delivered jobs"
        settlement.settle(connection, holder, Settlement(delivered=fresh), 5.0)
    with engine.begin() as connection:
        explainer.what = f"The due backlog, {CYCLE_JOBS:,} jobs"
        jobs = due_jobs.select_due(connection, 0, "live", CYCLE_JOBS).jobs
    with engine.begin() as connection:
        explainer.what = f"Settling {len(jobs):,} jobs out of the backlog, delivered"
        settlement.settle(connection, holder, Settlement(delivered=jobs), 5.0)
    with engine.begin() as connection:
        explainer.what = f"Settling {CYCLE_JOBS:,} jobs that must wait"
        waiting = [BacklogItem(job=job, reason=DeferReason.BREAKER) for job in _jobs()]
        settlement.settle(connection, holder, Settlement(waiting=waiting), 5.0)
    with engine.begin() as connection:
        explainer.what = "Jobs out of the backlog that failed again"
        failed = [
            BacklogItem(job=job, reason=DeferReason.FAILED)
            for job in due_jobs.select_due(connection, 0, "live", CYCLE_JOBS).jobs
        ]
        settlement.settle(connection, holder, Settlement(waiting=failed), 5.0)
    with engine.begin() as connection:
        explainer.what = "The tick: shards with something due"
        due_jobs.first_due(
            connection, {(shard, lane): 0 for shard in range(SHARDS) for lane in LANES}
        )


def _jobs() -> list[Job]:
    now = time.time()
    return [
        Job(
            id=new_id(), operation="person.event", keys=(key,), shards=(0,), lane="live",
            entry="0-1", enqueued_at=now,
            age_from=now, body=operations.track(key.removeprefix("id:"), "order_completed",
                event_attributes(1)).body,
        )
        for key in _keys_of_shard(0)
    ]  # fmt: skip


def _keys_of_shard(shard: int) -> Iterator[str]:
    # People without jobs in the backlog, so that their jobs can be sent.
    found = (
        key
        for number in range(1_000_000, 2_000_000)
        if shard_of(key := f"id:{number}", SHARDS) == shard
    )
    for _ in range(CYCLE_JOBS):
        yield next(found)


def _section(plan: Plan) -> str:
    statement = re.sub(r"%\((\w+)\)s(::\w+)?", r":\1", plan.statement).strip()
    first = " ".join(statement.split())
    return (
        f"\n## {plan.what}: `{first[:60].replace('`', '')}…`\n\n```\n"
        + "\n".join(plan.lines)
        + "\n```\n"
    )


if __name__ == "__main__":
    main()
