"""The registry describes each action, and every part has a binding for each of its builders."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trackrelay
from trackrelay import Pipeline, Producer, aio, operations
from trackrelay.operations.registry import ACTIONS, BUILDERS, Action, Family, V1Request
from trackrelay.outbox import Outbox
from trackrelay.worker.track_api import request_builder

SCRIPT = str(Path(__file__).parents[4] / "scripts" / "bindings.py")


def names(fact: Callable[[Action], object]) -> set[str]:
    return {action.name for action in ACTIONS if fact(action)}


EVENTS = {
    f"{type}.{action}" for type in ("person", "anonymous") for action in ("event", "page", "screen")
}


def test_the_facts_about_actions_are_those_that_delivery_was_proved_with() -> None:
    assert names(lambda action: action.is_barrier) == {
        "person.merge",
        "person.delete",
        "person.suppress",
        "person.unsuppress",
    }
    assert names(lambda action: action.removes_person) == {"person.delete", "person.suppress"}
    assert names(lambda action: action.is_delayed) == {"person.merge"}
    assert names(lambda action: action.has_id) == names(lambda action: action.is_event) == EVENTS
    assert names(lambda action: action.carries_time) == {
        *EVENTS,
        "person.identify",
        "delivery.metric",
        "delivery.event",
    }
    assert names(lambda action: action.has_large_data) == EVENTS - {"person.screen"} | {
        "form.submit"
    }


def test_what_v2_cannot_carry_has_a_v1_request() -> None:
    assert names(lambda action: action.family is not Family.V2 and not action.v1_request) == set()
    singles = {action.v1_request for action in ACTIONS} - {None, V1Request.SEGMENT}
    assert set(request_builder._SINGLES) == singles


@pytest.mark.parametrize(
    "place",
    [operations, trackrelay, aio, Producer, Pipeline, Outbox],
    ids=lambda each: each.__name__,
)
def test_every_builder_has_a_binding(place: Any) -> None:
    missing = [name for name in BUILDERS if not callable(getattr(place, name, None))]
    assert missing == []
    if hasattr(place, "__all__"):
        assert [name for name in BUILDERS if name not in place.__all__] == []


def test_every_builder_of_operations_is_in_the_registry() -> None:
    assert sorted(operations.__all__) == sorted(BUILDERS)


def test_the_bindings_are_those_that_the_script_writes() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


BOUND = """\
# Written by scripts/bindings.py.
track = _one(operations.track)
gone = _one(operations.gone)
several = _one(operations.several)

__all__ = [
    "Person",
    "gone",
    "several",
    "track",
]


def after() -> None: ...
"""


def test_the_script_adds_mends_and_removes_lines_and_leaves_the_rest() -> None:
    bound = runpy.run_path(SCRIPT)["bound"]
    kinds = {"new": "one", "several": "many", "track": "one"}

    assert bound("import this\n\n" + BOUND, "_{kind}(operations.{name})", kinds) == (
        """\
import this

# Written by scripts/bindings.py.
track = _one(operations.track)
several = _many(operations.several)
new = _one(operations.new)

__all__ = [
    "Person",
    "new",
    "several",
    "track",
]


def after() -> None: ...
"""
    )
