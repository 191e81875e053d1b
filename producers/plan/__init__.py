"""Tracking plans: which events and attributes applications send, and what they look like.

The package ``trackrelay[plan]`` brings what reads and checks them.
"""

from __future__ import annotations

from .plan_errors import PlanError, PlanViolationError
from .plan_loader import load_plan, parse_plan
from .plan_model import Enforcement, EventPlan, ObjectPlan, Plan, Policy, PropertyPlan

__all__ = [
    "Enforcement",
    "EventPlan",
    "ObjectPlan",
    "Plan",
    "PlanError",
    "PlanViolationError",
    "Policy",
    "PropertyPlan",
    "load_plan",
    "parse_plan",
]
