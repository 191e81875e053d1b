"""What Sentry is told: unexpected errors, without payloads.

::

    sentry_sdk.init(dsn=…, before_send=trackrelay.sentry.before_send)

Nothing of Sentry is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .errors import TrackRelayError

_PACKAGE = "trackrelay"
#: What stands for the message of an error that is not ours: it may quote a payload.
HIDDEN = "[hidden: it may quote what a job says]"
#: Breadcrumbs that may have a job among a command's arguments.
_WITH_ARGUMENTS = frozenset({"redis", "query"})


def before_send(event: Any, hint: dict[str, Any]) -> Any:
    """Return what is sent of an event; None: nothing.

    - Log lines of trackrelay about outages, refused calls and retries are not sent.
    - A :class:`~trackrelay.TrackRelayError` that nobody caught is a warning, one issue for each
      kind.
    - In every other error, what trackrelay and the packages below it worked on is removed.

    Events that have nothing to do with trackrelay stay as they are.
    """
    error = (hint.get("exc_info") or (None, None))[1]
    is_expected = isinstance(error, TrackRelayError)
    is_ours = _is_in_package(event.get("logger"))
    if is_ours and (error is None or is_expected):
        return None
    passes = [_without_payload(value) for value in _stacks(event)]
    if any(passes):
        for value in _exceptions(event):
            if not value.get("stacktrace"):
                _hide_message(value)
        crumbs = event.get("breadcrumbs") or {}
        if isinstance(crumbs, dict) and crumbs.get("values"):
            crumbs["values"] = [
                each for each in crumbs["values"] if each.get("category") not in _WITH_ARGUMENTS
            ]
    if is_expected:
        event["level"] = "warning"
        event["fingerprint"] = [_PACKAGE, type(error).__name__]
        for value in _exceptions(event):
            value["mechanism"] = {**(value.get("mechanism") or {}), "handled": True}
    return event


def _without_payload(value: dict[str, Any]) -> bool:
    """Remove what trackrelay worked on from an exception; return whether it passes trackrelay."""
    frames = (value.get("stacktrace") or {}).get("frames") or []
    first = next(
        (index for index, each in enumerate(frames) if _is_in_package(each.get("module"))), None
    )
    if first is None:
        return False
    for frame in frames[first:]:
        frame.pop("vars", None)
    _hide_message(value)
    return True


def _hide_message(value: dict[str, Any]) -> None:
    if "value" in value and not _is_in_package(value.get("module")):
        value["value"] = HIDDEN


def _stacks(event: Any) -> Iterator[dict[str, Any]]:
    yield from _exceptions(event)
    yield from (event.get("threads") or {}).get("values") or []
    yield event


def _exceptions(event: Any) -> list[dict[str, Any]]:
    return (event.get("exception") or {}).get("values") or []


def _is_in_package(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == _PACKAGE
