"""A visitor who clicks without pause: each request's jobs are queued before those of the next."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import flask
import redis
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from tests.support.flask_server import Browser, serving
from trackrelay import track
from trackrelay.flask import TrackRelay
from trackrelay.outbox import table
from trackrelay.queue.job import decode_entry

#: How often each visitor clicks, and how many visitors there are at a time.
CLICKS, VISITORS = 100, 3
PATHS = ["/page", "/redirect", "/stream", "/empty"]


def add_views(app: flask.Flask, relay: TrackRelay) -> flask.Flask:
    """Views that tell who clicked, and how often before."""
    relay.init_app(app)

    def told() -> None:
        track(flask.request.args["who"], "clicked", {"click": int(flask.request.args["click"])})

    @app.get("/page")
    def page() -> str:
        told()
        return "seen"

    @app.get("/redirect")
    def redirect() -> flask.typing.ResponseReturnValue:
        told()
        return flask.redirect("/page")

    @app.get("/empty")
    def empty() -> flask.typing.ResponseReturnValue:
        told()
        return "", 204

    @app.get("/stream")
    def stream() -> flask.Response:
        def body() -> Iterator[str]:
            yield "first"
            yield "last"
            told()

        return flask.Response(flask.stream_with_context(body()))

    return app


def click_without_pause(app: flask.Flask) -> None:
    """Let every visitor send one request after the other, over two kept connections in turn."""
    failed: list[BaseException] = []

    def visit(browser: Browser, who: str) -> None:
        try:
            for click in range(CLICKS):
                path = PATHS[click // 2 % len(PATHS)]
                assert browser.get(f"{path}?who={who}&click={click}").status < 400
        except BaseException as error:
            failed.append(error)
        finally:
            browser.close()

    with serving(app, keep_alive=True) as server:
        visitors = [
            threading.Thread(target=visit, args=(Browser(server.port), f"visitor-{n}"))
            for n in range(VISITORS)
        ]
        for each in visitors:
            each.start()
        for each in visitors:
            each.join()
    assert not failed


def out_of_order(events: list[tuple[str, int]]) -> int:
    """Count the events that came after a later one of the same visitor."""
    latest: dict[str, int] = {}
    count = 0
    for who, click in events:
        count += click < latest.get(who, -1)
        latest[who] = max(click, latest.get(who, -1))
    return count


def events_of(entry: bytes) -> list[tuple[str, int]]:
    """Who clicked, and how often before, in the jobs of one entry."""
    documents = [json.loads(bytes(job.body)) for job in decode_entry(entry)]
    return [(each["identifiers"]["id"], each["attributes"]["click"]) for each in documents]


def test_the_queue_has_the_clicks_of_each_visitor_in_order(
    queue: redis.Redis, redis_url: str
) -> None:
    app = flask.Flask(__name__)
    app.config["TRACKRELAY_REDIS_URL"] = redis_url
    click_without_pause(add_views(app, TrackRelay()))
    events = [
        event
        for name in queue.scan_iter("trackrelay:*:live")
        for _, fields in queue.xrange(name)
        for event in events_of(fields[b"j"])
    ]
    assert len(events) == CLICKS * VISITORS
    assert out_of_order(events) == 0


def test_the_outbox_has_the_clicks_of_each_visitor_in_order(tmp_path: Path) -> None:
    db = SQLAlchemy()
    app = flask.Flask(__name__)
    url = f"sqlite:///{tmp_path / 'app.db'}"
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    relay = TrackRelay(db=db)
    with app.app_context():
        db.create_all()
    click_without_pause(add_views(app, relay))
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = list(connection.scalars(sa.select(table.c.entry).order_by(table.c.id)))
    engine.dispose()
    events = [event for row in rows for event in events_of(row.encode())]
    assert len(events) == CLICKS * VISITORS
    assert out_of_order(events) == 0
