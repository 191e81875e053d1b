"""The settings of workers and commands: from ``configure()``, a framework or the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal

from trackrelay.configuration.api_addresses import APP_URLS, TRACK_URLS, unencrypted
from trackrelay.configuration.server_urls import postgres_url
from trackrelay.configuration.settings_loader import Loaded, load_settings
from trackrelay.configuration.settings_loader import environment as current_environment
from trackrelay.configuration.settings_table import SETTINGS, WORKER_SETTINGS, Setting
from trackrelay.configuration.value_types import parse_duration
from trackrelay.default import overrides
from trackrelay.errors import ConfigurationError

__all__ = ["Secret", "Settings", "load", "parse_duration", "problems", "settings", "sqlalchemy_url"]

_REQUIRED = ("TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL")


class Secret:
    """A text that is never shown by accident: neither logs nor debug pages print it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """Return the text."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret('**********')" if self._value else "Secret('')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings, checked; see :mod:`trackrelay.configuration.settings_table`."""

    redis_url: Secret
    database_url: Secret
    outbox_url: Secret
    site_id: Secret
    track_api_key: Secret
    region: Literal["us", "eu"]
    allow_http: bool
    track_url: str
    app_api_key: Secret
    app_url: str
    environment_id: str
    #: None takes what the queue was set up with.
    shards: int | None
    max_queue_length: int
    redis_wait_replicas: int
    requests_per_second: float
    request_timeout: timedelta
    max_age: timedelta
    max_attempts: int
    ledger_retention: timedelta
    dead_letter_retention: timedelta
    open_dead_letter_retention: timedelta
    forgotten_retention: timedelta
    merge_delay: timedelta
    #: Empty takes the secret that ``migrate`` made.
    key_hash_secret: Secret
    catalog: bool
    identities: bool
    verify: Literal["off", "sample", "all"]
    #: The share of subjects that ``sample`` selects, up to 1.
    verify_sample: float
    verify_rate: float
    verify_after: timedelta
    verify_window: timedelta
    verdict_retention: timedelta
    alert_webhook: Secret
    alert_heartbeat: Secret
    smtp_url: Secret
    console_url: str
    tracing: bool
    log_format: Literal["auto", "json", "console"]
    log_level: Literal["debug", "info", "warning", "error"]

    @property
    def base_url(self) -> str:
        """The Track API's base URL: as set, or the region's."""
        return (self.track_url or TRACK_URLS[self.region]).rstrip("/")

    @property
    def app_base_url(self) -> str:
        """The App API's base URL: as set, or the region's."""
        return (self.app_url or APP_URLS[self.region]).rstrip("/")


def sqlalchemy_url(url: str) -> str:
    """Return the URL in the form SQLAlchemy wants."""
    return postgres_url(url)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings.

    Args:
        environment: left out, the process's, with a framework's settings on top.

    Raises:
        ConfigurationError: with one line for each setting that is missing or wrong.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    loaded = _load(WORKER_SETTINGS, environment)
    if loaded.problems:
        raise ConfigurationError("\n".join(loaded.lines()))
    return Settings(**{each.field: _held(each, loaded.values) for each in WORKER_SETTINGS})


def problems(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with each setting, those of applications included, by its name."""
    return _load(SETTINGS, environment).problems


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the process's settings, read once."""
    return load()


def _load(which: tuple[Setting, ...], environment: Mapping[str, str] | None) -> Loaded:
    environment = current_environment() if environment is None else environment
    loaded = load_settings(which, environment, overrides(), _REQUIRED)
    for name, problem in _conflicts(loaded.values):
        loaded.problems.setdefault(name, problem)
    return loaded


def _conflicts(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each setting that another setting rules out, and what is wrong."""
    for name, field in (("CUSTOMERIO_TRACK_URL", "track_url"), ("CUSTOMERIO_APP_URL", "app_url")):
        if problem := unencrypted(values.get(field), values.get("allow_http")):
            yield name, problem
    max_age, retention = values.get("max_age"), values.get("ledger_retention")
    if max_age is not None and retention is not None and retention <= 2 * max_age:
        yield (
            "TRACKRELAY_LEDGER_RETENTION",
            f"must be more than twice TRACKRELAY_MAX_AGE ({max_age}), so that no job outlives the "
            f"memory of its delivery; it is {retention}",
        )


def _held(setting: Setting, values: Mapping[str, Any]) -> Any:
    value = values[setting.field]
    if setting.is_secret:
        return Secret(value or "")
    return value if value is not None or setting.field == "shards" else ""
