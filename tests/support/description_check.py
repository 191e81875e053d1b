"""Every request the worker sends in the suite is held against Customer.io's own description of the Track API.

The project does not carry that file. Where it is missing, this check alone is left out, and the end of the run says so;
with TRACK_API_DESCRIPTION_REQUIRED=1 its absence is an error.
"""

import os
from functools import cache

from sandbox.client import RequestRecord, SandboxClient
from tests.description import BESIDE, ENVIRONMENT, Description, find_description

REQUIRED = "TRACK_API_DESCRIPTION_REQUIRED"
MISSING = (
    f"Customer.io's description of the Track API is missing: put its path into {ENVIRONMENT}, or the file at {BESIDE} "
    "beside the project"
)
#: The sandbox about itself; the App API, which the description does not cover.
NOT_TRACK_API = ("/_sandbox/", "/v1/")


def is_required() -> bool:
    """Whether a run without the description fails."""
    return os.environ.get(REQUIRED, "") not in ("", "0")


@cache
def description() -> Description | None:
    """The description, or `None` where it is missing."""
    file = find_description()
    return Description(file) if file else None


def violations(client: SandboxClient) -> list[str]:
    """What is wrong with the requests a sandbox has received since its last reset."""
    described = description()
    if described is None:
        return []
    records = [record for record in client.requests() if not record["path"].startswith(NOT_TRACK_API)]
    found = [f"{_name(record)}: {problem}" for record in records for problem in _problems(described, record)]
    forgotten = client.summary()["first_request"] - 1
    return found + ([f"the sandbox has forgotten {forgotten} requests, unchecked"] if forgotten > 0 else [])


def _name(record: RequestRecord) -> str:
    return f"request {record['seq']}, {record['method']} {record['path']}"


def _problems(described: Description, record: RequestRecord) -> list[str]:
    if record["bytes"] and record["body"] is None:
        return ["the sandbox has forgotten its body, unchecked"]
    content_type = record["headers"].get("content-type")
    return described.violations(record["method"], record["path"], record["query"], record["body"], content_type)
