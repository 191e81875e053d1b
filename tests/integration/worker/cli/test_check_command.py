"""``trackrelay check``."""

from tests.support.command_line import Answer, CommandLine
from tests.support.harness import Harness
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


def test_data_that_is_only_at_risk_is_a_warning(harness: Harness, run: CommandLine) -> None:
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

    assert "may not read and write trackrelay_" in line
    assert "trackrelay_backlog, trackrelay_catalog" in line


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
