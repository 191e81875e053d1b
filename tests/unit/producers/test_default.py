"""The backend and the settings of a producer, and their errors."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest

import trackrelay
from trackrelay import (
    ConfigurationError,
    InvalidOperationError,
    ObjectRef,
    Producer,
    aio,
    operations,
)
from trackrelay.calls.backends import MemoryBackend
from trackrelay.default import overridden


@pytest.mark.parametrize("backend", ["console", "memory", "off"])
def test_every_backend_checks_before_it_takes(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = Producer(backend=backend)
    with pytest.raises(InvalidOperationError):
        producer.track("42", "", {})
    job = producer.track("42", "seen", {"n": 1})
    assert len(job) == 26
    if backend == "console":
        assert '"seen"' in capsys.readouterr().err


def test_the_memory_backend_keeps_operations() -> None:
    producer = Producer(backend="memory")
    producer.track("42", "seen", {})
    assert isinstance(producer.backend, MemoryBackend)
    assert [operation.name for operation in producer.backend.operations] == ["person.event"]


def test_no_queue_and_no_backend_is_an_error_that_names_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRACKRELAY_REDIS_URL", raising=False)
    with pytest.raises(
        ConfigurationError,
        match=r"TRACKRELAY_REDIS_URL.*TRACKRELAY_BACKEND.*console, memory or off",
    ):
        Producer()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (
            {"shards": "many"},
            "TRACKRELAY_SHARDS must be a whole number from 1 to 1,024; it is 'many'",
        ),
        (
            {"backend": "kafka"},
            "TRACKRELAY_BACKEND must be one of redis, console, memory, off; it is 'kafka'",
        ),
        ({"redis_url": "http://x"}, "TRACKRELAY_REDIS_URL must begin with redis://"),
        ({"enqueue_timeout": "soon"}, "TRACKRELAY_ENQUEUE_TIMEOUT must be a number of seconds"),
        ({"naive_timezone": "Mars/Olympus"}, "TRACKRELAY_NAIVE_TIMEZONE must name a time zone"),
        (
            {"object_types": "product"},
            "TRACKRELAY_OBJECT_TYPES must be names with whole numbers .* it has 'product='",
        ),
        ({"object_types": "product=1,product=2"}, "TRACKRELAY_OBJECT_TYPES .* it has 'product=2'"),
        ({"object_types": {"product": 0}}, "TRACKRELAY_OBJECT_TYPES .* it has 'product=0'"),
        ({"object_types": {"7": 1}}, "TRACKRELAY_OBJECT_TYPES .* it has '7=1'"),
        ({"object_types": 1}, "TRACKRELAY_OBJECT_TYPES must be text, not int"),
        ({"source": Mock(spec=str)}, "TRACKRELAY_SOURCE must be a real value, not Mock"),
        ({"enqueue_timeout": Mock(spec=int)}, "TRACKRELAY_ENQUEUE_TIMEOUT must be a real value"),
        ({"colour": "red"}, r"configure\(\) has no setting 'colour'"),
    ],
)
def test_a_wrong_setting_is_named(setting: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Producer(**({"redis_url": "redis://x"} | setting))


class Unreadable:
    def __repr__(self) -> str:
        raise RuntimeError("a secret")

    __str__ = __repr__


UNUSABLE = [10**5000, -(10**400), Unreadable(), "9" * 5000, [], float("nan"), "1e400s", b"\xff"]


@pytest.mark.parametrize("value", UNUSABLE, ids=range(len(UNUSABLE)))
@pytest.mark.parametrize(
    "setting", ["shards", "max_queue_length", "enqueue_timeout", "backend", "naive_timezone"]
)
def test_a_value_of_any_size_is_described_briefly(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"TRACKRELAY_{setting.upper()}") as caught:
        Producer(**({"redis_url": "redis://x"} | {setting: value}))
    assert len(str(caught.value)) < 300
    assert "a secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sEcReT#pw@127.0.0.1:6379/0",
        "redis://:sEcReT/pw@127.0.0.1:6379/0",
        "redis://:sEcReT@127.0.0.1:99999/0",
        "redis://:sEcReT@[::1:6379/0",
        "redis://:sEcReT@127.0.0.1:6379/0?no_such_option=1",
        "redis://:sEcReT@127.0.0.1:6379/0?socket_timeout=soon",
        "rediss://:sEcReT@127.0.0.1:6379/0?ssl_cert_reqs=perhaps",
    ],
)
def test_a_wrong_redis_url_is_a_wrong_setting_and_its_password_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="TRACKRELAY_REDIS_URL") as caught:
        Producer(redis_url=url).track("42", "seen")
    assert "sEcReT" not in str(caught.value)
    trackrelay.configure(redis_url=url, backend="redis")
    with pytest.raises(ConfigurationError, match="TRACKRELAY_REDIS_URL") as caught:
        asyncio.run(aio.track("42", "seen"))
    assert "sEcReT" not in str(caught.value)


def test_a_zone_for_naive_datetimes_counts_before_anything_is_enqueued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRACKRELAY_REDIS_URL", raising=False)
    monkeypatch.setenv("TRACKRELAY_NAIVE_TIMEZONE", "Europe/Berlin")
    noon = datetime(2026, 7, 1, 12)
    trackrelay.configure()
    assert b'"timestamp":1782900000' in operations.track("42", "seen", timestamp=noon).body
    with overridden(backend="off", naive_timezone="America/New_York"):
        assert b'"timestamp":1782921600' in operations.track("42", "seen", timestamp=noon).body
    assert b'"timestamp":1782900000' in operations.track("42", "seen", timestamp=noon).body
    monkeypatch.delenv("TRACKRELAY_NAIVE_TIMEZONE")
    trackrelay.configure()
    with pytest.raises(InvalidOperationError, match="naive"):
        operations.track("42", "seen", timestamp=noon)


def test_names_of_object_types_count_before_anything_is_enqueued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACKRELAY_OBJECT_TYPES", "product=1, company = 2")
    trackrelay.configure()
    assert ObjectRef("company", "acme") == ObjectRef(2, "acme")
    with overridden(backend="off", object_types={"company": 3}):
        assert ObjectRef("company", "acme").type_id == "3"
    assert ObjectRef("company", "acme").type_id == "2"
    Producer(backend="off", object_types={"course": "4"})
    assert ObjectRef("course", "latin").key == "object:4:latin"


@pytest.mark.parametrize("timeout", [0.5, "0.5", "0.5s", " 0.5 s ", timedelta(milliseconds=500)])
def test_the_enqueue_timeout_takes_units_as_every_duration_does(timeout: Any) -> None:
    assert (
        Producer(redis_url="redis://x", enqueue_timeout=timeout).settings.enqueue_timeout_s == 0.5
    )
    assert Producer(redis_url="redis://x", enqueue_timeout="1m").settings.enqueue_timeout_s == 60


@pytest.mark.parametrize("timeout", ["2m", "0", "1w", "-1s", "nan", "", True, timedelta()])
def test_the_enqueue_timeout_takes_nothing_else(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="TRACKRELAY_ENQUEUE_TIMEOUT"):
        Producer(redis_url="redis://x", enqueue_timeout=timeout)
