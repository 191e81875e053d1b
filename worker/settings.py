"""The worker's settings: typed, read from the environment (each secret also as ``NAME_FILE``), wrong ones named in one line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from trackrelay.configuration import durations, server_urls
from trackrelay.configuration.environment import environment as current_environment
from trackrelay.configuration.setting_names import SECRET_NAMES
from trackrelay.default import overrides
from trackrelay.errors import ConfigurationError

#: The kind of error whose value is not quoted.
_UNSHOWN = "unshown"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
TRACK_URLS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
APP_URLS = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}


def parse_duration(value: object) -> timedelta:
    """``90s``, ``10m``, ``12h``, ``3d``, a timedelta, or a number of seconds, as a timedelta."""
    return timedelta(seconds=durations.seconds(value))


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Settings(BaseSettings):
    """Everything a worker and the command line can be told."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    redis_url: SecretStr = Field(alias="TRACKRELAY_REDIS_URL")
    database_url: SecretStr = Field(alias="TRACKRELAY_DATABASE_URL")
    #: The application's database that holds the outbox table; empty: no outbox is relayed here.
    outbox_url: SecretStr = Field(default=SecretStr(""), alias="TRACKRELAY_OUTBOX_URL")
    site_id: SecretStr = Field(default=SecretStr(""), alias="CUSTOMERIO_SITE_ID")
    track_api_key: SecretStr = Field(default=SecretStr(""), alias="CUSTOMERIO_TRACK_API_KEY")
    region: Literal["us", "eu"] = Field(default="us", alias="CUSTOMERIO_REGION")
    allow_http: bool = Field(default=False, alias="TRACKRELAY_ALLOW_HTTP")
    track_url: str = Field(default="", alias="CUSTOMERIO_TRACK_URL")
    app_api_key: SecretStr = Field(default=SecretStr(""), alias="CUSTOMERIO_APP_API_KEY")
    app_url: str = Field(default="", alias="CUSTOMERIO_APP_URL")
    #: If set, must equal the workspace the credentials belong to, or nothing is delivered.
    environment_id: str = Field(default="", alias="TRACKRELAY_ENVIRONMENT_ID")
    #: None takes what the queue was set up with; ``migrate`` sets up 4.
    shards: int | None = Field(default=None, ge=1, le=1024, alias="TRACKRELAY_SHARDS")
    max_queue_length: int = Field(default=1_000_000, ge=1, alias="TRACKRELAY_MAX_QUEUE_LENGTH")
    requests_per_second: float = Field(
        default=100, gt=0, le=1000, alias="TRACKRELAY_REQUESTS_PER_SECOND"
    )
    #: One request, from the first byte sent to the last one read.
    request_timeout: Duration = Field(
        default=timedelta(seconds=10), alias="TRACKRELAY_REQUEST_TIMEOUT"
    )
    max_age: Duration = Field(default=timedelta(days=3), alias="TRACKRELAY_MAX_AGE")
    max_attempts: int = Field(default=10, ge=1, le=1000, alias="TRACKRELAY_MAX_ATTEMPTS")
    ledger_retention: Duration = Field(
        default=timedelta(days=30), alias="TRACKRELAY_LEDGER_RETENTION", validate_default=True
    )
    dead_letter_retention: Duration = Field(
        default=timedelta(days=90), alias="TRACKRELAY_DEAD_LETTER_RETENTION"
    )
    #: How long after the last delivery to either of its people a merge waits (Customer.io documents the race).
    merge_delay: Duration = Field(default=timedelta(seconds=5), alias="TRACKRELAY_MERGE_DELAY")
    #: Keys made of emails, phones and anonymous ids are stored hashed with this; empty: one that ``migrate`` made.
    key_hash_secret: SecretStr = Field(default=SecretStr(""), alias="TRACKRELAY_KEY_HASH_SECRET")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", alias="TRACKRELAY_LOG_FORMAT"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", alias="TRACKRELAY_LOG_LEVEL"
    )

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr) -> SecretStr:
        return SecretStr(server_urls.postgres_url(value.get_secret_value()))

    @field_validator("outbox_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        return (
            SecretStr(server_urls.outbox_url(value.get_secret_value()))
            if value.get_secret_value()
            else value
        )

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr) -> SecretStr:
        return SecretStr(server_urls.redis_url(value.get_secret_value()))

    # Each with its own setting, so that one run names all that is wrong. What is compared with stands above it.

    @field_validator("track_url", "app_url")
    @classmethod
    def _https(cls, value: str, info: ValidationInfo) -> str:
        _check_url(value, info.data.get("allow_http", False))
        return value

    @field_validator("request_timeout")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=0.1) <= value <= timedelta(seconds=60):
            raise ValueError(f"it must be from 0.1s to 60s; it is {value}")
        return value

    @field_validator("ledger_retention")
    @classmethod
    def _outlives(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        # A repeat must still be known when the last copy of its job can still arrive.
        max_age = info.data.get("max_age")
        if max_age is not None and value <= 2 * max_age:
            raise ValueError(
                f"it must be more than twice TRACKRELAY_MAX_AGE ({max_age}), so that no job outlives what is remembered of "
                f"it; it is {value}"
            )
        return value

    @property
    def base_url(self) -> str:
        """The Track API's base URL: as set, or the region's."""
        return (self.track_url or TRACK_URLS[self.region]).rstrip("/")

    @property
    def app_base_url(self) -> str:
        """The App API's base URL: as set, or the region's."""
        return (self.app_url or APP_URLS[self.region]).rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def sqlalchemy_url(url: str) -> str:
    """Return the URL in the form SQLAlchemy wants."""
    return server_urls.postgres_url(url)


def _check_url(url: str, allow_http: bool) -> None:
    if not url:
        return
    # An unencoded password makes everything before the "@" unfit to be read, let alone to be quoted.
    if "@" in url:
        raise PydanticCustomError(
            _UNSHOWN,
            "it must not contain credentials; set CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY",
        )
    try:
        server_urls.web_url(url)
        parts = urlsplit(url)
    except ValueError as error:
        raise PydanticCustomError(_UNSHOWN, "{problem}", {"problem": str(error)}) from None
    if parts.query:
        raise PydanticCustomError(
            _UNSHOWN, "it must not have a query ('?'): requests add paths to it"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"it must be an https:// URL; it is {url!r}")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_http:
        raise ValueError(
            f"it must be https:// (people's data would travel in the clear); it is {url!r}. "
            "TRACKRELAY_ALLOW_HTTP=1 allows it"
        )


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of ``environment``, with what ``trackrelay.configure()`` was told on top.

    Args:
        environment: left out, the process's, with a framework's settings on top.

    Raises:
        ConfigurationError: with one line for each setting that is missing or wrong.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    values: dict[str, Any] = _with_files(
        current_environment() if environment is None else environment
    )
    values |= {f"TRACKRELAY_{name.upper()}": value for name, value in overrides().items()}
    try:
        return Settings(
            **{name: value for name, value in values.items() if name in _ALIASES and value != ""}
        )
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(each) for each in error.errors())) from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once."""
    return load()


_ALIASES = frozenset(str(field.alias) for field in Settings.model_fields.values())


def _with_files(environment: Mapping[str, str]) -> dict[str, str]:
    values = {name: value.strip() for name, value in environment.items()}
    for name in SECRET_NAMES:
        if path := environment.get(f"{name}_FILE"):
            try:
                values[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                reason = error.strerror
                raise ConfigurationError(
                    f"{name}_FILE names {path}, which cannot be read: {reason}"
                ) from None
    return values


def _explain(error: Any) -> str:
    # Never the value itself: it may be a secret. Validators quote those that are not.
    name = str(error["loc"][0]) if error["loc"] else ""
    if field := Settings.model_fields.get(
        name
    ):  # what was wrong is a default, beside another setting
        name = str(field.alias)
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        message = "it is not set"
    elif (
        name and name not in SECRET_NAMES and error["type"] != _UNSHOWN and "; it is" not in message
    ):
        message = f"{message[:1].lower()}{message[1:]}; it is {error['input']!r}"
    return f"{name}: {message}" if name else message
