"""The endpoints of v1: what they take, what they refuse and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sandbox_api import Api

CUSTOMER = "/api/v1/customers/42"
ULID = "01J9ZQ0V8Z3Y6M4T2K1C5W7XBN"


@pytest.mark.parametrize(
    ("path", "document", "words"),
    [
        (CUSTOMER, {"id": 4.2}, "id attribute must be a string value"),
        (CUSTOMER, {"id": True}, "id attribute must be a string value"),
        (
            CUSTOMER,
            {"cio_subscription_preferences": "none"},
            "cio_subscription_preferences must be an object",
        ),
        (
            CUSTOMER,
            {"cio_subscription_preferences": {"topics": {"topic_1": 1}}},
            "cio_subscription_preferences must have true",
        ),
        ("/api/v1/customers/a%40b%40c.de", {}, "email is not an email address"),
        ("/api/v1/customers/%40", {}, "email is not an email address"),
        ("/api/v1/customers/cio_", {}, "cio_id attribute cannot be an empty string"),
        (CUSTOMER, {"id": ""}, "id attribute cannot be an empty string"),
        (
            CUSTOMER,
            {f"a{n}": 1 for n in range(301)},
            "cannot identify more than 300 attributes in one request",
        ),
        (CUSTOMER, {"n" * 151: 1}, "attribute name cannot be longer than 150 bytes"),
        (CUSTOMER, {"ä" * 76: 1}, "attribute name cannot be longer than 150 bytes"),
        (
            CUSTOMER,
            {"bio": "x" * 1001},
            "value for attribute 'bio' cannot be longer than 1000 bytes",
        ),
        (
            CUSTOMER,
            {"bio": "€" * 334},
            "value for attribute 'bio' cannot be longer than 1000 bytes",
        ),
        (
            CUSTOMER,
            {"tags": ["x" * 500, "y" * 500]},
            "value for attribute 'tags' cannot be longer than 1000 bytes",
        ),
        (CUSTOMER, {"_timestamp": "yesterday"}, "_timestamp must be an integer, in unix seconds"),
        (CUSTOMER, {"_update": "yes"}, "_update must be a boolean"),
        (CUSTOMER, ["plan"], "the body must be a hash"),
        ("/api/v1/customers/" + "x" * 151, {}, "id attribute cannot be longer than 150 bytes"),
        ("/api/v1/customers/%20", {}, "id attribute cannot be an empty string"),
        (f"{CUSTOMER}/devices", {}, "device must be present"),
        (f"{CUSTOMER}/devices", {"device": {"platform": "ios"}}, "id attribute must be present"),
        (
            f"{CUSTOMER}/devices",
            {"device": {"id": "t", "platform": "symbian"}},
            "device.platform must be one of",
        ),
        (
            f"{CUSTOMER}/devices",
            {"device": {"id": "t", "platform": "ios", "attributes": {"n": 1}}},
            "device.attributes.n must be a string value",
        ),
    ],
)
def test_a_put_is_refused_with_a_message(api: Api, path: str, document: Any, words: str) -> None:
    answer = api.call("PUT", path, document)
    assert answer.status == 400
    assert answer.json["meta"]["errors"][0].startswith(words)
    assert list(api.client.effects(ignored=True)) == []


@pytest.mark.parametrize(
    ("path", "document", "words"),
    [
        (f"{CUSTOMER}/events", {}, "name cannot be blank"),
        (f"{CUSTOMER}/events", {"name": "  "}, "event name must not be blank"),
        (f"{CUSTOMER}/events", {"name": "n" * 101}, "event name cannot be longer than 100 bytes"),
        (f"{CUSTOMER}/events", {"name": "a", "data": [1]}, "event data must be a hash"),
        (
            f"{CUSTOMER}/events",
            {"name": "a", "data": {"d": "x" * 100_000}},
            "event data cannot be longer than 100000",
        ),
        (f"{CUSTOMER}/events", {"name": "a", "id": "not a ulid"}, "event id must be a valid ULID"),
        (
            f"{CUSTOMER}/events",
            {"name": "a", "id": "8" + ULID[1:]},
            "event id must be a valid ULID",
        ),
        (
            f"{CUSTOMER}/events",
            {"name": "a", "type": "page", "data": {"title": 7}},
            "title must be a string value",
        ),
        (
            f"{CUSTOMER}/events",
            {"name": "a", "type": "page", "data": {"keywords": "b"}},
            "keywords must be a list of strings",
        ),
        (f"{CUSTOMER}/events", {"name": "a", "timestamp": 1.5}, "timestamp must be an integer"),
        (
            "/api/v1/events",
            {"name": "a"},
            "an event without anonymous_id must have a recipient in its data",
        ),
        (
            "/api/v1/events",
            {"anonymous_id": 5.5, "name": "a"},
            "anonymous_id must be a string value",
        ),
        ("/api/v1/forms/f/submit", {}, "data must be a hash"),
        (
            "/api/v1/forms/f/submit",
            {"data": {"name": "Ada"}},
            "data must contain exactly one of id and email, got 0",
        ),
        (
            "/api/v1/forms/f/submit",
            {"data": {"id": "1", "email": "a@b.c"}},
            "data must contain exactly one",
        ),
        (
            "/api/v1/forms/f/submit",
            {"data": {"id": "1", "age": 36}},
            "form value 'age' must be a string",
        ),
        ("/api/v1/segments/7/add_customers", {}, "ids must be a list of 1 to 1000 strings"),
        (
            "/api/v1/segments/7/add_customers",
            {"ids": []},
            "ids must be a list of 1 to 1000 strings",
        ),
        (
            "/api/v1/segments/7/add_customers",
            {"ids": ["1"] * 1001},
            "ids must be a list of 1 to 1000 strings",
        ),
        ("/api/v1/segments/7/add_customers", {"ids": [1]}, "ids must be strings"),
        (
            "/api/v1/segments/7/add_customers?id_type=phone",
            {"ids": ["1"]},
            "id_type must be one of",
        ),
        ("/api/v1/segments/mine/add_customers", {"ids": ["1"]}, "segment id must be an integer"),
        (
            "/api/v1/segments/2147483648/remove_customers",
            {"ids": ["1"]},
            "segment id must be an integer",
        ),
        ("/api/v1/metrics", {"metric": "opened"}, "delivery_id attribute must be present"),
        ("/api/v1/metrics", {"delivery_id": "d", "metric": "loved"}, "metric must be one of"),
        ("/api/v1/push/events", {"event": "bounced"}, "event must be one of"),
        ("/unsubscribe/%20", {"unsubscribe": True}, "delivery_id cannot be blank"),
    ],
)
def test_a_post_is_refused_with_a_message(api: Api, path: str, document: Any, words: str) -> None:
    answer = api.call("POST", path, document)
    assert answer.status == 400
    assert answer.json["meta"]["errors"][0].startswith(words)
    assert list(api.client.effects(ignored=True)) == []


@pytest.mark.parametrize(
    "document",
    [
        {"primary": {"id": "1"}},
        {"primary": {"id": "1", "email": "a@b.c"}, "secondary": {"id": "2"}},
        {"primary": {"phone": "+491701234567"}, "secondary": {"id": "2"}},
        {"primary": {"id": ""}, "secondary": {"id": "2"}},
    ],
)
def test_a_refused_merge_has_its_own_shape_of_answer(api: Api, document: Any) -> None:
    answer = api.call("POST", "/api/v1/merge_customers", document)
    assert answer.status == 400
    assert isinstance(answer.json["meta"]["error"], str)


def test_what_is_just_within_the_limits_is_taken(api: Api) -> None:
    attributes = {"n" * 150: "x" * 1000} | {f"a{n}": n for n in range(299)}
    assert api.call("PUT", "/api/v1/customers/" + "i" * 150, attributes).status == 200
    event = {"name": "n" * 100, "id": ULID.lower(), "data": {"d": "x" * 99_990}}
    assert api.call("POST", f"{CUSTOMER}/events", event).status == 200


def test_values_the_schema_leaves_out_are_taken_where_the_prose_does_not_forbid_them(
    api: Api,
) -> None:
    assert (
        api.call(
            "PUT", CUSTOMER, {"score": 1.5, "tags": ["a"], "address": {"city": "Berlin"}}
        ).status
        == 200
    )
    assert api.person("id:42")["attributes"] == {
        "score": 1.5,
        "tags": ["a"],
        "address": {"city": "Berlin"},
    }


@pytest.mark.parametrize(
    ("kind", "stored"), [("page", "page"), ("screen", "screen"), ("else", "event")]
)
def test_an_event_of_another_type_is_an_event(api: Api, kind: str, stored: str) -> None:
    assert api.call("POST", f"{CUSTOMER}/events", {"name": " home ", "type": kind}).status == 200
    event = api.person("id:42")["events"][0]
    assert (event["action"], event["name"]) == (stored, "home")


def test_the_shape_of_the_path_says_what_identifies(api: Api) -> None:
    api.call("PUT", "/api/v1/customers/ada%40example.com", {"plan": "pro"})
    cio_id = api.person("email:ada@example.com")["cio_id"]
    api.call("PUT", f"/api/v1/customers/cio_{cio_id}", {"id": "42"})
    assert api.person("id:42")["identifiers"] == {"email": "ada@example.com", "id": "42"}
    api.call("PUT", "/api/v1/customers/%2B491701234567", {"plan": "pro"})
    assert api.person("id:+491701234567")["attributes"] == {"plan": "pro"}


def test_an_identifier_that_is_not_encoded_names_another_person(api: Api) -> None:
    api.call("PUT", "/api/v1/customers/a+b@example.com", {"plan": "pro"})
    assert api.client.person("email:a+b@example.com") is None
    assert api.call("PUT", "/api/v1/customers/a/b", {}).status == 404


@pytest.mark.parametrize("dots", ["..", "%2E%2E", "%2e."])
def test_dots_for_an_identifier_climb_to_another_endpoint(api: Api, dots: str) -> None:
    event = {"name": "a", "data": {"recipient": "bo@example.com"}}
    assert api.call("POST", f"/api/v1/customers/{dots}/events", event).status == 200
    assert [effect["path"] for effect in api.client.effects()] == ["/api/v1/events"]
    assert list(api.client.people()) == []


def test_a_form_makes_a_person_and_ignores_reserved_fields(api: Api) -> None:
    data = {
        "email": "ada@example.com",
        "first_name": "Ada",
        "form_name": "Sign up",
        "form_url": "x",
    }
    answer = api.call("POST", "/api/v1/forms/signup/submit", {"data": data})
    assert (answer.status, answer.body) == (204, b"")
    assert api.person("email:ada@example.com")["attributes"] == {"first_name": "Ada"}
    assert api.client.others()["forms"] == {"signup": 1}


def test_segments_take_people_by_the_kind_of_identifier_asked_for(api: Api) -> None:
    api.identify({"id": "1"}, email="ada@example.com")
    api.identify({"id": "2"})
    ids = {"ids": ["1", "nobody", "ada@example.com"]}
    assert api.call("POST", "/api/v1/segments/7/add_customers", ids).status == 200
    assert api.call("POST", "/api/v1/segments/8/add_customers?id_type=email", ids).status == 200
    assert api.call("POST", "/api/v1/segments/7/add_customers", {"ids": ["2"]}).status == 200
    assert api.call("POST", "/api/v1/segments/7/remove_customers", {"ids": ["1"]}).status == 200
    assert api.person("id:1")["segments"] == [8]
    assert api.person("id:2")["segments"] == [7]
    assert list(api.client.effects())[3]["keys"] == ["email:ada@example.com"]


def test_metrics_and_unsubscribing_need_no_credentials(api: Api) -> None:
    api.identify({"id": "42"})
    api.client.set_recipient("d1", "id:42")
    for path, document in (
        (
            "/api/v1/metrics",
            {"delivery_id": "d1", "metric": "clicked", "href": "https://example.com"},
        ),
        ("/api/v1/metrics", {"delivery_id": "d1", "metric": "bounced", "recipient": 491701234567}),
        (
            "/api/v1/push/events",
            {"delivery_id": "d1", "event": "opened", "device_id": "t", "timestamp": 1613063089},
        ),
        ("/unsubscribe/d1", {"unsubscribe": True}),
    ):
        answer = api.call("POST", path, document, auth=None)
        assert (answer.status, answer.json) == (200, {})
    assert api.client.others()["deliveries"]["d1"] == {
        "metrics": {"clicked": 1, "bounced": 1, "opened": 1},
        "unsubscribed": True,
        "person": "id:42",
    }
    assert api.person("id:42")["unsubscribed"] is True


def test_unsubscribing_insists_on_json(api: Api) -> None:
    answer = api.call("POST", "/unsubscribe/d1", {"unsubscribe": True}, content_type="text/plain")
    assert answer.status == 400
