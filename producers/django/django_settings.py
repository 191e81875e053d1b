"""``settings.TRACKRELAY``: what it may say, and what of it is for the other parts of trackrelay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from trackrelay.configuration.environment import as_text
from trackrelay.configuration.settings_table import ALL_NAMES, PREFIX
from trackrelay.errors import ConfigurationError
from trackrelay.suggestion import closest_name

from .database_urls import url_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DjangoSettings:
    """What is only Django's."""

    #: The database whose transactions jobs are rows of: an alias, or True for ``default``. False: no outbox.
    outbox: str | bool = False
    #: The alias under which Django reaches the database of the workers, for the admin and the command line.
    database: str = DEFAULT_DB_ALIAS
    #: Who a user is: an attribute of the user model, or the dotted path of a function that takes a user.
    person: str = "pk"
    #: What of a user Customer.io is told: fields, or the dotted path of a function that takes a user.
    identify_fields: str | Sequence[str] = ()
    #: Identify a user who logs in; what they did before becomes theirs.
    identify_on_login: bool = False
    #: Identify a user who was saved.
    identify_on_save: bool = False
    #: What is different about the cookie: the fields of :class:`trackrelay.operations.anonymous_ids.AnonymousCookie`, in capitals.
    anonymous_cookie: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outbox_alias(self) -> str | None:
        """The alias of the database with the outbox; None: there is no outbox."""
        return DEFAULT_DB_ALIAS if self.outbox is True else self.outbox or None


OWN = {each.name.upper(): each.name for each in fields(DjangoSettings)}
#: Every name that ``TRACKRELAY`` may have, and its name in the environment.
PASSED_ON = {name.removeprefix(PREFIX): name for name in ALL_NAMES}


def told() -> Mapping[str, Any]:
    """``settings.TRACKRELAY``, as it stands there.

    Raises:
        ConfigurationError: it is no dict.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    given = getattr(settings, "TRACKRELAY", {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"TRACKRELAY must be a dict; it is a {type(given).__name__}")
    return given


def django_settings() -> DjangoSettings:
    """What is only Django's, of ``settings.TRACKRELAY``."""
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    given = told()
    return DjangoSettings(**{own: given[name] for name, own in OWN.items() if name in given})


def unknown_names() -> dict[str, str | None]:
    """Return the names in ``TRACKRELAY`` that are no settings, each with the one that was probably meant."""
    known = [*OWN, *PASSED_ON]
    unknown = [str(name) for name in told() if name not in known]
    return {name: closest_name(name.upper().removeprefix(PREFIX), known) for name in unknown}


def as_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """``settings.TRACKRELAY`` under the names that the environment has for it, with what follows from other settings.

    Args:
        environment: what it says itself wins over what only follows.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    given, own = told(), django_settings()
    says = {
        name: as_text(given[key]) for key, name in PASSED_ON.items() if given.get(key) is not None
    }
    follows = {"TRACKRELAY_NAIVE_TIMEZONE": settings.TIME_ZONE}
    if alias := _fallback_alias(own, given):
        follows["TRACKRELAY_OUTBOX_URL"] = url_of(connections[alias])
    if own.database in connections and connections[own.database].vendor == "postgresql":
        follows["TRACKRELAY_DATABASE_URL"] = url_of(connections[own.database])
    for name, value in follows.items():
        if value and not environment.get(name) and not environment.get(f"{name}_FILE"):
            says.setdefault(name, value)
    return says


def _fallback_alias(own: DjangoSettings, given: Mapping[str, Any]) -> str | None:
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    return own.outbox_alias or (
        DEFAULT_DB_ALIAS if given.get("ON_UNAVAILABLE") == "outbox" else None
    )
