"""With the outbox, jobs are rows of the application's transaction, where the relay reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from django.db import transaction
from django.test import AsyncClient

import trackrelay
from tests.django_project.shop.models import Order
from tests.support import django_project
from tests.support.django_project import rolled_back
from trackrelay import aio, outbox
from trackrelay.django.models import OutboxRow
from trackrelay.queue.job import decode_entry

ALIASES = ["default", "lite"]


@pytest.fixture(params=ALIASES)
def alias(request: pytest.FixtureRequest, shop_url: str, lite_url: str) -> Iterator[str]:
    """The project with an outbox, and no Redis that anybody could reach."""
    with django_project.connected(
        OUTBOX=request.param, REDIS_URL="redis://127.0.0.1:1/0", SOURCE="shop"
    ):
        yield request.param


def rows(alias: str) -> list[OutboxRow]:
    return list(OutboxRow.objects.using(alias).order_by("id"))


def test_a_job_is_a_row_that_commits_with_the_order(alias: str) -> None:
    with transaction.atomic(using=alias):
        Order.objects.using(alias).create(number="A-1")
        job = trackrelay.track(
            "42", "order_completed", {"number": "A-1"}, person_attributes={"orders_count": 7}
        )
        assert [row.job_id for row in rows(alias)] == [job]
    (row,) = rows(alias)
    assert (row.job_id, row.lane, row.format, row.generation) == (job, "live", 1, None)
    companion, event = decode_entry(row.entry.encode())
    assert (companion.operation, event.operation, event.source) == (
        "person.identify",
        "person.event",
        "shop",
    )
    assert event.id == job


def test_a_rollback_takes_the_rows_with_it_a_savepoint_s_as_well(alias: str) -> None:
    with transaction.atomic(using=alias):
        kept = trackrelay.track("42", "kept")
        with rolled_back(alias):
            trackrelay.track("42", "inside")
    with rolled_back(alias):
        trackrelay.track("42", "seen")
    assert [row.job_id for row in rows(alias)] == [kept]


def test_outside_a_transaction_a_row_is_written_at_once(alias: str) -> None:
    trackrelay.track("42", "seen")
    trackrelay.enqueue_many(trackrelay.operations.track(str(n), "imported") for n in range(3))
    assert [row.lane for row in rows(alias)] == ["live", "bulk", "bulk", "bulk"]


def test_a_row_waits_for_a_transaction_on_another_database(alias: str) -> None:
    (other,) = set(ALIASES) - {alias}
    with rolled_back(other):
        trackrelay.track("42", "lost")
    with transaction.atomic(using=other):
        trackrelay.track("42", "kept")
        assert rows(alias) == []
    assert len(rows(alias)) == 1


def test_the_moment_of_the_call_is_the_database_s_own(alias: str) -> None:
    with transaction.atomic(using=alias):
        trackrelay.track("42", "first")
        trackrelay.track("42", "second")
    first, second = rows(alias)
    assert 1_700_000_000_000 < first.accepted_ms <= second.accepted_ms


async def test_asynchronous_calls_write_rows(alias: str) -> None:
    job = await aio.track("42", "seen")
    assert [row.job_id async for row in OutboxRow.objects.using(alias)] == [job]


async def test_asynchronous_views_write_rows(alias: str) -> None:
    if alias == "default":
        jobs = (await AsyncClient().get("/check-out-async/")).json()["jobs"]
        assert [row.job_id async for row in OutboxRow.objects.order_by("id")] == jobs


@pytest.mark.parametrize("backend", ["memory", "off"])
def test_with_another_backend_no_row_is_written_and_a_rollback_is_still_one(
    shop_url: str, backend: str
) -> None:
    with django_project.connected(OUTBOX=True, BACKEND=backend):
        with rolled_back():
            trackrelay.track("42", "lost")
        with transaction.atomic():
            trackrelay.track("42", "kept")
        assert OutboxRow.objects.count() == 0
        if backend == "memory":
            assert len(trackrelay.default.default_producer().backend.operations) == 1  # type: ignore[attr-defined]


Layout = dict[str, tuple[str, bool]]


def layout(engine: sa.Engine) -> tuple[Layout, list[Any]]:
    found = sa.inspect(engine)
    columns = {
        each["name"]: (str(each["type"]).upper(), each["nullable"])
        for each in found.get_columns("trackrelay_outbox")
    }
    indexes = sorted(
        (each["name"] or "", tuple(each["column_names"]))
        for each in found.get_indexes("trackrelay_outbox")
    )
    return columns, indexes


@pytest.mark.parametrize("kind", ALIASES)
def test_the_table_is_the_one_that_the_relay_knows(
    kind: str, shop_url: str, lite_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "default":
        ours, django = (
            url.replace("postgresql://", "postgresql+psycopg://")
            for url in (request.getfixturevalue("empty_database_url"), shop_url)
        )
    else:
        ours, django = f"sqlite:///{tmp_path / 'ours.db'}", lite_url
    engines = [sa.create_engine(url) for url in (ours, django)]
    outbox.create_table(engines[0])
    wanted, made = (layout(engine) for engine in engines)
    for engine in engines:
        engine.dispose()

    assert made[1] == wanted[1]
    assert list(made[0]) == list(wanted[0])
    for name, (type, nullable) in wanted[0].items():
        # SQLite has one kind of integer, however it is called.
        same = (
            {made[0][name][0], type} <= {"INTEGER", "BIGINT", "SMALLINT"}
            if kind == "lite"
            else False
        )
        assert made[0][name][0] == type or same, name
        assert made[0][name][1] == nullable, name
