"""The settings: each that is set, with secrets hidden, and each that is wrong or unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trackrelay.configuration.server_urls import place
from trackrelay.configuration.settings_loader import Given, find
from trackrelay.configuration.settings_table import ALL_NAMES, SETTINGS, Setting, unknown_settings
from trackrelay.suggestion import closest_name
from trackrelay.worker.settings import problems

from .finding import Finding

AREA = "Settings"
_URLS = ("TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL", "TRACKRELAY_OUTBOX_URL")
#: A ``CUSTOMERIO_…`` name this similar to a setting is probably misspelt; others belong to other software.
_SIMILARITY = 0.85


def findings(environment: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each setting in ``environment``, and for each that is wrong, missing or unknown."""
    wrong = problems(environment)
    return [
        *(
            each
            for setting in SETTINGS
            for each in _set(setting, environment)
            if each.name not in wrong
        ),
        *(Finding(AREA, name, "wrong", text) for name, text in wrong.items()),
        *_unknown(environment),
    ]


def _set(setting: Setting, environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        given = find(setting, environment)
    except ValueError:
        return  # one of the problems
    if given:
        origin = "" if given.variable == setting.name else f" (from {given.variable})"
        yield Finding(AREA, setting.name, "ok", f"{_shown(setting, given)}{origin}")


def _shown(setting: Setting, given: Given) -> str:
    if setting.name in _URLS:
        return place(given.text)
    return "set" if setting.is_secret else given.text


def _unknown(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name, meant in unknown_settings(environment).items():
        hint = f"; did you mean {meant}?" if meant else ""
        yield Finding(AREA, name, "wrong", f"no such setting{hint}")
    known = {name for name in ALL_NAMES if name.startswith("CUSTOMERIO_")}
    for name in sorted(environment):
        if not name.startswith("CUSTOMERIO_") or name in known:
            continue
        if meant := closest_name(name, known, similarity=_SIMILARITY):
            yield Finding(
                AREA, name, "warning", f"not a setting of trackrelay; did you mean {meant}?"
            )
