"""Checks of ``manage.py check --deploy``: choices for times when something goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

from django.core import checks

from trackrelay.configuration.producer_settings import Settings
from trackrelay.configuration.settings_loader import environment, find
from trackrelay.configuration.settings_table import BY_NAME
from trackrelay.queue.redis_keys import relay_lease

from .django_settings import django_settings, raw_settings

#: Most keys of Redis to search for a relay. Beyond that it is not known whether one runs.
MAX_KEYS = 2_000_000
_KEYS_A_CALL = 10_000
#: Timeout for each answer of Redis. A deployment must not wait for one that is unavailable.
_TIMEOUT_S = 2.0


def choices(configured: Settings) -> Iterator[checks.CheckMessage]:
    """Yield a warning for each choice that is missing, and for an outbox without a relay."""
    if configured.backend != "redis":
        return
    own = django_settings()
    # With the outbox, calls need no queue.
    if not own.outbox_alias and not _is_chosen("ON_UNAVAILABLE"):
        yield checks.Warning(
            "While the queue is unavailable, every call outside a transaction raises "
            "QueueUnavailableError.",
            hint='Choose "ON_UNAVAILABLE" in TRACKRELAY: "log" if the page matters more than the '
            'event, "outbox" if no '
            'event may be lost, or "raise" if your code catches the error.',
            id="trackrelay.W104",
        )
    if not _is_chosen("ON_INVALID"):
        yield checks.Warning(
            "A call that Customer.io would refuse raises InvalidOperationError, in production too.",
            hint='Choose "ON_INVALID" in TRACKRELAY: "dead_letter" to keep the call for repair, '
            '"log" to drop it with a '
            'log line, or "raise" if your code catches the error.',
            id="trackrelay.W105",
        )
    if (own.outbox_alias or configured.on_unavailable == "outbox") and _is_relay_missing(
        configured
    ):
        yield checks.Warning(
            "The outbox is on, but no relay moves its rows to the queue.",
            hint="Run `manage.py trackrelay relay`, or set TRACKRELAY_OUTBOX_URL for the workers, "
            "which do not read this "
            "project's settings. Silence this check if the relay starts later.",
            id="trackrelay.W106",
        )


def _is_chosen(name: str) -> bool:
    if raw_settings().get(name) is not None:
        return True
    return find(BY_NAME[f"TRACKRELAY_{name}"], environment()) is not None


def _is_relay_missing(configured: Settings) -> bool:
    __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
    # A relay shows only by the lease on its outbox. If that cannot be read, do not warn.
    if not configured.redis_url:
        return False
    import redis

    from trackrelay.queue.connections import make_client

    client = make_client(configured.redis_url, _TIMEOUT_S)
    try:
        cursor = 0
        for _ in range(0, MAX_KEYS, _KEYS_A_CALL):
            cursor, found = client.scan(cursor, match=relay_lease("*"), count=_KEYS_A_CALL)
            if found:
                return False
            if not cursor:
                return True
    except (redis.RedisError, OSError, ValueError):
        return False
    finally:
        client.close()
    return False
