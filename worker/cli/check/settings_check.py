"""What is configured: every setting that is set, secrets only as set, and every one that is wrong or unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trackrelay.configuration.server_urls import place
from trackrelay.configuration.setting_names import SECRET_NAMES, unknown_names
from trackrelay.suggestion import closest_name
from trackrelay.worker.cli.common.command_errors import wrong_settings
from trackrelay.worker.settings import Settings

from .finding import Finding

AREA = "Settings"
_URLS = ("TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL", "TRACKRELAY_OUTBOX_URL")
#: A name of Customer.io's that resembles one of ours this much is a slip; others are somebody else's.
_RESEMBLES = 0.85


def findings(environment: Mapping[str, str]) -> list[Finding]:
    """A line for each setting in ``environment``, and for each that is wrong, missing or unknown."""
    wrong = wrong_settings(environment)
    named_wrong = {
        name for name in _known() for line in wrong if line.startswith((f"{name}:", f"{name} "))
    }
    return [
        *(
            Finding(AREA, name, "ok", _shown(name, environment))
            for name in _set(environment)
            if name not in named_wrong
        ),
        *(_wrong(line) for line in wrong),
        *_unknown(environment),
    ]


def _known() -> set[str]:
    from trackrelay.configuration.setting_names import ALL_NAMES

    aliases = {str(field.alias) for field in Settings.model_fields.values()}
    return aliases | ALL_NAMES


def _set(environment: Mapping[str, str]) -> list[str]:
    return sorted(name for name in _known() if environment.get(name, "").strip())


def _shown(name: str, environment: Mapping[str, str]) -> str:
    value = environment[name].strip()
    if name in _URLS:
        return place(value)
    return "set" if name in SECRET_NAMES else value


def _wrong(line: str) -> Finding:
    name, separator, text = line.partition(": ")
    if separator and name.isupper():
        return Finding(AREA, name, "wrong", text)
    name, _, text = line.partition(" ")
    return (
        Finding(AREA, name, "wrong", text)
        if name.isupper()
        else Finding(AREA, "settings", "wrong", line)
    )


def _unknown(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name, meant in sorted(unknown_names(environment).items()):
        hint = f"; did you mean {meant}?" if meant else ""
        yield Finding(AREA, name, "wrong", f"no such setting{hint}")
    known = {name for name in _known() if name.startswith("CUSTOMERIO_")}
    for name in sorted(environment):
        if not name.startswith("CUSTOMERIO_") or name in known:
            continue
        if meant := closest_name(name, known, similarity=_RESEMBLES):
            yield Finding(
                AREA, name, "warning", f"not a setting of trackrelay; did you mean {meant}?"
            )
