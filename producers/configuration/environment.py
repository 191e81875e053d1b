"""The environment, with the settings of a web framework on top of it: the one place that reads it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta, tzinfo
from typing import Any

#: Given the environment, answers with a framework's settings under their names in it, as text; asked each time.
FrameworkSettings = Callable[[Mapping[str, str]], Mapping[str, str]]


def _none(_environment: Mapping[str, str]) -> Mapping[str, str]:
    return {}


_framework_settings: FrameworkSettings = _none


def set_framework_settings(source: FrameworkSettings) -> None:
    """Say what the framework's settings are. They win over the environment; ``configure()`` wins over them."""
    global _framework_settings
    _framework_settings = source


def environment() -> dict[str, str]:
    """What is to be read in place of ``os.environ``."""
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    told = _framework_settings(os.environ)
    # A secret's file in the environment must not win over the secret in the framework's settings.
    hidden = {f"{name}_FILE" for name in told} | {
        name.removesuffix("_FILE") for name in told if name.endswith("_FILE")
    }
    return {name: value for name, value in os.environ.items() if name not in hidden} | dict(told)


_pointed_out: set[str] = set()


def point_out_slips() -> None:
    """Warn of each name in the environment that looks like a setting and is none, once in a process."""
    # At the call: whoever enqueues nothing needs no list of names.
    from .setting_names import slips

    for slip in slips(os.environ):
        if slip not in _pointed_out:
            _pointed_out.add(slip)
            warnings.warn(f"trackrelay: {slip}", RuntimeWarning, stacklevel=1)


def as_text(value: Any) -> str:
    """A framework's setting as the environment would have it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():f}s"
    if isinstance(value, tzinfo):
        return str(getattr(value, "key", value))
    if isinstance(value, Mapping):
        return ",".join(f"{name}={member}" for name, member in value.items())
    return str(value)
