"""Workers note which names belong to one person, as keyed hashes, in a bounded table."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.command_line import CommandLine
from tests.support.forgotten_person import everything
from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from trackrelay import Person
from trackrelay.worker.resources import key_hash_secret
from trackrelay.worker.settings import load
from trackrelay.worker.storage import identity_links
from trackrelay.worker.storage.identity_links import ALL_NAMES, How, Link
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.queries import identity_query

EMAIL, PHONE, VISITOR, DEVICE = (
    "canary.identity.3321@example.com",
    "+15550177399",
    "canary-visitor-7712",
    "canary-device-token-8841",
)


def hasher_of(harness: Harness) -> KeyHasher:
    return KeyHasher(key_hash_secret(load(harness.settings), harness.engine))


def deliver(harness: Harness, worker: Worker, *jobs: str) -> None:
    worker.work_off(lambda: harness.ledger_ids() >= set(jobs))
    assert worker.resources.observer
    worker.resources.observer.flush()


def count(harness: Harness) -> int:
    return int(harness.rows("SELECT count(*) FROM trackrelay_identities")[0][0])


def test_names_of_one_person_are_linked_shown_reported_and_forgotten(
    harness: Harness, worker: Worker, run: CommandLine
) -> None:
    say = harness.producer
    attributes = {"email": EMAIL, "phone": PHONE}
    jobs = [
        say.identify("canary-id-42", attributes, anonymous_id=VISITOR),
        say.identify("43", {"email": EMAIL}),
        say.add_device("canary-id-42", DEVICE, "ios"),
        say.track(Person(email=EMAIL), "opened"),
        say.track(Person(anonymous_id="another-visitor"), "viewed"),
    ]
    for number in range(2):
        shared = {"email": f"shared{number}@example.com"}
        jobs += [say.identify(f"a{number}", shared), say.identify(f"b{number}", shared)]
    deliver(harness, worker, *jobs)

    document = run("identities", "--json").json
    assert {each["kind"]: (each["names"], each["shared"]) for each in document["names"]} == {
        "email": (3, 3),
        "phone": (1, 0),
        "anonymous": (1, 0),
        "device": (1, 0),
    }
    assert document["visitors"]["visitors"] == 2
    assert document["visitors"]["joined"] == 1
    assert document["named_by_email"]["with_an_id"] == 1
    screen = run("identities").out
    assert "emails" in screen
    assert "2 seen, 1 became known" in screen
    about = run("identities", f"email:{EMAIL}")
    assert jobs[1] in about.out
    assert f"email:#{digits(harness)}" in about.out
    found = run("quality", "--json").json["findings"]
    assert "Q801 emails" in [each["key"] for each in found]
    assert any(jobs[1] in line for each in found for line in each["evidence"])

    table = str(harness.rows("SELECT * FROM trackrelay_identities"))
    assert "canary" not in table
    assert PHONE not in table
    receipt = run("forget", "canary-id-42", "--also", f"email:{EMAIL}", "--yes", "--json").json
    assert receipt["stores"]["identities"]["before"] > receipt["stores"]["identities"]["after"] == 0
    # What a worker still has in memory is not written any more.
    identity_links.add(harness.engine, [(claim(harness, EMAIL, "id:77"), "0" * 26)])
    hidden = hasher_of(harness).hidden(f"email:{EMAIL}")
    assert hidden not in str(harness.rows("SELECT * FROM trackrelay_identities"))
    assert EMAIL not in everything(harness)


def digits(harness: Harness) -> str:
    return hasher_of(harness).hidden(f"email:{EMAIL}").partition("#")[2][:6]


def claim(harness: Harness, email: str, person: str) -> Link:
    hidden = hasher_of(harness).hidden
    return Link(hidden(f"email:{email}"), How.CLAIMED, hidden(person), "shop")


def test_a_merge_a_deletion_and_a_changed_address_explain_a_second_person(
    harness: Harness, run: CommandLine
) -> None:
    hidden = hasher_of(harness).hidden

    def later(*links: Link) -> None:
        with harness.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "UPDATE trackrelay_identities SET first_seen = first_seen - interval '1 h',"
                    " last_seen = last_seen - interval '1 h'"
                )
            )
        identity_links.add(harness.engine, [(each, "0" * 26) for each in links])

    later(*[claim(harness, f"{n}@example.com", f"id:a{n}") for n in range(3)])
    later(claim(harness, "new@example.com", "id:a0"))
    later(*[claim(harness, f"{n}@example.com", f"id:b{n}") for n in range(3)])
    assert shared_emails(run) == 2
    later(Link(hidden("id:a1"), How.MERGED, hidden("id:b1"), "shop"))
    assert shared_emails(run) == 1
    later(Link(hidden("id:a2"), How.REMOVED, "", "shop"))
    assert shared_emails(run) == 0


def shared_emails(run: CommandLine) -> int:
    names = json.loads(run("identities", "--json").out)["names"]
    return sum(each["shared"] for each in names if each["kind"] == "email")


def test_a_sender_of_random_names_does_not_fill_the_table(
    harness: Harness, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_links, "MAX_ROWS", 100)
    hidden = hasher_of(harness).hidden

    def send(first: int) -> int:
        links = [(Link(hidden(f"email:p{n}"), How.CLAIMED, hidden(f"id:{n}"), "x"), "0" * 26)
                 for n in range(first, first + 300)]  # fmt: skip
        return identity_links.add(harness.engine, links)

    assert send(0) == ALL_NAMES
    assert count(harness) == 100
    prune(harness)
    assert 20 < count(harness) < 80
    assert send(300) == ALL_NAMES // 2
    assert count(harness) == 100
    # Of the names that are left, everything is kept.
    names = [row.name for row in harness.rows("SELECT name FROM trackrelay_identities")]
    assert all(identity_links.is_kept(name, ALL_NAMES // 2) for name in names)
    assert run("identities", "--json").json["kept_share"] == 0.5
    with harness.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM trackrelay_identities"))
    prune(harness)
    assert run("identities", "--json").json["kept_share"] == 1


def prune(harness: Harness) -> Any:
    with harness.engine.begin() as connection:
        return identity_links.prune(connection)


def test_a_name_of_everybody_gets_few_rows(harness: Harness) -> None:
    for first in range(0, 60, 20):
        links = [claim(harness, "all@example.com", f"id:{n}") for n in range(first, first + 20)]
        identity_links.add(harness.engine, [(each, "0" * 26) for each in links])
    assert count(harness) <= 2 * identity_links.MAX_PEOPLE


def test_a_full_table_is_read_without_comparing_each_row_with_each(harness: Harness) -> None:
    hidden = hasher_of(harness).hidden
    links = [
        (Link(hidden(f"email:p{n}"), How.CLAIMED, hidden(f"id:{n}"), "x"), "0" * 26)
        for n in range(3_000)
    ]
    identity_links.add(harness.engine, links)
    with harness.engine.connect() as connection:
        rows = connection.execute(sa.text(f"EXPLAIN {identity_query._SHARED.text}"))
        plan = "\n".join(row[0] for row in rows)
    assert "Nested Loop" not in plan
