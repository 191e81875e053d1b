"""The outbox as a fallback, without a server."""

import pytest

from trackrelay import ConfigurationError, Producer
from trackrelay.outbox.outbox_fallback import MAX_KEYS, Unrelayed

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "TRACKRELAY_OUTBOX_URL is not set"),
        (
            {"outbox_url": "mysql://localhost/app"},
            "TRACKRELAY_OUTBOX_URL must begin with .*; its scheme is 'mysql'",
        ),
        (
            {"outbox_url": "postgresql+asyncpg://localhost/app"},
            "its scheme is 'postgresql.asyncpg'",
        ),
    ],
)
def test_a_wrong_outbox_url_is_reported_at_the_first_call(
    settings: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Producer(redis_url=NOWHERE, on_unavailable="outbox", **settings)


def test_only_keys_with_rows_that_were_not_relayed_are_kept_back() -> None:
    unrelayed = Unrelayed()
    unrelayed.add(["id:1", "id:2"], 10)
    unrelayed.add(["id:2"], 20)
    assert unrelayed.has_any(["id:9", "id:1"])
    assert not unrelayed.has_any(["id:9"])
    unrelayed.remove_before(11)
    assert not unrelayed.has_any(["id:1"])
    assert unrelayed.has_any(["id:2"])
    unrelayed.remove_before(20)
    assert unrelayed.has_any(["id:2"])
    unrelayed.remove_before(None)
    assert not unrelayed


def test_more_keys_than_fit_in_memory_hold_back_every_job_until_all_is_relayed() -> None:
    unrelayed = Unrelayed()
    for number in range(MAX_KEYS + 1):
        unrelayed.add([f"id:{number}"], number)
    assert unrelayed.has_any(["id:never written"])
    unrelayed.add(["id:new"], MAX_KEYS + 5)
    unrelayed.remove_before(MAX_KEYS)
    assert unrelayed.has_any(["id:never written"])
    unrelayed.remove_before(MAX_KEYS + 1)
    assert not unrelayed.has_any(["id:never written"])
    assert unrelayed.has_any(["id:new"])
