"""Stand-ins: lazy values of Django and werkzeug, which are what they stand for."""

from __future__ import annotations

import sys
from typing import Any

from .rejection import RefusalError

#: A stand-in can stand for another one; this many steps are no accident.
MAX_STEPS = 8


def is_disguised(value: object) -> bool:
    """Whether ``value`` claims a class that is not its own, as stand-ins do: `isinstance` believes them, C code does not."""
    return value.__class__ is not type(value)


def resolved(value: object) -> object:
    """Return what ``value`` stands for, or ``value`` itself if it is no stand-in.

    Knows Django's ``gettext_lazy()`` and ``SimpleLazyObject``, and werkzeug's ``LocalProxy``. Imports neither package: if
    nobody has, there are no such values.
    """
    for _ in range(MAX_STEPS):
        behind = _step(value)
        if behind is value:
            return value
        value = behind
    raise RefusalError(
        "stands for nothing but other lazy values", limit="a value", actual="lazy values"
    )


def _step(value: Any) -> object:
    cls = type(value)
    functional = sys.modules.get("django.utils.functional")
    # A module can be half imported, in another thread.
    if issubclass(cls, getattr(functional, "LazyObject", ())):
        if value._wrapped is getattr(functional, "empty", None):
            value._setup()
        return value._wrapped
    if issubclass(cls, getattr(functional, "Promise", ())):
        # What lazy() makes casts itself to what its function returned; anything else that is promised is text.
        cast = getattr(value, "_proxy____cast", None)
        return str(value) if cast is None else cast()
    if issubclass(cls, getattr(sys.modules.get("werkzeug.local"), "LocalProxy", ())):
        return value._get_current_object()
    return value
