"""Check calls against the plan of the application."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from trackrelay.errors import ConfigurationError

from .plan_errors import PlanError, violation_error
from .plan_loader import MISSING, load_plan


class CallCheck:
    """Raises for a call that violates a plan.

    Args:
        path: the plan's file.
        source: the name of the application. Without it, owners are not checked.
    """

    def __init__(self, path: str, source: str | None) -> None:
        plan = load_plan(path)
        try:
            from .plan_checker import PlanChecker
        except ModuleNotFoundError as error:
            raise ConfigurationError(MISSING.format(error.name)) from None
        self._name = plan.name
        self._source = source
        self._violations = PlanChecker(plan, with_owners=source is not None).violations

    def __call__(self, operation: str, document: Mapping[str, Any]) -> None:
        """Check an operation.

        Raises:
            PlanViolationError: it violates the plan, which does not switch that off.
        """
        if found := self._violations(operation, document, self._source):
            raise violation_error(self._name, found)


@lru_cache(maxsize=8)
def call_check(path: str, source: str | None) -> CallCheck:
    """Return the check of one plan. The file is read once in a process.

    Raises:
        ConfigurationError: the file is no plan, or a package is missing.
    """
    try:
        return CallCheck(path, source)
    except PlanError as error:
        raise ConfigurationError(f"TRACKRELAY_PLAN names no tracking plan:\n{error}") from None
