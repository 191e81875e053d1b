"""Dead letters and backlog in the admin, with the real loop that buries and delivers them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from tests.support.canaries import CANARY_EMAIL
from tests.support.harness import Harness
from tests.support.waiting import wait_until
from trackrelay import Person

LIST = "/admin/trackrelay_ops/deadletter/"
BACKLOG = "/admin/trackrelay_ops/waiting/"


def messages(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def document(harness: Harness, letter: str, **changes: Any) -> str:
    body = dict(harness.dead(letter).body)
    return json.dumps({**body, "attributes": {**body["attributes"], **changes}})


def shown(response: Any) -> list[str]:
    return [str(letter) for letter in response.context["cl"].result_list]


# -- looking


def test_a_dead_letter_is_listed_and_its_document_can_be_read(
    refusing: Harness, letter: str, admin: Client
) -> None:
    listed = admin.get(LIST)
    assert shown(listed) == [letter]
    assert "there is no such plan" in listed.content.decode()
    page = admin.get(f"{LIST}{letter}/change/").content.decode()
    assert "&quot;plan&quot;: &quot;platinum&quot;" in page
    assert "attributes.plan" in page
    assert "<strong>rejected</strong>" in page


def test_a_long_history_says_how_many_entries_it_leaves_out(
    refusing: Harness, letter: str, admin: Client
) -> None:
    with refusing.engine.begin() as connection:
        connection.exec_driver_sql(
            """UPDATE trackrelay_dead_letters SET history = history ||
               '[{"at": 1790000000, "what": "left_out", "entries": 1234}]'"""
        )
    page = admin.get(f"{LIST}{letter}/change/").content.decode()
    assert "<strong>left out</strong></td><td>1234 entries; the history keeps" in page


def test_what_is_in_a_document_is_text_and_nothing_else(refusing: Harness, admin: Client) -> None:
    job = refusing.producer.track(
        "42", "bought", {"plan": "platinum", "note": "</pre><script>alert(1)</script>"}
    )
    refusing.wait_dead(job)
    assert "<script>alert" not in admin.get(f"{LIST}{job}/change/").content.decode()


@pytest.mark.parametrize(
    "term", ["{id}", "42", "id:42", "A-1", "bought", "no such plan", "attributes.plan"]
)
def test_a_dead_letter_is_found_by_each_search_term(
    refusing: Harness, letter: str, admin: Client, term: str
) -> None:
    other = refusing.producer.add_device("77", "token", "ios")
    refusing.wait_dead(other)
    assert shown(admin.get(LIST, {"q": term.format(id=letter)})) == [letter]


def test_a_person_is_found_by_an_address_that_is_stored_only_as_a_hash(
    refusing: Harness, admin: Client
) -> None:
    job = refusing.producer.track(Person(email=CANARY_EMAIL), "bought", {"plan": "platinum"})
    assert CANARY_EMAIL not in refusing.wait_dead(job).key
    assert shown(admin.get(LIST, {"q": CANARY_EMAIL.upper()})) == [job]
    assert shown(admin.get(LIST, {"q": "somebody.else@example.com"})) == []


def test_dead_letters_are_listed_and_filtered_by_the_name_of_the_event(
    refusing: Harness, letter: str, admin: Client
) -> None:
    other = refusing.producer.track("43", "paid", {"plan": "platinum", "email": CANARY_EMAIL})
    refusing.wait_dead(other)
    listed = admin.get(LIST)
    assert "person.event bought" in listed.content.decode()
    assert "?event_name=paid" in listed.content.decode()
    assert shown(admin.get(LIST, {"event_name": "paid"})) == [other]
    assert shown(admin.get(LIST, {"q": "paid"})) == [other]
    assert shown(admin.get(LIST, {"q": CANARY_EMAIL.upper()})) == [other]


def test_filters_begin_with_what_is_open(refusing: Harness, letter: str, admin: Client) -> None:
    admin.post(f"{LIST}discard/", {"ids": letter})
    assert shown(admin.get(LIST)) == []
    assert (
        shown(admin.get(LIST, {"state": "discarded"}))
        == shown(admin.get(LIST, {"state": "all"}))
        == [letter]
    )
    assert shown(admin.get(LIST, {"state": "all", "reason": "expired"})) == []


def test_the_backlog_is_shown_with_why_it_waits(
    harness: Harness, delivering: Harness, admin: Client
) -> None:
    harness.sandbox.add_fault(kind="status", status=503)
    job = harness.producer.identify("42", {"plan": "pro"}, anonymous_id="some-visitor-0123456789")
    harness.wait_waiting(job)
    assert shown(admin.get(BACKLOG)) == [job]
    wait_until(lambda: harness.backlog_size() == 2, 15, "both of its rows")
    for term in ("", "42", "some-visitor-0123456789", job):
        assert shown(admin.get(BACKLOG, {"q": term})) == [job]
    event = harness.producer.track("42", "paid", {})
    harness.wait_waiting(event)
    assert "person.event paid" in admin.get(BACKLOG).content.decode()
    assert shown(admin.get(BACKLOG, {"event_name": "paid"})) == [event]
    assert shown(admin.get(BACKLOG, {"q": "paid"})) == [event]
    page = admin.get(f"{BACKLOG}{job}/change/")
    assert page.status_code == 200
    assert "&quot;plan&quot;: &quot;pro&quot;" in page.content.decode()


# -- repairing, replaying


def test_a_repaired_dead_letter_is_delivered_and_its_history_names_who_repaired_it(
    refusing: Harness, letter: str, admin: Client
) -> None:
    page = admin.get(f"{LIST}{letter}/repair/")
    assert "there is no such plan" in page.content.decode()
    repaired = document(refusing, letter, plan="pro")

    checked = admin.post(f"{LIST}{letter}/repair/", {"document": repaired, "check": "1"})
    assert "attributes.plan: &quot;platinum&quot; → &quot;pro&quot;" in checked.content.decode()
    assert refusing.dead(letter).state == "open"

    done = admin.post(
        f"{LIST}{letter}/repair/",
        {"document": repaired, "note": "typo", "replay": "1"},
        follow=True,
    )
    assert messages(done) == ["Repaired and replayed."]
    refusing.wait_delivered([letter])
    row = wait_until(lambda: (row := refusing.dead(letter)).state == "delivered" and row)
    replayed = row.history[1]
    assert (replayed["who"], replayed["note"]) == ("ada (admin)", "typo")
    assert replayed["changes"] == [
        {"path": "attributes.plan", "before": "platinum", "after": "pro"}
    ]
    (effect,) = refusing.effects("id:42")
    assert (effect["id"], effect["attributes"]) == (letter, {"plan": "pro", "total": 5})
    assert LogEntry.objects.get().change_message == "Repaired and replayed."


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda body: "{", "This is not JSON"),
        (lambda body: "[]", "must be a JSON object"),
        (json.dumps, "Nothing was changed"),
        (lambda body: json.dumps({**body, "name": "x" * 101}), "101 bytes"),
        (
            lambda body: json.dumps({**body, "identifiers": {"id": "43"}}),
            "the repair gives it to somebody else",
        ),
        (lambda body: json.dumps({**body, "action": "identify", "name": None}), "name"),
    ],
)
def test_a_repair_that_would_not_pass_is_refused_in_the_form(
    refusing: Harness, letter: str, admin: Client, change: Callable[[Any], str], says: str
) -> None:
    text = change(dict(refusing.dead(letter).body))
    answer = admin.post(f"{LIST}{letter}/repair/", {"document": text, "replay": "1"})
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert refusing.dead(letter).state == "open"


def test_several_are_replayed_at_once_after_a_look_at_what_it_would_do(
    refusing: Harness, letter: str, admin: Client
) -> None:
    device = refusing.producer.add_device("42", "token", "ios")
    refusing.wait_dead(device)
    refusing.wait_delivered([refusing.producer.identify("42", {"plan": "pro"})])
    refusing.sandbox.clear_faults()

    asked = admin.post(
        LIST, {"action": "replay", "_selected_action": [letter, device], "select_across": "0"}
    )
    page = asked.content.decode()
    assert "1 × person.event" in page
    assert "may trigger campaigns" in page
    assert "it would overwrite newer data" in page
    assert refusing.dead(letter).state == "open"

    done = admin.post(f"{LIST}replay/", {"ids": f"{letter},{device}"}, follow=True)
    shown_messages = messages(done)
    assert shown_messages[0] == "1 dead letter replayed."
    assert f"{device} was not replayed: a later person.identify" in shown_messages[1]
    admin.post(f"{LIST}replay/", {"ids": device, "even_if_newer": "on"})
    refusing.wait_delivered([letter, device])


def test_discarded_ones_stay_and_can_be_replayed(
    refusing: Harness, letter: str, admin: Client
) -> None:
    assert (
        "their rows stay"
        in messages(admin.post(f"{LIST}discard/", {"ids": letter, "note": "old"}, follow=True))[0]
    )
    assert refusing.dead(letter).state == "discarded"
    refusing.sandbox.clear_faults()
    admin.post(f"{LIST}replay/", {"ids": letter})
    refusing.wait_delivered([letter])


def test_an_export_is_what_the_import_takes(refusing: Harness, letter: str, admin: Client) -> None:
    answer = admin.post(LIST, {"action": "export", "_selected_action": [letter]})
    (line,) = b"".join(answer.streaming_content).splitlines()  # type: ignore[attr-defined]
    exported = json.loads(line)
    assert exported["operation"]["identifiers"] == {"id": "42"}
    assert exported["dead_letter"]["id"] == letter
    assert "attachment" in answer["Content-Disposition"]
    assert LogEntry.objects.get().change_message == "Exported."


def test_an_export_from_an_unreachable_database_is_reported_and_leaves_no_broken_file(
    letter: str, admin: Client, settings_of: Any
) -> None:
    settings_of(DATABASE_URL="postgresql://127.0.0.1:1/nowhere")
    answer = admin.post(LIST, {"action": "export", "_selected_action": [letter]}, follow=True)
    assert (
        "Nothing was exported: Postgres at 127.0.0.1:1/nowhere cannot be reached"
        in messages(answer)[0]
    )
    assert not LogEntry.objects.exists()


def test_an_unreachable_queue_is_reported_and_nothing_is_done(
    refusing: Harness, letter: str, admin: Client, settings_of: Any
) -> None:
    settings_of(REDIS_URL="redis://127.0.0.1:1/0")
    shown_messages = messages(admin.post(f"{LIST}replay/", {"ids": letter}, follow=True))
    assert "Nothing was done: Redis at 127.0.0.1:1" in shown_messages[0]
    assert refusing.dead(letter).state == "open"


@pytest.fixture
def settings_of() -> Any:
    from django.test import override_settings

    undo = []

    def change(**told: Any) -> None:
        from django.conf import settings

        override = override_settings(TRACKRELAY={**settings.TRACKRELAY, **told})
        override.enable()
        undo.append(override)

    yield change
    for override in undo:
        override.disable()


def test_without_the_tables_the_admin_says_what_makes_them(admin: Client, settings_of: Any) -> None:
    settings_of(DATABASE="default")
    answer = admin.get(LIST, follow=True)
    assert "manage.py trackrelay migrate" in messages(answer)[0]


# -- who may


def test_nothing_can_be_added_changed_or_deleted(letter: str, admin: Client) -> None:
    assert admin.get(f"{LIST}add/").status_code == 403
    assert admin.post(f"{LIST}{letter}/change/", {"state": "delivered"}).status_code == 403
    assert admin.post(f"{LIST}{letter}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admin.get(LIST).content.decode()


def test_a_user_who_may_only_view_is_offered_no_action_and_refused_each(
    refusing: Harness, letter: str, log_in: Callable[..., Client]
) -> None:
    client = log_in("view")
    page = client.get(f"{LIST}{letter}/change/").content.decode()
    assert "platinum" in page
    assert "Replay" not in page
    assert "Discard" not in page
    assert client.get(f"{LIST}{letter}/repair/").status_code == 403
    for what in ("replay", "discard"):
        assert client.post(f"{LIST}{what}/", {"ids": letter}).status_code == 403
    client.post(LIST, {"action": "replay", "_selected_action": [letter]})
    exported = client.post(LIST, {"action": "export", "_selected_action": [letter]})
    assert "attachment" not in exported.headers.get("Content-Disposition", "")
    assert refusing.dead(letter).state == "open"


def test_each_permission_allows_its_own_action_only(
    refusing: Harness, letter: str, log_in: Callable[..., Client]
) -> None:
    client = log_in("view", "replay")
    page = client.get(f"{LIST}{letter}/change/").content.decode()
    assert "Replay unchanged" in page
    assert "Repair and replay" not in page
    assert client.get(f"{LIST}{letter}/repair/").status_code == 403
    assert client.post(f"{LIST}discard/", {"ids": letter}).status_code == 403


def test_users_who_may_act_but_not_view_see_nothing_of_a_dead_letter(
    refusing: Harness, letter: str, log_in: Callable[..., Client]
) -> None:
    client = log_in("replay", "repair", "discard", "export")
    pages = [
        f"{LIST}{letter}/repair/",
        f"{LIST}replay/?ids={letter}",
        f"{LIST}discard/?ids={letter}",
    ]
    for page in (*pages, LIST, f"{LIST}{letter}/change/"):
        answer = client.get(page)
        assert answer.status_code == 403, page
        assert "platinum" not in answer.content.decode()
    for page in pages:
        assert client.post(page, {"ids": letter, "document": "{}"}).status_code == 403
    assert client.post(LIST, {"action": "export", "_selected_action": [letter]}).status_code == 403
    assert refusing.dead(letter).state == "open"


def test_strangers_see_nothing(letter: str, admin_project: None) -> None:
    for place in (LIST, BACKLOG, f"{LIST}replay/", f"{LIST}{letter}/repair/"):
        assert Client().get(place).status_code == 302
