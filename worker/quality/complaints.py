"""Customer.io's complaints in the workspace's activities: which item, and which job. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from trackrelay.app_api import Activity
from trackrelay.operations.checks.name_checks import compared_email
from trackrelay.operations.ids import id_for, is_ulid
from trackrelay.operations.keys import key_of, shard_of
from trackrelay.worker.dead_letters.patch import format_path
from trackrelay.worker.reasons import DeathReason, VerdictKind
from trackrelay.worker.storage.complaint_jobs import SuspectJob
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.storage.verdicts import NewVerdict

from .sent_items import ATTRIBUTE, EVENT, EXISTS, StoredKey

#: Types of activities that say that something accepted was not applied, for people.
TYPES = (
    "failed_attribute_change",
    "failed_event",
    "relationship_failed_attribute_change",
    "failed_batch_update",
    "skipped_update",
)
#: And for each type of objects.
OBJECT_TYPES = ("_o:{}:failed_attribute_change", "_r:{}:failed_attribute_change")
#: A complaint is about a job that was enqueued or delivered within so many seconds of it.
NEAR_S = 900.0
#: Names in the data of a complaint that are taken.
MAX_NAMES = 50
#: Characters that are kept of Customer.io's reason.
MAX_REASON = 300

RELATIONSHIP_ATTRIBUTE = "relationship_attribute:"
_OBJECT_TYPE = re.compile(r"_[or]:([0-9]{1,9}):failed_attribute_change")
_PERSON_WRITES = ("person.identify", "form.submit")
_EVENTS = ("person.event", "person.page", "person.screen")
_RELATIONS = (
    "person.identify",
    "person.add_relationships",
    "object.identify",
    "object.add_relationships",
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One item that Customer.io did not apply."""

    activity_id: str
    type: str
    item: str
    reason: str
    #: Unix seconds.
    at: float
    #: The identifiers that the activity names, by kind.
    identifiers: dict[str, str]
    #: The stored keys of them.
    keys: tuple[str, ...]
    #: The operations that can cause it; empty: any.
    operations: tuple[str, ...]
    #: The name of the attribute or the event.
    name: str = ""
    #: The value that was not set, as a text; None: not said.
    value: str | None = field(default=None, repr=False)
    #: The id of the job, if the activity has it.
    job_id: str | None = None


def complaints_of(activity: Activity, stored: StoredKey) -> Iterator[Complaint]:
    """Yield what an activity complains about, one for each attribute that it names."""
    identifiers = {
        kind: value
        for kind, value in (
            ("id", activity.customer_id),
            ("email", compared_email(activity.email) if activity.email else None),
            ("cio_id", activity.cio_id),
        )
        if value
    }
    keys = tuple(stored(key_of(kind, value)) for kind, value in identifiers.items())
    match = _OBJECT_TYPE.fullmatch(activity.type)
    if not keys:
        keys = (f"object:{match[1]}:unknown" if match else "unknown",)

    def made(item: str, name: str, **more: Any) -> Complaint:
        # Each complaint is counted by the id of its activity, which may name several attributes.
        number = (
            f"{activity.id}#{name}" if name and activity.type != "failed_event" else activity.id
        )
        return Complaint(
            number,
            activity.type,
            item,
            at=float(activity.timestamp),
            identifiers=identifiers,
            keys=keys,
            name=name,
            **more,
        )

    data = activity.data
    if activity.type == "failed_event":
        name = activity.name or _text(data.get("name"))
        id = activity.id if is_ulid(activity.id) else None
        item = f"{EVENT}{name}:{id}" if id else f"{EVENT}{name}"
        yield made(item, name, reason=_reason(data), operations=_EVENTS, job_id=id)
        return
    names = [name for name, about in data.items() if isinstance(about, dict)][:MAX_NAMES]
    if activity.type == "skipped_update" or not names:
        yield made(EXISTS, "", reason=_reason(data), operations=())
        return
    of_relationship = activity.type.startswith(("relationship_", "_r:"))
    prefix = RELATIONSHIP_ATTRIBUTE if of_relationship else ATTRIBUTE
    for name in names:
        value = data[name].get("to")
        yield made(
            prefix + name,
            name,
            reason=_reason(data[name]),
            value=None if value is None else _text(value),
            operations=_operations(activity.type, of_relationship),
        )


def _operations(type: str, of_relationship: bool) -> tuple[str, ...]:
    if of_relationship:
        return _RELATIONS
    return ("object.identify",) if type.startswith("_o:") else _PERSON_WRITES


def _reason(data: Any) -> str:
    said = _text(data.get("error") or data.get("reason")) if isinstance(data, dict) else ""
    return said[:MAX_REASON] or "Customer.io gives no reason"


def _text(value: Any) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    return msgspec.json.encode(value).decode()


def cause_of(complaint: Complaint, suspects: Iterable[SuspectJob]) -> SuspectJob | None:
    """Return the job that caused a complaint, if one of ``suspects`` did: the nearest in time."""
    near = [
        (distance, job.id, job)
        for job in suspects
        if (not complaint.operations or job.operation in complaint.operations)
        and (distance := _distance(complaint, job)) <= NEAR_S
    ]
    return min(near)[2] if near else None


def _distance(complaint: Complaint, job: SuspectJob) -> float:
    if complaint.job_id == job.id:
        return -1.0
    # Customer.io dates an activity with its own time, or with that of the operation.
    times = (job.enqueued_at, job.delivered_at)
    # A job that is remembered as the one that sent this very item comes first.
    return min(abs(complaint.at - each) for each in times) - (0.5 if job.sent_item else 0.0)


def verdict_on(complaint: Complaint, job: SuspectJob | None) -> NewVerdict:
    """Return the verdict that a complaint is."""
    if job is None:
        return NewVerdict(
            job_id=None,
            key=complaint.keys[0],
            operation=None,
            item=complaint.item,
            verdict=VerdictKind.UNKNOWN,
            reason=f"{complaint.reason} ({complaint.type}; no delivery from here explains it)",
            activity_id=complaint.activity_id,
        )
    return NewVerdict(
        job_id=job.id,
        key=job.key,
        operation=job.operation,
        item=complaint.item,
        verdict=VerdictKind.IGNORED,
        reason=f"{complaint.reason} ({complaint.type})",
        activity_id=complaint.activity_id,
    )


def letter_of(
    complaint: Complaint, job: SuspectJob, stored: Callable[[str], str], now: float
) -> NewDeadLetter | None:
    """Return the dead letter that keeps what was ignored, to be repaired and sent again.

    Its operation is made of what the complaint says, because values are stored nowhere else. What
    the complaint does not say stands in the letter's ``field``, and the letter is not replayed
    until that is repaired.

    Returns:
        None if the complaint does not say enough.
    """
    named = [
        (kind, value)
        for kind, value in complaint.identifiers.items()
        if stored(key_of(kind, value)) == job.key
    ]
    if not named:
        return None
    made = _document(complaint, dict(named[:1]))
    if made is None:
        return None
    document, missing = made
    id = id_for("ignored", job.key, job.id, complaint.activity_id)
    if document["action"] != "identify":
        document["id"] = id
    key = key_of(*named[0])
    return NewDeadLetter(
        job=Job(
            id=id,
            operation=f"{document['type']}.{document['action']}",
            keys=(job.key,),
            shards=(shard_of(key, 1),),
            body=msgspec.json.encode(document),
            lane="bulk",
            enqueued_at=job.enqueued_at,
            age_from=now,
            source=job.source,
            # By it the verdict is resolved once the letter was replayed or discarded.
            idempotency_key=letter_key(complaint.activity_id),
        ),
        reason=DeathReason.IGNORED,
        error=complaint.reason,
        field=missing,
        history=(
            {
                "at": now,
                "what": "ignored",
                "note": f"Customer.io accepted job {job.id} and did not apply this part of it. "
                "Values are as the complaint has them: as texts",
            },
        ),
    )


def letter_key(activity_id: str) -> str:
    """Return the idempotency key of the dead letter that a complaint became."""
    return f"activity:{activity_id}"[:255]


def _document(
    complaint: Complaint, identifiers: dict[str, str]
) -> tuple[dict[str, Any], str | None] | None:
    """Return the operation that was ignored, and the path of what is missing in it."""
    base = {"type": "person", "identifiers": identifiers, "timestamp": int(complaint.at)}
    if complaint.type == "failed_attribute_change":
        if not complaint.name:
            return None
        if complaint.value is None:
            return {**base, "action": "identify"}, format_path(("attributes", complaint.name))
        attributes = {complaint.name: complaint.value}
        return {**base, "action": "identify", "attributes": attributes}, None
    if complaint.type == "failed_event" and complaint.name:
        return {**base, "action": "event", "name": complaint.name}, "attributes"
    return None
