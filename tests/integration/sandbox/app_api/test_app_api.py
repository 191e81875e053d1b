"""The App API's reads: whom a search finds, page by page, and every value a string."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sandbox_api import Api


def search(api: Api, filter: Any, query: str = "") -> Any:
    answer = api.app("POST", f"/v1/customers{query}", {"filter": filter})
    assert answer.status == 200, answer
    return answer.json


def attribute(field: str, value: Any = None) -> dict[str, Any]:
    if value is None:
        return {"attribute": {"field": field, "operator": "exists"}}
    return {"attribute": {"field": field, "operator": "eq", "value": value}}


@pytest.fixture
def people(api: Api) -> Api:
    api.identify({"id": "1"}, email="ada@example.com", plan="pro", age=36)
    api.identify({"id": "2"}, plan="pro", vip=True)
    api.identify({"id": "3"}, plan="free", vip=True)
    api.identify({"email": "bo@example.com"})
    return api


@pytest.mark.parametrize(
    ("filter", "ids"),
    [
        (attribute("plan", "pro"), ["1", "2"]),
        (attribute("vip"), ["2", "3"]),
        (attribute("vip", True), ["2", "3"]),
        (attribute("age", "36"), ["1"]),
        (attribute("email", "ada@example.com"), ["1"]),
        ({"and": [attribute("plan", "pro"), attribute("vip")]}, ["2"]),
        ({"or": [attribute("plan", "free"), attribute("age")]}, ["1", "3"]),
        ({"not": attribute("plan", "pro")}, ["3"]),
        (
            {"and": [attribute("id"), {"not": {"or": [attribute("vip"), attribute("nothing")]}}]},
            ["1"],
        ),
    ],
)
def test_a_search_finds_whom_the_filter_describes(people: Api, filter: Any, ids: list[str]) -> None:
    assert search(people, filter)["ids"] == ids


def test_a_search_comes_in_pages(people: Api) -> None:
    first = search(people, attribute("cio_id"), "?limit=3")
    second = search(people, attribute("cio_id"), f"?limit=3&start={first['next']}")
    assert [each["id"] for each in first["identifiers"]] == ["1", "2", "3"]
    assert second["identifiers"][0]["email"] == "bo@example.com"
    assert second["next"] == ""


def test_people_are_found_by_email_and_by_segment(people: Api) -> None:
    assert (
        people.app("GET", "/v1/customers?email=ADA%40example.com").json["results"][0]["id"] == "1"
    )
    assert people.app("GET", "/v1/customers?email=nobody%40example.com").json == {"results": []}
    people.call("POST", "/api/v1/segments/7/add_customers", {"ids": ["3"]})
    assert search(people, {"segment": {"id": 7}})["ids"] == ["3"]


def test_attributes_come_back_as_strings(api: Api) -> None:
    api.identify(
        {"id": "a/b"},
        email="ada@example.com",
        n=5,
        f=1.5,
        yes=True,
        tags=["a"],
        address={"c": 1},
        s="x",
    )
    device = {"device": {"id": "t", "platform": "ios", "last_used": 1}}
    assert api.call("PUT", "/api/v1/customers/a%2Fb/devices", device).status == 200
    customer = api.app("GET", "/v1/customers/a%2Fb/attributes").json["customer"]
    attributes = customer["attributes"]
    assert attributes == {
        "id": "a/b",
        "email": "ada@example.com",
        "cio_id": attributes["cio_id"],
        "n": "5",
        "f": "1.5",
        "yes": "true",
        "tags": '["a"]',
        "address": '{"c":1}',
        "s": "x",
    }
    assert customer["timestamps"].keys() == attributes.keys()
    assert customer["devices"][0]["id"] == "t"
    assert customer["unsubscribed"] is False
    by_email = api.app("GET", "/v1/customers/ADA%40example.com/attributes?id_type=email")
    by_cio_id = api.app("GET", f"/v1/customers/{attributes['cio_id']}/attributes?id_type=cio_id")
    assert by_email.json["customer"] == by_cio_id.json["customer"] == customer


def test_objects_are_searched_and_their_people_listed(api: Api) -> None:
    for object_id, plan in (("a", "pro"), ("b", "free")):
        answer = api.entity(
            type="object",
            action="identify",
            identifiers={"object_type_id": "1", "object_id": object_id},
            attributes={"plan": plan},
            cio_relationships=[{"identifiers": {"id": str(n)}} for n in range(3)],
        )
        assert answer.status == 200
    filter = {
        "object_attribute": {"field": "plan", "operator": "eq", "value": "pro", "type_id": "1"}
    }
    found = api.app("POST", "/v1/objects", {"object_type_id": "1", "filter": filter}).json
    assert (found["ids"], found["next"]) == (["a"], "")
    cio_object_id = found["identifiers"][0]["cio_object_id"]
    first = api.app("GET", "/v1/objects/1/a/relationships?limit=2").json
    assert [each["identifiers"]["id"] for each in first["cio_relationships"]] == ["0", "1"]
    rest = (
        f"/v1/objects/1/{cio_object_id}/relationships?id_type=cio_object_id&start={first['next']}"
    )
    assert api.app("GET", rest).json["cio_relationships"][0]["object_type_id"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "document", "status"),
    [
        ("GET", "/v1/customers", None, 400),
        ("GET", "/v1/customers/nobody/attributes", None, 404),
        ("GET", "/v1/customers/1/attributes?id_type=phone", None, 400),
        ("POST", "/v1/customers", {}, 400),
        ("POST", "/v1/customers", {"filter": {"xor": []}}, 400),
        (
            "POST",
            "/v1/customers",
            {"filter": {"attribute": {"field": "a", "operator": "like"}}},
            400,
        ),
        (
            "POST",
            "/v1/customers?start=x",
            {"filter": {"attribute": {"field": "a", "operator": "exists"}}},
            400,
        ),
        ("POST", "/v1/objects", {"filter": {"and": []}}, 400),
        ("GET", "/v1/objects/1/nothing/relationships", None, 404),
        ("GET", "/v1/everything", None, 404),
    ],
)
def test_a_question_that_means_nothing_is_refused(
    api: Api, method: str, path: str, document: Any, status: int
) -> None:
    answer = api.app(method, path, document)
    assert answer.status == status
    assert answer.json["errors"][0]["status"] == str(status)
