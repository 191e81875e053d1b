"""Jobs as HTML: documents to be read, histories as tables. Whatever is in them is escaped."""

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

#: A longer one is cut where many are listed.
SHORT = 90
#: What could not be decoded is shown up to here.
MAX_FOUND = 20_000
_COLOURS = {
    "open": "#ba2121",
    "replaying": "#9a6700",
    "delivered": "#1a7f37",
    "discarded": "#6e7781",
}


def state(name: str) -> SafeString:
    """A state, as a badge."""
    return format_html(
        '<span style="background:{};color:#fff;border-radius:3px;padding:2px 7px;font-size:11px;white-space:nowrap">{}</span>',
        _COLOURS.get(name, "#6e7781"),
        name,
    )


def document(text: str | None) -> SafeString:
    """A document's JSON, indented; as it is where it cannot be decoded."""
    if text is None:
        return mark_safe("<em>none: its stream entry could not be decoded</em>")
    try:
        return _preformatted(json.dumps(decode_json(text), indent=2, ensure_ascii=False))
    except NotJsonError:
        return _found(text)


def raw(value: bytes | memoryview | None) -> SafeString:
    """A stream entry as it was found: nothing of it could be decoded."""
    return _found(bytes(value or b"").decode(errors="replace"))


def _found(text: str) -> SafeString:
    more = f"… ({len(text):,} characters)" if len(text) > MAX_FOUND else ""
    return _preformatted(text[:MAX_FOUND] + more)


def _preformatted(text: str) -> SafeString:
    return format_html(
        '<pre style="margin:0;padding:10px 12px;background:var(--darkened-bg);border:1px solid var(--hairline-color);'
        'border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere;max-height:36em;overflow-y:auto">{}</pre>',
        text,
    )


def short(text: str | None) -> str:
    """``text``, cut where it is too long for a list."""
    text = text or ""
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def roomy(text: str) -> SafeString:
    """``text`` in a list, where other columns would leave it no room."""
    return format_html('<div style="min-width:17em">{}</div>', short(text))


def stacked(first: str, second: str) -> SafeString:
    """Two texts in one column."""
    return format_html("{}<br>{}", first, second)


def day(at: datetime) -> str:
    """A moment, as short as it can be."""
    return date_format(timezone.localtime(at) if timezone.is_aware(at) else at, "Y-m-d H:i")


def moment(at: float) -> str:
    """Unix seconds in the time zone that is in force."""
    return date_format(timezone.localtime(datetime.fromtimestamp(at, UTC)), "Y-m-d H:i:s")


def history(events: Iterable[Mapping[str, Any]]) -> SafeString:
    """What happened to it, oldest first."""
    rows = format_html_join(
        "",
        '<tr><td style="white-space:nowrap">{}</td><td><strong>{}</strong></td><td>{}</td></tr>',
        ((moment(event["at"]), event["what"], _about(event)) for event in events),
    )
    return format_html("<table>{}</table>", rows) if rows else mark_safe("<em>nothing yet</em>")


def _about(event: Mapping[str, Any]) -> SafeString:
    said = [f"by {event['who']}"] if event.get("who") else []
    said += [f"“{event['note']}”"] if event.get("note") else []
    said += [f"HTTP {event['status']}"] if event.get("status") else []
    said += [str(event[name]) for name in ("field", "error") if event.get(name)]
    said += [change(each) for each in event.get("changes", ())]
    return format_html_join(mark_safe("<br>"), "{}", ((each,) for each in said))


def change(made: Mapping[str, Any]) -> str:
    """One change of a document: ``attributes.plan: "platinum" → "pro"``."""
    before, after = (_value(made, name) for name in ("before", "after"))
    return f"{made['path']}: {before} → {after}"


def _value(made: Mapping[str, Any], name: str) -> str:
    return short(json.dumps(made[name], ensure_ascii=False)) if name in made else "nothing"
