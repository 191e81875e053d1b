"""Where this process delivers, for its heartbeat and for ``status``. No secrets."""

from __future__ import annotations

from trackrelay.worker.settings import Settings

from .region import Account

_account: Account | None = None


def note_account(account: Account) -> None:
    """Remember which account the credentials belong to, as the region endpoint says."""
    global _account
    _account = account


def destination(configured: Settings) -> dict[str, str]:
    """Return the Track API's address, its region and the workspace; empty where unknown.

    The address holds no credentials: settings refuse such an address.
    """
    region = "" if configured.track_url else configured.region
    return {
        "endpoint": configured.base_url,
        "region": _account.region if _account else region,
        "workspace": _account.environment_id if _account else configured.environment_id,
    }
