"""Where this process's worker delivers, as its heartbeat tells and ``status`` shows. No secrets."""

from __future__ import annotations

from trackrelay.worker.settings import Settings

from .region import Account

_account: Account | None = None


def note_account(account: Account) -> None:
    """Remember whose the credentials are, as the region endpoint says."""
    global _account
    _account = account


def destination(configured: Settings) -> dict[str, str]:
    """Return the Track API's address, its region and the workspace; what is not known is empty.

    An address cannot hold credentials: such a setting is refused.
    """
    region = "" if configured.track_url else configured.region
    return {
        "endpoint": configured.base_url,
        "region": _account.region if _account else region,
        "workspace": _account.environment_id if _account else configured.environment_id,
    }
