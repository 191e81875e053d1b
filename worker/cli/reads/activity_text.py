"""An activity in words."""

from __future__ import annotations

import json
from typing import Any

from trackrelay.app_api import Activity


def activity_details(activity: Activity) -> str:
    """Return what an activity changed or carried: ``plan: free → pro``."""
    changes = [
        f"{name}: {_text(change.get('from')) or '–'} → {_text(change.get('to')) or '–'}"
        for name, change in activity.data.items()
        if isinstance(change, dict) and change.keys() & {"from", "to"}
    ]
    if changes:
        return ", ".join(changes)
    given = {name: value for name, value in activity.data.items() if value is not None}
    return json.dumps(given, ensure_ascii=False) if given else ""


def person_text(activity: Activity) -> str:
    """Return whom an activity is about."""
    return activity.customer_id or activity.email or activity.cio_id or ""


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
