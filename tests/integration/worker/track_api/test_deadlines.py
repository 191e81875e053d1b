"""A request ends within its deadline, however far it came: name, connection, proxy, TLS."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.silent_servers import dripping, not_accepting
from trackrelay import operations
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.track_api.http_client import TrackApi
from trackrelay.worker.track_api.request_builder import single
from trackrelay.worker.track_api.responses import Answer, NoAnswer

TIMEOUT_S = 1.5
#: A request that does not end by its deadline takes as long as this for each address, or for ever.
FOR_EVER_S = 300.0

#: The beginning of a TLS record of 16 kB, whose bytes then come one by one.
TLS_RECORD = b"\x16\x03\x03\x40\x00"


def asked(
    url: str, send_within_s: float = float("inf"), timeout_s: float = TIMEOUT_S
) -> Answer | NoAnswer:
    """Send a request to `url`, which must end long before it would without a deadline."""
    api = TrackApi(url, timeout_s, lambda: ("site", "key"))
    started = time.monotonic()
    answer = api.send(
        single("person.event", operations.track("42", "seen").body), started + send_within_s
    )
    api.close()
    assert time.monotonic() - started < FOR_EVER_S / 4
    return answer


@pytest.fixture
def resolves_to(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Resolve `several.test` to these ports of this machine."""
    real = socket.getaddrinfo

    def become(*ports: int) -> None:
        def getaddrinfo(host: str, *args: Any, **options: Any) -> Any:
            if host != "several.test":
                return real(host, *args, **options)
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return become


@pytest.fixture
def silent_port() -> Iterator[int]:
    with not_accepting() as port:
        yield port


def test_several_addresses_that_do_not_accept_take_no_longer_than_one(
    resolves_to: Any, silent_port: int
) -> None:
    resolves_to(*[silent_port] * int(FOR_EVER_S / TIMEOUT_S))

    assert isinstance(asked("http://several.test"), NoAnswer)


def test_an_address_that_does_not_accept_leaves_time_for_the_next(
    resolves_to: Any, silent_port: int, sandbox: SandboxProcess
) -> None:
    # The silent server takes a twentieth of the time: the rest is enough on the busiest machine.
    resolves_to(silent_port, *[urlsplit(sandbox.url).port] * 19)

    assert isinstance(asked("http://several.test", send_within_s=20.0, timeout_s=30.0), Answer)


def test_a_name_that_is_not_found_in_time_ends_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(FOR_EVER_S))
    try:
        answer = asked("http://slow.test")
    finally:
        over.set()
    assert isinstance(answer, NoAnswer)


def test_a_name_that_does_not_exist_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    answer = asked("http://nowhere.test")
    assert isinstance(answer, NoAnswer)
    assert "Name or service not known" in answer.error


def test_a_tls_handshake_that_drips_ends_with_the_request(
    resolves_to: Any, silent_port: int
) -> None:
    with dripping(TLS_RECORD, b"\x02") as port:
        resolves_to(silent_port, port)

        assert asked("https://several.test") == NoAnswer(f"no answer within {TIMEOUT_S} s")


def test_a_proxy_that_drips_ends_with_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with dripping(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n") as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")

        assert asked("https://behind.test") == NoAnswer(f"no answer within {TIMEOUT_S} s")
