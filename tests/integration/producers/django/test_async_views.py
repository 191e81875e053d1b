"""Asynchronous views under a WSGI server: each request has its own event loop."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator

import pytest
import redis
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from werkzeug.serving import WSGIRequestHandler, make_server

import trackrelay
from tests.support import django_project

REQUESTS, CLIENTS = 1_000, 4
#: Connections to Redis: at most one a thread of the server, some of ours, and those of the test.
MAX_CONNECTIONS = 20


@pytest.fixture(params=["trackrelay.django", "producers alone"])
def connected(
    request: pytest.FixtureRequest, queue: redis.Redis, redis_url: str, shop_url: str, lite_url: str
) -> Iterator[None]:
    """The project, with our application or with the functions of `producers` alone."""
    if request.param == "trackrelay.django":
        with django_project.connected(REDIS_URL=redis_url, ENQUEUE_TIMEOUT=30):
            yield
    else:
        trackrelay.configure(redis_url=redis_url, enqueue_timeout=30)
        yield


class Quiet(WSGIRequestHandler):
    """Keeps connections, and logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def port(connected: None) -> Iterator[int]:
    """Where the project listens, with a thread for each client."""
    with override_settings(DEBUG=False):
        server = make_server(
            "127.0.0.1", 0, get_wsgi_application(), threaded=True, request_handler=Quiet
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_thousand_requests_of_an_async_view_keep_a_bounded_number_of_connections(
    port: int, queue: redis.Redis
) -> None:
    most = 0
    failed: list[BaseException] = []

    def visit() -> None:
        nonlocal most
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            for number in range(REQUESTS // CLIENTS):
                connection.request("GET", "/look-async/")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
                if number % 25 == 0:
                    most = max(most, queue.info("clients")["connected_clients"])
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    clients = [threading.Thread(target=visit) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()

    assert not failed
    jobs = sum(queue.xlen(name) for name in queue.scan_iter("trackrelay:*:live"))
    assert jobs == REQUESTS
    most = max(most, queue.info("clients")["connected_clients"])
    assert most <= MAX_CONNECTIONS
