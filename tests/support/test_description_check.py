"""What a sandbox received is checked, except what a killed client did not send to its end."""

import socket
from urllib.parse import urlsplit

import requests

from tests.support.description_check import violations
from tests.support.waiting import wait_until
from trackrelay.sandbox.sandbox_process import SandboxProcess


def test_a_request_that_was_cut_short_is_no_violation() -> None:
    with SandboxProcess() as sandbox:
        address = urlsplit(sandbox.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(
                b"POST /api/v2/batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
            )
        wait_until(lambda: sandbox.client.summary()["requests"] == 1, 20, "the request")
        assert violations(sandbox.client) == []


def test_a_request_that_is_not_described_is_one() -> None:
    with SandboxProcess() as sandbox:
        auth = (sandbox.site_id, sandbox.api_key)
        requests.post(f"{sandbox.url}/api/v2/batch", json={"batch": 7}, auth=auth, timeout=20)
        assert violations(sandbox.client)
