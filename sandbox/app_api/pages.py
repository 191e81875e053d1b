"""Pages of results: `start` is what the page before called `next`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from trackrelay.sandbox.track.parsed_request import Request

T = TypeVar("T")


class BadPage(ValueError):
    """A start or a limit that means nothing."""


class Page(NamedTuple):
    """Some results, and where the next page starts ("" if there is none)."""

    items: list[Any]
    next: str


def page(request: Request, items: Iterable[Any], most: int) -> Page:
    """The page of `items` a request asks for, `most` of them at most and by default."""
    start, limit = _number(request, "start", 0), min(_number(request, "limit", most), most)
    if limit < 1:
        raise BadPage("limit must be at least 1")
    found = list(islice(items, start, start + limit + 1))
    return Page(found[:limit], str(start + limit) if len(found) > limit else "")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadPage(f"{name} must be a number")
    return int(text)
