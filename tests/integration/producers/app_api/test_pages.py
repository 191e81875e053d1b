"""Pages are fetched when they are needed, and each entry comes once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.scripted_app_api import Asked, Reply, scripted
from trackrelay.app_api import AppApi, AppApiResponseError, attr

pytestmark = pytest.mark.usefixtures("no_limit")
WHERE = attr("a").exists()


def reading(url: str) -> AppApi:
    return AppApi(app_api_key="an-app-api-key", app_url=url)


def page(*ids: int, next: Any = "") -> Reply:
    return Reply({"identifiers": [{"cio_id": f"c{number}"} for number in ids], "next": next})


def test_a_page_is_fetched_when_it_is_needed() -> None:
    with scripted([page(1, 2, next="x"), page(3)]) as server, reading(server.url) as api:
        found = api.people(where=WHERE)
        assert server.asked == []
        assert [next(found).cio_id, next(found).cio_id] == ["c1", "c2"]
        assert (len(server.asked), found.next_start) == (1, "x")
        assert [each.cio_id for each in found] == ["c3"]
        assert (len(server.asked), found.next_start) == (2, None)
        assert list(found) == []
    assert len(server.asked) == 2
    assert server.asked[1].query == {"start": "x", "limit": "1000"}


def test_an_entry_on_two_pages_comes_once() -> None:
    pages = [page(1, 2, 2, next="x"), page(2, 1, next="y"), page(3, 1)]
    with scripted(pages) as server, reading(server.url) as api:
        assert [each.cio_id for each in api.people(where=WHERE)] == ["c1", "c2", "c3"]


@pytest.mark.parametrize(
    "last",
    [
        page(2),
        page(2, next=None),
        Reply({"identifiers": [{"cio_id": "c2"}]}),
        page(2, next="x"),
        Reply({"identifiers": None, "next": ""}),
    ],
    ids=["empty", "null", "absent", "repeated", "a null list"],
)
def test_the_last_page_is_recognised(last: Reply) -> None:
    with scripted([page(1, next="x"), last]) as server, reading(server.url) as api:
        found = [each.cio_id for each in api.people(where=WHERE)]
    assert found in (["c1", "c2"], ["c1"])
    assert len(server.asked) == 2


def test_pages_that_lead_in_a_circle_end() -> None:
    replies = {None: page(1, next="x"), "x": page(2, next="y"), "y": page(3, next="x")}
    with (
        scripted(lambda asked: replies[asked.query.get("start")]) as server,
        reading(server.url) as api,
    ):
        assert len(list(api.people(where=WHERE))) == 3
    assert len(server.asked) == 3


def test_pages_without_anything_new_end_in_an_error() -> None:
    def answer(asked: Asked) -> Reply:
        return page(1, next=asked.query.get("start", "") + "x")

    with scripted(answer) as server, reading(server.url) as api:
        found = api.people(where=WHERE)
        assert next(found).cio_id == "c1"
        with pytest.raises(AppApiResponseError, match="20 pages in a row"):
            next(found)
    assert len(server.asked) == 21


def test_a_limit_asks_for_no_more_than_it_needs() -> None:
    with (
        scripted([page(1, 2, next="x"), page(3, 4, next="y")]) as server,
        reading(server.url) as api,
    ):
        found = api.people(where=WHERE, limit=3, page_size=2)
        assert [each.cio_id for each in found] == ["c1", "c2", "c3"]
        assert api.people(where=WHERE, limit=1).first().cio_id == "c3"  # type: ignore[union-attr]
    assert [each.query["limit"] for each in server.asked] == ["2", "2", "1"]


def test_suppressed_addresses_are_counted_by_an_offset() -> None:
    def answer(asked: Asked) -> Reply:
        offset, limit = int(asked.query["offset"]), int(asked.query["limit"])
        numbers = range(offset, min(offset + limit, 5))
        entries = [{"email": f"{number}@example.com"} for number in numbers]
        return Reply({"category": "bounces", "suppressions": entries})

    with scripted(answer) as server, reading(server.url) as api:
        found = [each.email for each in api.email_suppressions("bounces", page_size=2)]
        assert found == [f"{number}@example.com" for number in range(5)]
        from_two = api.email_suppressions("bounces", page_size=2, start="2")
        assert [each.email for each in from_two] == found[2:]
    assert [each.query["offset"] for each in server.asked] == ["0", "2", "4", "5", "2", "4", "5"]


def test_many_people_are_read_a_hundred_at_a_time() -> None:
    def answer(asked: Asked) -> Reply:
        ids = asked.json["ids"]
        profiles = [{"customer": {"id": each, "attributes": {}}} for each in ids]
        return Reply({"customers": profiles})

    with scripted(answer) as server, reading(server.url) as api:
        found = api.people_by_ids(range(1, 251))
        assert next(found).id == "1"
        assert len(server.asked) == 1
        assert {each.id for each in found} == {str(number) for number in range(2, 251)}
    assert [len(each.json["ids"]) for each in server.asked] == [100, 100, 50]
