"""Errors of a proxy whose URL has a password name the setting and not the password."""

import re

import pytest

from trackrelay.worker.track_api.http_client import NoAnswer, TrackApi

PASSWORD = "Xw3kPz8Lq"
#: Nobody listens on the port, so that no request leaves this machine.
NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        (f"http://me:{PASSWORD}@{NOWHERE}", "Connection refused"),
        (f"http://me:{PASSWORD}/x@{NOWHERE}", "{}: it has an '@' after the host"),
        (f"http://me:{PASSWORD}?x@{NOWHERE}", "{}: it has an '@' after the host"),
        (f"http://me:{PASSWORD}#x@{NOWHERE}", "{}: it has an '@' after the host"),
        (f"http://me:{PASSWORD}[x@{NOWHERE}", "{}: it has a bracket in user or password"),
        (f"http://me:{PASSWORD}@x@{NOWHERE}", "Connection refused"),
        (f"http://me:{PASSWORD}%zz@{NOWHERE}", "Connection refused"),
        (f"http://me:{PASSWORD}@127.0.0.1:port", "{}: it has a port that is not a number"),
        (f"me:{PASSWORD}/x@{NOWHERE}", "{}: it has an '@' after the host"),
        (f"http://me:{PASSWORD}", "{}: it has a port that is not a number"),
        (
            f"ftp://me:{PASSWORD}@{NOWHERE}",
            "{}: it must begin with http:// or https://; its scheme is 'ftp'",
        ),
    ],
)
def test_errors_of_a_proxy_do_not_show_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, message: str
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, proxy)
    api = TrackApi("https://track.customer.io", 5.0, lambda: ("site", "key"))

    answer = api.region()
    api.close()

    assert isinstance(answer, NoAnswer)
    assert message.format(variable) in answer.error
    assert not re.search(PASSWORD, answer.error, re.IGNORECASE)
