"""The asynchronous client: the same results, concurrently, and no leftovers of a cancelled read."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest

from tests.support.scripted_app_api import Asked, Reply, scripted
from tests.support.waiting import patient, wait_until
from trackrelay.app_api import AppApi, AppApiNotFoundError, AsyncAppApi, attr
from trackrelay.app_api.segment_reader import SegmentHandle

pytestmark = pytest.mark.usefixtures("no_limit")

KEY = "an-app-api-key"


def reading(url: str, **options: Any) -> AsyncAppApi:
    return AsyncAppApi(app_api_key=KEY, app_url=url, **options)


def public(owner: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(owner) if not name.startswith("_")}


def test_both_clients_have_the_same_calls() -> None:
    sync, asynchronous = public(AppApi), public(AsyncAppApi)
    assert asynchronous.keys() - {"aclose"} == sync.keys() - {"close"}
    for name in sync.keys() & asynchronous.keys() - {"base_url", "segment"}:
        parameters = [inspect.signature(each[name]).parameters for each in (sync, asynchronous)]
        assert list(parameters[0]) == list(parameters[1]), name
    assert public(SegmentHandle).keys() == {"get", "count", "members"}


async def test_results_are_those_of_the_other_client() -> None:
    def answer(asked: Asked) -> Reply:
        match asked.path:
            case "/v1/customers":
                more = "x" if "start" not in asked.query else ""
                return Reply({"identifiers": [{"cio_id": f"c{more}"}], "next": more})
            case "/v1/segments/7/customer_count":
                return Reply({"count": 3})
            case "/v1/segments/7/membership":
                return Reply({"identifiers": [{"cio_id": "m"}]})
        return Reply(status=404)

    with scripted(answer) as server:
        async with reading(server.url) as api:
            found = api.people(where=attr("a").exists())
            assert [each.cio_id async for each in found] == ["cx", "c"]
            first = await api.people(where=attr("a").exists()).first()
            assert first is not None
            assert first.cio_id == "cx"
            assert await api.segment(7).count() == 3
            assert [each.cio_id for each in await api.segment(7).members().list()] == ["m"]
            with pytest.raises(AppApiNotFoundError):
                await api.attributes("42")


async def test_reads_run_side_by_side() -> None:
    together = threading.Barrier(4)

    def answer(_: Asked) -> Reply:
        together.wait(patient(30))
        return Reply({"segments": []})

    with scripted(answer) as server:
        async with reading(server.url, request_timeout=60) as api:
            assert await asyncio.gather(*(api.segments() for _ in range(4))) == [[]] * 4


async def test_a_cancelled_read_ends_at_once_and_frees_its_thread() -> None:
    arrived, over = threading.Event(), threading.Event()

    def answer(_: Asked) -> Reply:
        arrived.set()
        over.wait(patient(120))
        return Reply({"segments": []})

    with scripted(answer) as server:
        async with reading(server.url) as api:
            # Longer than the test waits: only the cancellation ends the read.
            api._api._requester._process.transport.timeout_s = 3600
            read = asyncio.create_task(api.segments())
            await asyncio.to_thread(arrived.wait, patient(30))
            read.cancel()
            with pytest.raises(asyncio.CancelledError):
                await read
            # The server has not answered, and yet the thread has ended its read.
            pool = api._threads._current()
            await asyncio.to_thread(
                wait_until, lambda: pool._idle_semaphore._value == 1, 20, "the thread to be free"
            )
            assert len(server.asked) == 1
            over.set()
            assert await api.segments() == []


async def test_a_read_that_waits_for_a_retry_is_cancelled_too() -> None:
    slow = Reply(status=503, headers={"Retry-After": "25"})
    with scripted([slow]) as server:
        async with reading(server.url) as api:
            read = asyncio.create_task(api.segments())
            await asyncio.to_thread(wait_until, lambda: server.asked, 20, "the request")
            read.cancel()
            with pytest.raises(asyncio.CancelledError):
                await read
            pool = api._threads._current()
            await asyncio.to_thread(
                wait_until, lambda: pool._idle_semaphore._value == 1, 20, "the thread to be free"
            )
    assert len(server.asked) == 1
