"""What ``find`` looks for, and the jobs that were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.ids import companion_id, is_ulid
from trackrelay.operations.keys import key_of
from trackrelay.operations.payloads import person_identifiers
from trackrelay.operations.refs import Person
from trackrelay.worker.cli.common.command_options import PERSON_KINDS, parse_key, stored_forms
from trackrelay.worker.storage.key_hasher import KeyHasher, is_hashed
from trackrelay.worker.storage.queries.job_search import Match, SearchQuery

#: Places, the one that tells most about where a job is now first.
_PLACES = ("stream", "backlog", "dead_letters", "ledger", "outbox")


@dataclass(frozen=True, slots=True)
class Query:
    """A job's id, an idempotency key, or a key: exactly one of them."""

    #: What the query looks for, as the user would write it.
    text: str
    id: str | None = None
    idempotency_key: str | None = None
    #: In the clear, such as ``email:ada@example.com``, or as stored.
    key: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The job's id, and the id of the identify that may have been enqueued with it."""
        return (self.id, companion_id(self.id)) if self.id else ()

    @property
    def is_hashed(self) -> bool:
        """Whether only the stored form of the key is known."""
        return self.key is not None and is_hashed(self.key)

    def stored(self, hasher: KeyHasher) -> SearchQuery:
        """Return what to look for in Postgres."""
        # After `trackrelay forget`, also an id is stored as a hash.
        keys = () if self.key is None else stored_forms(self.key, hasher)
        return SearchQuery(ids=self.ids, keys=keys, idempotency_key=self.idempotency_key)


def parse_query(
    job_id: str | None, idempotency_key: str | None, person: str | None, key: str | None
) -> Query:
    """Return what the arguments of the command look for.

    Raises:
        click.UsageError: the arguments are none, several, or impossible.
    """
    given = [value for value in (job_id, idempotency_key, person, key) if value is not None]
    if len(given) != 1:
        raise click.UsageError(
            "name what to find: a job's id, or one of --idempotency-key, --person and --key"
        )
    if job_id is not None:
        return _job(job_id.strip().upper())
    if idempotency_key is not None:
        return Query(f"idempotency key {idempotency_key}", idempotency_key=idempotency_key)
    if person is not None:
        person_key = _person_key(person)
        return Query(person_key, key=person_key)
    assert key is not None
    key = parse_key(key)
    return Query(key, key=key)


def _job(job_id: str) -> Query:
    if not is_ulid(job_id):
        raise click.UsageError(
            f"{job_id!r} is not a job's id (26 letters and digits); "
            "--person finds a person's jobs, --idempotency-key the jobs of a call"
        )
    return Query(job_id, id=job_id)


def _person_key(person: str) -> str:
    kind, separator, value = person.partition(":")
    try:
        if separator and kind in PERSON_KINDS:
            named = Person(**{PERSON_KINDS[kind]: value})
            return key_of(named.kind, named.value)
        ((plain, value),) = person_identifiers(person).items()
        return key_of(plain, value)
    except InvalidOperationError as error:
        raise click.UsageError(
            f"--person: {error}. On the command line: id:…, email:…, phone:…, anonymous:…"
        ) from None


@dataclass(frozen=True, slots=True)
class FoundJob:
    """One job, with every place in which it was found."""

    matches: tuple[Match, ...]

    @property
    def first(self) -> Match:
        """The place that tells most about where the job is now."""
        return self.matches[0]

    @property
    def id(self) -> str:
        """The job's id."""
        return self.first.id

    @property
    def where(self) -> str:
        """Return where the job is, such as ``unrelayed``, ``queued`` or ``delivered``."""
        places = {match.place: match for match in self.matches}
        if "ledger" in places:
            return places["ledger"].outcome or "delivered"
        if "dead_letters" in places and "backlog" not in places:
            state = places["dead_letters"].state or "open"
            return "dead" if state == "open" else state
        if "backlog" in places:
            return "replaying" if "dead_letters" in places else "waiting"
        return "queued" if "stream" in places else "unrelayed"


def group_by_job(matches: Iterable[Match]) -> list[FoundJob]:
    """Return the jobs that ``matches`` belong to, the latest enqueued first."""
    jobs: dict[str, list[Match]] = {}
    for match in matches:
        jobs.setdefault(match.id, []).append(match)
    found = [
        FoundJob(tuple(sorted(each, key=lambda match: _PLACES.index(match.place))))
        for each in jobs.values()
    ]
    return sorted(found, key=lambda job: (job.first.enqueued_at, job.id), reverse=True)


def limited(jobs: Sequence[FoundJob], limit: int) -> list[FoundJob]:
    """Return the latest ``limit`` jobs, and those older ones that a key's jobs wait for."""
    blocking = [job for job in jobs[limit:] if any(match.is_first for match in job.matches)]
    return [*jobs[:limit], *blocking]
