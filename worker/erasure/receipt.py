"""The receipt of a request to forget a person: what was where, and nothing that names anybody."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from trackrelay.version import __version__
from trackrelay.worker.storage.forgotten import Request

from .census import Census
from .customerio_removal import RemovalState

#: The stores of a receipt, and what they are called in its census.
STORES = (
    "outbox",
    "refused_calls",
    "streams",
    "backlog",
    "dead_letters",
    "ledger",
    "verification",
    "identities",
    "breakers",
    "names",
)

#: What no command of trackrelay can erase.
NOT_COVERED = (
    "log lines that were written before: they name the keys of ids, never emails, phone numbers or "
    "anonymous ids",
    "backups, replicas and snapshots of Postgres and Redis, until they expire",
    "files: exports of dead letters, import files and their reports",
    "deleted rows and entries in the files of Postgres and Redis, until these reuse the space",
    "the application's own data, and names of the person that this request did not give",
)


def receipt(
    request: Request, after: Census, removals: Sequence[RemovalState], *, outbox: str
) -> dict[str, Any]:
    """Return the receipt.

    Args:
        request: what is recorded of the request, with what was there when it was made.
        after: what is there now.
        removals: what became of the jobs that tell Customer.io.
        outbox: what to know about outboxes.
    """
    before = Census(**request.steps["before"])
    is_complete = all(each.state == "delivered" for each in removals) and not after.left
    return {
        "request": request.id,
        "command": "forget",
        "mode": request.mode,
        "version": __version__,
        "requested_at": moment(request.requested_at),
        "completed_at": moment(time.time()) if is_complete else None,
        "complete": is_complete,
        "keys": sorted(request.jobs),
        "stores": {store: _store(store, before, after) for store in STORES},
        "ledger_rows": after.ledger,
        "in_hand": before.in_hand,
        "outbox": outbox,
        "mentions": {
            **before.mentions,
            "jobs": before.mentioning_jobs,
        },
        "linked": [{"key": key, "jobs": jobs} for key, jobs in before.linked.items()],
        "customerio": [
            {
                "job": each.id,
                "operation": f"person.{request.mode}",
                "state": each.state,
                "delivered_at": moment(each.delivered_at),
            }
            for each in removals
        ],
        "not_covered": list(NOT_COVERED),
    }


def _store(store: str, before: Census, after: Census) -> dict[str, Any]:
    # Rows of the ledger stay. What counts is whether they name the person.
    field = "ledger_named" if store == "ledger" else store
    return {"before": getattr(before, field), "after": getattr(after, field)}


def moment(unix_s: float | None) -> str | None:
    """Return a time in ISO 8601, UTC."""
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
