"""The App API's reads: search results in pages, with every value a string."""

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
        ({"not": attribute("plan", "pro")}, ["3", ""]),
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
    ("method", "path", "document"),
    [
        ("GET", "/v1/customers", None),
        ("GET", "/v1/customers/1/attributes?id_type=name", None),
        ("POST", "/v1/customers", {}),
        ("POST", "/v1/customers", {"filter": {"xor": []}}),
        ("POST", "/v1/customers", {"filter": {"attribute": {"field": "a", "operator": "like"}}}),
        ("POST", "/v1/customers", {"filter": {"event": {"name": "a"}}}),
        ("POST", "/v1/customers?start=x", {"filter": attribute("a")}),
        ("POST", "/v1/customers?limit=0", {"filter": attribute("a")}),
        ("POST", "/v1/objects", {"filter": {"and": []}}),
        ("POST", "/v1/objects", {"filter": {"attribute": {"field": "a", "operator": "exists"}}}),
        ("GET", "/v1/esp/suppression/dislikes", None),
    ],
)
def test_a_question_that_means_nothing_is_refused(
    api: Api, method: str, path: str, document: Any
) -> None:
    answer = api.app(method, path, document)
    assert (answer.status, answer.json["errors"][0]["status"]) == (400, "400")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/nobody/attributes",
        "/v1/customers/1/attributes?id_type=phone",
        "/v1/objects/1/nothing/relationships",
        "/v1/segments/7",
        "/v1/segments/x/customer_count",
    ],
)
def test_what_does_not_exist_has_no_body(people: Api, path: str) -> None:
    answer = people.app("GET", path)
    assert (answer.status, answer.body) == (404, b"")


def test_an_unencoded_plus_finds_nothing_and_is_no_error(api: Api) -> None:
    api.identify({"id": "1"}, email="ada+test@example.com", phone="+14155552671")
    plain, encoded = "ada+test@example.com", "ada%2Btest%40example.com"
    assert api.app("GET", f"/v1/customers?email={plain}").json == {"results": []}
    assert api.app("GET", f"/v1/customers?email={encoded}").json["results"][0]["id"] == "1"
    assert api.app("GET", "/v1/customers/+14155552671/attributes?id_type=phone").status == 404
    assert api.app("GET", "/v1/customers/%2B14155552671/attributes?id_type=phone").status == 200
    by_email = f"/v1/activities?id_type=email&customer_id={plain}"
    assert api.app("GET", by_email).json["activities"] == []


def test_a_cio_id_is_found_with_and_without_its_prefix_but_activities_need_it(api: Api) -> None:
    api.identify({"id": "1"}, plan="pro")
    cio_id = api.person("id:1")["cio_id"]
    for name in (cio_id, f"cio_{cio_id}"):
        assert api.app("GET", f"/v1/customers/{name}/attributes?id_type=cio_id").status == 200
    assert api.activities(f"id_type=cio_id&customer_id=cio_{cio_id}")
    assert not api.activities(f"id_type=cio_id&customer_id={cio_id}")


def test_an_identifier_that_the_workspace_does_not_use_is_refused(api: Api) -> None:
    api.identify({"email": "ada@example.com"})
    api.client.settings(identifiers=["id"])
    attributes = "/v1/customers/ada%40example.com/attributes?id_type=email"
    assert api.app("GET", attributes).status == 400
    activities = api.app("GET", "/v1/customers/ada%40example.com/activities?id_type=email")
    assert (activities.status, activities.body) == (400, b"")


@pytest.mark.parametrize("repeats", [False, True])
def test_pages_can_repeat_an_entry_and_miss_none(api: Api, repeats: bool) -> None:
    api.client.settings(repeat_across_pages=repeats)
    for number in range(7):
        api.identify({"id": str(number)})
    seen: list[str] = []
    start = ""
    while True:
        found = search(api, attribute("id"), f"?limit=3&start={start}")
        seen += found["ids"]
        start = found["next"]
        if not start:
            break
    assert list(dict.fromkeys(seen)) == [str(number) for number in range(7)]
    assert (len(seen) > 7) is repeats


@pytest.mark.parametrize(
    ("at_end", "expected"), [("empty", {"next": ""}), ("absent", {}), ("repeated", {"next": None})]
)
def test_the_last_page_ends_as_the_setting_says(
    api: Api, at_end: str, expected: dict[str, Any]
) -> None:
    api.client.settings(next_at_end=at_end)
    for number in range(3):
        api.identify({"id": str(number)})
    start = search(api, attribute("id"), "?limit=2")["next"]
    last = search(api, attribute("id"), f"?limit=2&start={start}")
    if at_end == "repeated":
        expected = {"next": start}
    assert {name: value for name, value in last.items() if name == "next"} == expected


def test_people_who_come_or_go_between_pages_move_nobody_to_another_page(people: Api) -> None:
    first = search(people, attribute("cio_id"), "?limit=2")
    people.entity(type="person", action="delete", identifiers={"id": "1"})
    people.identify({"id": "4"})
    second = search(people, attribute("cio_id"), f"?limit=9&start={first['next']}")
    assert [*first["ids"], *second["ids"]] == ["1", "2", "3", "", "4"]


def test_the_app_apis_own_limit_can_be_switched_off(api: Api) -> None:
    api.client.settings(app_rate_limit=2)
    answers = [api.app("GET", "/v1/segments") for _ in range(9)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert refused[0].body == b""
    assert api.call("POST", "/api/v2/batch", {"batch": []}).status == 200
    # Neither workspaces nor metadata are limited.
    assert {api.app("GET", "/v1/workspaces").status for _ in range(5)} == {200}
    api.client.settings(app_rate_limit=None)
    assert {api.app("GET", "/v1/segments").status for _ in range(20)} == {200}


def test_other_credentials_are_refused_without_a_body(api: Api) -> None:
    answer = api.call("GET", "/v1/segments")
    assert (answer.status, answer.body) == (401, b"")
