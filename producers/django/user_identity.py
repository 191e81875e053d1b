"""Who a Django user is at Customer.io."""

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
    """The model of the project's users; None: it has none, and does without ``django.contrib.auth``."""
    try:
        found: type[Model] = get_user_model()
    except ImproperlyConfigured:
        return None
    return found


def person_of(value: object) -> Person | None:
    """The person that ``TRACKRELAY["PERSON"]`` says a user is; None for what is no user.

    Raises:
        InvalidOperationError: an anonymous user, or one that was not saved yet.
    """
    # request.user is lazy: whatever is behind it decides.
    if _is_anonymous(value):
        raise _nobody(
            "an anonymous user: trackrelay.django.visitor(request) names whoever it is",
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
    # Late: without the application its models cannot be imported.
    from django.contrib.auth.models import AnonymousUser

    return isinstance(value, AnonymousUser)


def _by_attribute(user: Any, attribute: str) -> Person:
    identifier = getattr(user, attribute)
    if identifier is None or identifier == "":
        raise _nobody(f"a user without {attribute}: was it saved?", "none")
    return Person.of(identifier)


def _nobody(what: str, actual: str) -> InvalidOperationError:
    return InvalidOperationError(
        f"the person is {what}", field="identifiers", limit="a known person", actual=actual
    )
