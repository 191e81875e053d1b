"""Who a Django user is at Customer.io."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from django.utils.module_loading import import_string

from ..errors import InvalidOperation
from ..people import Person
from .configuration import django_settings


def person_of(value: object) -> Person | None:
    """The person that ``TRACKRELAY["PERSON"]`` says a user is; None for what is no user.

    Raises:
        InvalidOperation: an anonymous user, or one that was not saved yet.
    """
    # request.user is lazy: whatever is behind it decides.
    if isinstance(value, AnonymousUser):
        raise _nobody("an anonymous user: producers.django.visitor(request) names whoever it is", "an anonymous user")
    setting = django_settings().person
    if "." in setting:
        return Person.of(import_string(setting)(value)) if isinstance(value, Model) else None
    return _by_attribute(value, setting) if isinstance(value, get_user_model()) else None


def _by_attribute(user: Any, attribute: str) -> Person:
    identifier = getattr(user, attribute)
    if identifier is None or identifier == "":
        raise _nobody(f"a user without {attribute}: was it saved?", "none")
    return Person.of(identifier)


def _nobody(what: str, actual: str) -> InvalidOperation:
    return InvalidOperation(f"the person is {what}", field="identifiers", limit="a known person", actual=actual)
