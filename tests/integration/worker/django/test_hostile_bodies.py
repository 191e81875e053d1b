"""A dead letter that holds what no parser takes breaks no page of the admin."""

import pytest
import sqlalchemy as sa
from django.test import Client

from tests.support import hostile_dead_letters
from tests.support.harness import Harness

LIST = "/admin/trackrelay_ops/deadletter/"
BACKLOG = "/admin/trackrelay_ops/waiting/"
REPAIRED = '{"type":"person","action":"event","identifiers":{"id":"42"},"name":"repaired"}'


@pytest.fixture
def letters(harness: Harness) -> dict[str, str]:
    return hostile_dead_letters.write(harness.engine)


def test_each_is_listed_shown_and_exported(
    harness: Harness, admin: Client, letters: dict[str, str]
) -> None:
    assert admin.get(LIST).status_code == 200
    for name, id in letters.items():
        page = admin.get(f"{LIST}{id}/change/")
        assert page.status_code == 200, name
        assert len(page.content) < 200_000, name
        assert b"<script>alert" not in page.content
        assert admin.get(f"{LIST}{id}/repair/").status_code == 200, name
        assert admin.get(f"{LIST}replay/", {"ids": id}).status_code == 200, name
    exported = admin.post(LIST, {"action": "export", "_selected_action": list(letters.values())})
    assert b"".join(exported.streaming_content).count(b"\n") == len(letters)  # type: ignore[arg-type]


def test_each_is_repaired(harness: Harness, admin: Client, letters: dict[str, str]) -> None:
    for name, id in letters.items():
        for document in (
            "[" * 2_000,
            '{"a":' * 500 + "1" + "}" * 500,
            "9" * 5_000,
            "[]",
            "{",
            '{"a":"\\ud800"}',
        ):
            page = admin.post(f"{LIST}{id}/repair/", {"document": document, "replay": "1"})
            assert page.status_code == 200, name
            assert page.context["form"].errors["document"], name
        posted = {"document": REPAIRED, "replay": "1", "even_if_newer": "on"}
        assert admin.post(f"{LIST}{id}/repair/", posted).status_code == 302, name
    assert harness.backlog_size() == len(letters)


def test_a_waiting_job_with_such_a_document_is_shown(
    harness: Harness, admin: Client, letters: dict[str, str]
) -> None:
    for id in letters.values():
        admin.post(
            f"{LIST}{id}/repair/", {"document": REPAIRED, "replay": "1", "even_if_newer": "on"}
        )
    changed = sa.text("UPDATE trackrelay_backlog SET body = CAST(:body AS json) WHERE job_id = :id")
    with harness.engine.begin() as connection:
        for name, body in hostile_dead_letters.BODIES.items():
            connection.execute(changed, {"body": body, "id": letters[name]})
    assert admin.get(BACKLOG).status_code == 200
    for name, id in letters.items():
        assert admin.get(f"{BACKLOG}{id}/change/").status_code == 200, name
