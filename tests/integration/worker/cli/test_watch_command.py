"""`trackrelay watch`: what a webhook and a mail server get, and how several watchers agree."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.cli.status.fail_conditions import parse
from trackrelay.worker.cli.status.snapshot_reader import read_snapshot
from trackrelay.worker.cli.watch.alert_channels import Heartbeat, NotSentError, Webhook
from trackrelay.worker.cli.watch.alert_tracker import AlertTracker, Change
from trackrelay.worker.cli.watch.watcher import STORES, Place, SharedBook, Watcher
from trackrelay.worker.settings import load

SECRET = "T0K3N-of-the-webhook"


class Listener:
    """An HTTP server that records requests."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.asked: list[str] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if listener.status == 200:
                    listener.heard.append(json.loads(body))
                self._answer()

            def do_GET(self) -> None:
                listener.asked.append(self.path)
                self._answer()

            def _answer(self) -> None:
                self.send_response(listener.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


def watcher(engine: sa.Engine, listener: Listener, now: float) -> Watcher:
    """A watcher that begins now."""
    tracker, book = AlertTracker(60, 60), SharedBook(engine)
    book.resume(tracker, {*STORES, "dead_letters>0"}, now)
    place = Place("shop", "https://console.example.com")
    channels = [Webhook(listener.url, "json")]
    return Watcher(parse("dead_letters>0"), tracker, book, channels, place)


def test_one_of_two_watchers_sends_the_alert_and_a_later_one_its_end(
    harness: Harness, listener: Listener
) -> None:
    with open_stores(load(harness.settings)) as stores:
        calm = read_snapshot(stores)
        with harness.engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO trackrelay_dead_letters (job_id, key, operation, lane, reason, "
                "attempts, state, enqueued_at, "
                "died_at, updated_at, history) VALUES ('x', 'id:1', 'person.event', 'live', "
                "'rejected', 1, 'open', now(), "
                "now(), now(), '[]')"
            )
        bad = read_snapshot(stores)
        first, second = (watcher(stores.engine, listener, 0) for _ in range(2))
        for now in (0, 59):
            assert first.look(bad, now)
            assert second.look(bad, now)
        assert listener.heard == []

        listener.status = 500
        with structlog.testing.capture_logs() as logs:
            assert not first.look(bad, 60)
            # Another one tells it, or may be telling it: the second watcher waits.
            assert not second.look(bad, 61)
        assert SECRET not in repr(logs)
        listener.status = 200
        assert first.look(bad, 62)
        assert second.look(bad, 63)
        (told,) = listener.heard
        assert (told["alert"], told["state"]) == ("dead_letters>0", "firing")
        assert told["text"] == "shop: dead_letters>0: open dead letters: 1"
        assert told["runbook"].endswith("runbook.md#dead-letters")

        # Both end. A new one finds the alert in Postgres, and tells when it is over.
        third = watcher(stores.engine, listener, 100)
        assert third.look(bad, 101)
        assert third.look(calm, 161)
        assert [each["state"] for each in listener.heard] == ["firing", "resolved"]
        assert third.look(calm, 500)
        assert len(listener.heard) == 2


def test_a_watcher_that_died_while_it_sent_an_alert_is_replaced(harness: Harness) -> None:
    change = Change("lost>0", "firing", "3 jobs", 0.0)
    book = SharedBook(harness.engine)
    assert book.claim(change) is True
    assert book.claim(change) is None
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_alerts SET claimed_at = now() - interval '61 seconds'"
        )
    assert book.claim(change) is True
    book.confirm(change)
    assert book.claim(change) is False


def test_without_postgres_every_watcher_tells() -> None:
    engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:9/nothing")
    assert SharedBook(engine).claim(Change("postgres", "firing", "it is away", 0.0)) is True


def test_a_test_message_shows_that_the_channels_work(
    run: CommandLine, harness: Harness, listener: Listener
) -> None:
    assert run("watch", "--test", "--webhook", listener.url, "--form", "slack").code == 0
    assert listener.heard[0]["text"].startswith("🔴 *trackrelay: this is a test")
    listener.status = 404
    answer = run("watch", "--test", "--webhook", listener.url)
    assert answer.only_line() == "the webhook answered 404"
    assert SECRET not in answer.err
    assert "there is no recipient" in run("watch").only_line()
    assert "TRACKRELAY_SMTP_URL: it " in run("watch", "--email", "a@example.com").only_line()
    assert run("watch", "--if", "oldest", "--webhook", listener.url).code == 2


def test_the_heartbeat_asks_for_its_url(listener: Listener) -> None:
    Heartbeat(listener.url).beat()
    assert listener.asked == [f"/{SECRET}"]
    listener.server.shutdown()
    listener.server.server_close()
    with pytest.raises(NotSentError) as caught:
        Heartbeat(listener.url).beat()
    assert SECRET not in str(caught.value)
