"""Settings: typed, from the environment or files, and wrong ones named in one line without their secret."""

from datetime import timedelta
from pathlib import Path

import pytest

from trackrelay.configuration.producer_settings import load as load_producers
from trackrelay.configuration.setting_names import WORKER_NAMES, unknown_names
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
    ("name", "value", "said"),
    [
        ("TRACKRELAY_REDIS_URL", "", "TRACKRELAY_REDIS_URL: it is not set"),
        (
            "TRACKRELAY_DATABASE_URL",
            "mysql://x",
            "TRACKRELAY_DATABASE_URL: it must begin with postgresql://",
        ),
        (
            "TRACKRELAY_REQUESTS_PER_SECOND",
            "5000",
            "TRACKRELAY_REQUESTS_PER_SECOND: input should be less than or equal to 1000",
        ),
        (
            "TRACKRELAY_MAX_AGE",
            "3 weeks",
            "TRACKRELAY_MAX_AGE: it must be a duration such as 90s, 10m, 12h or 3d",
        ),
        (
            "TRACKRELAY_LEDGER_RETENTION",
            "1d",
            "TRACKRELAY_LEDGER_RETENTION: it must be more than twice TRACKRELAY_MAX_AGE",
        ),
        ("CUSTOMERIO_REGION", "mars", "CUSTOMERIO_REGION: input should be 'us' or 'eu'"),
        (
            "CUSTOMERIO_TRACK_URL",
            "http://track.example.com",
            "CUSTOMERIO_TRACK_URL: it must be https://",
        ),
        (
            "CUSTOMERIO_TRACK_URL",
            "https://me:secret@track.example.com",
            "CUSTOMERIO_TRACK_URL: it must not contain credentials",
        ),
        (
            "TRACKRELAY_REQUEST_TIMEOUT",
            "5m",
            "TRACKRELAY_REQUEST_TIMEOUT: it must be from 0.1s to 60s",
        ),
    ],
)
def test_a_wrong_value_is_named_in_one_line(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load({**GOOD, name: value})
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_every_wrong_value_has_its_line() -> None:
    with pytest.raises(ConfigurationError) as error:
        load({"TRACKRELAY_SHARDS": "0"})
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
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
    assert unknown_names(environment) == {"TRACKRELAY_REDDIS_URL": "TRACKRELAY_REDIS_URL"}


def test_the_list_of_names_and_the_settings_agree() -> None:
    aliases = {str(field.alias) for field in Settings.model_fields.values()}
    ours = {name for name in aliases if name.startswith("TRACKRELAY_")}
    assert WORKER_NAMES - ours <= {"TRACKRELAY_FAILPOINT"}
    assert not unknown_names(ours)


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
    names = {line.partition(":")[0] for line in str(error.value).splitlines()}
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
