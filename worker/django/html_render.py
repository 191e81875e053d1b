"""Documents, histories and states as HTML. Every value is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.worker.storage.letter_history import left_out_text

#: Characters of a text in a list.
MAX_SHORT = 90
#: Characters of a document that cannot be decoded.
MAX_FOUND = 20_000
_COLOURS = {
    "open": "#ba2121",
    "replaying": "#9a6700",
    "delivered": "#1a7f37",
    "discarded": "#6e7781",
}


def state(name: str) -> SafeString:
    """Return a state as a badge."""
    return format_html(
        '<span style="background:{};color:#fff;border-radius:3px;padding:2px '
        '7px;font-size:11px;white-space:nowrap">{}</span>',
        _COLOURS.get(name, "#6e7781"),
        name,
    )


def document(text: str | None) -> SafeString:
    """Return a document as indented JSON, or unchanged if it is not JSON."""
    if text is None:
        return mark_safe("<em>none: its stream entry could not be decoded</em>")
    try:
        return _preformatted(json.dumps(decode_json(text), indent=2, ensure_ascii=False))
    except NotJsonError:
        return _found(text)


def raw(value: bytes | memoryview | None) -> SafeString:
    """Return a stream entry that could not be decoded."""
    return _found(bytes(value or b"").decode(errors="replace"))


def _found(text: str) -> SafeString:
    more = f"… ({len(text):,} characters)" if len(text) > MAX_FOUND else ""
    return _preformatted(text[:MAX_FOUND] + more)


def _preformatted(text: str) -> SafeString:
    return format_html(
        '<pre style="margin:0;padding:10px 12px;background:var(--darkened-bg);border:1px solid '
        "var(--hairline-color);"
        'border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere;max-height:36em;overflow-y:auto">{}</pre>',
        text,
    )


def short(text: str | None) -> str:
    """Return ``text``, cut to the length for lists."""
    text = text or ""
    return text if len(text) <= MAX_SHORT else f"{text[: MAX_SHORT - 1]}…"


def roomy(text: str) -> SafeString:
    """Return ``text`` for a list, in a column that stays wide enough to read it."""
    return format_html('<div style="min-width:13em">{}</div>', short(text))


def stacked(*texts: str) -> SafeString:
    """Return texts above each other."""
    return format_html_join(mark_safe("<br>"), "{}", ((text,) for text in texts if text))


def job(name: str, key: str, id: str) -> SafeString:
    """Return what names a job, in a column that leaves the others room."""
    return format_html(
        '<div style="min-width:15em;max-width:22em;overflow-wrap:anywhere"><strong>{}</strong>'
        '<br>{}<br><span style="font-size:11px;font-weight:normal">{}</span></div>',
        short(name),
        short(key),
        id,
    )


def day(at: datetime) -> str:
    """Return a moment in short form."""
    return date_format(timezone.localtime(at) if timezone.is_aware(at) else at, "Y-m-d H:i")


def moment(at: float) -> str:
    """Return unix seconds as a moment in the current time zone."""
    return date_format(timezone.localtime(datetime.fromtimestamp(at, UTC)), "Y-m-d H:i:s")


def history(events: Iterable[Mapping[str, Any]]) -> SafeString:
    """Return the events of a job as a table, the oldest first."""
    rows = format_html_join(
        "",
        '<tr><td style="white-space:nowrap">{}</td><td><strong>{}</strong></td><td>{}</td></tr>',
        (
            (moment(event["at"]), str(event["what"]).replace("_", " "), _about(event))
            for event in events
        ),
    )
    return format_html("<table>{}</table>", rows) if rows else mark_safe("<em>nothing yet</em>")


def _about(event: Mapping[str, Any]) -> SafeString:
    parts = [f"by {event['who']}"] if event.get("who") else []
    parts += [f"“{event['note']}”"] if event.get("note") else []
    parts += [f"HTTP {event['status']}"] if event.get("status") else []
    parts += [str(event[name]) for name in ("field", "error") if event.get(name)]
    parts += filter(None, [left_out_text(event)])
    parts += [change(each) for each in event.get("changes", ())]
    return format_html_join(mark_safe("<br>"), "{}", ((each,) for each in parts))


def change(made: Mapping[str, Any]) -> str:
    """Return one change of a document: ``attributes.plan: "platinum" → "pro"``."""
    before, after = (_value(made, name) for name in ("before", "after"))
    return f"{made['path']}: {before} → {after}"


def _value(made: Mapping[str, Any], name: str) -> str:
    return short(json.dumps(made[name], ensure_ascii=False)) if name in made else "nothing"
