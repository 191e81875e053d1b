"""``trackrelay check``."""

import pytest

from tests.support.command_line import Answer, CommandLine
from tests.support.harness import Harness
from trackrelay.worker.cli.check import configuration_checks
from trackrelay.worker.cli.check.server_checks import _eviction, _kind, _memory, _persistence
from trackrelay.worker.storage import schema


def finding(answer: Answer, area: str, name: str) -> dict[str, str]:
    (found,) = (
        each for each in answer.json["findings"] if (each["area"], each["name"]) == (area, name)
    )
    return found


def test_everything_is_shown_as_it_should_be(harness: Harness, run: CommandLine) -> None:
    harness.redis.config_set("maxmemory", "512mb")
    answer = run("check")

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "Everything is in order."
    for words in (
        "Valkey 9",
        "noeviction",
        "append-only file on",
        "4 shards, format 1",
        f"revision {schema.head()}",
        "workspace 123",
    ):
        assert words in answer.out


def test_it_is_one_json_document(harness: Harness, run: CommandLine) -> None:
    answer = run("check", "--json")

    assert answer.json["ok"] is True
    assert finding(answer, "Redis", "eviction")["state"] == "ok"
    assert "region us, workspace 123" in finding(answer, "Customer.io", "Track API")["text"]


def test_an_evicting_redis_fails_it(harness: Harness, run: CommandLine) -> None:
    harness.redis.config_set("maxmemory-policy", "allkeys-lru")

    line = run("check").only_line()

    assert line.startswith(
        "Redis, eviction: allkeys-lru: when memory is full, Redis silently deletes queued jobs"
    )


def test_what_is_only_at_stake_is_a_warning(harness: Harness, run: CommandLine) -> None:
    harness.redis.config_set("appendonly", "no")
    try:
        answer = run("check", "--json")
    finally:
        harness.redis.config_set("appendonly", "yes")

    assert answer.code == 0
    assert finding(answer, "Redis", "persistence")["state"] == "warning"
    assert finding(answer, "Redis", "memory")["state"] == "warning"  # no maxmemory


def test_missing_credentials_are_named(harness: Harness, run: CommandLine) -> None:
    answer = run("check", CUSTOMERIO_SITE_ID=None, CUSTOMERIO_TRACK_API_KEY=None)

    assert [line.partition(":")[0] for line in answer.lines] == [
        "CUSTOMERIO_SITE_ID",
        "CUSTOMERIO_TRACK_API_KEY",
    ]


def test_without_an_app_api_key_the_app_api_is_not_asked(
    harness: Harness, run: CommandLine
) -> None:
    answer = run("check", "--json", CUSTOMERIO_APP_API_KEY=None)

    assert finding(answer, "Customer.io", "App API")["state"] == "skipped"
    assert not [
        request for request in harness.sandbox.requests() if request["path"].startswith("/v1/")
    ]


def test_a_database_user_who_may_not_write_fails_it(harness: Harness, run: CommandLine) -> None:
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
        connection.exec_driver_sql("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    _, _, place = run.settings["TRACKRELAY_DATABASE_URL"].partition("@")

    line = run("check", TRACKRELAY_DATABASE_URL=f"postgresql://reader:reader@{place}").only_line()

    assert "may not read and write trackrelay_backlog, trackrelay_dead_letters" in line


def test_a_database_with_fewer_shards_than_the_queue_fails_it(
    harness: Harness, run: CommandLine
) -> None:
    harness.redis.hset("trackrelay:config", "shards", 6)

    assert (
        "the queue in Redis has 6 shards, Postgres knows 4: nothing is delivered"
        in run("check").only_line()
    )


def test_an_unknown_setting_fails_it_with_a_suggestion_and_a_service_link_does_not(
    harness: Harness, run: CommandLine
) -> None:
    answer = run(
        "check",
        TRACKRELAY_SHARD="3",
        TRACKRELAY_PORT_6379_TCP_ADDR="10.0.0.1",
        CUSTOMERIO_TRACK_APIKEY="x",
    )

    assert (
        answer.only_line() == "TRACKRELAY_SHARD: no such setting; did you mean TRACKRELAY_SHARDS?"
    )
    assert "CUSTOMERIO_TRACK_APIKEY" in answer.out  # may be somebody else's: a warning


def test_every_wrong_setting_is_a_finding_of_its_own() -> None:
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
