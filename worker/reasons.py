"""Why a job waits, why it died, why delivery stopped, what became of what was delivered, and acts.

Each reason is declared here once, with its explanation.
The values stand in the columns ``reason``, in logs and in JSON.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Reason(StrEnum):
    """A reason with an explanation for operators."""

    explanation: str

    def __new__(cls, value: str, explanation: str) -> Self:
        """Return the member that equals ``value``."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member


class DeferReason(_Reason):
    """Why a job waits in the backlog."""

    KEY_WAITS = "key_waits", "waits behind an earlier job of the same person or object"
    TWO_KEYS = "two_keys", "has two keys: waits until it is first for both"
    BREAKER = "breaker", "arrived while delivery had stopped"
    HALTED = "halted", "arrived while delivery was halted"
    FAILED = "failed", "its request failed; it is tried again"
    RATE_LIMITED = (
        "rate_limited",
        "Customer.io limited the rate of requests; it is tried again",
    )
    ISOLATED = "isolated", "was read with a job that may crash workers; it is sent alone"
    LATE = "late", "the lease would have ended before its request"
    CYCLE_OVER = "cycle_over", "the cycle ended before it could be sent"
    REPLAYED = "replayed", "was a dead letter and is replayed"


class DeathReason(_Reason):
    """Why a job is a dead letter."""

    REJECTED = "rejected", "Customer.io refused it"
    EXHAUSTED = "exhausted", "it failed alone too often while other jobs were delivered"
    EXPIRED = "expired", "it was too old before it could be delivered"
    UNDECODABLE = "undecodable", "no worker can read it, or no store can hold it"
    CRASHED = "crashed", "workers crashed each time they processed it"
    INVALID = "invalid", "it was refused at the call"
    IGNORED = "ignored", "Customer.io accepted it and did not apply it"
    PLAN = "plan", "the tracking plan does not allow it"


class VerdictKind(_Reason):
    """What became of something that was delivered."""

    VERIFIED = "verified", "Customer.io has what was sent"
    IGNORED = "ignored", "Customer.io accepted it and did not apply it"
    MISSING = "missing", "Customer.io does not have it"
    DIFFERENT = (
        "different",
        "Customer.io has something else: somebody wrote later, or a type was lost",
    )
    UNKNOWN = "unknown", "it cannot be compared"


class LedgerOutcome(_Reason):
    """What became of a job in the ledger."""

    DELIVERED = "delivered", "Customer.io has it"
    BLOCKED = "blocked", "its person was forgotten before it came; it was not sent"
    ERASED = "erased", "it waited when its person was forgotten; it was not sent"


class StopReason(_Reason):
    """Why a breaker is open or halted."""

    OUTAGE = "outage", "requests fail"
    RATE_LIMITED = "rate_limited", "Customer.io limited the rate of requests"
    CREDENTIALS = "credentials", "Customer.io refuses the credentials"
    REGION = "region", "the credentials belong to another region"
    WORKSPACE = "workspace", "the credentials belong to another workspace"
    REFUSED = "refused", "the endpoint refuses everything in the same words"


class Act(_Reason):
    """What an operator did, for the history."""

    SIGNED_IN = "signed_in", "signed in"
    DELIVERY_PAUSED = "delivery_paused", "paused delivery"
    DELIVERY_RESUMED = "delivery_resumed", "resumed delivery"
    DELIVERY_PROBED = "delivery_probed", "asked for an attempt at once"
    INCIDENT_ACKNOWLEDGED = "incident_acknowledged", "acknowledged a loss of jobs"
    PERSON_LOOKED_UP = "person_looked_up", "looked at a person"
    PAYLOAD_SEEN = "payload_seen", "looked at the content of a job"
    LETTERS_REPLAYED = "letters_replayed", "replayed dead letters"
    LETTERS_DISCARDED = "letters_discarded", "discarded dead letters"
    LETTER_REPAIRED = "letter_repaired", "repaired a dead letter"
    FINDING_ACKNOWLEDGED = "finding_acknowledged", "acknowledged a finding"
    VERDICT_RESOLVED = "verdict_resolved", "resolved a verdict"
