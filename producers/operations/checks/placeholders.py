"""Placeholders that languages and templates write for a missing value, and that name nobody."""

from __future__ import annotations

import re

from .rejection import RefusalError

_MISSING = {
    "undefined": "JavaScript writes it for a missing value",
    "[object Object]": "JavaScript writes it for an object when a field of it was meant",
    "null": "JSON and SQL write it for a missing value",
    "NULL": "SQL writes it for a missing value",
    "(null)": "C and Objective-C write it for a missing value",
    "None": "Python writes it for a missing value",
    "nan": "Python writes it for a missing number",
    "NaN": "JavaScript and pandas write it for a missing number",
    "<NA>": "pandas writes it for a missing value",
    "nil": "Ruby writes it for a missing value",
    "<nil>": "Go writes it for a missing value",
}
_BLANKS = 40
#: Short texts that name nobody: placeholders and blanks.
NOT_NAMES = frozenset(_MISSING) | {" " * count for count in range(_BLANKS)}

# {{customer.id}} and ${user.id} anywhere; {identifier}, {} and {0} alone. A GUID in braces is no
# placeholder.
_TEMPLATE = re.compile(
    r"\{\{.*\}\}|[$#]\{.*\}|\A\s*\{\s*(?![0-9A-Fa-f]{32}\s*\})(?:[A-Za-z_][\w. ]*|[0-9]?)\}\s*\Z",
    re.DOTALL,
)


def refuse_placeholder(text: str) -> None:
    """Refuse ``text`` if it is a placeholder.

    The case matters: programs write ``null``, but ``Null`` is a surname.
    """
    if (why := _MISSING.get(text)) is not None:
        raise RefusalError(
            f"is {text!r}, which names nobody: {why}",
            limit="an identifier",
            actual=f"the placeholder {text!r}",
        )
    if "{" in text and _TEMPLATE.search(text):
        raise RefusalError(
            "has a template's placeholder in it, which was not filled in",
            limit="an identifier",
            actual="a template's placeholder",
        )
