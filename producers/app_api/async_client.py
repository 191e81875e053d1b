"""The client of the App API for coroutines."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

from trackrelay.operations.refs import ObjectRef, PersonLike

from .app_api_client import AppApi
from .app_api_errors import AppApiCallError
from .app_api_settings import AppApiSettings
from .filter_expressions import Filter
from .message_results import (
    AttributeMetadata,
    EmailSuppression,
    EventMetadata,
    Message,
    Subscriptions,
    SuppressionType,
    Workspace,
)
from .read_pages import PageOptions, Results
from .read_results import (
    Activity,
    ObjectMatch,
    ObjectProfile,
    ObjectType,
    PersonMatch,
    Profile,
    RelatedObject,
    RelatedPerson,
    Segment,
)
from .requester import Cancellation
from .segment_reader import SegmentHandle

P = ParamSpec("P")
T = TypeVar("T")

#: Reads under way at once. Ten requests a second need no more.
MAX_THREADS = 10


class Threads:
    """A few threads in which reads run. A read whose coroutine is cancelled ends at once."""

    def __init__(self) -> None:
        self._pid = 0
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` in a thread, and return its result."""
        cancellation = Cancellation()

        def call() -> T:
            with cancellation.applied():
                return function(*args, **kwargs)

        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._current(), call)
        except asyncio.CancelledError:
            cancellation.cancel()
            raise

    def close(self) -> None:
        """End the threads, once their reads have ended."""
        if self._pool is not None and self._pid == os.getpid():
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None

    def _current(self) -> ThreadPoolExecutor:
        if self._pool is None or self._pid != os.getpid():
            # The threads of a parent do not exist in a forked child.
            self._pid = os.getpid()
            self._pool = ThreadPoolExecutor(MAX_THREADS, "trackrelay-app-api")
        return self._pool


class AsyncResults(AsyncIterator[T]):
    """Results of the App API: an asynchronous iterator that fetches a page when it is needed.

    Each entry comes once, although Customer.io may repeat entries on later pages.
    """

    def __init__(self, results: Results[T], threads: Threads) -> None:
        self._results = results
        self._threads = threads
        self._waiting: deque[T] = deque()

    async def __anext__(self) -> T:
        if not self._waiting:
            self._waiting.extend(await self._threads.run(self._results.page))
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.popleft()

    async def first(self) -> T | None:
        """Return the next result, or None if there is none."""
        return await anext(self, None)

    async def list(self) -> list[T]:
        """Return all results that are left."""
        return [each async for each in self]

    @property
    def next_start(self) -> str | None:
        """The ``start`` of the page that was not fetched yet; None if there is no further page."""
        return self._results.next_start


class AsyncAppApi:
    """:class:`AppApi` for coroutines: the same calls, awaited.

    What :class:`AppApi` returns as an iterator is an asynchronous iterator here, without ``await``.
    Reads run in a few threads. A cancelled read ends at once, and its connection is closed.

    Example::

        async with AsyncAppApi() as api:
            profile = await api.attributes("42")
            async for person in api.people(where=attr("plan") == "pro"):
                ...

    Args:
        reserve: as for :class:`AppApi`.
        retry_for: as for :class:`AppApi`.
        settings: as for :class:`AppApi`.
    """

    def __init__(
        self, *, reserve: int = 0, retry_for: float = 30.0, **settings: Unpack[AppApiSettings]
    ) -> None:
        self._api = AppApi(reserve=reserve, retry_for=retry_for, **settings)
        self._threads = Threads()
        self._run = self._threads.run

    @property
    def base_url(self) -> str:
        """The address of the API."""
        return self._api.base_url

    async def aclose(self) -> None:
        """Close the connections, and end the threads. A later read opens new ones."""
        self._threads.close()
        self._api.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def people(
        self,
        *,
        email: str | None = None,
        where: Filter | Mapping[str, Any] | None = None,
        **pages: Unpack[PageOptions],
    ) -> AsyncResults[PersonMatch]:
        """Search for people; see :meth:`AppApi.people`."""
        return self._async(self._api.people(email=email, where=where, **pages))

    def people_by_ids(self, people: Iterable[PersonLike]) -> AsyncResults[Profile]:
        """Read the profiles of many people; see :meth:`AppApi.people_by_ids`."""
        return self._async(self._api.people_by_ids(people))

    async def attributes(self, person: PersonLike) -> Profile:
        """Return a person's profile; see :meth:`AppApi.attributes`."""
        return await self._run(self._api.attributes, person)

    @overload
    def relationships(
        self, subject: ObjectRef, *, type: str | int | None = None, **pages: Unpack[PageOptions]
    ) -> AsyncResults[RelatedPerson]: ...
    @overload
    def relationships(
        self, subject: PersonLike, **pages: Unpack[PageOptions]
    ) -> AsyncResults[RelatedObject]: ...
    def relationships(
        self,
        subject: PersonLike | ObjectRef,
        *,
        type: str | int | None = None,
        **pages: Unpack[PageOptions],
    ) -> AsyncResults[RelatedObject] | AsyncResults[RelatedPerson]:
        """Return a person's objects, or an object's people; see :meth:`AppApi.relationships`."""
        if isinstance(subject, ObjectRef):
            return self._async(self._api.relationships(subject, type=type, **pages))
        if type is not None:
            raise AppApiCallError("type= is for an object; this is a person")
        return self._async(self._api.relationships(subject, **pages))

    async def subscriptions(
        self, person: PersonLike, *, language: str | None = None
    ) -> Subscriptions:
        """Return a person's subscription preferences; see :meth:`AppApi.subscriptions`."""
        return await self._run(self._api.subscriptions, person, language=language)

    def messages(
        self,
        person: PersonLike,
        *,
        start_ts: int | datetime | None = None,
        end_ts: int | datetime | None = None,
        **pages: Unpack[PageOptions],
    ) -> AsyncResults[Message]:
        """Return the messages to a person; see :meth:`AppApi.messages`."""
        found = self._api.messages(person, start_ts=start_ts, end_ts=end_ts, **pages)
        return self._async(found)

    def activities(
        self,
        person: PersonLike | None = None,
        *,
        type: str | None = None,
        name: str | None = None,
        deleted: bool = False,
        **pages: Unpack[PageOptions],
    ) -> AsyncResults[Activity]:
        """Return activities; see :meth:`AppApi.activities`."""
        found = self._api.activities(person, type=type, name=name, deleted=deleted, **pages)
        return self._async(found)

    def objects(
        self,
        type: str | int,
        *,
        where: Filter | Mapping[str, Any] | None = None,
        **pages: Unpack[PageOptions],
    ) -> AsyncResults[ObjectMatch]:
        """Search for objects of a type; see :meth:`AppApi.objects`."""
        return self._async(self._api.objects(type, where=where, **pages))

    async def object_attributes(
        self, obj: ObjectRef, *, type: str | int | None = None
    ) -> ObjectProfile:
        """Return an object's attributes; see :meth:`AppApi.object_attributes`."""
        return await self._run(self._api.object_attributes, obj, type=type)

    async def object_types(self) -> list[ObjectType]:
        """Return the types of objects in the workspace."""
        return await self._run(self._api.object_types)

    async def segments(self, person: PersonLike | None = None) -> list[Segment]:
        """Return the segments of the workspace, or those that a person is in."""
        return await self._run(self._api.segments, person)

    def segment(self, segment_id: int) -> AsyncSegmentHandle:
        """Return a handle on a segment: ``await api.segment(7).count()``."""
        return AsyncSegmentHandle(self._api.segment(segment_id), self._threads)

    async def workspaces(self) -> list[Workspace]:
        """Return the workspaces of the account. Their counts can be two hours old."""
        return await self._run(self._api.workspaces)

    async def email_suppression(self, email: str) -> list[EmailSuppression]:
        """Return why nothing is delivered to an address; see :meth:`AppApi.email_suppression`."""
        return await self._run(self._api.email_suppression, email)

    def email_suppressions(
        self,
        type: SuppressionType,
        *,
        domain: str | None = None,
        email: str | None = None,
        **pages: Unpack[PageOptions],
    ) -> AsyncResults[EmailSuppression]:
        """Return suppressed addresses; see :meth:`AppApi.email_suppressions`."""
        found = self._api.email_suppressions(type, domain=domain, email=email, **pages)
        return self._async(found)

    async def write_attribute_metadata(self, attributes: Iterable[AttributeMetadata]) -> None:
        """Write into the Data Index; see :meth:`AppApi.write_attribute_metadata`."""
        await self._run(self._api.write_attribute_metadata, attributes)

    async def write_event_metadata(self, events: Iterable[EventMetadata]) -> None:
        """Write into the Data Index; see :meth:`AppApi.write_event_metadata`."""
        await self._run(self._api.write_event_metadata, events)

    def _async(self, results: Results[T]) -> AsyncResults[T]:
        return AsyncResults(results, self._threads)


class AsyncSegmentHandle:
    """A segment by its id; from :meth:`~trackrelay.app_api.AsyncAppApi.segment`."""

    def __init__(self, segment: SegmentHandle, threads: Threads) -> None:
        self._segment = segment
        self._threads = threads
        self.id = segment.id

    async def get(self) -> Segment:
        """Return the segment."""
        return await self._threads.run(self._segment.get)

    async def count(self) -> int:
        """Return the number of its people."""
        return await self._threads.run(self._segment.count)

    def members(self, **pages: Unpack[PageOptions]) -> AsyncResults[PersonMatch]:
        """Return its people; see :meth:`SegmentHandle.members`."""
        return AsyncResults(self._segment.members(**pages), self._threads)
