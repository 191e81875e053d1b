"""Which account the credentials belong to, and whether delivery must stop for that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.transport.answers import Answer, NoAnswer

#: Where to find the credentials.
WHERE = "in Customer.io, Settings → Workspace Settings → API Credentials → Track API"

#: A workspace's id. It is shown and logged, so nothing else is accepted.
_ENVIRONMENT_ID = re.compile(r"[A-Za-z0-9_-]{0,100}")

Problem = Literal["unreachable", "denied", "region", "workspace"]


@dataclass(frozen=True, slots=True)
class Account:
    """What the region endpoint says about the credentials."""

    region: str
    environment_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether delivery may continue with these credentials at this address."""

    account: Account | None = None
    problem: Problem | None = None
    #: What is wrong, and what to do.
    message: str = ""


def judge(
    answer: Answer | NoAnswer,
    *,
    base_url: str,
    region: str,
    own_url: bool,
    environment_id: str,
    unset: Sequence[str] = (),
) -> Verdict:
    """Return what the region endpoint's answer means for delivery.

    Args:
        answer: to ``GET /api/v1/accounts/region``.
        base_url: the address that answered.
        region: the configured one, ``us`` or ``eu``.
        own_url: whether CUSTOMERIO_TRACK_URL is set: then the region does not decide the address.
        environment_id: the workspace that it must be; empty for any.
        unset: the names of credentials' settings that are empty.
    """
    if isinstance(answer, NoAnswer):
        return Verdict(
            problem="unreachable", message=f"{base_url} cannot be reached: {answer.error}"
        )
    if answer.status in (401, 403) and unset:
        are = "is" if len(unset) == 1 else "are"
        return Verdict(problem="denied", message=f"{' and '.join(unset)} {are} not set: {WHERE}")
    if answer.status in (401, 403):
        return Verdict(
            problem="denied",
            message=f"{base_url} refuses the credentials ({answer.status}): "
            "check CUSTOMERIO_SITE_ID and CUSTOMERIO_TRACK_API_KEY. This may be an App API key, "
            f"or a key of another workspace or region (CUSTOMERIO_REGION is {region})",
        )
    if 300 <= answer.status < 400:
        return Verdict(
            problem="denied",
            message=f"{base_url} redirects ({answer.status}) instead of answering: "
            f"check CUSTOMERIO_REGION ({region}) and CUSTOMERIO_TRACK_URL",
        )
    if answer.status == 429 or answer.status >= 500:
        return Verdict(
            problem="unreachable",
            message=f"{base_url} fails (status {answer.status}): an outage, or a limit; "
            "delivery resumes when it is over",
        )
    account = _account(answer)
    if account is None:
        return Verdict(
            problem="unreachable",
            message=f"{base_url} does not answer like Customer.io's Track API "
            f"(status {answer.status}): check CUSTOMERIO_TRACK_URL, and proxies on the way",
        )
    if account.region != region and not own_url:
        return Verdict(
            account,
            "region",
            f"the credentials belong to region {account.region}, CUSTOMERIO_REGION is {region}: "
            f"set CUSTOMERIO_REGION={account.region}",
        )
    if environment_id and account.environment_id != environment_id:
        return Verdict(
            account,
            "workspace",
            f"the credentials belong to workspace {account.environment_id}, "
            f"TRACKRELAY_ENVIRONMENT_ID is {environment_id}: "
            "nothing is delivered to the wrong workspace",
        )
    return Verdict(account)


def _account(answer: Answer) -> Account | None:
    if answer.status != 200:
        return None
    try:
        document = decode_json(answer.body)
    except NotJsonError:
        return None
    if not isinstance(document, dict) or document.get("region") not in ("us", "eu"):
        return None
    named = document.get("environment_id")
    if named is None:
        return Account(document["region"], "")
    if (
        isinstance(named, bool)
        or not isinstance(named, int | str)
        or (isinstance(named, int) and abs(named) > 2**63)
    ):
        return None
    environment_id = str(named)
    return (
        Account(document["region"], environment_id)
        if _ENVIRONMENT_ID.fullmatch(environment_id)
        else None
    )
