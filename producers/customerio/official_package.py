"""The official package, where it is installed: what is not replaced comes from there, and what is shared is shared by identity."""

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


#: The official package; None where it is not installed.
package = _installed()


def shared(name: str, own: Any) -> Any:
    """The official package's ``name``, so that who catches or compares it means both; ``own`` where there is none."""
    return getattr(package, name, own)


def name_of_package(name: str, asked_of: str) -> Any:
    """The official package's ``name``, for a module's ``__getattr__``.

    Raises:
        ImportError: the package is not installed.
        AttributeError: it is, and has no such name either; or nobody could mean it.
    """
    if name.startswith("_"):
        raise AttributeError(f"module {asked_of!r} has no attribute {name!r}")
    if package is None:
        raise ImportError(
            f"{asked_of} replaces the Track API client only; {name!r} comes from the official package, which is not "
            "installed: pip install customerio",
            name=asked_of,
        )
    try:
        return getattr(package, name)
    except AttributeError:
        raise AttributeError(
            f"neither {asked_of!r} nor the official package has {name!r}"
        ) from None
