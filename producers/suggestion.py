"""The name that was probably meant by one that is not known."""

from __future__ import annotations

from collections.abc import Iterable

#: Names this similar, from 0 to 1, are suggested.
SIMILARITY = 0.6
_MAX_COMPARED = 100


def closest_name(
    name: object, known: Iterable[str], *, similarity: float = SIMILARITY
) -> str | None:
    """Return the known name that resembles ``name`` most, whatever its case; None if none does."""
    from difflib import get_close_matches  # only where a name is wrong

    by_text = {each.lower(): each for each in known}
    given = str(name)[:_MAX_COMPARED].strip(" '\"").lower()
    found = get_close_matches(given, by_text, n=1, cutoff=similarity)
    return by_text[found[0]] if found else None


def did_you_mean(name: object, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return a question that names a similar name, or ``otherwise`` if there is none."""
    closest = closest_name(name, known)
    return f"did you mean {closest!r}?" if closest else otherwise
