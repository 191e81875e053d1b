"""The settings of the App API's client.

They come from its arguments, else from where applications and workers read theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypedDict

from trackrelay.configuration.api_addresses import APP_URLS, unencrypted
from trackrelay.configuration.settings_loader import environment as current_environment
from trackrelay.configuration.settings_loader import load_settings
from trackrelay.configuration.settings_table import APP_API_SETTINGS
from trackrelay.default import overrides
from trackrelay.errors import ConfigurationError
from trackrelay.operations.checks.rejection import cut

_KEY = re.compile(r"[!-~]+")
_NAMES = frozenset(each.field for each in APP_API_SETTINGS)


class AppApiSettings(TypedDict, total=False):
    """The settings that :class:`~trackrelay.app_api.AppApi` takes by name."""

    app_api_key: str
    region: Literal["us", "eu"]
    app_url: str
    allow_http: bool
    request_timeout: str | float | timedelta
    redis_url: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Address and key, checked."""

    app_api_key: str = field(repr=False)
    base_url: str
    timeout_s: float
    #: Of the Redis that keeps the budget; empty if there is none.
    redis_url: str = field(repr=False)


def load(given: Mapping[str, Any]) -> Settings:
    """Return the settings.

    Args:
        given: arguments of the client, by field; they win over all other places.

    Raises:
        ConfigurationError: a setting is missing or wrong; the message names it.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, keys among them
    for name in given:
        if name not in _NAMES:
            raise ConfigurationError(
                f"AppApi() has no setting {cut(repr(name), 100)}; "
                f"it has {', '.join(sorted(_NAMES))}"
            )
    # An empty text turns off what the environment sets.
    own = {name: None if value == "" else value for name, value in given.items()}
    loaded = load_settings(APP_API_SETTINGS, current_environment(), {**overrides(), **own})
    if loaded.problems:
        raise ConfigurationError("\n".join(loaded.lines()))
    values = loaded.values
    key = values["app_api_key"] or ""
    if not key:
        raise ConfigurationError(
            "CUSTOMERIO_APP_API_KEY is not set: make an App API key in Customer.io, Settings → "
            "Account Settings → API Credentials → App API Keys"
        )
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            "CUSTOMERIO_APP_API_KEY has a space or another character that no key has"
        )
    if problem := unencrypted(values["app_url"], values["allow_http"]):
        raise ConfigurationError(f"CUSTOMERIO_APP_URL {problem}")
    return Settings(
        key,
        (values["app_url"] or APP_URLS[values["region"]]).rstrip("/"),
        values["request_timeout"].total_seconds(),
        values["redis_url"] or "",
    )
