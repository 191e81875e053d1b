"""Note which names belong to one person, and how people are named. Never a name in the clear.

A name is an email, a phone number, Customer.io's id, an anonymous id or a device. Names and ids
are kept as keyed hashes. What was written down a moment ago is not written again.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.operations.checks.name_checks import compared_email
from trackrelay.operations.keys import key_of
from trackrelay.worker.storage.identity_links import ALL_NAMES, MAX_PEOPLE, How, Link, is_kept
from trackrelay.worker.storage.key_hasher import is_hashed
from trackrelay.worker.storage.stored_job import Job

from .catalog_observer import MAX_NAME as MAX_SOURCE
from .catalog_observer import JobData, Observation, Subject

log = structlog.get_logger("trackrelay.quality")

#: Links in memory that wait to be written. More are left out.
MAX_LINKS = 5_000
#: Links that this process remembers to have written, and for how long.
MAX_KNOWN, KNOWN_S = 50_000, 3_600.0
#: Bytes of a name. Longer ones are none.
MAX_NAME = 300

#: The type of a row of the catalog that counts how people are named begins with this.
_PREFIX = "by "
#: Names that stand for nobody, and that calls do not refuse: any of them may be somebody's id.
PLACEHOLDERS = frozenset(
    [
        "0",
        "-1",
        "anonymous",
        "guest",
        "unknown",
        "00000000-0000-0000-0000-000000000000",
        "user_id",
        "true",
        "false",
    ]
)
_NUMBER = "a number"
_FORMS = (
    ("a UUID", re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)),
    ("a ULID", re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")),
    ("hex digits", re.compile(r"[0-9a-f]{16,}", re.IGNORECASE)),
    ("a prefix and more", re.compile(r"[A-Za-z]{2,}[_|:-].+")),
)
_PLACEHOLDER = "the placeholder "
_ADDRESS = "an address or a number"

Hidden = Callable[[str], str]
Store = Callable[[Sequence[tuple[Link, str]]], int]


def form_of(id: str) -> str:
    """Return what an id looks like, such as ``a number`` or ``a UUID``.

    Args:
        id: as it is stored: an email address or a phone number is a hash.
    """
    lowered = id.lower()
    if lowered in PLACEHOLDERS:
        return f"{_PLACEHOLDER}{lowered}"
    if id.isdecimal():
        return _NUMBER
    if is_hashed(f"id:{id}"):
        return _ADDRESS
    return next((name for name, form in _FORMS if form.fullmatch(id)), "text")


def naming_type(kind: str, value: str) -> str:
    """Return the type of the catalog's row that counts jobs for people who are named like this."""
    return f"{_PREFIX}id {form_of(value)}" if kind == "id" else f"{_PREFIX}{kind}"


def is_naming(of_type: str) -> bool:
    """Return whether a row of the catalog counts how people are named."""
    return of_type.startswith(_PREFIX)


def id_form(of_type: str) -> str | None:
    """Return the form of the ids that a row counts; None if it counts people without an id."""
    prefix = f"{_PREFIX}id "
    return of_type.removeprefix(prefix) if of_type.startswith(prefix) else None


def placeholder_in(form: str) -> str | None:
    """Return the placeholder that a form of ids is, or None."""
    return form.removeprefix(_PLACEHOLDER) if form.startswith(_PLACEHOLDER) else None


def is_address(form: str) -> bool:
    """Return whether ids of this form are email addresses or phone numbers."""
    return form == _ADDRESS


def links_of(job: Job, data: JobData, hidden: Hidden) -> Iterator[Link]:
    """Yield what a job says about names.

    Args:
        job: the job; emails, phones and anonymous ids in its keys are hashes already.
        data: its document.
        hidden: turns a key into its keyed hash.
    """
    source, action = _source(job), job.operation.partition(".")[2]
    if job.operation == "person.identify":
        yield from _identified(job, data, hidden)
    elif action == "merge" and job.second_key:
        yield Link(hidden(job.second_key), How.MERGED, hidden(job.first_key), source)
    elif job.operation in ("person.delete", "person.suppress"):
        yield Link(hidden(job.first_key), How.REMOVED, "", source)
    elif job.operation == "person.add_device" and (token := _token(data.device)):
        yield Link(hidden(f"device:{token}"), How.CLAIMED, hidden(job.first_key), source)
    has_no_id = job.first_key.startswith(("email:", "phone:", "anonymous:"))
    if has_no_id and action not in ("merge", "delete", "suppress"):
        yield Link(hidden(job.first_key), How.ADDRESSED, "", source)


def _identified(job: Job, data: JobData, hidden: Hidden) -> Iterator[Link]:
    attributes: Any = data.attributes if isinstance(data.attributes, dict) else {}
    kind, source = job.first_key.partition(":")[0], _source(job)
    names = [] if kind == "id" else [hidden(job.first_key)]
    person = hidden(job.first_key)
    if kind != "id" and (id := _text(attributes.get("id"))):
        person = hidden(f"id:{id}")
    elif kind != "id":
        names = []
    for name in ("email", "phone", "cio_id", "anonymous_id"):
        if text := _text(attributes.get(name)):
            text = compared_email(text) if name == "email" else text
            names.append(hidden(key_of(name, text)))
    for each in names:
        if each != person:
            yield Link(each, How.CLAIMED, person, source)


def _token(device: Any) -> str:
    return _text(device.get("token")) if isinstance(device, dict) else ""


def _source(job: Job) -> str:
    return (job.source or "")[:MAX_SOURCE]


def _text(value: Any) -> str:
    """Return a name as text; empty for what is no name."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)
    return text if 0 < len(text) <= MAX_NAME and text.isprintable() else ""


class IdentityNotes:
    """What one process has noted. The observer calls it, one thread at a time.

    Args:
        hidden: turns a key into its keyed hash.
        store: writes links down; returns how many of all names are kept.
        clock: a clock that only goes forward, in seconds.
    """

    def __init__(
        self, hidden: Hidden, store: Store, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hidden = hidden
        self._store = store
        self._clock = clock
        self._limit = ALL_NAMES
        #: By link: the latest job that says it.
        self._links: dict[Link, str] = {}
        self._unwritten: dict[Link, str] = {}
        self._people: Counter[tuple[str, str]] = Counter()
        self._named: Counter[tuple[Subject, str]] = Counter()
        #: Hashes of links that were written.
        self._known: set[int] = set()
        self._known_since = clock()

    def note(self, subject: Subject, job: Job, data: JobData, now: float) -> None:
        """Note what a job says.

        Args:
            subject: what the catalog counts it under.
            job: a job that is looked at.
            data: its document.
            now: unix seconds.
        """
        kind, _, value = job.first_key.partition(":")
        if subject.operation.startswith("person."):
            self._named[subject, naming_type(kind, value)] += 1
        if kind == "id" and subject.name:
            # An event of a known person says nothing about names.
            return
        for link in links_of(job, data, self._hidden):
            if hash(link) in self._known or not is_kept(link.name, self._limit):
                continue
            if link not in self._links:
                self._people[link.name, link.how] += 1
                crowded = self._people[link.name, link.how] > MAX_PEOPLE
                if crowded or len(self._links) >= MAX_LINKS:
                    continue
            self._links[link] = job.id

    def skipped(self) -> None:
        """Learn that some jobs are not looked at: a link is noted when it is seen."""

    def observations(self) -> Iterator[Observation]:
        """Yield what is to be counted in the catalog, and forget it."""
        for (subject, of_type), jobs in self._named.items():
            yield Observation(subject, "", of_type, jobs)
        self._named.clear()

    def take(self) -> Callable[[], None]:
        """Return what writes down the links; they are forgotten here."""
        links = self._unwritten | self._links
        self._links, self._unwritten = {}, {}
        self._people.clear()
        return lambda: self._write(links)

    def _write(self, links: dict[Link, str]) -> None:
        if not links:
            return
        try:
            self._limit = self._store(list(links.items()))
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            log.warning("identities_not_written", error=type(cause).__name__)
            self._unwritten = dict(list(links.items())[:MAX_LINKS])
            return
        if len(self._known) > MAX_KNOWN or self._clock() > self._known_since + KNOWN_S:
            self._known, self._known_since = set(), self._clock()
        self._known.update(map(hash, links))
