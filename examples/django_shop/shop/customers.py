"""What Customer.io is told of a customer: said in one place, so that every sender says the same."""

from __future__ import annotations

from typing import Any


def attributes(user: Any) -> dict[str, Any]:
    """A customer's attributes."""
    return {"email": user.email, "first_name": user.first_name, "created_at": user.date_joined}
