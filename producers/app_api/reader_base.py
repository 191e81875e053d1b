"""What all reads of the App API have in common."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from .json_fields import Fields
from .read_pages import Page, PageOptions, PageSizes, Paging, Results
from .read_requests import Read, get
from .requester import Requester

T = TypeVar("T")

#: Page sizes of relationships and objects. The description names no maximum.
UNSPECIFIED = PageSizes(100, 1000)


class ReaderBase:
    """Sends reads through a :class:`Requester`."""

    _requester: Requester

    def _results(
        self,
        read: Read[Page[T]],
        identity: Callable[[T], Hashable],
        sizes: PageSizes,
        pages: PageOptions,
    ) -> Results[T]:
        return Results(Paging(read, identity, sizes, pages), self._requester.read)

    def _list(self, path: str, name: str, read_item: Callable[[Fields], T]) -> list[T]:
        return self._requester.read(get(path, list_of(name, read_item)))


def list_of(name: str, read_item: Callable[[Fields], T]) -> Callable[[Fields], list[T]]:
    """Return the function that reads the whole list ``name`` of an answer."""

    def parse(fields: Fields) -> list[T]:
        return [read_item(each) for each in fields.given_objects(name)]

    return parse
