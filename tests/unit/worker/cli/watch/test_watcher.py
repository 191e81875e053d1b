"""The alerts of a watcher, their receivers, and failures of sending."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from trackrelay.worker.cli.status.fail_conditions import MEASURES, parse
from trackrelay.worker.cli.status.snapshot import Memory, RedisStatus, Snapshot
from trackrelay.worker.cli.watch.alert_channels import (
    Email,
    NotSentError,
    Webhook,
    form_of,
    mail_server,
)
from trackrelay.worker.cli.watch.alert_message import ENTRIES, GUIDES, AlertMessage
from trackrelay.worker.cli.watch.alert_tracker import AlertTracker, Change
from trackrelay.worker.cli.watch.watcher import STORES, Place, Watcher, evaluate
from trackrelay.worker.storage.queries.backlog_overview import Dead, Overview

GUIDES_FOLDER = Path(__file__).parents[5] / "docs" / "how-to"
SETTINGS = cast(Any, None)


def snapshot(dead: int = 0, **changes: Any) -> Snapshot:
    redis = RedisStatus(now=0.0, config=None, memory=Memory(0, 0, ""))
    letters = [Dead("open", "rejected", dead, 0.0, 0.0, None)] if dead else []
    return replace(
        Snapshot(SETTINGS, 0.0, redis=redis, postgres=Overview(dead_letters=letters)), **changes
    )


@dataclass
class Listener:
    """A channel that takes messages, or does not."""

    heard: list[AlertMessage] = field(default_factory=list)
    is_deaf: bool = False

    def send(self, message: AlertMessage) -> None:
        if self.is_deaf:
            raise NotSentError("deaf")
        self.heard.append(message)

    @property
    def states(self) -> list[str]:
        return [each.change.state for each in self.heard]


@dataclass
class Book:
    """Returns scripted claims, and records confirmations."""

    claims: list[bool | None]
    confirmed: list[str] = field(default_factory=list)
    took_over: bool = False

    def claim(self, change: Change) -> bool | None:
        return self.claims.pop(0)

    def is_told(self, change: Change) -> bool:
        return self.took_over

    def confirm(self, change: Change) -> None:
        self.confirmed.append(change.state)


def make(book: Book, *channels: Listener) -> Watcher:
    tracker = AlertTracker(0, 10)
    return Watcher(parse("dead_letters>0"), tracker, book, channels, Place("shop", "https://c"))


def test_each_channel_gets_a_message_once_even_if_another_one_fails_at_first() -> None:
    good, bad, book = Listener(), Listener(is_deaf=True), Book([True, True])
    watcher = make(book, good, bad)
    assert not watcher.look(snapshot(dead=2), 0)
    assert book.confirmed == []
    bad.is_deaf = False
    assert watcher.look(snapshot(dead=2), 1)
    assert (good.states, bad.states, book.confirmed) == (["firing"], ["firing"], ["firing"])
    watcher.look(snapshot(), 12)
    assert good.states == ["firing", "resolved"]


def test_another_watchers_alert_is_not_sent_but_watched_until_it_is_sent() -> None:
    listener, book = Listener(), Book([None, False])
    watcher = make(book, listener)
    assert not watcher.look(snapshot(dead=2), 0)
    assert watcher.look(snapshot(dead=2), 1)
    assert listener.heard == []


def test_an_alert_that_another_watcher_sent_meanwhile_is_not_sent_again() -> None:
    listener, book = Listener(is_deaf=True), Book([True])
    watcher = make(book, listener)
    assert not watcher.look(snapshot(dead=2), 0)
    listener.is_deaf, book.took_over = False, True
    assert watcher.look(snapshot(dead=2), 1)
    assert listener.heard == []


def test_a_condition_about_a_store_that_does_not_answer_is_not_known() -> None:
    broken = snapshot(postgres=None, postgres_problem="Postgres cannot be reached")
    problems, unknown = evaluate(parse("dead_letters>0,workers<1"), broken)
    assert set(problems) == {"postgres", "workers<1"}
    assert unknown == {"dead_letters>0"}


def test_a_message_names_what_to_do_and_steers_no_chat() -> None:
    change = Change("dead_letters>0", "firing", "dead_letters>0: <!channel> & co", 0)
    message = AlertMessage(change, "dead_letters", "Delivering.", "shop", "https://c", 60)
    (text,) = message.as_slack().values()
    assert "<!channel>" not in text
    assert "&lt;!channel&gt; &amp; co" in text
    assert f"{GUIDES}runbook.md#dead-letters" in text
    document = message.as_json()
    assert (document["alert"], document["state"]) == ("dead_letters>0", "firing")
    assert document["console"] == "https://c"
    resolved = replace(message, change=replace(change, state="resolved"))
    assert resolved.title == "shop: resolved after 1 min: dead_letters>0"


def test_everything_that_is_watched_has_an_entry_that_exists() -> None:
    assert ENTRIES.keys() == {*MEASURES, *STORES}
    for entry in ENTRIES.values():
        page, _, anchor = entry.partition("#")
        headings = re.findall(r"^#+ (.+)$", (GUIDES_FOLDER / page).read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
        assert not anchor or anchor in slugs, entry


def test_the_form_follows_the_server_and_no_secret_is_shown() -> None:
    assert form_of("https://hooks.slack.com/services/T/B/x") == "slack"
    assert form_of("https://slack.com.example.org/x") == "json"
    server = mail_server("smtp://ada:s%40crt@mail.example.com?from=alerts@example.com")
    assert (server.port, server.password) == (587, "s@crt")
    shown = repr([Webhook("https://hooks/s3cret", "json"), Email(server, ["a@b.c"])])
    assert "s3cret" not in shown
    assert "s@crt" not in shown


@pytest.mark.parametrize(
    "url", ["", "mail.example.com", "smtp://mail", "smtp://mail:x?from=a@b.c", "http://m?from=a@b"]
)
def test_a_wrong_mail_server_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match="it "):
        mail_server(url)
