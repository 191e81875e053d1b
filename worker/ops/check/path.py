"""Names that hide ours: an application's ``worker.py`` in a folder that Python searches first."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from importlib.machinery import all_suffixes
from pathlib import Path

from .finding import Finding

AREA = "Python path"
OURS = ("producers", "worker", "sandbox")


def findings(environment: Mapping[str, str], current: Path) -> list[Finding]:
    """What hides our packages: in ``current``, and in the folders of PYTHONPATH."""
    found = [*_in_current(current), *_on_path(environment)]
    return found or [Finding(AREA, "packages", "ok", f"nothing hides {', '.join(OURS)}")]


def _in_current(folder: Path) -> Iterator[Finding]:
    for name in OURS:
        if other := hiding(name, folder):
            if name == "producers":
                text = f"{other} hides trackrelay's package `producers` from programs started in {folder}: rename it"
                yield Finding(AREA, name, "wrong", text)
            else:
                text = (
                    f"{other} hides trackrelay's package `{name}` from `celery -A worker` and `python -m {name}` started in "
                    f"{folder}: use `trackrelay worker`, `trackrelay beat` and `trackrelay sandbox` there"
                )
                yield Finding(AREA, name, "warning", text)


def _on_path(environment: Mapping[str, str]) -> Iterator[Finding]:
    for folder in filter(None, environment.get("PYTHONPATH", "").split(":")):
        for name in OURS:
            if other := hiding(name, Path(folder)):
                text = f"{other}, on PYTHONPATH, hides trackrelay's package `{name}`: rename it or take it off the path"
                yield Finding(AREA, name, "wrong", text)


def hiding(name: str, folder: Path) -> Path | None:
    """The module or package in ``folder`` that is called ``name`` and is not ours; None if there is none."""
    package = folder / name
    candidates = [folder / f"{name}{suffix}" for suffix in all_suffixes()]
    # A folder without __init__ gives way to a real package further on.
    candidates += [package] if (package / "__init__.py").is_file() else []
    for candidate in candidates:
        if candidate.exists() and candidate.resolve() != _our_own(name):
            return candidate
    return None


def _our_own(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).resolve().parent if spec and spec.origin else None
