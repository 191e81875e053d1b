"""What every store has of a person, at one moment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay.worker.storage import erasure, identity_links, named_rows

from . import queue_search
from .outbox_erasure import outbox_rows
from .person_keys import PersonKeys

#: Documents of the person in Postgres that are read for other names.
MAX_DOCUMENTS = 1_000
#: Mentions are found by reading every document, which may take minutes.
MENTIONS_TIMEOUT = "SET LOCAL statement_timeout = '10min'"


@dataclass(slots=True)
class Census:
    """How much of the person is where. None: the store was not asked.

    The names of the fields are those of the stores in a receipt.
    """

    #: Rows of the outbox.
    outbox: int | None = None
    #: Refused calls that no worker has made dead letters of yet.
    refused_calls: int | None = None
    #: Jobs in the streams, and those of them that a worker has read.
    streams: int | None = None
    in_hand: int | None = None
    #: Jobs in the backlog.
    backlog: int | None = None
    #: Dead letters with any content.
    dead_letters: int | None = None
    #: Rows of the ledger, and those of them that name the person.
    ledger: int | None = None
    ledger_named: int | None = None
    #: Rows that remember what was sent, or what became of it.
    verification: int | None = None
    #: Rows that say which names belong together.
    identities: int | None = None
    #: Breakers that remember a key of theirs.
    breakers: int | None = None
    #: Rows about events and attributes with a name of theirs in it.
    names: int | None = None
    #: Jobs of others with the person's name in their document, by the store, and some of their ids.
    mentions: dict[str, int] = field(default_factory=dict)
    mentioning_jobs: list[str] = field(default_factory=list)
    #: Keys that the person's jobs name beside the person's own, as stored, and in how many jobs.
    linked: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """What names the person."""
        counts = (
            self.outbox,
            self.refused_calls,
            self.streams,
            self.backlog,
            self.dead_letters,
            self.ledger_named,
            self.verification,
            self.identities,
            self.breakers,
            self.names,
        )
        return sum(count or 0 for count in counts)

    def document(self) -> dict[str, Any]:
        """Return the census as it is recorded."""
        return asdict(self)

    def filled_from(self, earlier: dict[str, Any]) -> Census:
        """Return an earlier census of the same request; what it could not ask is as found now."""
        own = asdict(self)
        known = {
            name: value for name, value in earlier.items() if name in own and value is not None
        }
        return Census(**(own | known))


def count_queue(
    client: redis.Redis, shards: int, person: PersonKeys, census: Census, until: str = "+"
) -> None:
    """Look into Redis, up to the entry id ``until``."""
    found = queue_search.search_streams(client, shards, person, until)
    census.refused_calls = len(queue_search.search_refused(client, person, until))
    census.breakers = len(queue_search.search_breakers(client, person))
    census.streams, census.in_hand = found.jobs, found.pending
    census.mentions["streams"] = found.mentions
    census.mentioning_jobs += found.examples
    _add(census.linked, found.other_names)


def count_outbox(url: str, person: PersonKeys, census: Census) -> None:
    """Look into the outbox."""
    census.outbox = len(outbox_rows(url, person))


def count_tables(connection: sa.Connection, person: PersonKeys, census: Census) -> None:
    """Look into the tables of trackrelay."""
    forms, exempt = person.forms, sorted(person.exempt)
    waiting = erasure.waiting_jobs(connection, forms, exempt)
    census.backlog = len(waiting)
    census.dead_letters = erasure.count_letters(connection, forms, person.stored_tokens, exempt)
    census.ledger, census.ledger_named = erasure.count_ledger(connection, forms)
    census.verification = erasure.count_verification(connection, forms)
    census.names = named_rows.count_named(connection, person.values)
    census.identities = identity_links.count_of(connection, list(person.hidden.values()))


def find_links_and_mentions(connection: sa.Connection, person: PersonKeys, census: Census) -> None:
    """Find other names of the person, and jobs of others that name the person.

    Reads every document.
    """
    forms, exempt = person.forms, sorted(person.exempt)
    _add(census.linked, erasure.linked_keys(connection, forms))
    waiting = erasure.waiting_jobs(connection, forms, exempt)[:MAX_DOCUMENTS]
    bodies = [job.body for job in erasure.load_waiting(connection, waiting)]
    bodies += erasure.letter_bodies(connection, forms, MAX_DOCUMENTS)
    for body in bodies:
        _add(census.linked, dict.fromkeys(person.other_names(body), 1))
    if person.pattern:
        connection.execute(sa.text(MENTIONS_TIMEOUT))
        for place, (jobs, ids) in erasure.mentions(connection, forms, person.pattern).items():
            census.mentions[place] = jobs
            census.mentioning_jobs += ids


def _add(to: dict[str, int], found: dict[str, int]) -> None:
    for name, jobs in found.items():
        to[name] = to.get(name, 0) + jobs
