"""JSON from outside: decoded, or refused with one error, whatever it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.operations.json_values import MAX_DEPTH, NotJsonError, decode_json, is_deeper

HOSTILE = [
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    b"9" * 5_000,
    b"1e400",
    b"NaN",
    b'"\\ud800"',
    b'"\xff"',
    b"\xef\xbb\xbf{}",
    b"",
    b"{",
    "\ud800",
    '"\ud800"',
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_json_is_refused_with_one_error(data: bytes | str) -> None:
    with pytest.raises(NotJsonError) as refused:
        decode_json(data)
    assert len(str(refused.value)) <= 200


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_nothing_else_is_raised(data: bytes | str) -> None:
    try:
        decode_json(data)
    except NotJsonError:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_what_it_says(value: Any) -> None:
    assert decode_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("opening", "closing", "levels"), [(b"[", b"]", 1), (b'{"[":', b"}", 1), (b'[{"a":', b"}]", 2)]
)
def test_the_depth_is_that_of_lists_and_objects_inside_each_other(
    opening: bytes, closing: bytes, levels: int
) -> None:
    fits = MAX_DEPTH // levels
    decode_json(opening * fits + b"1" + closing * fits)
    with pytest.raises(NotJsonError, match="deeper than 200"):
        decode_json(opening * (fits + 1) + b"1" + closing * (fits + 1))


def test_many_lists_side_by_side_are_not_deep() -> None:
    assert not is_deeper(b"[" + b'[["[",{"[":[]}]],' * 10_000 + b"1]", 5)
    assert is_deeper(b"[" + b'[["[",{"[":[]}]],' * 10_000 + b"1]", 4)


def depth(value: Any) -> int:
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(JSON, st.integers(0, 5))
def test_depth_is_counted_like_a_parser_does(value: Any, limit: int) -> None:
    assert is_deeper(json.dumps(value).encode(), limit) == (depth(value) > limit)
