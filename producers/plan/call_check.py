"""Check calls against the plan of the application."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from trackrelay.errors import ConfigurationError
from trackrelay.operations.plan_hook import CallPlan

from .plan_errors import PlanError, violation_error
from .plan_loader import MISSING, load_plan


@lru_cache(maxsize=8)
def call_check(path: str, source: str | None) -> CallPlan:
    """Return a function that raises a PlanViolationError for a call that violates a plan.

    What the plan switches off raises nothing.

    Args:
        path: the plan's file. It is read once in a process.
        source: the name of the application. Without it, owners are not checked.

    Raises:
        ConfigurationError: the file is no plan, or a package is missing.
    """
    try:
        plan = load_plan(path)
    except PlanError as error:
        raise ConfigurationError(f"TRACKRELAY_PLAN names no tracking plan:\n{error}") from None
    try:
        from .plan_checker import PlanChecker
    except ModuleNotFoundError as error:
        raise ConfigurationError(MISSING.format(error.name)) from None
    name, violations = plan.name, PlanChecker(plan, with_owners=source is not None).violations

    # A closure: this runs for each call.
    def check(operation: str, document: Mapping[str, Any]) -> None:
        if found := violations(operation, document, source):
            raise violation_error(name, found)

    return check
