"""Django's system checks of ``TRACKRELAY["PLAN"]``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field

from trackrelay.configuration.producer_settings import load
from trackrelay.errors import ConfigurationError
from trackrelay.plan.plan_errors import PlanError
from trackrelay.plan.plan_loader import load_plan
from trackrelay.plan.plan_model import Plan, PropertyPlan

from .django_settings import DjangoSettings
from .user_identity import user_model

#: The JSON Schema type of the values of Django's fields. Times become unix seconds.
_TYPES = {
    "string": ("CharField", "TextField", "UUIDField", "GenericIPAddressField", "FilePathField"),
    "boolean": ("BooleanField",),
    "integer": ("IntegerField", "DateField"),
    "number": ("FloatField", "DecimalField"),
}


def plan_is_kept(own: DjangoSettings) -> Iterator[checks.CheckMessage]:
    """Yield what is wrong with the plan, and with ``IDENTIFY_FIELDS`` beside it."""
    try:
        settings = load({}, needs_queue=False)
    except Exception:  # other checks report wrong settings
        return
    if settings.plan is None:
        return
    try:
        plan = load_plan(settings.plan)
    except PlanError as error:
        for problem in error.problems:
            yield checks.Error(
                f"The tracking plan is wrong: {problem}.",
                hint='"PLAN" in TRACKRELAY names it; `manage.py trackrelay plan check` checks it.',
                id="trackrelay.E010",
            )
        return
    except ConfigurationError as error:
        yield checks.Error(f"{error}.", id="trackrelay.E010")
        return
    if not isinstance(own.identify_fields, str):
        for name in own.identify_fields:
            yield from _field(plan, name, settings.source)


def _field(plan: Plan, name: str, source: str | None) -> Iterator[checks.CheckMessage]:
    planned = plan.attributes.get(name)
    if planned is None:
        if plan.attributes or not plan.additional_attributes:
            alias = next((each for each in plan.attributes.values() if name in each.aliases), None)
            hint = f"The plan calls it {alias.name!r}." if alias else "Add it to the plan."
            yield _warning(f"the tracking plan {plan.name!r} has no attribute {name!r}", hint)
        return
    if planned.owners and source is not None and source not in planned.owners:
        owners = " or ".join(planned.owners)
        yield _warning(
            f"the plan says that {owners} sets {name!r}, and this is the source {source!r}",
            "Remove it, or change its owner in the plan.",
        )
    wrong = _wrong_type(planned, name)
    if wrong is not None:
        expected = " or ".join(planned.types)
        yield _warning(
            f"the plan says that {name!r} is {expected}, and the user's field is {wrong}",
            "Change the plan, or use a function that returns the attributes.",
        )


def _wrong_type(planned: PropertyPlan, name: str) -> str | None:
    """Return the type of a user's field, if the plan does not allow it."""
    field = _model_field(name)
    if field is None or not planned.types:
        return None
    names = {each.__name__ for each in type(field).__mro__}
    actual = next((type for type, fields in _TYPES.items() if names & {*fields}), None)
    if actual is None or actual in planned.types:
        return None
    return None if actual == "integer" and "number" in planned.types else actual


def _model_field(name: str) -> Any:
    users = user_model()
    if users is None:
        return None
    try:
        found = users._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return found if isinstance(found, Field) else None


def _warning(problem: str, hint: str) -> checks.CheckMessage:
    return checks.Warning(
        f'TRACKRELAY["IDENTIFY_FIELDS"] does not keep the plan: {problem}.',
        hint=hint,
        id="trackrelay.W004",
    )
