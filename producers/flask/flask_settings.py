"""Our settings in ``app.config``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackrelay.configuration.settings_loader import as_text
from trackrelay.configuration.settings_table import ALL_NAMES
from trackrelay.configuration.unknown_settings import unknown_settings
from trackrelay.errors import ConfigurationError
from trackrelay.operations.anonymous_ids import AnonymousCookie

#: Changes to the cookie: a dict of fields of ``AnonymousCookie``. Only Flask reads this setting.
COOKIE = "TRACKRELAY_ANONYMOUS_COOKIE"


def as_environment(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings in ``config`` as environment variables."""
    return {
        name: as_text(config[name])
        for name in ALL_NAMES & config.keys()
        if config[name] is not None
    }


def unknown_names(config: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the ``TRACKRELAY_…`` names that are not settings, each with a similar name."""
    return unknown_settings(config, ALL_NAMES | {COOKIE})


def cookie_of(config: Mapping[str, Any]) -> AnonymousCookie:
    """Return the cookie of anonymous visitors.

    Raises:
        ConfigurationError: its setting is wrong.
    """
    return AnonymousCookie.of(config.get(COOKIE, {}))


def wrong_cookie(config: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the setting of the cookie; None if it is right."""
    try:
        cookie_of(config)
    except ConfigurationError as error:
        return f"{COOKIE} of app.config is wrong: {error}"
    return None
