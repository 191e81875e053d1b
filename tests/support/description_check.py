"""Every request the worker sends in the suite is held against Customer.io's own description of the Track API.

A chaos scenario sends more than can be checked: there it is the latest requests. A demo that runs as a process of its own takes its
sandbox with it; the one that runs inside a test is checked.

The project does not carry that file. Where it is missing, this check alone is left out, and the end of the run says so;
with TRACK_API_DESCRIPTION_REQUIRED=1 its absence is an error.
"""

import os
from functools import cache

from tests.support.description import BESIDE, ENVIRONMENT, Description, find_description
from trackrelay.sandbox.client import RequestRecord, SandboxClient

REQUIRED = "TRACK_API_DESCRIPTION_REQUIRED"
MISSING = (
    f"Customer.io's description of the Track API is missing: put its path into {ENVIRONMENT}, or the file at {BESIDE} "
    "beside the project"
)
#: The sandbox about itself; the App API, which the description does not cover.
NOT_TRACK_API = ("/_sandbox/", "/v1/")

#: What is looked at of a run that sends hundreds of thousands: at about 0.2 ms an operation.
LATEST_REQUESTS, LATEST_OPERATIONS = 100, 5_000


def is_required() -> bool:
    """Whether a run without the description fails."""
    return os.environ.get(REQUIRED, "") not in ("", "0")


@cache
def description() -> Description | None:
    """The description, or `None` where it is missing."""
    file = find_description()
    return Description(file) if file else None


def latest_violations(client: SandboxClient) -> list[str]:
    """What is wrong with the requests a sandbox has received last, as many as can be checked in a second."""
    described = description()
    if described is None:
        return []
    found, operations = list[str](), 0
    for record in reversed(
        list(client.requests(max(0, client.summary()["requests"] - LATEST_REQUESTS)))
    ):
        operations += record["operations"]
        if operations > LATEST_OPERATIONS:
            break
        if not record["path"].startswith(NOT_TRACK_API) and _is_whole(record):
            found += [f"{_name(record)}: {problem}" for problem in _problems(described, record)]
    return found


def violations(client: SandboxClient) -> list[str]:
    """What is wrong with the requests a sandbox has received since its last reset."""
    described = description()
    if described is None:
        return []
    records = [
        record for record in client.requests() if not record["path"].startswith(NOT_TRACK_API)
    ]
    found = [
        f"{_name(record)}: {problem}"
        for record in records
        for problem in _problems(described, record)
    ]
    forgotten = client.summary()["first_request"] - 1
    return found + (
        [f"the sandbox has forgotten {forgotten} requests, unchecked"] if forgotten > 0 else []
    )


def _is_whole(record: RequestRecord) -> bool:
    """A worker that was killed has not said all it was about to say."""
    return int(record["headers"].get("content-length", record["bytes"])) == record["bytes"]


def _name(record: RequestRecord) -> str:
    return f"request {record['seq']}, {record['method']} {record['path']}"


def _problems(described: Description, record: RequestRecord) -> list[str]:
    if record["bytes"] and record["body"] is None:
        return ["the sandbox has forgotten its body, unchecked"]
    content_type = record["headers"].get("content-type")
    return described.violations(
        record["method"], record["path"], record["query"], record["body"], content_type
    )
