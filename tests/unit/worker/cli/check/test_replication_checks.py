"""What the check says a failover can lose."""

from typing import Any

import pytest

from trackrelay.worker.cli.check.replication_checks import (
    SentinelView,
    appendfsync,
    postgres_replication,
    replication,
    sentinels,
)
from trackrelay.worker.storage.queries.server_facts import Standbys


def info(*offsets: int, lag: int = 0) -> dict[str, Any]:
    """What a primary at offset 100 reports about its replicas."""
    return {
        "connected_slaves": len(offsets),
        "master_repl_offset": 100,
        **{
            f"slave{number}": {"state": "online", "offset": offset, "lag": lag}
            for number, offset in enumerate(offsets)
        },
    }


@pytest.mark.parametrize(
    ("about", "config", "wait", "state", "words"),
    [
        (info(100), {}, 0, "warning", "1 replica, 0 bytes behind: a failover loses the jobs that"),
        (info(100), {"min-replicas-to-write": "0"}, 0, "warning", "Set min-replicas-to-write 1"),
        (
            info(90, 70),
            {"min-replicas-to-write": "1", "min-replicas-max-lag": "7"},
            0,
            "ok",
            "2 replicas, 30 bytes behind: a failover loses the jobs that no replica has received "
            "yet, at most of the last 7 s",
        ),
        (info(100, lag=25), {}, 1, "ok", "silent for 25 s: each call waits for 1 replica"),
        (info(100, 100), {}, 1, "ok", "TRACKRELAY_REDIS_WAIT_REPLICAS=2 covers each"),
        (info(100), {}, 2, "wrong", "and 1 replica is connected: every call raises"),
        (info(), {}, 1, "wrong", "and 0 replicas are connected"),
    ],
)
def test_what_a_failover_of_redis_loses_follows_from_its_settings_and_ours(
    about: dict[str, Any], config: dict[str, str], wait: int, state: str, words: str
) -> None:
    found = replication(about, config, wait, by_sentinel=False)
    assert found is not None
    assert (found.state, words in found.text) == (state, True), found.text


def test_a_replica_that_is_being_copied_to_does_not_count() -> None:
    about = info(100)
    about["slave0"]["state"] = "wait_bgsave"
    found = replication(about, {}, 1, by_sentinel=False)
    assert found is not None
    assert found.state == "wrong"


def test_only_sentinels_need_a_replica() -> None:
    found = replication(info(), {}, 0, by_sentinel=True)
    assert replication(info(), {}, 0, by_sentinel=False) is None
    assert found is not None
    assert (found.state, "nothing to fail over to" in found.text) == ("warning", True)


GOOD = SentinelView("a:1", primary="p:6379", quorum=2, others=2)


@pytest.mark.parametrize(
    ("views", "state", "words"),
    [
        ([GOOD, GOOD, GOOD], "ok", "3 of 3 answer, quorum 2; the primary is p:6379"),
        ([GOOD, SentinelView("b:1", error="refused")], "warning", "1 of 2 answer, quorum 2; b:1"),
        ([SentinelView("b:1", error="refused")], "wrong", "none of them can be used: b:1: refused"),
        ([SentinelView("a:1", "p:6379", 1, 0)], "warning", "they know of 1 in all"),
        ([GOOD, SentinelView("b:1", "q:6379", 2, 2)], "wrong", "they disagree about the primary"),
    ],
)
def test_sentinels_are_judged_by_what_they_report(
    views: list[SentinelView], state: str, words: str
) -> None:
    found = sentinels(views)
    assert (found.state, words in found.text) == (state, True), found.text


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "what appendfsync allows"),
        ({"appendfsync": "always"}, "appendfsync always: a crash loses nothing"),
        ({"appendfsync": "everysec"}, "about the last second"),
        ({"appendfsync": "no"}, "half a minute"),
    ],
)
def test_what_a_crash_loses_follows_from_appendfsync(config: dict[str, str], words: str) -> None:
    assert words in appendfsync(config)


@pytest.mark.parametrize(
    ("standbys", "state"),
    [
        (Standbys(0, 0, False), None),
        (Standbys(1, 0, False), "warning"),
        (Standbys(1, 0, True), "warning"),
        (Standbys(2, 1, True), "ok"),
        (Standbys(1, 1, False), "warning"),
    ],
)
def test_only_a_synchronous_standby_loses_no_commit(standbys: Standbys, state: str | None) -> None:
    found = postgres_replication(standbys)
    assert (found and found.state) == state
