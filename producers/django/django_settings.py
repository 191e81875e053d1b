"""``settings.TRACKRELAY``: the settings that only Django has, and those of other parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from trackrelay.configuration.settings_loader import as_text
from trackrelay.configuration.settings_table import ALL_NAMES, PREFIX
from trackrelay.errors import ConfigurationError
from trackrelay.suggestion import closest_name

from .database_urls import url_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DjangoSettings:
    """The settings that only Django has."""

    #: The database with the outbox: an alias, or True for ``default``. False means no outbox.
    outbox: str | bool = False
    #: The alias of the workers' database, for the admin and the command line.
    database: str = DEFAULT_DB_ALIAS
    #: How to identify a user: an attribute of the user model, or the dotted path of a function that
    #: takes a user.
    person: str = "pk"
    #: A user's attributes for Customer.io: fields, or the dotted path of a function that takes a
    #: user.
    identify_fields: str | Sequence[str] = ()
    #: Whether to identify a user who logs in. Their anonymous events become theirs.
    identify_on_login: bool = False
    #: Whether to identify a user who was saved.
    identify_on_save: bool = False
    #: Changes to the cookie: fields of
    #: :class:`trackrelay.operations.anonymous_ids.AnonymousCookie`, in capitals.
    anonymous_cookie: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outbox_alias(self) -> str | None:
        """The alias of the database with the outbox; None if there is no outbox."""
        return DEFAULT_DB_ALIAS if self.outbox is True else self.outbox or None


OWN = {each.name.upper(): each.name for each in fields(DjangoSettings)}
#: Every name that ``TRACKRELAY`` may have, and its name in the environment.
PASSED_ON = {name.removeprefix(PREFIX): name for name in ALL_NAMES}


def raw_settings() -> Mapping[str, Any]:
    """Return ``settings.TRACKRELAY``.

    Raises:
        ConfigurationError: it is not a dict.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    given = getattr(settings, "TRACKRELAY", {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"TRACKRELAY must be a dict; it is a {type(given).__name__}")
    return given


def django_settings() -> DjangoSettings:
    """Return the settings in ``settings.TRACKRELAY`` that only Django has."""
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    given = raw_settings()
    return DjangoSettings(**{own: given[name] for name, own in OWN.items() if name in given})


def unknown_names() -> dict[str, str | None]:
    """Return the names in ``TRACKRELAY`` that are not settings, each with a similar name."""
    known = [*OWN, *PASSED_ON]
    unknown = [str(name) for name in raw_settings() if name not in known]
    return {name: closest_name(name.upper().removeprefix(PREFIX), known) for name in unknown}


def as_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``settings.TRACKRELAY`` and what follows from it as environment variables.

    Args:
        environment: the environment variables. They win over what derived from other settings.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    given, own = raw_settings(), django_settings()
    named = {
        name: as_text(given[key]) for key, name in PASSED_ON.items() if given.get(key) is not None
    }
    derived = {"TRACKRELAY_NAIVE_TIMEZONE": settings.TIME_ZONE}
    if alias := _fallback_alias(own, given):
        derived["TRACKRELAY_OUTBOX_URL"] = url_of(connections[alias])
    if own.database in connections and connections[own.database].vendor == "postgresql":
        derived["TRACKRELAY_DATABASE_URL"] = url_of(connections[own.database])
    for name, value in derived.items():
        if value and not environment.get(name) and not environment.get(f"{name}_FILE"):
            named.setdefault(name, value)
    return named


def _fallback_alias(own: DjangoSettings, given: Mapping[str, Any]) -> str | None:
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    return own.outbox_alias or (
        DEFAULT_DB_ALIAS if given.get("ON_UNAVAILABLE") == "outbox" else None
    )
