"""What a person reads of jobs that were lost."""

from __future__ import annotations

from datetime import UTC, datetime

from trackrelay.worker.storage.incident_log import Incident, Kind

from .humanize import count, duration

#: The command that acknowledges losses.
ACKNOWLEDGE = "trackrelay incidents acknowledge"

_WHAT = {
    Kind.WIPED: "Redis lost the queue",
    Kind.REPLACED: "The queue in Redis was replaced by another one",
    Kind.ROLLED_BACK: "Redis lost the latest entries of the queue",
}


def describe(incident: Incident) -> str:
    """Say how many jobs were lost, how and when, and what is in no count."""
    return (
        f"{_WHAT[incident.kind]} {_when(incident)}: {jobs_lost(incident)}. {_uncounted(incident)}"
    )


def jobs_lost(incident: Incident) -> str:
    """Say how many jobs were lost, as far as that is known."""
    at_least, at_most = incident.at_least, incident.at_most
    if at_most is None:
        return "how many jobs were lost is not known"
    if at_most == 0:
        return "none of the jobs that were known to be in it is lost"
    if at_least == at_most:
        return f"{count(at_most, 'job')} {'is' if at_most == 1 else 'are'} lost"
    if at_least == 0:
        return f"up to {count(at_most, 'job')} {'is' if at_most == 1 else 'are'} lost"
    return f"{at_least:,} to {at_most:,} jobs are lost"


def _when(incident: Incident) -> str:
    if incident.since is None:
        return f"before {_moment(incident.until)}"
    return f"between {_moment(incident.since)} and {_moment(incident.until)}"


def _uncounted(incident: Incident) -> str:
    if incident.since is None:
        return "Jobs that an outbox still has are relayed again"
    blind = duration(incident.until - incident.since)
    return f"What was enqueued without an outbox in those {blind} is lost too, and in no count"


def _moment(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
