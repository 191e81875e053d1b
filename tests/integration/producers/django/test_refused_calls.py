"""Refused calls in a Django project with ``ON_INVALID``.

No view fails, and the refusal is kept when the surrounding transaction commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

import trackrelay
from tests.support import django_project
from tests.support.django_project import rolled_back
from trackrelay import Person, aio
from trackrelay.django.models import OutboxRow
from trackrelay.operations.refused_operations import decode_refused

Kept = Callable[[], list[Any]]


@pytest.fixture
def kept(queue: redis.Redis) -> Kept:
    """The refused operations in the queue."""

    def read() -> list[Any]:
        entries = [fields[b"j"] for _, fields in queue.xrange("trackrelay:invalid")]
        return [job for entry in entries for job in decode_refused(entry)]

    return read


@pytest.fixture
def keeping(shop_url: str, lite_url: str, queue: redis.Redis, redis_url: str) -> Iterator[None]:
    """The project without an outbox, which keeps what is refused."""
    with django_project.connected(REDIS_URL=redis_url, SOURCE="shop", ON_INVALID="dead_letter"):
        yield


def no_email() -> str:
    return trackrelay.identify(Person(email=""), {"plan": "pro"})


@pytest.mark.usefixtures("keeping")
def test_what_is_refused_is_kept_when_the_transaction_commits(kept: Kept) -> None:
    with transaction.atomic():
        job = no_email()
        assert kept() == []
    assert [(each.id, each.operation, each.keys) for each in kept()] == [
        (job, "person.identify", ())
    ]
    with rolled_back():
        no_email()
    assert len(kept()) == 1


@pytest.mark.usefixtures("keeping")
def test_a_refused_call_without_a_person_is_kept_too(kept: Kept) -> None:
    job = trackrelay.track(AnonymousUser(), "seen")
    assert [(each.id, each.operation) for each in kept()] == [(job, "person.event")]


@pytest.mark.usefixtures("keeping")
async def test_an_asynchronous_view_keeps_it_too(kept: Kept) -> None:
    job = await aio.identify(Person(email=""), {"plan": "pro"})
    assert [each.id for each in kept()] == [job]


def test_with_an_outbox_it_is_a_row_of_the_transaction(shop_url: str, lite_url: str) -> None:
    with django_project.connected(OUTBOX=True, SOURCE="shop", ON_INVALID="dead_letter"):
        with rolled_back():
            no_email()
        with transaction.atomic():
            job = no_email()
        (row,) = OutboxRow.objects.all()
        assert row.job_id == job
        assert [each.id for each in decode_refused(row.entry.encode())] == [job]


@pytest.mark.parametrize("on_invalid", ["log", "raise"])
def test_the_setting_says_what_becomes_of_it(
    shop_url: str, lite_url: str, redis_url: str, on_invalid: str, caplog: pytest.LogCaptureFixture
) -> None:
    with django_project.connected(REDIS_URL=redis_url, ON_INVALID=on_invalid):
        if on_invalid == "raise":
            with pytest.raises(trackrelay.InvalidOperationError):
                no_email()
        else:
            assert no_email() in caplog.text
