"""Lazy values of Django and werkzeug, which stand for other values."""

from __future__ import annotations

import sys
from typing import Any

from .rejection import RefusalError

#: A lazy value can stand for another one. A longer chain is an error.
MAX_STEPS = 8


def is_disguised(value: object) -> bool:
    """Return whether ``value`` claims another class, as lazy values do.

    `isinstance` believes it, C code does not.
    """
    return value.__class__ is not type(value)


def resolved(value: object) -> object:
    """Return what ``value`` stands for, or ``value`` itself if it is not lazy.

    Know Django's ``gettext_lazy()`` and ``SimpleLazyObject``, and werkzeug's ``LocalProxy``. Import
    neither package: unless the application has, there are no such values.
    """
    for _ in range(MAX_STEPS):
        behind = _step(value)
        if behind is value:
            return value
        value = behind
    raise RefusalError("stands only for other lazy values", limit="a value", actual="lazy values")


def _step(value: Any) -> object:
    cls = type(value)
    functional = sys.modules.get("django.utils.functional")
    # Another thread may be importing the module.
    if issubclass(cls, getattr(functional, "LazyObject", ())):
        if value._wrapped is getattr(functional, "empty", None):
            value._setup()
        return value._wrapped
    if issubclass(cls, getattr(functional, "Promise", ())):
        # A value of lazy() casts itself to the result of its function. Other promises are text.
        cast = getattr(value, "_proxy____cast", None)
        return str(value) if cast is None else cast()
    if issubclass(cls, getattr(sys.modules.get("werkzeug.local"), "LocalProxy", ())):
        return value._get_current_object()
    return value
