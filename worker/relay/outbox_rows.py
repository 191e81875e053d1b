"""An outbox as the relay uses it, in any database and through any connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trackrelay.queue.redis_keys import Lane


@dataclass(frozen=True, slots=True)
class Row:
    """A job that is to be relayed."""

    id: int
    job_id: str
    lane: Lane
    #: How ``entry`` is to be read.
    format: int
    #: The stream entry, as JSON.
    entry: str
    #: Unix milliseconds by the database's clock at which the row was written.
    accepted_ms: int
    #: The generation of the queue into which it was relayed before, if it was.
    generation: str | None


@dataclass(frozen=True, slots=True)
class Relayed:
    """A job that was relayed, and is kept until it has arrived."""

    id: int
    job_id: str
    lane: Lane
    generation: str
    #: Where its entries lie: ``shard:entry id``, separated by spaces.
    place: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written into a row that was relayed."""

    id: int
    #: What stood there when it was read: a relay that was paused meanwhile overwrites nothing newer.
    was: str | None
    generation: str
    #: The number of the append that carried it.
    turn: int
    place: str


class Rows(Protocol):
    """The table ``trackrelay_outbox`` of one database. Every method is a transaction of its own, committed when it returns.

    Two relays may run at once. Rows are appended in order all the same: a relay that sees the later
    row also sees the earlier one, and takes it first.
    """

    @property
    def name(self) -> str:
        """Names this outbox among others: relays of the same name take turns."""

    def unrelayed(self, most: int) -> list[Row]:
        """The first rows, by id, that have no generation. One statement: one view of what is committed."""

    def not_relayed_in(self, generation: str, most: int) -> list[Row]:
        """The first rows, by id, that have another generation or none. One statement."""

    def mark(self, marks: Sequence[Mark]) -> None:
        """Write down where rows were relayed to, unless something else stands there than ``was``."""

    def relayed(self, after: int, most: int) -> list[Relayed]:
        """The first rows, by id, that have a generation and an id above ``after``."""

    def last_turn(self, generation: str) -> int:
        """The highest number of an append among the rows of ``generation``; 0: there is none."""

    def delete(self, ids: Sequence[int]) -> None:
        """Delete rows: their jobs have arrived."""

    def unmark(self, ids: Sequence[int]) -> None:
        """Take the generation from rows: their entries were lost."""
