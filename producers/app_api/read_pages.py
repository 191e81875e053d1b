"""Results that come in pages: fetched when they are needed, and each entry once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypedDict, TypeVar

from .app_api_errors import AppApiCallError, AppApiResponseError
from .json_fields import Fields
from .read_requests import Read

T = TypeVar("T")

#: Pages in a row without a new entry, after which the answers cannot be right.
MAX_STALE_PAGES = 20


class PageOptions(TypedDict, total=False):
    """What every call that returns pages takes by name."""

    #: How many results at most; left out, all.
    limit: int | None
    #: How many results one request asks for.
    page_size: int | None
    #: Where to begin: the ``next_start`` of earlier results.
    start: str | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of results, and the start of the next; None if it is the last."""

    items: tuple[T, ...]
    next: str | None


def page_of(name: str, read_item: Callable[[Fields], T]) -> Callable[[Fields], Page[T]]:
    """Return the function that reads a page, whose results are in the list ``name``."""

    def parse(fields: Fields) -> Page[T]:
        items = tuple(read_item(each) for each in fields.given_objects(name))
        return Page(items, fields.text("next") or None)

    return parse


@dataclass(frozen=True, slots=True)
class PageSizes:
    """How many results one request asks for, and how many it may ask for."""

    default: int
    maximum: int


class Paging(Generic[T]):
    """Which page comes next, and which of its entries are new. Sends nothing.

    Args:
        read: the read of the first page.
        identity: what tells two entries apart; None: each is new.
        sizes: of pages.
        options: the caller's.
        by: the parameter that names a page: ``offset`` counts entries; None: there is one page.
    """

    def __init__(
        self,
        read: Read[Page[T]],
        identity: Callable[[T], Hashable],
        sizes: PageSizes,
        options: PageOptions,
        by: Literal["start", "offset"] | None = "start",
    ) -> None:
        for name in options:
            if name not in PageOptions.__annotations__:
                raise TypeError(f"there is no argument {name!r}")
        self._limit = _checked("limit", options.get("limit"), None)
        size = _checked("page_size", options.get("page_size"), sizes.maximum)
        self._size = size or min(sizes.default, self._limit or sizes.default)
        self._read = read
        self._identity = identity
        self._by = by
        #: The start of the next page; None: there is none, or none was fetched yet.
        self.next_start: str | None = options.get("start")
        self._done = False
        self._seen: set[Hashable] = set()
        self._starts = {self.next_start}
        self._count = self._stale = 0
        self._offset = int(self.next_start or 0) if by == "offset" else 0

    def next_read(self) -> Read[Page[T]] | None:
        """Return the read of the next page; None if there is none."""
        if self._done:
            return None
        if self._by is None:
            return self._read
        return self._read.with_query(**{self._by: self.next_start, "limit": self._size})

    def accept(self, page: Page[T]) -> list[T]:
        """Return the new entries of a page."""
        new = []
        for each in page.items:
            if self._limit is not None and self._count >= self._limit:
                break
            key = self._identity(each)
            if key is not None:
                if key in self._seen:
                    continue
                self._seen.add(key)
            self._count += 1
            new.append(each)
        self._turn(page, bool(new))
        return new

    def _turn(self, page: Page[T], has_new: bool) -> None:
        following = page.next if self._by else None
        if self._by == "offset":
            self._offset += len(page.items)
            following = str(self._offset) if page.items else None
        # A start that was there before would give the same pages again.
        self._done = following is None or following in self._starts
        self.next_start = None if self._done else following
        if self._limit is not None and self._count >= self._limit:
            self._done = True
        self._starts.add(following)
        self._stale = 0 if has_new else self._stale + 1
        if self._stale >= MAX_STALE_PAGES and not self._done:
            raise AppApiResponseError(
                f"{self._read.label} gave {MAX_STALE_PAGES} pages in a row without a new entry"
            )


class ReadSequence(Generic[T]):
    """Several reads, one after the other, whose answers belong together."""

    next_start = None

    def __init__(self, reads: Iterable[Read[Page[T]]]) -> None:
        self._reads = iter(reads)

    def next_read(self) -> Read[Page[T]] | None:
        """Return the next read; None if there is none."""
        return next(self._reads, None)

    def accept(self, page: Page[T]) -> list[T]:
        """Return the entries of an answer."""
        return list(page.items)


class Results(Iterator[T]):
    """Results of the App API: an iterator that fetches a page when it is needed.

    Each entry comes once, although Customer.io may repeat entries on later pages.
    """

    def __init__(
        self, paging: Paging[T] | ReadSequence[T], fetch: Callable[[Read[Any]], Any]
    ) -> None:
        self._paging = paging
        self._fetch = fetch
        self._waiting: deque[T] = deque()

    def __next__(self) -> T:
        while not self._waiting:
            if (read := self._paging.next_read()) is None:
                raise StopIteration
            self._waiting.extend(self._paging.accept(self._fetch(read)))
        return self._waiting.popleft()

    def first(self) -> T | None:
        """Return the next result, or None if there is none."""
        return next(self, None)

    def page(self) -> list[T]:
        """Return the results already fetched, else those of the next page; none at the end."""
        if not self._waiting and (first := next(self, None)) is not None:
            self._waiting.appendleft(first)
        found = list(self._waiting)
        self._waiting.clear()
        return found

    @property
    def next_start(self) -> str | None:
        """The ``start`` of the page that was not fetched yet; None if there is no further page."""
        return self._paging.next_start


def _checked(name: str, value: int | None, maximum: int | None) -> int | None:
    if value is None:
        return None
    most = "" if maximum is None else f" and at most {maximum:,}"
    if not isinstance(value, int) or isinstance(value, bool):
        raise AppApiCallError(f"{name} must be a whole number, not a {type(value).__name__}")
    if value < 1 or (maximum is not None and value > maximum):
        raise AppApiCallError(f"{name} must be at least 1{most}; it is {value}")
    return value
