"""One verdict, for a reader and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trackrelay.worker.cli.common.output import moment
from trackrelay.worker.storage.verdicts import Verdict

#: How the items that are events begin; see `trackrelay.worker.quality.sent_items`.
_EVENT = "event:"


def item_text(item: str) -> str:
    """Return an item for a reader: an event without its id."""
    return item.rpartition(":")[0] if item.startswith(_EVENT) and item.count(":") > 1 else item


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON has it."""
    return asdict(verdict) | {"checked_at": moment(verdict.checked_at)}
