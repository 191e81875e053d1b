"""What was asked for, in the forms in which streams and tables have it."""

from __future__ import annotations

from dataclasses import dataclass

import click

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.ids import companion_id, is_ulid
from trackrelay.operations.keys import key_of
from trackrelay.operations.payloads import person_identifiers
from trackrelay.operations.refs import Person
from trackrelay.worker.cli.common.key_argument import key_given
from trackrelay.worker.storage.key_hasher import KeyHasher, is_hashed
from trackrelay.worker.storage.queries.job_search import Wanted

_PERSON_KINDS = {
    "id": "id",
    "email": "email",
    "phone": "phone",
    "cio_id": "cio_id",
    "anonymous": "anonymous_id",
    "anonymous_id": "anonymous_id",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A job's id, an idempotency key, or a key; exactly one."""

    #: As the user would say it.
    words: str
    id: str | None = None
    idempotency_key: str | None = None
    #: In the clear, e.g. ``email:ada@example.com``, or as stored.
    key: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The job's id, and that of the identify that may have travelled with it."""
        return (self.id, companion_id(self.id)) if self.id else ()

    @property
    def is_hashed(self) -> bool:
        """Whether the key is known only as it is stored."""
        return self.key is not None and is_hashed(self.key)

    def stored(self, hasher: KeyHasher) -> Wanted:
        """What to look for in Postgres."""
        keys = (
            () if self.key is None else (self.key if self.is_hashed else hasher.stored(self.key),)
        )
        return Wanted(ids=self.ids, keys=keys, idempotency_key=self.idempotency_key)


def asked(
    job_id: str | None, idempotency_key: str | None, person: str | None, key: str | None
) -> Asked:
    """What was asked for.

    Raises:
        click.UsageError: nothing, several things, or something that cannot be meant.
    """
    given = [value for value in (job_id, idempotency_key, person, key) if value is not None]
    if len(given) != 1:
        raise click.UsageError(
            "say what to find: a job's id, or one of --idempotency-key, --person and --key"
        )
    if job_id is not None:
        return _job(job_id.strip().upper())
    if idempotency_key is not None:
        return Asked(f"idempotency key {idempotency_key}", idempotency_key=idempotency_key)
    if person is not None:
        found = _person_key(person)
        return Asked(found, key=found)
    assert key is not None
    key = key_given(key)
    return Asked(key, key=key)


def _job(job_id: str) -> Asked:
    if not is_ulid(job_id):
        raise click.UsageError(
            f"{job_id!r} is no job's id (26 letters and digits); a person's jobs are found with --person, a call's with "
            "--idempotency-key"
        )
    return Asked(job_id, id=job_id)


def _person_key(person: str) -> str:
    kind, separator, value = person.partition(":")
    try:
        if separator and kind in _PERSON_KINDS:
            named = Person(**{_PERSON_KINDS[kind]: value})
            return key_of(named.kind, named.value)
        ((plain, value),) = person_identifiers(person).items()
        return key_of(plain, value)
    except InvalidOperationError as error:
        raise click.UsageError(
            f"--person: {error}. On the command line: id:…, email:…, phone:…, anonymous:…"
        ) from None
