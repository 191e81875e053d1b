"""``app.config``: what of it is ours, and what it says under its names in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackrelay.configuration.environment import as_text
from trackrelay.configuration.settings_table import ALL_NAMES, unknown_settings
from trackrelay.errors import ConfigurationError
from trackrelay.operations.anonymous_ids import AnonymousCookie

#: Read here and nowhere else: what is different about the cookie, a dict of the fields of ``AnonymousCookie``.
COOKIE = "TRACKRELAY_ANONYMOUS_COOKIE"


def as_environment(config: Mapping[str, Any]) -> dict[str, str]:
    """The settings in ``config`` as the environment would have them."""
    return {
        name: as_text(config[name])
        for name in ALL_NAMES & config.keys()
        if config[name] is not None
    }


def unknown_names(config: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the ``TRACKRELAY_…`` names that are no settings, each with the one that was probably meant."""
    return unknown_settings(config, ALL_NAMES | {COOKIE})


def cookie_of(config: Mapping[str, Any]) -> AnonymousCookie:
    """The cookie of anonymous visitors.

    Raises:
        ConfigurationError: with what is wrong in its setting.
    """
    return AnonymousCookie.of(config.get(COOKIE, {}))


def wrong_cookie(config: Mapping[str, Any]) -> str | None:
    """What is wrong in the setting of the cookie; None: nothing."""
    try:
        cookie_of(config)
    except ConfigurationError as error:
        return f"{COOKIE} of app.config is wrong: {error}"
    return None
