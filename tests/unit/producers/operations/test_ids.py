from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ulid import ULID

from trackrelay.operations.ids import companion_id, id_for, is_ulid, new_id

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)


def test_a_new_id_is_a_ulid_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    ulid = ULID.from_str(new_id())
    assert before <= ulid.milliseconds <= time.time_ns() // 1_000_000


def test_an_id_is_written_as_another_implementation_writes_it() -> None:
    for id in (new_id(), id_for("person.event", "id:42", "x", "k"), companion_id(new_id())):
        assert str(ULID.from_str(id)) == id


def test_threads_do_not_repeat_each_others_jobs() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = [
            id
            for many in pool.map(lambda _: [new_id() for _ in range(2_000)], range(8))
            for id in many
        ]
    assert len(set(ids)) == len(ids)


def test_derived_ids_never_change() -> None:
    """Ledgers and Customer.io remember them: these were written down when the format was made."""
    assert (
        id_for("person.event", "id:42", "order_completed", "A-1001") == "01GZG9GK01GMRCZX9FA1Q0CHZE"
    )
    assert id_for("person.delete", "email:ada@example.com", "", "1") == "01FYD5J1M5Z8D646QWFPF751N3"
    assert companion_id("01GZG9GK01GMRCZX9FA1Q0CHZE") == "01GZG9GK01VVT0RJ0EWYHZH22S"


@settings(deadline=None)
@given(TEXT, TEXT, TEXT, TEXT)
def test_a_derived_id_is_plausible_and_past(
    operation: str, key: str, name: str, idempotency_key: str
) -> None:
    id = id_for(operation, key, name, idempotency_key)
    assert is_ulid(id)
    assert id == id_for(operation, key, name, idempotency_key)
    assert (
        datetime(2020, 1, 1, tzinfo=UTC)
        <= ULID.from_str(id).datetime
        < datetime(2025, 1, 1, tzinfo=UTC)
    )


def test_every_part_of_what_a_call_says_makes_another_id() -> None:
    parts = ("person.event", "id:42", "order", "A-1")
    others = {id_for(*parts[:i], "else", *parts[i + 1 :]) for i in range(4)} | {
        id_for("person.event", "id:4", "2order", "A-1")
    }
    assert len(others | {id_for(*parts)}) == 6


def test_a_companion_is_of_its_events_millisecond_and_another_id() -> None:
    event = new_id()
    assert companion_id(event)[:10] == event[:10]
    assert companion_id(event) != event
    assert companion_id(event) == companion_id(event)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8" + "0" * 25,
        "0" * 25,
        "0" * 27,
        "O" * 26,
        "01gzg9gk01gmrczx9fa1q0chze",
        "0" * 25 + "U",
    ],
)
def test_other_text_is_no_ulid(text: str) -> None:
    assert not is_ulid(text)
