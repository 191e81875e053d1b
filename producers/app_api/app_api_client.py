"""The client of the App API: what Customer.io knows of people, objects, segments and messages."""

from __future__ import annotations

from typing import Self, Unpack

from .app_api_errors import AppApiCallError
from .app_api_settings import AppApiSettings, load
from .object_reader import ObjectReader
from .person_reader import PersonReader
from .request_budget import LIMIT
from .requester import Requester
from .segment_reader import SegmentReader
from .workspace_reader import WorkspaceReader


class AppApi(PersonReader, ObjectReader, SegmentReader, WorkspaceReader):
    """A client of Customer.io's App API.

    Threads may share it, and a forked child can go on using it. Reads are sent again after 429, 5xx
    and network errors. All processes that share a Redis and a key together send at most ten
    requests a second; without Redis, each process does.

    Example::

        api = AppApi()
        for person in api.people(where=(attr("plan") == "pro") & ~attr("churned").exists()):
            print(person.id, api.attributes(person.person).attributes)

    Args:
        reserve: how many of the ten requests a second to leave to others. A reader in the
            background passes 8 and sends only while fewer than two were sent in the last second.
        retry_for: how many seconds one read may go on trying; 0: one try.
        settings: what applies instead of the settings of the environment: ``app_api_key``,
            ``region``, ``app_url``, ``allow_http``, ``request_timeout``, ``redis_url``.

    Raises:
        ConfigurationError: a setting is missing or wrong; the message names it.
    """

    def __init__(
        self, *, reserve: int = 0, retry_for: float = 30.0, **settings: Unpack[AppApiSettings]
    ) -> None:
        if not 0 <= reserve < LIMIT:
            raise AppApiCallError(f"reserve must be from 0 to {LIMIT - 1}; it is {reserve}")
        self._requester = Requester(load(settings), reserve, retry_for)

    @property
    def base_url(self) -> str:
        """The address of the API."""
        return self._requester.base_url

    def close(self) -> None:
        """Close the connections. A later read opens new ones."""
        self._requester.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
