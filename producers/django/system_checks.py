"""Django's system checks of ``settings.TRACKRELAY``.

``manage.py check`` runs them, and so does every command that runs checks. ``manage.py check
--deploy`` adds those for production.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from trackrelay.configuration.producer_settings import Settings, load
from trackrelay.configuration.settings_loader import environment, find
from trackrelay.configuration.settings_table import BY_NAME
from trackrelay.errors import ConfigurationError
from trackrelay.operations.anonymous_ids import AnonymousCookie

from .database_urls import place_of, url_of
from .deployment_checks import choices
from .django_settings import DjangoSettings, django_settings, raw_settings, unknown_names
from .django_visitors import cookie
from .plan_checks import plan_is_kept
from .user_identity import user_model

VISITORS = "trackrelay.django.middleware.VisitorMiddleware"
#: The hint for applications that need no queue.
_NO_QUEUE = 'or set "BACKEND" to "console", "memory" or "off" to run without one'


def register() -> None:
    """Register the checks."""
    checks.register(settings_are_right, "trackrelay")
    checks.register(production_is_right, "trackrelay", deploy=True)


def settings_are_right(**_: object) -> list[checks.CheckMessage]:
    """Return what is wrong in any environment."""
    try:
        raw_settings()
    except ConfigurationError as error:
        return [
            checks.Error(
                str(error), hint='TRACKRELAY = {"REDIS_URL": "redis://…"}', id="trackrelay.E001"
            )
        ]
    own = django_settings()
    return [
        *_unknown(),
        *_values(),
        *_outbox(own),
        *_person(own),
        *_fields(own),
        *_cookie(),
        *_database(own),
        *_one_database(own),
        *plan_is_kept(own),
    ]


def production_is_right(**_: object) -> list[checks.CheckMessage]:
    """Return what is wrong in production."""
    try:
        configured = load({}, needs_queue=False)
    except (ConfigurationError, ImproperlyConfigured):
        return []
    return [
        *_nothing_is_sent(configured),
        *_source_is_missing(configured),
        *_cookie_is_unencrypted(),
        *choices(configured),
    ]


def _unknown() -> Iterator[checks.CheckMessage]:
    for name, meant in unknown_names().items():
        hint = (
            f"Did you mean {meant!r}?"
            if meant
            else "Remove it. trackrelay's documentation has a table of all settings."
        )
        yield checks.Error(f"TRACKRELAY has no setting {name!r}.", hint=hint, id="trackrelay.E002")


def _values() -> Iterator[checks.CheckMessage]:
    try:
        configured = load({}, needs_queue=False)
    except ConfigurationError as error:
        yield checks.Error(f"{error}.", hint=_where(str(error)), id="trackrelay.E003")
        return
    except Exception:  # an unknown alias; its own check reports it
        return
    if (
        configured.backend == "redis"
        and not configured.redis_url
        and not django_settings().outbox_alias
    ):
        yield checks.Warning(
            "No queue is configured: the first call will raise an error.",
            hint=f'Set "REDIS_URL" in TRACKRELAY (or TRACKRELAY_REDIS_URL in the environment), '
            f"{_NO_QUEUE}.",
            id="trackrelay.W001",
        )


def _where(message: str) -> str | None:
    name = message.partition(" ")[0]
    if not name.startswith("TRACKRELAY_"):
        return None
    return (
        f'It is "{name.removeprefix("TRACKRELAY_")}" in TRACKRELAY, or {name} in the environment.'
    )


def _outbox(own: DjangoSettings) -> Iterator[checks.CheckMessage]:
    alias = own.outbox_alias
    if alias is None:
        return
    if alias not in connections:
        yield _no_such_database("OUTBOX", alias, "trackrelay.E004")
    elif connections[alias].vendor not in ("postgresql", "sqlite"):
        yield checks.Error(
            f"The outbox works on PostgreSQL and SQLite; the database {alias!r} is "
            f"{connections[alias].display_name}.",
            hint='Remove "OUTBOX". Jobs are then enqueued after the commit.',
            id="trackrelay.E005",
        )


def _database(own: DjangoSettings) -> Iterator[checks.CheckMessage]:
    if own.database not in connections:
        yield _no_such_database("DATABASE", own.database, "trackrelay.E006")


def _one_database(own: DjangoSettings) -> Iterator[checks.CheckMessage]:
    # A project without the admin and without an alias does not use the workers' database.
    if own.database not in connections or not (
        "DATABASE" in raw_settings() or apps.is_installed("trackrelay.worker.django")
    ):
        return
    try:
        given = find(BY_NAME["TRACKRELAY_DATABASE_URL"], environment())
        workers, variable = (place_of(given.text), given.variable) if given else (None, "")
    except Exception:
        # An unknown alias, or a file or URL that cannot be read. What needs it reports it.
        return
    connection = connections[own.database]
    ours = (
        place_of(url_of(connection))
        if connection.vendor == "postgresql"
        else connection.display_name
    )
    if workers and workers != ours:
        yield checks.Warning(
            f"{variable} leads to {workers}, but Django's alias {own.database!r} leads to {ours}.",
            hint='The admin would read one database and replay in the other. Set "DATABASE" in '
            "TRACKRELAY to the alias of the "
            "workers' database, or remove TRACKRELAY_DATABASE_URL. If both lead to the same "
            "database, silence this check.",
            id="trackrelay.W003",
        )


def _no_such_database(setting: str, alias: object, id: str) -> checks.CheckMessage:
    known = ", ".join(repr(name) for name in connections)
    return checks.Error(
        f'TRACKRELAY["{setting}"] names the database {alias!r}, which is not in DATABASES.',
        hint=f"DATABASES has {known}.",
        id=id,
    )


def _person(own: DjangoSettings) -> Iterator[checks.CheckMessage]:
    if not isinstance(own.person, str):
        wrong: str | None = f"it is a {type(own.person).__name__}"
    elif "." in own.person:
        wrong = _not_importable(own.person)
    else:
        wrong = None if _user_has(own.person) else f"the user model has no attribute {own.person!r}"
    if wrong:
        yield checks.Error(
            f'TRACKRELAY["PERSON"] does not identify users: {wrong}.',
            hint='Use an attribute of the user model ("pk"), or the dotted path of a function that '
            "takes a user and returns "
            "their id or a Person.",
            id="trackrelay.E007",
        )


def _fields(own: DjangoSettings) -> Iterator[checks.CheckMessage]:
    chosen = own.identify_fields
    if isinstance(chosen, str):
        wrong = (
            [_not_importable(chosen)]
            if "." in chosen
            else [f"{chosen!r} is neither a dotted path nor a list of fields"]
        )
    else:
        wrong = [
            None if _user_has(name) else f"the user model has no attribute {name!r}"
            for name in chosen
        ]
    for each in filter(None, wrong):
        yield checks.Error(
            f'TRACKRELAY["IDENTIFY_FIELDS"] does not select attributes of users: {each}.',
            hint='Use a list such as ["email", "first_name"], or the dotted path of a function '
            "that "
            "takes a user and returns a dict.",
            id="trackrelay.E008",
        )
    if (own.identify_on_login or own.identify_on_save) and not chosen:
        yield checks.Warning(
            "Users are identified without attributes: Customer.io gets an id and no address.",
            hint='Set "IDENTIFY_FIELDS" in TRACKRELAY, such as ["email", "first_name"].',
            id="trackrelay.W002",
        )


def _user_has(name: str) -> bool:
    users = user_model()
    if users is None:
        return True  # without users, the setting is not used
    return (
        name == "pk"
        or hasattr(users, name)
        or name in {field.name for field in users._meta.get_fields()}
    )


def _not_importable(path: str) -> str | None:
    try:
        found = import_string(path)
    except ImportError as error:
        return str(error)
    return None if callable(found) else f"{path} is a {type(found).__name__}, not a function"


def _cookie() -> Iterator[checks.CheckMessage]:
    try:
        cookie()
    except ConfigurationError as error:
        yield checks.Error(
            f'TRACKRELAY["ANONYMOUS_COOKIE"] is wrong: {error}.',
            hint=f"Its fields are "
            f"{', '.join(field.name.upper() for field in fields(AnonymousCookie))}.",
            id="trackrelay.E009",
        )


def _nothing_is_sent(configured: Settings) -> Iterator[checks.CheckMessage]:
    if configured.backend != "redis":
        yield checks.Warning(
            f"TRACKRELAY_BACKEND is {configured.backend!r}: calls are checked, and nothing reaches "
            "Customer.io.",
            hint='Remove "BACKEND" in production.',
            id="trackrelay.W101",
        )
    elif not configured.redis_url and not django_settings().outbox_alias:
        yield checks.Error(
            "No queue is configured: every call will raise an error.",
            hint='Set "REDIS_URL" in TRACKRELAY, or TRACKRELAY_REDIS_URL in the environment.',
            id="trackrelay.E101",
        )


def _source_is_missing(configured: Settings) -> Iterator[checks.CheckMessage]:
    if not configured.source:
        yield checks.Warning(
            "Jobs do not name the application that they come from.",
            hint='Set "SOURCE" in TRACKRELAY, such as "shop". It is shown with every job and dead '
            "letter.",
            id="trackrelay.W102",
        )


def _cookie_is_unencrypted() -> Iterator[checks.CheckMessage]:
    if VISITORS not in settings.MIDDLEWARE:
        return
    try:
        secure = cookie().secure
    except ConfigurationError:
        return  # its own check reports it
    if secure is False or (
        secure is None and not (settings.SECURE_SSL_REDIRECT or settings.SESSION_COOKIE_SECURE)
    ):
        yield checks.Warning(
            "The cookie of anonymous visitors is sent unencrypted over http.",
            hint='Set "ANONYMOUS_COOKIE": {"SECURE": True} in TRACKRELAY.',
            id="trackrelay.W103",
        )
