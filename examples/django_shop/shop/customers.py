"""The attributes of a customer at Customer.io, defined once for all callers."""

from __future__ import annotations

from typing import Any


def attributes(user: Any) -> dict[str, Any]:
    """Return a customer's attributes."""
    return {"email": user.email, "first_name": user.first_name, "created_at": user.date_joined}
