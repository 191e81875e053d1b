"""``trackrelay plan push`` writes descriptions and privacy into the Data Index."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.scripted_app_api import Asked, Reply, scripted
from trackrelay.app_api import request_budget

EVENTS = "\n".join(f"  event_{n}: {{description: It is {n}.}}" for n in range(101))
PLAN = f"""\
plan: 1
name: shop
events:
{EVENTS}
  silent: {{}}
attributes:
  email: {{type: string, privacy: sensitive, description: The address.}}
  age: {{type: integer, privacy: none}}
  other: {{type: string}}
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_budget, "WINDOW_S", 0.001)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trackrelay-plan.yaml").write_text(PLAN)


def command(url: str) -> CommandLine:
    settings = {"CUSTOMERIO_APP_URL": url, "CUSTOMERIO_APP_API_KEY": "key", "TRACKRELAY_PLAN": ""}
    return CommandLine(settings)


def test_everything_with_a_meaning_is_written_in_requests_of_a_hundred() -> None:
    with scripted(lambda _: Reply(status=204)) as api:
        run = command(api.url)
        dry = run("plan", "push", "--dry-run")
        assert "Would write 103 entries." in dry.out
        assert run("plan", "push", input="n\n").code == 1
        assert api.asked == []
        assert run("plan", "push", "--yes", "--json").json["written"] == 103
    assert [(each.path, len(next(iter(each.json.values())))) for each in api.asked] == [
        ("/v1/data_index/events", 100),
        ("/v1/data_index/events", 1),
        ("/v1/data_index/attributes", 2),
    ]
    assert api.asked[2].json["attributes"] == [
        {"name": "email", "description": "The address.", "privacy_level": 1},
        {"name": "age", "privacy_level": 0},
    ]


def test_a_refusal_says_what_was_written_before() -> None:
    def answer(asked: Asked) -> Reply:
        refused = {"errors": [{"detail": "privacy_level needs Premium", "status": "422"}]}
        return Reply(status=204) if "events" in asked.path else Reply(refused, 422)

    with scripted(answer) as api:
        found = command(api.url)("plan", "push", "--yes")
        assert found.code == 1
        assert "privacy_level needs Premium" in found.err
        assert found.lines[-1] == "101 entries were written before"
        assert command(api.url)("plan", "push", "--yes", "--no-privacy").code == 1
    assert api.asked[-1].json["attributes"] == [{"name": "email", "description": "The address."}]
