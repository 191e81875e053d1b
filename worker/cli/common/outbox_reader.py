"""What waits in an application's outbox, for commands that look and change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.configuration.server_urls import place
from trackrelay.errors import TrackRelayError
from trackrelay.outbox.outbox_database import make_engine
from trackrelay.outbox.table import table
from trackrelay.queue.redis_keys import relay_lease

from .command_errors import explain_outbox

#: Seconds after which a command says that the outbox's database does not answer.
TIMEOUT_S = 5.0
#: A relay takes rows on within a second, and another one takes its place within five: what waits for longer has no relay.
UNRELAYED_S = 10.0
NO_RELAY = "no relay runs: start a worker with TRACKRELAY_OUTBOX_URL, or `trackrelay relay` beside the application"
#: Rows read in one go.
CHUNK = 1_000

_c = table.c
_UNRELAYED = _c.generation.is_(None)


class OutboxProblem(TrackRelayError):
    """The outbox cannot be looked at; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs that are still to be relayed."""

    jobs: int = 0
    #: When the first of them was written, in unix seconds.
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """One of them."""

    entry: bytes
    lane: str
    #: When it was written, in unix seconds.
    at: float
    #: It was relayed before, into a queue that is gone.
    was_relayed: bool


class Outbox:
    """The table in the database that ``url`` names; connects at first use.

    Raises:
        OutboxProblem: from every method that asks the database something.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def place(self) -> str:
        """Where it is, without what is secret."""
        return place(self._url)

    @property
    def lease(self) -> str:
        """The key in Redis that stands while a relay works on this outbox."""
        from trackrelay.worker.relay.sql_outbox_rows import outbox_name

        return relay_lease(outbox_name(self._engine.url))

    def waiting(self, generation: str | None) -> Waiting:
        """How much is still to be relayed.

        Args:
            generation: of the queue; what went into another one counts too, and the whole table is read. None: what no queue
                ever had, which costs no more than an index of just these rows.
        """
        first = (
            sa.select(_c.accepted_ms).where(_UNRELAYED).order_by(_c.id).limit(1).scalar_subquery()
        )
        oldest = first if generation is None else sa.func.min(_c.accepted_ms)
        asked = sa.select(sa.func.count(), oldest).select_from(table)
        with self._connected() as connection:
            jobs, oldest_ms = tuple(connection.execute(_only_waiting(asked, generation)).one())
        return Waiting(jobs, None if oldest_ms is None else oldest_ms / 1000)

    def rows(
        self, generation: str | None, job_ids: Sequence[str], most: int | None
    ) -> Iterator[WaitingRow]:
        """The rows that :meth:`waiting` counts, in their order.

        Args:
            job_ids: of these jobs only; empty: of any.
            most: so many at the most; None: all.
        """
        asked = (
            sa.select(_c.entry, _c.lane, _c.accepted_ms, _c.generation).order_by(_c.id).limit(most)
        )
        if job_ids:
            asked = asked.where(_c.job_id.in_(job_ids))
        with self._connected() as connection:
            streamed = connection.execution_options(yield_per=CHUNK)
            for row in streamed.execute(_only_waiting(asked, generation)):
                yield WaitingRow(
                    row.entry.encode(), row.lane, row.accepted_ms / 1000, row.generation is not None
                )

    def check_file(self) -> None:
        """Fail if it is a file that is not there: SQLite would make one."""
        file = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and file and not Path(file).exists():
            raise OutboxProblem(
                f"the outbox's database {self.place} is not there: is TRACKRELAY_OUTBOX_URL right?"
            )

    def close(self) -> None:
        """Close the connection."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    @cached_property
    def _engine(self) -> sa.Engine:
        return make_engine(self._url, timeout_s=TIMEOUT_S, pool_size=1)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        self.check_file()
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise OutboxProblem(explain_outbox(error, self._url)) from error


def _only_waiting(asked: sa.Select[Any], generation: str | None) -> sa.Select[Any]:
    return asked.where(
        _UNRELAYED if generation is None else sa.or_(_UNRELAYED, _c.generation != generation)
    )
