"""The check's findings about settings and Redis."""

from pathlib import Path

import pytest

from trackrelay.worker.cli.check import configuration_checks
from trackrelay.worker.cli.check.server_checks import _eviction, _kind, _memory, _persistence


def test_every_wrong_setting_is_a_separate_finding() -> None:
    found = configuration_checks.settings_findings(
        {
            "TRACKRELAY_REDIS_URL": "redis://:secret@127.0.0.1/0",
            "TRACKRELAY_DATABASE_URL": "postgres://app:secret@db/app",
            "TRACKRELAY_ENQUEUE_TIMEOUT": "soon",
            "TRACKRELAY_BACKEND": "rabbit",
            "TRACKRELAY_MAX_ATTEMPTS": "0",
        }
    )

    wrong = {each.name: each.text for each in found if each.state == "wrong"}
    assert sorted(wrong) == [
        "TRACKRELAY_BACKEND",
        "TRACKRELAY_ENQUEUE_TIMEOUT",
        "TRACKRELAY_MAX_ATTEMPTS",
    ]
    assert wrong["TRACKRELAY_BACKEND"].startswith("must be one of redis, console, memory, off")
    assert not any("secret" in each.text for each in found)


def test_a_setting_from_elsewhere_is_shown_with_where_it_comes_from() -> None:
    found = configuration_checks.settings_findings(
        {"REDIS_URL": "redis://:secret@cache/1", "TRACKRELAY_DATABASE_URL": "postgres://db/app"}
    )

    assert {each.name: each.text for each in found} == {
        "TRACKRELAY_REDIS_URL": "cache/1 (from REDIS_URL)",
        "TRACKRELAY_DATABASE_URL": "db/app",
    }


@pytest.mark.parametrize(
    ("info", "state", "words"),
    [
        ({"maxmemory_policy": "noeviction"}, "ok", "no job is lost"),
        ({"maxmemory_policy": "volatile-lru"}, "warning", "leases"),
        ({"maxmemory_policy": "allkeys-random"}, "wrong", "deletes queued jobs"),
    ],
)
def test_eviction_is_judged_by_what_it_would_throw_away(
    info: dict[str, str], state: str, words: str
) -> None:
    found = _eviction(info)
    assert found.state == state
    assert words in found.text


@pytest.mark.parametrize(
    ("info", "state"),
    [
        ({"aof_enabled": 1, "aof_last_write_status": "ok"}, "ok"),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "wrong"),
        ({"aof_enabled": 0}, "warning"),
    ],
)
def test_persistence_is_judged_by_what_a_crash_would_lose(
    info: dict[str, object], state: str
) -> None:
    assert _persistence(info).state == state


@pytest.mark.parametrize(
    ("used", "limit", "state"),
    [(1, 0, "warning"), (10, 100_000_000, "ok"), (80_000_000, 100_000_000, "wrong")],
)
def test_memory_is_judged_by_the_room_that_callers_have(used: int, limit: int, state: str) -> None:
    assert _memory({"used_memory": used, "maxmemory": limit}).state == state


@pytest.mark.parametrize(
    ("info", "names"),
    [
        ({"redis_version": "6.0.16"}, ["version"]),
        ({"redis_version": "6.2.0"}, []),
        ({"redis_version": "7.4.1", "cluster_enabled": 1}, ["cluster"]),
        ({"redis_version": "7.4.1", "role": "slave"}, ["role"]),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1", "role": "master"}, []),
    ],
)
def test_what_cannot_work_is_refused(info: dict[str, object], names: list[str]) -> None:
    found = list(_kind(info))
    assert [each.name for each in found] == names
    assert all(each.state == "wrong" for each in found)


def test_the_plan_of_an_application_is_a_finding(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"

    def finding() -> tuple[str, str]:
        settings = configuration_checks.settings_findings({"TRACKRELAY_PLAN": str(plan)})
        (found,) = [each for each in settings if each.name == "TRACKRELAY_PLAN"]
        return found.state, found.text

    assert finding() == ("warning", f"{plan}: cannot be read: No such file or directory")
    plan.write_text("plan: 1\nname: shop\nforce: warn")
    assert finding()[0] == "wrong"
    plan.write_text("plan: 1\nname: shop")
    assert finding() == ("ok", f"{plan}: shop")
