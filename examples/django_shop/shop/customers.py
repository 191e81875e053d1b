"""The attributes of a customer at Customer.io, defined once for all callers."""

from __future__ import annotations

from typing import Any

from .plan_events import PersonAttributes


def attributes(user: Any) -> PersonAttributes:
    """Return a customer's attributes."""
    return {"email": user.email, "first_name": user.first_name, "created_at": user.date_joined}
