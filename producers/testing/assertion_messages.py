"""Messages of failed assertions: what was expected, the nearest match, and all operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from trackrelay.operations.coercion import JSON

if TYPE_CHECKING:
    from .captured import CapturedOperation

#: Most operations in a message.
MAX_SHOWN = 30
_ABSENT = object()


def differences(expected: Mapping[str, JSON], actual: Mapping[str, JSON]) -> list[str]:
    """Return a line for each name whose value in ``actual`` is not the expected one."""
    lines = []
    for name, value in expected.items():
        found: object = actual.get(name, _ABSENT)
        if found is _ABSENT:
            lines.append(f"- {name}: {_value(value)}\n+ {name} is missing")
        elif found != value or isinstance(found, bool) is not isinstance(value, bool):
            lines.append(f"- {name}: {_value(value)}\n+ {name}: {_value(found)}")
    return lines


def missing(
    what: str,
    expected: Mapping[str, JSON],
    times: int | None,
    met: Sequence[CapturedOperation],
    about: Sequence[CapturedOperation],
    everything: Sequence[CapturedOperation],
) -> str:
    """Return the message if an expected operation is missing, or its number is wrong."""
    wanted = f"{what}{_with(expected)}"
    if met:
        return (
            f"{wanted} was enqueued {_times(len(met))}, not "
            f"{_times(times or 0)}\n\n{listed(everything)}"
        )
    if not about:
        return f"no {what} was enqueued\n\n{listed(everything)}"
    nearest = min(about, key=lambda each: len(differences(expected, each.attributes)))
    different = "\n".join(differences(expected, nearest.attributes))
    which = "the only one" if len(about) == 1 else f"the nearest of {len(about)}"
    return (
        f"no {wanted} was enqueued; {which} differs (- expected, + "
        f"enqueued):\n{different}\n\n{listed(everything)}"
    )


def unexpected(
    what: str, found: Sequence[CapturedOperation], everything: Sequence[CapturedOperation]
) -> str:
    """Return the message for operations that should not be there."""
    return f"{what} was enqueued {_times(len(found))}\n\n{listed(everything)}"


def listed(everything: Sequence[CapturedOperation]) -> str:
    """Return a line for each operation that was enqueued."""
    if not everything:
        return "Nothing was enqueued."
    lines = [
        f"  {number}. {each.kind} of {each.key}{f' {each.name!r}' if each.name else ''} "
        f"{_value(each.attributes)}"
        for number, each in enumerate(everything[:MAX_SHOWN], 1)
    ]
    more = [f"  … and {len(everything) - MAX_SHOWN} more"] if len(everything) > MAX_SHOWN else []
    return "\n".join(["Enqueued, in order:", *lines, *more])


def _with(expected: Mapping[str, JSON]) -> str:
    return (
        " with " + ", ".join(f"{name}={_value(value)}" for name, value in expected.items())
        if expected
        else ""
    )


def _value(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
