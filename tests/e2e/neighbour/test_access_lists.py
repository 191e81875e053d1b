"""The Redis users of docs/how-to/production.md: each works, and reaches nothing of the other's."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.command_line import CommandLine
from trackrelay.worker.devstack.servers import ValkeyProcess

DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "production.md"
USERS = dict(re.findall(r"^user (\w+) (.+)$", DOCS.read_text(), re.MULTILINE))
GREETED = '{"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "greeted"}'


@pytest.fixture
def guarded(own_redis: ValkeyProcess) -> Callable[[str, str], str]:
    """The URL of a Redis with these users, for a user and a password."""
    with redis.Redis.from_url(own_redis.url) as client:
        for name, rules in USERS.items():
            client.execute_command("ACL", "SETUSER", name, "reset", *rules.split())
    return lambda user, password: own_redis.url.replace("redis://", f"redis://{user}:{password}@")


def test_every_user_of_the_docs_is_there() -> None:
    assert set(USERS) == {"trackrelay", "application", "default"}


def test_our_user_sets_up_delivers_and_looks(
    guarded: Callable[[str, str], str],
    worker_settings: dict[str, str],
    start_worker: Callable[..., Any],
) -> None:
    run = CommandLine(
        {**worker_settings, "TRACKRELAY_REDIS_URL": guarded("trackrelay", "PASSWORD")}
    )

    assert run("migrate").code == 0
    worker = start_worker(run.settings)
    assert run("enqueue", GREETED).code == 0
    drained = run("drain", "--timeout", "8s")
    assert drained.code == 0, drained
    status = run("status", "--json")
    assert (status.code, status.json["delivered"]["last_hour"]) == (0, 1)
    assert run("check").code == 0
    assert run("pause").code == run("resume").code == 0
    assert run("reshard", "2", "--yes").code == 0
    assert "NOPERM" not in worker.output


def test_our_user_reaches_nothing_of_the_application_s_and_empties_nothing(
    guarded: Callable[[str, str], str],
) -> None:
    with redis.Redis.from_url(guarded("trackrelay", "PASSWORD")) as ours:
        for refused in (
            ours.flushdb,
            ours.flushall,
            lambda: ours.get("cart:1"),
            lambda: ours.set("cart:1", "x"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()


def test_the_application_s_user_empties_no_database(guarded: Callable[[str, str], str]) -> None:
    with redis.Redis.from_url(guarded("application", "ANOTHER")) as theirs:
        theirs.set("cart:1", "x")
        for refused in (theirs.flushdb, theirs.flushall, lambda: theirs.swapdb(0, 1)):
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()
        assert theirs.get("cart:1") == b"x"
    with (
        redis.Redis.from_url(guarded("default", "x")) as nobody,
        pytest.raises(redis.AuthenticationError),
    ):
        nobody.ping()
