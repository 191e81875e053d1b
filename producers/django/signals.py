"""Receivers of Django's signals: identify users who log in or were saved."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import DatabaseError
from django.db.models import Model
from django.db.models.signals import post_save
from django.utils.module_loading import import_string

from trackrelay.errors import TrackRelayError
from trackrelay.operations.anonymous_ids import Visitor

from .django_settings import DjangoSettings, django_settings
from .django_visitors import ATTRIBUTE
from .user_identity import user_model

log = logging.getLogger("trackrelay")


def connect() -> None:
    """Connect the receivers, if there are users.

    They read the settings later, so that tests can override them.
    """
    if user_model() is None:
        return
    user_logged_in.connect(logged_in, dispatch_uid="trackrelay")
    user_logged_out.connect(logged_out, dispatch_uid="trackrelay")
    post_save.connect(saved, dispatch_uid="trackrelay")


def logged_in(*, user: Any, request: Any = None, **_: object) -> None:
    """Identify a user who logged in, with the visitor's anonymous id."""
    own = django_settings()
    if own.identify_on_login:
        visitor = getattr(request, ATTRIBUTE, None)
        _identify(user, own, visitor.known_id if isinstance(visitor, Visitor) else None)


def logged_out(*, request: Any = None, **_: object) -> None:
    """Give the browser a new anonymous id: the next visitor may be another person."""
    visitor = getattr(request, ATTRIBUTE, None)
    if isinstance(visitor, Visitor) and visitor.known_id:
        visitor.renew()


def saved(
    *,
    sender: type[Model],
    instance: Any,
    raw: bool = False,
    update_fields: Collection[str] | None = None,
    **_: object,
) -> None:
    """Identify a user who was saved."""
    if raw or not _is_user(sender) or not (own := django_settings()).identify_on_save:
        return
    # A login saves only last_login.
    if (
        update_fields is None
        or isinstance(own.identify_fields, str)
        or {*update_fields} & {*own.identify_fields}
    ):
        _identify(instance, own)


def _is_user(model: type[Model]) -> bool:
    users = user_model()
    return users is not None and issubclass(model, users)


def _identify(user: Any, own: DjangoSettings, anonymous_id: str | None = None) -> None:
    from trackrelay import identify

    # The code that logs a user in or saves one did not ask for this, and must not fail because of
    # it.
    try:
        identify(user, attributes_of(user, own), anonymous_id=anonymous_id)
    except TrackRelayError as error:
        job = getattr(error, "job_id", None)
        log.error(
            "trackrelay: a user was not identified%s: %s", f" (job {job})" if job else "", error
        )
    except DatabaseError:
        # The surrounding transaction is lost anyway.
        raise
    except Exception:
        # The project's own functions, which return a user's person and attributes, may raise
        # anything.
        log.exception("trackrelay: a user was not identified")


def attributes_of(user: Any, own: DjangoSettings | None = None) -> Mapping[str, Any]:
    """Return a user's attributes, as ``TRACKRELAY["IDENTIFY_FIELDS"]`` selects them."""
    chosen = (own or django_settings()).identify_fields
    if isinstance(chosen, str):
        attributes = import_string(chosen)(user)
        assert isinstance(attributes, Mapping)
        return attributes
    return {name: getattr(user, name) for name in chosen}
