"""The tracking plan that calls are checked against, in the whole process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

#: Takes an operation's ``type.action`` and its checked document. Raises a PlanViolationError.
CallPlan: TypeAlias = Callable[[str, Mapping[str, Any]], None]

#: None: there is no plan. Each call reads it, so nothing else runs where there is none.
call_plan: CallPlan | None = None


def set_call_plan(plan: CallPlan | None) -> None:
    """Set the plan in the whole process."""
    global call_plan
    call_plan = plan


def defer_call_plan(find: Callable[[], CallPlan | None]) -> None:
    """Set a function that finds the plan at the first call."""

    def first(operation: str, document: Mapping[str, Any]) -> None:
        found = find()
        set_call_plan(found)
        if found is not None:
            found(operation, document)

    set_call_plan(first)
