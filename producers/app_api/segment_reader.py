"""The reads about segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, Unpack

from trackrelay.operations.refs import PersonLike

from .filter_expressions import segment_number
from .json_fields import Fields
from .read_pages import PageOptions, PageSizes, Results, page_of
from .read_requests import Read, get, person_get
from .read_results import PersonMatch, Segment
from .reader_base import ReaderBase, list_of
from .requester import Requester

T = TypeVar("T")

MEMBERS = PageSizes(1000, 30_000)


class SegmentReader(ReaderBase):
    """The reads about segments."""

    def segments(self, person: PersonLike | None = None) -> list[Segment]:
        """Return the segments of the workspace, or those that a person is in."""
        if person is None:
            return self._list("/v1/segments", "segments", Segment.read)
        read = person_get("segments", list_of("segments", Segment.read), person)
        return self._requester.read(read)

    def segment(self, segment_id: int) -> SegmentHandle:
        """Return a handle on a segment: ``api.segment(7).count()``."""
        return SegmentHandle(self._requester, segment_number(segment_id))


class SegmentHandle(ReaderBase):
    """A segment by its id; from :meth:`~trackrelay.app_api.AppApi.segment`."""

    def __init__(self, requester: Requester, segment_id: int) -> None:
        self._requester = requester
        self.id = segment_id

    def get(self) -> Segment:
        """Return the segment.

        Raises:
            AppApiNotFoundError: there is no such segment.
        """
        return self._read("", lambda fields: Segment.read(fields.fields("segment")))

    def count(self) -> int:
        """Return the number of its people.

        Raises:
            AppApiNotFoundError: there is no such segment.
        """
        return self._read("/customer_count", lambda fields: fields.given_integer("count"))

    def members(self, **pages: Unpack[PageOptions]) -> Results[PersonMatch]:
        """Return its people.

        Args:
            pages: ``limit``, ``page_size`` (at most 30,000) and ``start``.
        """
        parse = page_of("identifiers", PersonMatch.read)
        return self._results(
            self._get("/membership", parse), lambda match: match.cio_id, MEMBERS, pages
        )

    def _get(self, what: str, parse: Callable[[Fields], T]) -> Read[T]:
        return get(f"/v1/segments/{{segment_id}}{what}", parse, str(self.id), subject="segment")

    def _read(self, what: str, parse: Callable[[Fields], T]) -> T:
        return self._requester.read(self._get(what, parse))
