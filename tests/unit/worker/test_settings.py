"""Settings are typed, come from environment or files, and errors name one without its secret."""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from trackrelay.configuration.producer_settings import Settings as Producing
from trackrelay.configuration.producer_settings import load as load_producers
from trackrelay.configuration.reference import HEAD, reference_table
from trackrelay.configuration.settings_table import (
    PRODUCER_SETTINGS,
    SETTINGS,
    WORKER_SETTINGS,
    Setting,
)
from trackrelay.configuration.unknown_settings import unknown_settings
from trackrelay.errors import ConfigurationError
from trackrelay.worker.settings import Settings, load

GOOD = {
    "TRACKRELAY_REDIS_URL": "redis://x:6379/0",
    "TRACKRELAY_DATABASE_URL": "postgresql://u:p@x/db",
}


def test_defaults_are_the_documented_ones() -> None:
    settings = load(GOOD)
    assert settings.base_url == "https://track.customer.io"
    assert (settings.requests_per_second, settings.max_age, settings.shards) == (
        100,
        timedelta(days=3),
        None,
    )
    assert load({**GOOD, "CUSTOMERIO_REGION": "eu"}).base_url == "https://track-eu.customer.io"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_database_url_is_taken(scheme: str) -> None:
    settings = load({**GOOD, "TRACKRELAY_DATABASE_URL": f"{scheme}://u:p@x/db"})
    assert settings.database_url.get_secret_value() == "postgresql+psycopg://u:p@x/db"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TRACKRELAY_REDIS_URL", "", "TRACKRELAY_REDIS_URL is not set"),
        (
            "TRACKRELAY_DATABASE_URL",
            "mysql://x",
            "TRACKRELAY_DATABASE_URL must begin with postgresql://",
        ),
        (
            "TRACKRELAY_REQUESTS_PER_SECOND",
            "5000",
            "TRACKRELAY_REQUESTS_PER_SECOND must be a number above 0, up to 1,000; it is '5000'",
        ),
        (
            "TRACKRELAY_MAX_AGE",
            "3 weeks",
            "TRACKRELAY_MAX_AGE must be a duration such as 90s, 10m, 12h or 3d",
        ),
        (
            "TRACKRELAY_LEDGER_RETENTION",
            "1d",
            "TRACKRELAY_LEDGER_RETENTION must be more than twice TRACKRELAY_MAX_AGE",
        ),
        ("CUSTOMERIO_REGION", "mars", "CUSTOMERIO_REGION must be one of us, eu; it is 'mars'"),
        (
            "CUSTOMERIO_TRACK_URL",
            "http://track.example.com",
            "CUSTOMERIO_TRACK_URL must be https://",
        ),
        (
            "CUSTOMERIO_TRACK_URL",
            "https://me:secret@track.example.com",
            "CUSTOMERIO_TRACK_URL must not contain credentials",
        ),
        (
            "TRACKRELAY_REQUEST_TIMEOUT",
            "5m",
            "TRACKRELAY_REQUEST_TIMEOUT must be a number of seconds from 0.1 to 60, "
            "or a duration such as 1s; it is '5m'",
        ),
    ],
)
def test_a_wrong_value_is_named_in_one_line(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load({**GOOD, name: value})
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_every_wrong_value_has_its_line() -> None:
    with pytest.raises(ConfigurationError) as error:
        load({"TRACKRELAY_SHARDS": "0"})
    assert [line.partition(" ")[0] for line in str(error.value).splitlines()] == [
        "TRACKRELAY_REDIS_URL",
        "TRACKRELAY_DATABASE_URL",
        "TRACKRELAY_SHARDS",
    ]


def test_http_is_taken_on_loopback_or_when_allowed() -> None:
    assert (
        load({**GOOD, "CUSTOMERIO_TRACK_URL": "http://127.0.0.1:8080/"}).base_url
        == "http://127.0.0.1:8080"
    )
    allowed = {**GOOD, "CUSTOMERIO_TRACK_URL": "http://sandbox:8080", "TRACKRELAY_ALLOW_HTTP": "1"}
    assert load(allowed).base_url == "http://sandbox:8080"


def test_secrets_can_be_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    settings = load({**GOOD, "CUSTOMERIO_TRACK_API_KEY_FILE": str(tmp_path / "key")})
    assert settings.track_api_key.get_secret_value() == "from-a-file"
    with pytest.raises(ConfigurationError, match=r"CUSTOMERIO_TRACK_API_KEY_FILE names .*missing"):
        load({**GOOD, "CUSTOMERIO_TRACK_API_KEY_FILE": str(tmp_path / "missing")})


def test_no_secret_shows_when_settings_are_printed() -> None:
    settings = load({**GOOD, "CUSTOMERIO_TRACK_API_KEY": "hidden-key"})
    assert "hidden-key" not in repr(settings)
    assert "u:p" not in repr(settings)


def test_unknown_names_are_pointed_out_and_service_links_ignored() -> None:
    environment = [
        "TRACKRELAY_REDDIS_URL",
        "TRACKRELAY_PORT_6379_TCP_ADDR",
        "TRACKRELAY_SERVICE_HOST",
        "TRACKRELAY_SHARDS",
    ]
    assert unknown_settings(environment) == {"TRACKRELAY_REDDIS_URL": "TRACKRELAY_REDIS_URL"}


@pytest.mark.parametrize(
    ("declared", "settings"), [(PRODUCER_SETTINGS, Producing), (WORKER_SETTINGS, Settings)]
)
def test_every_declared_setting_is_a_field_and_every_field_is_declared(
    declared: tuple[Setting, ...], settings: type
) -> None:
    names = {each.name.removesuffix("_s") for each in fields(settings)}
    assert {each.field for each in declared} == names


def test_every_default_is_a_value_of_its_setting() -> None:
    for setting in SETTINGS:
        if setting.default is not None:
            setting.type.read(setting.default)


def test_the_reference_has_a_row_for_each_setting() -> None:
    rows = reference_table().splitlines()[2:]
    documented = [each for each in SETTINGS if not each.is_internal]
    assert len(rows) == len(documented)
    assert all(f"`{each.name}`" in row for each, row in zip(documented, rows, strict=True))
    assert {row.count(" | ") for row in rows} == {len(HEAD) - 1}


FALLBACKS = {"REDIS_URL": "redis://x:6379/1", "DATABASE_URL": "postgres://u:p@y/shop"}


def test_redis_url_and_database_url_are_read_where_ours_are_not_set() -> None:
    settings = load(FALLBACKS)
    assert settings.redis_url.get_secret_value() == "redis://x:6379/1"
    assert settings.database_url.get_secret_value() == "postgresql+psycopg://u:p@y/shop"
    assert load_producers({}, FALLBACKS).redis_url == "redis://x:6379/1"


def test_ours_win_over_redis_url_and_database_url(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://from-a-file:6379/0")
    ours = load(FALLBACKS | GOOD)
    from_file = load_producers({}, FALLBACKS | {"TRACKRELAY_REDIS_URL_FILE": str(tmp_path / "url")})
    assert ours.redis_url.get_secret_value() == "redis://x:6379/0"
    assert ours.database_url.get_secret_value() == "postgresql+psycopg://u:p@x/db"
    assert from_file.redis_url == "redis://from-a-file:6379/0"
    assert load_producers({"redis_url": "redis://told"}, FALLBACKS).redis_url == "redis://told"


def test_an_empty_setting_counts_as_not_set() -> None:
    settings = load(FALLBACKS | {"TRACKRELAY_REDIS_URL": " "})
    assert settings.redis_url.get_secret_value() == "redis://x:6379/1"


def test_a_wrong_value_of_a_fallback_names_both() -> None:
    with pytest.raises(ConfigurationError) as error:
        load(FALLBACKS | {"DATABASE_URL": "mysql://u:secret@y/shop"})
    assert str(error.value) == (
        "TRACKRELAY_DATABASE_URL is not set, and DATABASE_URL, read in its place, must begin with "
        "postgresql://, postgres:// or postgresql+psycopg://; its scheme is 'mysql'"
    )


def test_one_run_names_everything_that_is_wrong() -> None:
    wrong = GOOD | {
        "CUSTOMERIO_TRACK_URL": "http://track.example",
        "CUSTOMERIO_APP_URL": "https://me:hunter2@api.example",
        "TRACKRELAY_REQUEST_TIMEOUT": "5m",
        "TRACKRELAY_MAX_AGE": "20d",
        "TRACKRELAY_MAX_ATTEMPTS": "many",
        "TRACKRELAY_REDIS_URL": "http://redis",
    }
    with pytest.raises(ConfigurationError) as error:
        load(wrong)
    names = {line.partition(" ")[0] for line in str(error.value).splitlines()}
    assert names == (set(wrong) - set(GOOD) - {"TRACKRELAY_MAX_AGE"}) | {
        "TRACKRELAY_REDIS_URL",
        "TRACKRELAY_LEDGER_RETENTION",
    }
    assert "hunter2" not in str(error.value)


def test_a_producer_names_everything_that_is_wrong() -> None:
    with pytest.raises(ConfigurationError) as error:
        load_producers(
            {},
            {"TRACKRELAY_SHARDS": "no", "TRACKRELAY_BACKEND": "no", "TRACKRELAY_REDIS_URL": "no"},
        )
    assert [line.split()[0] for line in str(error.value).splitlines()] == [
        "TRACKRELAY_REDIS_URL",
        "TRACKRELAY_BACKEND",
        "TRACKRELAY_SHARDS",
    ]
