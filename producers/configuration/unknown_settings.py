"""Environment variables that look like settings and are none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from trackrelay.suggestion import closest_name

from .declaration import PREFIX
from .settings_table import ALL_NAMES

_OURS = frozenset(name for name in ALL_NAMES if name.startswith(PREFIX))

# Kubernetes sets such variables in every container beside a service called "trackrelay".
_SERVICE_LINK = re.compile(
    r"^TRACKRELAY(_[A-Z0-9_]+)?_(PORT|SERVICE_HOST|SERVICE_PORT)(_[A-Z0-9_]+)?$"
)


def unknown_settings(
    environment: Iterable[str], known: Collection[str] = _OURS
) -> dict[str, str | None]:
    """Return the ``TRACKRELAY_…`` names that are not settings, each with a similar name."""
    return {
        name: closest_name(name, known)
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known and not _SERVICE_LINK.match(name)
    }


def unknown_setting_lines(environment: Iterable[str]) -> Iterator[str]:
    """Yield a line for each of :func:`unknown_settings`."""
    for name, meant in unknown_settings(environment).items():
        yield f"{name} is not a setting" + (f"; did you mean {meant}?" if meant else "")
