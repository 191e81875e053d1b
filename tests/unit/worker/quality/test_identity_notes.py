"""Names in jobs become links of keyed hashes, within bounds."""

from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from trackrelay.worker.quality.catalog_observer import JobData, Observation, Subject
from trackrelay.worker.quality.identity_notes import (
    MAX_LINKS,
    IdentityNotes,
    form_of,
    links_of,
)
from trackrelay.worker.storage.identity_links import ALL_NAMES, MAX_PEOPLE, Link, is_kept
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.stored_job import Job

HASHER = KeyHasher(b"secret")
HIDDEN = HASHER.hidden


def job(operation: str, *keys: str, source: str = "shop", **document: Any) -> Job:
    return Job(
        id="0" * 26,
        operation=operation,
        keys=tuple(map(HASHER.stored, keys)),
        shards=(0,) * len(keys),
        body=msgspec.json.encode(document),
        lane="live",
        enqueued_at=0,
        age_from=0,
        source=source,
    )


def notes_of(each: Job) -> list[tuple[str, str, str]]:
    data = msgspec.json.decode(each.body, type=JobData)
    return [(link.how, link.name, link.person) for link in links_of(each, data, HIDDEN)]


def hashed(how: str, name: str, person: str = "") -> tuple[str, str, str]:
    return how, HIDDEN(name), HIDDEN(person) if person else ""


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (
            job(
                "person.identify", "id:42", attributes={"email": "Ada@Example.com", "phone": "+49"}
            ),
            [
                hashed("claimed", "email:ada@example.com", "id:42"),
                hashed("claimed", "phone:+49", "id:42"),
            ],
        ),
        (
            job("person.identify", "id:42", "anonymous:v1", attributes={"anonymous_id": "v1"}),
            [hashed("claimed", "anonymous:v1", "id:42")],
        ),
        (
            job("person.identify", "email:ada@example.com", attributes={"id": 42}),
            [
                hashed("claimed", "email:ada@example.com", "id:42"),
                hashed("addressed", "email:ada@example.com"),
            ],
        ),
        (
            job("person.event", "email:ada@example.com", name="bought"),
            [hashed("addressed", "email:ada@example.com")],
        ),
        (
            job("anonymous.event", "anonymous:v1", name="viewed"),
            [hashed("addressed", "anonymous:v1")],
        ),
        (
            job("person.merge", "id:42", "email:ada@example.com"),
            [hashed("merged", "email:ada@example.com", "id:42")],
        ),
        (job("person.delete", "id:42"), [hashed("removed", "id:42")]),
        (
            job("person.add_device", "id:42", device={"token": "t1", "platform": "ios"}),
            [hashed("claimed", "device:t1", "id:42")],
        ),
        (job("person.event", "id:42", name="bought", attributes={"email": "x@y.z"}), []),
        (job("person.identify", "id:42", attributes={"email": None, "phone": True}), []),
        (job("person.add_device", "id:42", device=["t1"]), []),
        (job("person.identify", "id:42", attributes=["a"]), []),
    ],
    ids=lambda each: each.operation if isinstance(each, Job) else "",
)
def test_a_job_says_which_names_belong_together(each: Job, expected: list[Any]) -> None:
    assert notes_of(each) == expected


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("id:42", "a number"),
        ("id:6f9619ff-8b86-d011-b42d-00c04fc964ff", "a UUID"),
        ("id:01HZY3V9Q4KX7T8R2M5N6P0ABC", "a ULID"),
        ("id:507f1f77bcf86cd799439011", "hex digits"),
        ("id:cus_42", "a prefix and more"),
        ("id:ada", "text"),
        ("id:ada@example.com", "an address or a number"),
        ("id:+4917012345", "an address or a number"),
        ("id:Guest", "the placeholder guest"),
        ("id:0", "the placeholder 0"),
    ],
)
def test_an_id_has_a_form(key: str, form: str) -> None:
    assert form_of(HASHER.stored(key).partition(":")[2]) == form


class Store:
    """Keeps links; ``limit`` says how many of all names are kept."""

    def __init__(self) -> None:
        self.written: list[tuple[Link, str]] = []
        self.limit = ALL_NAMES
        self.is_away = False

    def __call__(self, links: Any) -> int:
        if self.is_away:
            raise OperationalError("", {}, Exception("away"))
        self.written += links
        return self.limit


@pytest.fixture
def store() -> Store:
    return Store()


def note(notes: IdentityNotes, *jobs: Job) -> None:
    for each in jobs:
        data = msgspec.json.decode(each.body, type=JobData)
        notes.note(Subject(each.source or "", each.operation, ""), each, data, 0)


def write(notes: IdentityNotes) -> list[Observation]:
    observations = list(notes.observations())
    notes.take()()
    return observations


def identified(id: int, email: str) -> Job:
    return job("person.identify", f"id:{id}", attributes={"email": email})


def test_a_link_is_written_once_an_hour(store: Store) -> None:
    times = [0.0]
    notes = IdentityNotes(HIDDEN, store, clock=lambda: times[0])
    for _ in range(3):
        note(notes, identified(1, "ada@example.com"))
        write(notes)
    assert len(store.written) == 1
    times[0] = 3_601.0
    note(notes, identified(2, "bob@example.com"))
    write(notes)
    note(notes, identified(1, "ada@example.com"))
    write(notes)
    assert len(store.written) == 3


def test_what_could_not_be_written_is_written_later(store: Store) -> None:
    notes = IdentityNotes(HIDDEN, store)
    store.is_away = True
    note(notes, identified(1, "ada@example.com"))
    write(notes)
    store.is_away = False
    write(notes)
    assert [link.how for link, _ in store.written] == ["claimed"]


def test_a_sender_of_invented_names_does_not_fill_memory(store: Store) -> None:
    notes = IdentityNotes(HIDDEN, store)
    note(notes, *(identified(n, f"p{n}@example.com") for n in range(MAX_LINKS + 100)))
    write(notes)
    assert len(store.written) == MAX_LINKS


def test_a_name_of_everybody_is_linked_with_a_few(store: Store) -> None:
    notes = IdentityNotes(HIDDEN, store)
    note(notes, *(identified(n, "all@example.com") for n in range(100)))
    write(notes)
    assert len(store.written) == MAX_PEOPLE


def test_a_full_table_takes_a_share_of_the_names_and_all_about_these(store: Store) -> None:
    store.limit = ALL_NAMES // 2
    notes = IdentityNotes(HIDDEN, store)
    note(notes, identified(0, "first@example.com"))
    write(notes)
    store.written.clear()
    note(notes, *(identified(n, f"p{n // 2}@example.com") for n in range(200)))
    write(notes)
    names = [link.name for link, _ in store.written]
    assert 50 < len(names) < 150
    assert all(is_kept(name, store.limit) and names.count(name) == 2 for name in names)


def test_the_ways_of_naming_people_are_counted(store: Store) -> None:
    notes = IdentityNotes(HIDDEN, store)
    note(notes, job("person.event", "id:42"), job("person.event", "email:ada@example.com"))
    note(notes, job("object.identify", "object:1:acme"))
    assert {each.type: each.jobs for each in write(notes)} == {"by id a number": 1, "by email": 1}
