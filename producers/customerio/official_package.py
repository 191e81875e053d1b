"""The official package, if it is installed: names that we do not replace come from it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


def _installed() -> ModuleType | None:
    try:
        return importlib.import_module("customerio")
    except ModuleNotFoundError as error:
        if error.name != "customerio":
            raise
        return None


#: The official package, or None.
package = _installed()


def shared(name: str, own: Any) -> Any:
    """Return a name of the official package, or ``own`` if the package is not installed.

    Code that catches or compares the official one means ours as well.
    """
    return getattr(package, name, own)


def name_of_package(name: str, asked_of: str) -> Any:
    """Return a name of the official package, for the ``__getattr__`` of a module.

    Raises:
        ImportError: the package is not installed.
        AttributeError: the package has no such name, or the name is private.
    """
    if name.startswith("_"):
        raise AttributeError(f"module {asked_of!r} has no attribute {name!r}")
    if package is None:
        raise ImportError(
            f"{asked_of} replaces the Track API client only; {name!r} comes from the official "
            "package, which is not "
            "installed: pip install customerio",
            name=asked_of,
        )
    try:
        return getattr(package, name)
    except AttributeError:
        raise AttributeError(
            f"neither {asked_of!r} nor the official package has {name!r}"
        ) from None
