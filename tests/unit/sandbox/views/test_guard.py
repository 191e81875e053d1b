"""Which requests the pages of the sandbox refuse."""

from __future__ import annotations

import pytest

from trackrelay.sandbox.views.guard import Guard


@pytest.mark.parametrize(
    ("listens", "host", "answered"),
    [
        ("0.0.0.0", "192.168.7.1:8462", True),
        ("::", "[fd00::1]:8462", True),
        ("0.0.0.0", "laptop.example", False),
        ("127.0.0.1", "192.168.7.1:8462", False),
        ("192.168.7.1", "192.168.7.1:8462", True),
        ("cio.internal", "cio.internal:8462", True),
        ("cio.internal", "internal", False),
    ],
)
def test_where_it_listens_it_is_answered(listens: str, host: str, answered: bool) -> None:
    objection = Guard(listens, ()).objection("GET", [(b"host", host.encode())])
    assert (objection is None) is answered


def test_two_hosts_are_none() -> None:
    headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
    assert Guard("127.0.0.1", ()).objection("GET", headers)
    assert Guard("127.0.0.1", ()).objection("GET", [])
