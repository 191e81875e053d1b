"""Failures of the App API are retried or raise our errors; no implausible answer is believed."""

from __future__ import annotations

import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.support import hostile_server, silent_servers
from tests.support.hostile_server import answering
from tests.support.scripted_app_api import Reply, scripted
from trackrelay.app_api import (
    AppApi,
    AppApiAuthError,
    AppApiCallError,
    AppApiError,
    AppApiNotFoundError,
    AppApiResponseError,
    AppApiUnavailableError,
    attr,
    requester,
)
from trackrelay.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("no_limit")

KEY = "canary-app-api-key-of-a-test"
WHERE = attr("a").exists()
EMPTY = Reply({"identifiers": [], "next": ""})
#: The answer may be 32 MB long, and exist twice for a moment; a gigabyte is something else.
MAX_MEMORY = 150_000_000


@pytest.fixture(autouse=True)
def hardly_any_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requester, "MAX_PAUSE_S", 0.016)
    monkeypatch.setattr(requester, "LIMITED_PAUSE_S", 0.001)


def reading(url: str, **options: Any) -> AppApi:
    return AppApi(app_api_key=KEY, app_url=url, **options)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    replies = [Reply(status=status), Reply(b"x", status), EMPTY]
    with scripted(replies) as server, reading(server.url) as api:
        assert list(api.people(where=WHERE)) == []
    assert len(server.asked) == 3


def test_a_failure_that_stays_ends_after_some_tries() -> None:
    with (
        scripted([Reply(status=503)]) as server,
        reading(server.url) as api,
        pytest.raises(AppApiUnavailableError, match=r"status 503.*\(6 tries\)") as failed,
    ):
        api.attributes("42")
    assert (failed.value.status, len(server.asked)) == (503, 6)


def test_without_time_for_retries_there_is_one_try() -> None:
    with (
        scripted([Reply(status=503)]) as server,
        reading(server.url, retry_for=0) as api,
        pytest.raises(AppApiUnavailableError, match=r"it has an outage$"),
    ):
        api.attributes("42")
    assert len(server.asked) == 1


def test_a_wait_that_is_asked_for_is_bounded() -> None:
    slow = Reply(status=503, headers={"Retry-After": "999999"})
    with (
        scripted([slow]) as server,
        reading(server.url, retry_for=29) as api,
        pytest.raises(AppApiUnavailableError),
    ):
        api.attributes("42")
    assert len(server.asked) == 1
    short = [Reply(status=429, headers={"Retry-After": "0.2"}), EMPTY]
    with scripted(short) as server, reading(server.url) as api:
        assert list(api.people(where=WHERE)) == []
    first, second = server.asked
    assert second.at - first.at >= 0.2


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply(status=401), AppApiAuthError, "refuses CUSTOMERIO_APP_API_KEY (401)"),
        (Reply(status=403), AppApiAuthError, "refuses CUSTOMERIO_APP_API_KEY (403)"),
        (Reply(status=404), AppApiNotFoundError, "no such person"),
        (Reply(status=405), AppApiResponseError, "check CUSTOMERIO_APP_URL"),
        (Reply(b"<html>hello</html>"), AppApiResponseError, "no JSON"),
        (Reply(b""), AppApiResponseError, "nothing"),
        (Reply([]), AppApiResponseError, "the answer is a list, not an object"),
        (Reply({}), AppApiResponseError, "customer is missing, not an object"),
        (Reply(b"[" * 300 + b"]" * 300), AppApiResponseError, "nested deeper"),
        (Reply(b'{"customer": ' * 100_000), AppApiResponseError, "nested deeper"),
        (Reply(b'"\xff"'), AppApiResponseError, "no JSON"),
    ],
)
def test_what_does_not_pass_is_not_tried_again(
    reply: Reply, error: type[AppApiError], words: str
) -> None:
    with scripted([reply]) as server, reading(server.url) as api, pytest.raises(error) as failed:
        api.attributes("42")
    assert type(failed.value) is error
    assert words in str(failed.value)
    assert "hello" not in str(failed.value)
    assert len(server.asked) == 1


def test_a_404_of_a_list_means_a_wrong_address() -> None:
    with (
        scripted([Reply(status=404)]) as server,
        reading(server.url) as api,
        pytest.raises(AppApiResponseError, match="check CUSTOMERIO_APP_URL"),
    ):
        api.segments()


def test_a_redirect_is_not_followed() -> None:
    with scripted([EMPTY]) as other:
        away = Reply(status=307, headers={"Location": f"{other.url}/v1/customers"})
        with (
            scripted([away]) as server,
            reading(server.url) as api,
            pytest.raises(AppApiResponseError, match="status 307"),
        ):
            list(api.people(where=WHERE))
    assert (len(server.asked), other.asked) == (1, [])


def test_cookies_are_not_kept() -> None:
    sets = Reply(EMPTY.document, headers={"Set-Cookie": "a=b; Path=/"})
    with scripted([sets]) as server, reading(server.url) as api:
        list(api.people(where=WHERE))
        list(api.people(where=WHERE))
    assert ["cookie" in each.headers for each in server.asked] == [False, False]


def test_a_netrc_file_does_not_replace_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with scripted([EMPTY]) as server, reading(server.url) as api:
        list(api.people(where=WHERE))
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


HOSTILE = hostile_server.NO_ANSWER | hostile_server.UNKNOWN_ANSWER


@pytest.mark.parametrize("say", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_one_of_our_errors(say: hostile_server.Says) -> None:
    with answering(say) as server:
        url = f"http://127.0.0.1:{server.port}"
        with reading(url, retry_for=0, request_timeout=30) as api:
            tracemalloc.start()
            with pytest.raises(AppApiError) as failed:
                list(api.people(where=WHERE))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert len(str(failed.value)) < 600
    assert str(failed.value).isprintable()
    assert KEY not in str(failed.value)
    assert peak < MAX_MEMORY


def test_a_body_that_never_ends_is_cut_at_the_deadline() -> None:
    beginning = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{"
    with (
        silent_servers.dripping(beginning, b" ") as port,
        reading(f"http://127.0.0.1:{port}", retry_for=0, request_timeout=0.5) as api,
        pytest.raises(AppApiUnavailableError, match=r"within 0\.5 s"),
    ):
        api.attributes("42")


def test_nobody_there_is_an_error_that_names_the_address() -> None:
    with (
        reading("http://127.0.0.1:1", retry_for=0) as api,
        pytest.raises(AppApiUnavailableError, match=r"http://127\.0\.0\.1:1 cannot be reached"),
    ):
        api.attributes("42")


def test_an_answer_that_is_too_long_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requester, "MAX_ANSWER_BYTES", 1_000)
    with (
        scripted([Reply({"identifiers": ["x" * 2_000]})]) as server,
        reading(server.url) as api,
        pytest.raises(AppApiResponseError, match=r"more than 1,000 bytes: ask for smaller"),
    ):
        list(api.people(where=WHERE))
    assert len(server.asked) == 1


# -- settings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "CUSTOMERIO_APP_API_KEY is not set: make an App API key in Customer.io"),
        ({"app_api_key": ""}, "CUSTOMERIO_APP_API_KEY is not set"),
        ({"app_api_key": "a\nb"}, "CUSTOMERIO_APP_API_KEY has a space or another character"),
        ({"app_api_key": "é"}, "CUSTOMERIO_APP_API_KEY has a space or another character"),
        ({"app_api_key": KEY, "region": "mars"}, "CUSTOMERIO_REGION must be one of us, eu"),
        ({"app_api_key": KEY, "app_url": "http://example.com"}, "must be https://"),
        ({"app_api_key": KEY, "app_url": "ftp://example.com"}, "CUSTOMERIO_APP_URL"),
        ({"app_api_key": KEY, "request_timeout": "5h"}, "TRACKRELAY_REQUEST_TIMEOUT"),
        ({"app_api_key": KEY, "redis_url": "nothing"}, "TRACKRELAY_REDIS_URL"),
        ({"api_key": KEY}, "AppApi() has no setting 'api_key'; it has allow_http, app_api_key"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        AppApi(**given)
    assert words in str(wrong.value)
    assert KEY not in str(wrong.value)


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    monkeypatch.setenv("CUSTOMERIO_APP_API_KEY_FILE", str(tmp_path / "key"))
    assert AppApi().base_url == "https://api.customer.io"
    monkeypatch.setenv("CUSTOMERIO_REGION", "eu")
    assert AppApi().base_url == "https://api-eu.customer.io"
    with scripted([EMPTY]) as server:
        monkeypatch.setenv("CUSTOMERIO_APP_URL", f"{server.url}/")
        with AppApi() as api:
            list(api.people(where=WHERE))
        assert server.asked[0].path == "/v1/customers"
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_reserve_leaves_at_least_one_request() -> None:
    with pytest.raises(AppApiCallError, match="from 0 to 9; it is 10"):
        AppApi(app_api_key=KEY, reserve=10)


# -- processes


def test_a_forked_child_opens_its_own_connections() -> None:
    with scripted([EMPTY]) as server, reading(server.url) as api:
        list(api.people(where=WHERE))
        child = os.fork()
        if child == 0:
            try:
                list(api.people(where=WHERE))
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        list(api.people(where=WHERE))
    assert len(server.asked) == 3


def test_clients_that_come_and_go_leave_no_threads_behind() -> None:
    with scripted([EMPTY]) as server:
        for number in range(20):
            with reading(server.url) as api:
                list(api.people(where=WHERE))
            if number == 2:
                before = [each for each in threading.enumerate() if "deadlines" in each.name]
    after = [each for each in threading.enumerate() if "deadlines" in each.name]
    assert before == after
    assert len(after) == 1
