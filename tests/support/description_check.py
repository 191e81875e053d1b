"""Check the requests that a sandbox received against the description of the Track API.

Every test with a sandbox checks all of its requests. A chaos scenario sends too many: there, the
latest ones are checked. A demo that runs as its own process takes its sandbox with it and is not
checked; the one that runs inside a test is.
"""

from tests.support.description import Description, description
from trackrelay.sandbox.client import RequestRecord, SandboxClient

#: The sandbox's own pages, and the App API, which has another description.
NOT_TRACK_API = ("/_sandbox/", "/v1/")

#: The limits for a run of hundreds of thousands of requests; an operation takes about 0.2 ms.
LATEST_REQUESTS, LATEST_OPERATIONS = 100, 5_000


def latest_violations(client: SandboxClient) -> list[str]:
    """Return the violations of the latest requests, of as many as can be checked in a second."""
    described = description()
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
    """Return the violations of all requests since the sandbox was last reset."""
    described = description()
    records = [
        record
        for record in client.requests()
        if not record["path"].startswith(NOT_TRACK_API) and _is_whole(record)
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
    """Return whether the body is complete: a worker may have been killed while it sent it."""
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
