"""Generated text between two markers of a documentation page."""

from __future__ import annotations

import re
from pathlib import Path


def between_markers(page: Path, name: str, text: str) -> None:
    """Replace the text of ``page`` between the markers of ``name``."""
    page.write_text(replaced(page.read_text(), name, text))


def replaced(page: str, name: str, text: str) -> str:
    """Return ``page`` with ``text`` between the markers of ``name``.

    Raises:
        ValueError: it has no such markers.
    """
    begin, end = _markers(name)
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"the page has no one pair of markers {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", page)


def found(page: str, name: str) -> str:
    """Return the text between the markers of ``name``."""
    begin, end = _markers(name)
    return page.partition(begin)[2].partition(end)[0].strip()


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
