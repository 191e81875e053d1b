"""Django's debug page of a failed call shows the variables of each frame, but no password."""

import sys
from types import TracebackType
from typing import Any

import pytest
import redis
from django.views.debug import ExceptionReporter

import trackrelay
from tests.support import django_project
from trackrelay import TrackRelayError
from trackrelay.worker.devstack.servers import ValkeyProcess

PASSWORD = "Hq7vTz2Lkw"


def variables(traceback: TracebackType | None, error: BaseException) -> list[tuple[str, Any]]:
    """What the page lists, without the frame of the test itself, which knows the password."""
    frames = ExceptionReporter(None, type(error), error, traceback).get_traceback_frames()
    # An error without a traceback has one line on the page, and no variables.
    return [
        (frame["function"], frame["vars"])
        for frame in frames
        if frame.get("filename", __file__) != __file__
    ]


@pytest.mark.parametrize(
    "urls",
    [
        {"redis_url": f"redis://:{PASSWORD}/x@127.0.0.1:1/0"},
        {"redis_url": f"redis://:{PASSWORD}@127.0.0.1:1/0"},
        {
            "redis_url": f"redis://:{PASSWORD}@127.0.0.1:1/0",
            "on_unavailable": "outbox",
            "outbox_url": f"postgresql://u:{PASSWORD}@127.0.0.1:1/app",
        },
        {
            "redis_url": f"redis://:{PASSWORD}@127.0.0.1:1/0",
            "on_unavailable": "outbox",
            "outbox_url": f"postgresql://u:{PASSWORD}?x@127.0.0.1:1/app",
        },
    ],
)
def test_the_debug_page_shows_no_password(urls: dict[str, str]) -> None:
    with django_project.connected(REDIS_URL="redis://h/0"):
        trackrelay.configure(**urls)
        try:
            trackrelay.default.default_producer().track("42", "seen")
        except TrackRelayError as error:
            shown = variables(sys.exc_info()[2], error)
        else:
            pytest.fail("a queue that is not there took an event")

    assert shown
    leaking = [function for function, each in shown if PASSWORD in str(each)]
    assert not leaking


def test_a_password_that_redis_refuses_is_not_shown_either(own_redis: ValkeyProcess) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("requirepass", "another")
    with django_project.connected(REDIS_URL="redis://h/0"):
        trackrelay.configure(
            redis_url=f"redis://:{PASSWORD}@{own_redis.url.removeprefix('redis://')}"
        )
        with pytest.raises(TrackRelayError, match=r"WRONGPASS|invalid") as caught:
            trackrelay.default.default_producer().track("42", "seen")

    shown = variables(caught.tb, caught.value)
    assert shown
    assert not [function for function, each in shown if PASSWORD in str(each)]
