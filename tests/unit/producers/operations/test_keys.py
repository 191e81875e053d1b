from __future__ import annotations

import pytest

from trackrelay.operations.keys import is_private, shown


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("id:42", "id:42"),
        ("cio_id:a3000001", "cio_id:a3000001"),
        ("object:1:acme", "object:1:acme"),
        ("email:ada@example.com", "email:a…"),
        ("phone:+14155552671", "phone:+…"),
        ("anonymous:7f3c", "anonymous:7…"),
        ("id:ada@example.com", "id:a…"),
        ("id:+14155552671", "id:+…"),
    ],
)
def test_a_message_never_identifies_a_person(key: str, text: str) -> None:
    assert shown(key) == text
    assert is_private(key) == (key != text)
