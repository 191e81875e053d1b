"""Load settings: from ``configure()``, a web framework, the environment and files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any

from trackrelay.operations.checks.rejection import class_name

from .settings_table import Setting
from .unknown_settings import unknown_setting_lines

#: Takes the environment, and returns a framework's settings as environment variables. Called each
#: time.
FrameworkSettings = Callable[[Mapping[str, str]], Mapping[str, str]]


def _none(_environment: Mapping[str, str]) -> Mapping[str, str]:
    return {}


_framework_settings: FrameworkSettings = _none


def set_framework_settings(source: FrameworkSettings) -> None:
    """Set the framework's settings.

    They win over the environment; ``configure()`` wins over them.
    """
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
    """Warn once of each name in the environment that looks like a setting and is not one."""
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


@dataclass(frozen=True, slots=True)
class Given:
    """A setting's text, and the environment variable that it comes from."""

    text: str
    variable: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The values of settings by field, and what is wrong with others by name."""

    values: dict[str, Any]
    problems: dict[str, str]

    def lines(self) -> list[str]:
        """Return a line for each setting that is wrong."""
        return [f"{name} {problem}" for name, problem in self.problems.items()]


def find(setting: Setting, environment: Mapping[str, str]) -> Given | None:
    """Return what ``environment`` gives for a setting; None if it is not set.

    The file that ``NAME_FILE`` names wins over ``NAME``, and both win over the fallback.

    Raises:
        ValueError: the file cannot be read.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    if setting.is_secret and (path := environment.get(f"{setting.name}_FILE")):
        try:
            with open(path, encoding="utf-8") as file:
                content = file.read().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ValueError(f"names {path}, which cannot be read: {reason}") from None
        return Given(content, f"{setting.name}_FILE") if content else None
    for variable in filter(None, (setting.name, setting.fallback)):
        if text := environment.get(variable, "").strip():
            return Given(text, variable)
    return None


def load_settings(
    settings: Iterable[Setting],
    environment: Mapping[str, str],
    overrides: Mapping[str, Any],
    required: Collection[str] = (),
) -> Loaded:
    """Read settings, each from the first place that has it.

    Args:
        environment: the environment variables, those of a web framework included.
        overrides: values by field that win over the environment; None stands for the default.
        required: names of settings that must be set.

    Returns:
        the values, and every problem: one run names all that is wrong.
    """
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    loaded = Loaded({}, {})
    for setting in settings:
        name, field, place = setting.name, setting.field, ""
        try:
            if field in overrides:
                raw = overrides[field]
            else:
                try:
                    given = find(setting, environment)
                except ValueError as error:
                    loaded.problems[f"{name}_FILE"] = str(error)
                    continue
                raw = given.text if given else None
                if given and given.variable == setting.fallback:
                    place = f"is not set, and {given.variable}, read in its place, "
            raw = setting.default if raw is None else _genuine(raw)
            loaded.values[field] = None if raw is None else setting.type.read(raw)
            if raw is None and name in required:
                loaded.problems[name] = "is not set"
        except ValueError as error:
            loaded.problems[name] = f"{place}{error}"
        except Exception as error:  # from the code of a value that configure() was given
            loaded.problems[name] = f"cannot be read: reading it raised {class_name(error)}"
    return loaded


def _genuine(raw: Any) -> Any:
    """Return ``raw``; refuse a value that only claims to be text or a number, as a mock does."""
    if isinstance(raw, str | int | float) and not issubclass(type(raw), str | int | float):
        raise ValueError(f"must be a real value, not {class_name(raw)}")
    return raw
