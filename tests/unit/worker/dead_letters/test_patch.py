"""Repairs: paths, what they set and take away, and what is format_path down of it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.dead_letters.patch import Patch, PatchError, changes, format_path, parse_path

DOCUMENT = {
    "type": "person",
    "identifiers": {"id": "42"},
    "action": "event",
    "attributes": {"plan": "platinum", "items": [{"price": 1}, {"price": 2}], "a.b": 1},
}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("attributes.plan", ("attributes", "plan")),
        ("attributes.items[0].price", ("attributes", "items", 0, "price")),
        ('attributes."a.b"', ("attributes", "a.b")),
        ("name", ("name",)),
        ("attributes.großes ß", ("attributes", "großes ß")),
    ],
)
def test_a_path_is_read_as_refusals_write_it(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path
    assert format_path(path) == text


@pytest.mark.parametrize(
    "text", ["", ".plan", "attributes..plan", "attributes.", "a[x]", 'a."b', "a]"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PatchError):
        parse_path(text)


@given(
    st.lists(st.text(min_size=1) | st.integers(0, 99), min_size=1, max_size=5).filter(
        lambda p: isinstance(p[0], str)
    )
)
def test_every_path_can_be_format_path_and_read_again(path: list[str | int]) -> None:
    assert parse_path(format_path(tuple(path))) == tuple(path)


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("attributes.plan=pro", ("attributes", "plan"), "pro"),
        ("attributes.age=42", ("attributes", "age"), 42),
        ('attributes.age="42"', ("attributes", "age"), "42"),
        ("attributes.vip=true", ("attributes", "vip"), True),
        ("attributes.plan=null", ("attributes", "plan"), None),
        ("attributes.items[1].price=2.5", ("attributes", "items", 1, "price"), 2.5),
        ("attributes.items[2]={}", ("attributes", "items", 2), {}),
        ("attributes.new.deep=a=b", ("attributes", "new", "deep"), "a=b"),
        ("attributes.text=", ("attributes", "text"), ""),
    ],
)
def test_a_value_is_json_or_else_text(
    assignment: str, path: tuple[str | int, ...], value: Any
) -> None:
    before = msgspec.json.encode(DOCUMENT)
    repaired: Any = Patch.parse((assignment,)).apply(DOCUMENT)
    for step in path:
        repaired = repaired[step]
    assert repaired == value
    assert type(repaired) is type(value)
    assert msgspec.json.encode(DOCUMENT) == before


def test_a_field_is_removed_and_a_missing_one_does_no_harm() -> None:
    repaired = Patch.parse(
        (), ("attributes.plan", "attributes.items[0]", "attributes.none.such", "nothing")
    ).apply(DOCUMENT)
    assert repaired["attributes"] == {"items": [{"price": 2}], "a.b": 1}


@pytest.mark.parametrize(
    "assignment",
    [
        "attributes.plan.x=1",
        "attributes.items.x=1",
        "attributes.items[5]=1",
        "attributes[0]=1",
        "name.x[3].y=1",
    ],
)
def test_what_has_no_place_in_the_document_is_refused(assignment: str) -> None:
    with pytest.raises(PatchError):
        Patch.parse((assignment,)).apply(DOCUMENT)


def test_without_a_value_nothing_can_be_set() -> None:
    with pytest.raises(PatchError, match=r"write attributes\.plan=VALUE"):
        Patch.parse(("attributes.plan",))


def test_where_there_is_no_document_one_must_be_supplied() -> None:
    with pytest.raises(PatchError, match="--edit"):
        Patch.parse(("attributes.plan=pro",)).apply(None)
    assert Patch(document={"type": "person"}).apply(None) == {"type": "person"}


def test_changes_have_the_old_and_the_new_value() -> None:
    after = Patch.parse(("attributes.plan=pro", "attributes.new=1"), ('attributes."a.b"',)).apply(
        DOCUMENT
    )
    assert list(changes(DOCUMENT, after)) == [
        {"path": "attributes.plan", "before": "platinum", "after": "pro"},
        {"path": 'attributes."a.b"', "before": 1},
        {"path": "attributes.new", "after": 1},
    ]
    assert list(changes(DOCUMENT, DOCUMENT)) == []
    assert list(changes({"n": 1}, {"n": True})) == [{"path": "n", "before": 1, "after": True}]
