"""Every environment variable trackrelay knows, so that a misspelt one can be pointed out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from trackrelay.suggestion import closest_name

#: Read by applications (and by workers).
PRODUCER_NAMES = frozenset(
    {
        "TRACKRELAY_REDIS_URL",
        "TRACKRELAY_BACKEND",
        "TRACKRELAY_SOURCE",
        "TRACKRELAY_SHARDS",
        "TRACKRELAY_MAX_QUEUE_LENGTH",
        "TRACKRELAY_ENQUEUE_TIMEOUT",
        "TRACKRELAY_ON_UNAVAILABLE",
        "TRACKRELAY_ON_INVALID",
        "TRACKRELAY_NAIVE_TIMEZONE",
        "TRACKRELAY_OUTBOX_URL",
        "TRACKRELAY_OBJECT_TYPES",
    }
)
#: Read by workers and the command line only.
WORKER_NAMES = frozenset(
    {
        "TRACKRELAY_DATABASE_URL",
        "TRACKRELAY_ALLOW_HTTP",
        "TRACKRELAY_ENVIRONMENT_ID",
        "TRACKRELAY_REQUESTS_PER_SECOND",
        "TRACKRELAY_REQUEST_TIMEOUT",
        "TRACKRELAY_MAX_AGE",
        "TRACKRELAY_MAX_ATTEMPTS",
        "TRACKRELAY_LEDGER_RETENTION",
        "TRACKRELAY_DEAD_LETTER_RETENTION",
        "TRACKRELAY_MERGE_DELAY",
        "TRACKRELAY_KEY_HASH_SECRET",
        "TRACKRELAY_LOG_FORMAT",
        "TRACKRELAY_LOG_LEVEL",
        "TRACKRELAY_FAILPOINT",
    }
)
#: Those that may be given as a file's path instead: ``NAME_FILE``.
SECRET_NAMES = frozenset(
    {
        "CUSTOMERIO_SITE_ID",
        "CUSTOMERIO_TRACK_API_KEY",
        "CUSTOMERIO_APP_API_KEY",
        "TRACKRELAY_REDIS_URL",
        "TRACKRELAY_DATABASE_URL",
        "TRACKRELAY_OUTBOX_URL",
        "TRACKRELAY_KEY_HASH_SECRET",
    }
)
ALL_NAMES = PRODUCER_NAMES | WORKER_NAMES | {f"{name}_FILE" for name in SECRET_NAMES}

# What Kubernetes puts into every container beside a service called "trackrelay".
_SERVICE_LINK = re.compile(
    r"^TRACKRELAY(_[A-Z0-9_]+)?_(PORT|SERVICE_HOST|SERVICE_PORT)(_[A-Z0-9_]+)?$"
)


def unknown_names(environment: Iterable[str]) -> dict[str, str | None]:
    """The ``TRACKRELAY_…`` names in ``environment`` that nobody reads, each with the name that may have been meant."""
    unknown = {}
    for name in environment:
        if (
            name.startswith("TRACKRELAY_")
            and name not in ALL_NAMES
            and not _SERVICE_LINK.match(name)
        ):
            unknown[name] = closest_name(name, ALL_NAMES)
    return unknown


def slips(environment: Iterable[str]) -> Iterator[str]:
    """A line for each of :func:`unknown_names`."""
    for name, meant in sorted(unknown_names(environment).items()):
        yield f"nobody reads {name}" + (f"; did you mean {meant}?" if meant else "")
