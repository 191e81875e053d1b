"""Incidents (losses of jobs) in words and as JSON."""

from __future__ import annotations

from trackrelay.worker.storage.incident_log import Incident, Kind

from .humanize import clock, count, duration
from .output import moment

#: The command that acknowledges incidents.
ACKNOWLEDGE = "trackrelay incidents acknowledge"

_WHAT = {
    Kind.WIPED: "Redis lost the queue",
    Kind.REPLACED: "The queue in Redis was replaced by another one",
    Kind.ROLLED_BACK: "Redis lost the latest entries of the queue",
    Kind.COMMITS_LOST: "Postgres lost its latest commits",
}


def describe(incident: Incident) -> str:
    """Return how many jobs were lost, how and when, and which jobs are not counted."""
    return (
        f"{_WHAT[incident.kind]} {_when(incident)}: {jobs_lost(incident)}. {_uncounted(incident)}"
    )


def jobs_lost(incident: Incident) -> str:
    """Return how many jobs were lost, as far as it is known."""
    at_least, at_most = incident.at_least, incident.at_most
    if at_most is None:
        return "it is not known how many jobs were lost"
    if at_most == 0:
        return "none of the jobs that were known to be in it is lost"
    if at_least == at_most:
        return f"{count(at_most, 'job')} {'is' if at_most == 1 else 'are'} lost"
    if at_least == 0:
        return f"up to {count(at_most, 'job')} {'is' if at_most == 1 else 'are'} lost"
    return f"{at_least:,} to {at_most:,} jobs are lost"


def _when(incident: Incident) -> str:
    if incident.since is None:
        return f"before {clock(incident.until)}"
    return f"between {clock(incident.since)} and {clock(incident.until)}"


def _uncounted(incident: Incident) -> str:
    if incident.kind == Kind.COMMITS_LOST:
        return "Those of them that were delivered from the backlog meanwhile are counted too"
    if incident.since is None:
        return "Jobs that are still in an outbox are relayed again"
    uncounted = duration(incident.until - incident.since)
    return (
        f"Jobs that were enqueued without an outbox in those {uncounted} are lost too, "
        "and not counted"
    )


def as_json(incident: Incident) -> dict[str, object]:
    """Return an incident as a JSON document has it."""
    return {
        "number": incident.id,
        "kind": str(incident.kind),
        "since": moment(incident.since),
        "until": moment(incident.until),
        "at_least": incident.at_least,
        "at_most": incident.at_most,
    }
