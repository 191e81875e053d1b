"""A call that violates the application's plan is refused, as ``on_invalid`` says."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest

import trackrelay
from trackrelay import aio, operations
from trackrelay.calls.backends import MemoryBackend
from trackrelay.default import default_producer, overridden
from trackrelay.errors import ConfigurationError, InvalidOperationError
from trackrelay.operations import plan_hook
from trackrelay.operations.validation import check
from trackrelay.plan import PlanViolationError

PLAN = """\
plan: 1
name: shop
events:
  order_completed:
    properties: {order_id: {type: string}, total: {type: number}}
    required: [order_id, total]
  imported: {enforcement: off, properties: {n: {type: integer}}}
  owned: {owner: backend}
attributes:
  age: {type: integer}
"""
GOOD = {"order_id": "A-1", "total": 12.5}


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    return file


def memory() -> MemoryBackend:
    backend = default_producer().backend
    assert isinstance(backend, MemoryBackend)
    return backend


def test_a_call_that_keeps_the_plan_is_enqueued(plan: Path) -> None:
    with overridden(backend="memory", plan=plan):
        trackrelay.track("42", "order_completed", GOOD, person_attributes={"age": 3})
        trackrelay.track("42", "imported", {"n": "not checked"})
        trackrelay.track("42", "owned")
        trackrelay.page("42", "order_completed", {"total": "x"})
        assert len(memory().operations) == 4


def test_the_error_names_event_property_expected_and_actual(plan: Path) -> None:
    with overridden(backend="memory", plan=plan):
        with pytest.raises(PlanViolationError) as caught:
            trackrelay.track("42", "order_completed", {"order_id": "A-1", "total": "canary"})
        assert memory().operations == []
    error = caught.value
    assert str(error) == (
        "the call violates the tracking plan 'shop': "
        "order_completed.total: expected number, got string"
    )
    assert (error.field, error.limit, error.actual) == ("attributes.total", "number", "string")
    assert isinstance(error, InvalidOperationError)
    assert pickle.loads(pickle.dumps(error)).violations == error.violations


@pytest.mark.parametrize(
    "call",
    [
        lambda: trackrelay.track("42", "order_complete", GOOD),
        lambda: trackrelay.identify("42", {"age": "3"}),
        lambda: trackrelay.track("42", "order_completed", GOOD, person_attributes={"age": "3"}),
        lambda: trackrelay.track_anonymous("visitor", "order_completed", {}),
        lambda: trackrelay.entity(
            {"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "unknown"}
        ),
        lambda: trackrelay.enqueue_many(
            operations.track("42", name) for name in ("order_completed",)
        ),
        lambda: asyncio.run(aio.track("42", "order_completed")),  # type: ignore[arg-type]
    ],
)
def test_every_kind_of_call_is_checked(plan: Path, call: Any) -> None:
    with overridden(backend="memory", plan=plan):
        with pytest.raises((PlanViolationError, InvalidOperationError), match="tracking plan"):
            call()
        assert memory().operations == []


def test_a_builder_is_checked_before_there_is_a_producer(plan: Path) -> None:
    from trackrelay import default

    operations.track("42", "unknown")
    trackrelay.configure(backend="memory", plan=plan)
    try:
        with pytest.raises(PlanViolationError):
            operations.track("42", "unknown")
    finally:
        default._overrides.clear()
        trackrelay.configure()


def test_a_violation_can_be_kept_as_a_dead_letter(plan: Path) -> None:
    with overridden(backend="memory", plan=plan, on_invalid="dead_letter"):
        trackrelay.track("42", "order_completed", {}, person_attributes={"age": 3})
        (event,) = memory().refused
        assert event.name == "person.event"
        assert b"tracking plan" in event.body


def test_owners_are_checked_if_the_application_has_a_name(plan: Path) -> None:
    refused = pytest.raises(PlanViolationError, match="expected the source backend")
    with overridden(backend="memory", plan=plan, source="mobile"), refused:
        trackrelay.track("42", "owned")
    with overridden(backend="memory", plan=plan, source="backend"):
        trackrelay.track("42", "owned")


def test_stored_documents_need_not_keep_the_plan(plan: Path) -> None:
    document = {"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "x"}
    with overridden(backend="memory", plan=plan):
        assert check(dict(document), planned=False).name == "person.event"
        with pytest.raises(PlanViolationError):
            check(dict(document))


def test_without_a_plan_nothing_is_checked_and_nothing_is_imported() -> None:
    with overridden(backend="memory"):
        trackrelay.track("42", "anything", {"total": "x"})
        assert plan_hook.call_plan is None


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read: No such file"), ("plan: 2", "plan must be 1"), ("[", "plan.yaml:")],
)
def test_a_wrong_file_is_a_wrong_setting(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "plan.yaml"
    if text is not None:
        file.write_text(text)
    refused = pytest.raises(ConfigurationError, match="TRACKRELAY_PLAN")
    with refused as caught, overridden(backend="memory", plan=file):
        pass
    assert message in str(caught.value)
