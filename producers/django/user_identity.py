"""The person at Customer.io that a Django user is."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.utils.module_loading import import_string

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.refs import Person

from .django_settings import django_settings


def user_model() -> type[Model] | None:
    """Return the model of the project's users; None if it does not use ``django.contrib.auth``."""
    try:
        found: type[Model] = get_user_model()
    except ImproperlyConfigured:
        return None
    return found


def person_of(value: object) -> Person | None:
    """Return the person of a user, as ``TRACKRELAY["PERSON"]`` identifies users, or None.

    Raises:
        InvalidOperationError: the user is anonymous, or was not saved yet.
    """
    # request.user is lazy, so look at the object behind it.
    if _is_anonymous(value):
        raise _no_person(
            "an anonymous user: use trackrelay.django.visitor(request)",
            "an anonymous user",
        )
    setting = django_settings().person
    if "." in setting:
        return Person.of(import_string(setting)(value)) if isinstance(value, Model) else None
    users = user_model()
    return _by_attribute(value, setting) if users is not None and isinstance(value, users) else None


def _is_anonymous(value: object) -> bool:
    if not apps.is_installed("django.contrib.auth"):
        return False
    # Imported late: without the application its models cannot be imported.
    from django.contrib.auth.models import AnonymousUser

    return isinstance(value, AnonymousUser)


def _by_attribute(user: Any, attribute: str) -> Person:
    identifier = getattr(user, attribute)
    if identifier is None or identifier == "":
        raise _no_person(f"a user without {attribute}: was it saved?", "none")
    return Person.of(identifier)


def _no_person(what: str, actual: str) -> InvalidOperationError:
    return InvalidOperationError(
        f"the person is {what}", field="identifiers", limit="a known person", actual=actual
    )
