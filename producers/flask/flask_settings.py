"""``app.config``: what of it is ours, and what it says under its names in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackrelay.configuration.environment import as_text
from trackrelay.configuration.setting_names import ALL_NAMES, SECRET_NAMES
from trackrelay.errors import ConfigurationError
from trackrelay.operations.anonymous_ids import AnonymousCookie
from trackrelay.suggestion import closest_name

#: Read here and nowhere else: what is different about the cookie, a dict of the fields of ``AnonymousCookie``.
COOKIE = "TRACKRELAY_ANONYMOUS_COOKIE"
_CUSTOMERIO = {
    "CUSTOMERIO_SITE_ID",
    "CUSTOMERIO_TRACK_API_KEY",
    "CUSTOMERIO_APP_API_KEY",
    "CUSTOMERIO_REGION",
    "CUSTOMERIO_TRACK_URL",
    "CUSTOMERIO_APP_URL",
}
#: What goes on under its own name.
PASSED_ON = ALL_NAMES | _CUSTOMERIO | {f"{name}_FILE" for name in _CUSTOMERIO & SECRET_NAMES}


def as_environment(config: Mapping[str, Any]) -> dict[str, str]:
    """The settings in ``config`` as the environment would have them."""
    return {
        name: as_text(config[name])
        for name in PASSED_ON & config.keys()
        if config[name] is not None
    }


def unknown_names(config: Mapping[str, Any]) -> dict[str, str | None]:
    """The names of ours in ``config`` that nobody reads, each with the one that may have been meant."""
    known = [*PASSED_ON, COOKIE]
    unknown = [name for name in config if name.startswith("TRACKRELAY_") and name not in known]
    return {name: closest_name(name, known) for name in unknown}


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
