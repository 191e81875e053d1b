"""In a request, what is enqueued waits for its end, and can no longer harm it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
import redis
from werkzeug.test import EnvironBuilder

import trackrelay
from tests.support.canaries import CANARY_EVENT_DATA
from tests.support.flask_server import serving
from tests.support.waiting import patient, wait_until
from trackrelay import ConfigurationError, QueueUnavailableError, aio, track
from trackrelay.customerio import CustomerIO
from trackrelay.flask import TrackRelay
from trackrelay.testing import capture
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue.queue_config import set_up

Entries = Callable[[], dict[str, list[bytes]]]


def application(*, after_response: bool = False, **config: Any) -> flask.Flask:
    """An application whose views enqueue."""
    app = flask.Flask(__name__)
    app.config.update(config)
    TrackRelay(after_response=after_response).init_app(app)

    @app.get("/five")
    def five() -> str:
        return " ".join(
            track("42", "seen", {"n": n, "secret": CANARY_EVENT_DATA}) for n in range(5)
        )

    @app.get("/breaks")
    def breaks() -> str:
        track("42", "seen")
        raise RuntimeError("after the call")

    @app.get("/invalid")
    def invalid() -> str:
        track("42", "")
        return "never"

    @app.get("/asynchronous")
    async def asynchronous() -> str:
        return await aio.track("42", "seen")

    @app.get("/drop-in")
    def drop_in() -> str:
        return CustomerIO().track("42", "seen").job_ids[0]

    return app


@pytest.fixture
def app(queue: redis.Redis, redis_url: str) -> flask.Flask:
    return application(TRACKRELAY_REDIS_URL=redis_url)


def count(entries: Entries) -> int:
    return sum(map(len, entries().values()))


@pytest.fixture
def streaming() -> threading.Event:
    """Set when the first part of a stream was made."""
    return threading.Event()


@pytest.fixture
def go_on() -> threading.Event:
    """To be set for its last part."""
    return threading.Event()


def add_stream(app: flask.Flask, streaming: threading.Event, go_on: threading.Event) -> None:
    @app.get("/slowly")
    def slowly() -> flask.Response:
        track("42", "before")

        def body() -> Iterator[str]:
            yield "first"
            track("42", "while streaming")
            streaming.set()
            go_on.wait(patient(20))
            yield "last"

        return flask.Response(flask.stream_with_context(body()))


def test_jobs_of_the_view_leave_before_a_stream_begins_and_those_of_the_stream_at_its_end(
    app: flask.Flask, entries: Entries, streaming: threading.Event, go_on: threading.Event
) -> None:
    add_stream(app, streaming, go_on)
    with serving(app, keep_alive=True) as server:
        answers: list[Any] = []
        client = threading.Thread(target=lambda: answers.append(server.get("/slowly")))
        client.start()
        assert streaming.wait(patient(20))
        assert count(entries) == 1
        go_on.set()
        client.join()
        assert count(entries) == 2
    assert answers[0].body == b"firstlast"


def test_after_the_response_nothing_is_enqueued_before_the_last_byte_and_then_everything(
    queue: redis.Redis,
    redis_url: str,
    entries: Entries,
    streaming: threading.Event,
    go_on: threading.Event,
) -> None:
    app = application(TRACKRELAY_REDIS_URL=redis_url, after_response=True)
    add_stream(app, streaming, go_on)
    with serving(app) as server:
        client = threading.Thread(target=server.get, args=("/slowly",))
        client.start()
        assert streaming.wait(patient(20))
        assert count(entries) == 0
        go_on.set()
        client.join()
        wait_until(lambda: count(entries) == 2)


def test_a_client_that_goes_away_within_a_stream_takes_no_job_along(
    app: flask.Flask, entries: Entries
) -> None:
    @app.get("/stream")
    def stream() -> flask.Response:
        def body() -> Iterator[bytes]:
            track("42", "while streaming")
            yield b"first"
            yield b"never asked for"

        return flask.Response(flask.stream_with_context(body()))

    environ = EnvironBuilder("/stream").get_environ()
    response = app.wsgi_app(environ, lambda *_: lambda _: None)
    assert next(iter(response)) == b"first"
    assert count(entries) == 0
    response.close()  # type: ignore[attr-defined]
    assert count(entries) == 1


def test_a_response_is_closed_once(app: flask.Flask) -> None:
    closed: list[str] = []

    @app.after_request
    def notice(response: flask.Response) -> flask.Response:
        response.call_on_close(lambda: closed.append("closed"))
        return response

    with serving(app) as server:
        assert server.get("/five").status == 200
    wait_until(lambda: closed)
    assert closed == ["closed"]


def test_five_calls_are_one_round_trip(
    app: flask.Flask, entries: Entries, queue: redis.Redis
) -> None:
    with serving(app) as server:
        before = queue.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        ids = server.get("/five").body.decode().split()
        wait_until(lambda: count(entries) == 5)
        after = queue.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert len(set(ids)) == 5
    assert after - before == 1


def test_a_queue_that_hangs_does_not_break_the_response_and_the_jobs_are_named(
    own_redis: ValkeyProcess, caplog: pytest.LogCaptureFixture
) -> None:
    set_up(redis.Redis.from_url(own_redis.url), 4)
    app = application(TRACKRELAY_REDIS_URL=own_redis.url, TRACKRELAY_ENQUEUE_TIMEOUT=0.5)
    with serving(app) as server:
        own_redis.pause()
        answer = server.get("/five")
        own_redis.resume()
    assert answer.status == 200
    assert caplog.text.count("were not enqueued at the end of the request") == 1
    assert all(job in caplog.text for job in answer.body.decode().split())
    assert CANARY_EVENT_DATA not in caplog.text


def test_after_the_response_a_queue_that_hangs_delays_nobody(
    own_redis: ValkeyProcess,
) -> None:
    client = redis.Redis.from_url(own_redis.url)
    set_up(client, 4)
    url = own_redis.url
    app = application(TRACKRELAY_REDIS_URL=url, TRACKRELAY_ENQUEUE_TIMEOUT=60, after_response=True)
    with serving(app) as server:
        own_redis.pause()
        # The call would wait for the queue until the client gives up.
        assert server.get("/five", timeout=30).status == 200
        own_redis.resume()
        wait_until(lambda: sum(client.xlen(f"trackrelay:{n}:live") for n in range(4)) == 5)
    client.close()


def test_what_customerio_would_refuse_still_raises_in_the_view(
    app: flask.Flask, entries: Entries
) -> None:
    with serving(app) as server:
        assert server.get("/invalid").status == 500
    assert count(entries) == 0


def test_a_view_that_fails_keeps_the_calls_it_made(app: flask.Flask, entries: Entries) -> None:
    with serving(app) as server:
        assert server.get("/breaks").status == 500
        wait_until(lambda: count(entries) == 1)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(RuntimeError):
        app.test_client().get("/breaks")
    assert count(entries) == 2


@pytest.mark.parametrize("path", ["/asynchronous", "/drop-in"])
def test_coroutines_and_the_official_clients_twin_wait_too(
    app: flask.Flask, entries: Entries, path: str
) -> None:
    seen_in_request: list[int] = []

    @app.after_request
    def look(response: flask.Response) -> flask.Response:
        seen_in_request.append(count(entries))
        return response

    with serving(app) as server:
        job = server.get(path).body
        wait_until(lambda: count(entries) == 1)
    assert seen_in_request == [0]
    assert job in next(iter(entries().values()))[0]


def test_outside_a_request_a_call_enqueues_at_once_and_raises(
    queue: redis.Redis, redis_url: str
) -> None:
    app = application(TRACKRELAY_REDIS_URL=redis_url)
    with app.app_context():
        assert track("42", "seen")
    assert (
        queue.xlen("trackrelay:0:live") + sum(queue.xlen(f"trackrelay:{n}:live") for n in (1, 2, 3))
        == 1
    )
    application(TRACKRELAY_REDIS_URL="redis://127.0.0.1:1/0")
    with pytest.raises(QueueUnavailableError):
        track("42", "seen")


def test_a_test_client_sees_it_enqueued_without_closing_the_response(
    app: flask.Flask, entries: Entries
) -> None:
    app.testing = True
    app.test_client().get("/five")
    assert count(entries) == 5


def test_what_an_application_enqueues_can_be_captured_however_late_it_is_made() -> None:
    with capture() as captured:
        application(TRACKRELAY_REDIS_URL="redis://127.0.0.1:1/0").test_client().get("/five")
        captured.assert_tracked("42", "seen", n=4)
    assert len(captured) == 5


def test_middleware_that_replaces_the_response_loses_nothing(
    app: flask.Flask, entries: Entries
) -> None:
    @app.after_request
    def replace(_: flask.Response) -> flask.Response:
        return flask.Response("replaced")

    with serving(app) as server:
        assert server.get("/five").body == b"replaced"
        wait_until(lambda: count(entries) == 5)


def test_without_a_queue_the_first_call_says_which_setting_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = application()
    with caplog.at_level(logging.ERROR), serving(app) as server:
        assert server.get("/five").status == 500
    assert "TRACKRELAY_REDIS_URL" in caplog.text
    with pytest.raises(ConfigurationError):
        trackrelay.track("42", "seen")


def test_a_job_carries_the_trace_of_its_request_however_late_it_leaves(
    app: flask.Flask, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    monkeypatch.setattr(
        "trackrelay.calls.producer.current_traceparent",
        lambda: trace if flask.has_request_context() else None,
    )
    with serving(app) as server:
        server.get("/drop-in")
        wait_until(lambda: count(entries) == 1)
    assert trace.encode() in next(iter(entries().values()))[0]
