"""The page about a plan for people who write campaigns."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from trackrelay.plan import parse_plan
from trackrelay.plan.data_index import data_index_entries
from trackrelay.plan.plan_page import html_page, markdown_page
from trackrelay.plan.plan_words import lateness_words, type_words

PLAN = """\
plan: 1
name: shop
description: Tea & <mugs>.
events:
  order_completed:
    description: An order | was paid.
    owner: [backend, erp]
    aliases: [purchase]
    lateness: 10m
    changes: [orders_count]
    id_property: order_id
    properties:
      order_id: {type: string, description: Its number., aliases: [orderId]}
      items: {type: array, items: {type: object, properties: {sku: {type: string}}}}
      Order Type: {enum: [new, old]}
    required: [order_id]
attributes:
  orders_count: {type: integer, minimum: 0, owner: backend}
  seen_at: {type: integer, format: unix-seconds, description: Last seen., privacy: none}
  email: {type: string, privacy: sensitive, description: "<b>Address</b>"}
objects:
  product: {id: 1, attributes: {sku: {type: string}}}
"""


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [f"{value}" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_the_page_says_what_marketing_asks() -> None:
    page = _Text()
    page.feed(html_page(parse_plan(PLAN)))
    assert page.open == []
    text = re.sub(r"\s+", " ", page.text)
    for expected in (
        "Tea & <mugs>.",
        "Sent by backend and erp.",
        "Arrives within 10 minutes.",
        "Some applications still send it as purchase.",
        "{{ event.order_id }}",
        '{{ event["Order Type"] }}',
        "items[].sku",
        "{% for item in event.items %} … {% endfor %}",
        "{{ item.sku }}",
        "{{ customer.orders_count }}",
        "Set by backend only.",
        "sensitive",
        "<b>Address</b>",
        "at least 0",
    ):
        assert expected in text


def test_the_page_loads_nothing() -> None:
    page = _Text()
    page.feed(html_page(parse_plan(PLAN)))
    assert all(each.startswith("#") for each in page.sources)
    assert "url(" not in html_page(parse_plan(PLAN))


def test_the_same_is_there_as_markdown() -> None:
    text = markdown_page(parse_plan(PLAN))
    assert "### order\\_completed" in text
    assert "An order | was paid." in text
    assert "| `order_id` | Its number. Also sent as orderId. | text; always there |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_an_empty_plan_has_a_page() -> None:
    plan = parse_plan("plan: 1\nname: shop")
    assert "The plan is empty." in html_page(plan)
    assert markdown_page(plan).startswith("# shop: tracking plan")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "boolean"}, "true or false"),
        ({"type": ["string", "null"]}, "text, can be empty"),
        ({"type": "integer", "format": "unix-seconds"}, "time"),
        ({}, "any"),
    ],
)
def test_types_have_words(schema: dict[str, object], expected: str) -> None:
    assert type_words(schema) == expected


def test_durations_have_words() -> None:
    assert [lateness_words(each) for each in (600, 3600, 90, 172800)] == [
        "10 minutes",
        "1 hour",
        "90 seconds",
        "2 days",
    ]


def test_the_data_index_gets_descriptions_and_privacy() -> None:
    entries = data_index_entries(parse_plan(PLAN))
    assert [(each.name, each.description) for each in entries.events] == [
        ("order_completed", "An order | was paid.")
    ]
    assert [(each.name, each.privacy_level) for each in entries.attributes] == [
        ("seen_at", 0),
        ("email", 1),
    ]
    plain = data_index_entries(parse_plan(PLAN), with_privacy=False)
    assert [each.privacy_level for each in plain.attributes] == [None, None]


def test_a_description_is_cut_to_what_customer_io_takes() -> None:
    plan = parse_plan(f"plan: 1\nname: s\nevents: {{a: {{description: {'x' * 300}}}}}")
    entries = data_index_entries(plan)
    assert len(entries.events[0].description or "") == 255
    assert entries.shortened == ("a",)
