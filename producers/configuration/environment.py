"""The environment variables, with the settings of a web framework on top. Nothing else reads them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta, tzinfo
from typing import Any

from .settings_table import unknown_setting_lines

#: Takes the environment, and returns a framework's settings as environment variables. Called each time.
FrameworkSettings = Callable[[Mapping[str, str]], Mapping[str, str]]


def _none(_environment: Mapping[str, str]) -> Mapping[str, str]:
    return {}


_framework_settings: FrameworkSettings = _none


def set_framework_settings(source: FrameworkSettings) -> None:
    """Set the framework's settings. They win over the environment; ``configure()`` wins over them."""
    global _framework_settings
    _framework_settings = source


def environment() -> dict[str, str]:
    """Return the environment variables, with the framework's settings on top."""
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    from_framework = _framework_settings(os.environ)
    # A secret's file in the environment must not win over the secret in the framework's settings.
    hidden = {f"{name}_FILE" for name in from_framework} | {
        name.removesuffix("_FILE") for name in from_framework if name.endswith("_FILE")
    }
    return {name: value for name, value in os.environ.items() if name not in hidden} | dict(
        from_framework
    )


_warned_of: set[str] = set()


def warn_of_unknown_settings() -> None:
    """Warn once in a process of each name in the environment that looks like a setting and is none."""
    for line in unknown_setting_lines(os.environ):
        if line not in _warned_of:
            _warned_of.add(line)
            warnings.warn(f"trackrelay: {line}", RuntimeWarning, stacklevel=1)


def as_text(value: Any) -> str:
    """Return a framework's setting as the text of an environment variable."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():f}s"
    if isinstance(value, tzinfo):
        return str(getattr(value, "key", value))
    if isinstance(value, Mapping):
        return ",".join(f"{name}={member}" for name, member in value.items())
    return str(value)
