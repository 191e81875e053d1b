"""The meaning of a text typed into a search."""

import pytest

from trackrelay.worker.console.search_text import parse_search, with_kind


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("01arz3ndektsv4rrffq69g5fav", [("id", "01ARZ3NDEKTSV4RRFFQ69G5FAV")]),
        ("Ada@Example.com", [("key", "email:ada@example.com")]),
        ("email:ada@example.com", [("key", "email:ada@example.com")]),
        ("id:ada@example.com", [("key", "id:ada@example.com")]),
        ("+1 555 123 4567", [("key", "phone:+15551234567")]),
        ("anonymous:x-1", [("key", "anonymous:x-1")]),
        ("object:1:acme", [("key", "object:1:acme")]),
        ("email:#0123456789abcdef01234567", [("key", "email:#0123456789abcdef01234567")]),
        ("A-1", [("idempotency_key", "A-1"), ("key", "id:A-1")]),
        ("order:7", [("idempotency_key", "order:7"), ("key", "id:order:7")]),
    ],
)
def test_a_text_is_what_it_looks_like(text: str, found: list[tuple[str, str]]) -> None:
    queries = parse_search(text)
    assert [getattr(query, name) for query, (name, _) in zip(queries, found, strict=True)] == [
        value for _, value in found
    ]


def test_what_names_its_kind_stays() -> None:
    assert with_kind("id:a@b") == "id:a@b"
    assert with_kind("42") == "42"
