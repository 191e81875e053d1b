"""The setting ``plan``: calls must keep a tracking plan."""

from __future__ import annotations

from trackrelay.configuration.producer_settings import Settings
from trackrelay.operations.plan_hook import CallPlan


def call_plan_of(settings: Settings) -> CallPlan | None:
    """Return what checks each call against the plan; None if there is no plan.

    Raises:
        ConfigurationError: the file is no plan, or a package of the extra ``plan`` is missing.
    """
    if settings.plan is None:
        return None
    from trackrelay.plan.call_check import call_check  # only where there is a plan

    return call_check(settings.plan, settings.source)
