"""Makes foreign text safe for a terminal: characters that control it become escapes.

Ids, names, errors and sources come from applications and from Customer.io. Printed unchanged, they
could clear the screen, write to the clipboard, or show an operator another command than the one
that is copied.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

# DEL and C1; marks, embeddings, overrides and isolates of direction; line and paragraph separators;
# the invisible soft hyphen, zero-width space, word joiner and byte order mark; interlinear
# annotations; tags; halves of surrogate pairs. Joiners stay: scripts and emoji need them.
_HIDDEN = (
    r"\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(rf"[\x00-\x1f{_HIDDEN}]")
_UNSAFE_IN_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_HIDDEN}]")

T = TypeVar("T")


def visible(text: str) -> str:
    """Return ``text`` on one line, with escapes such as ``\\u001b`` for unsafe characters."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Return ``text`` like :func:`visible`, but keep line breaks and tabs.

    A JSON document keeps its meaning.
    """
    return text if text.isascii() and text.isprintable() else _UNSAFE_IN_LINES.sub(_escape, text)


def visible_values(value: T) -> T:
    """Return a copy of ``value`` in which every text is :func:`visible`.

    Covers dataclasses, dicts, lists and tuples at any depth.
    """
    result: Any = value
    if isinstance(value, str):
        result = visible(value)
    elif isinstance(value, dict):
        result = {visible_values(name): visible_values(each) for name, each in value.items()}
    elif isinstance(value, list | tuple) and type(value) in (list, tuple):
        result = type(value)(visible_values(each) for each in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.init
        }
        changed = {name: visible_values(each) for name, each in fields.items()}
        result = dataclasses.replace(value, **changed) if changed != fields else value
    return result  # type: ignore[no-any-return]


def _escape(found: re.Match[str]) -> str:
    # The escapes of JSON: in a JSON document they mean the character itself.
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
