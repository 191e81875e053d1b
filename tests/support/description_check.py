"""Every request the worker sends in the suite is held against Customer.io's own description of the Track API.

The project does not carry that file. Where it is missing, this check alone is left out, and the end of the run says so;
with TRACKRELAY_REQUIRE_DESCRIPTION=1 its absence is an error.
"""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Protocol

from sandbox.client import RequestRecord, SandboxClient

ROOT = Path(__file__).parents[2]
BESIDE_THE_PROJECT = ROOT.parent / "shared" / "track-api" / "openapi.json"
MISSING = (
    "Customer.io's description of the Track API is missing: put its path into TRACK_API_DESCRIPTION, or the file at "
    f"{BESIDE_THE_PROJECT.relative_to(ROOT.parent)} beside the project"
)


class DescriptionMissing(Exception):
    """The run demands the description, and it is not there."""


class Checker(Protocol):
    """What `tests.description.Description` offers."""

    def violations(self, method: str, path: str, query: str, body: object) -> Iterable[str]: ...


def description_file() -> Path | None:
    """Where the description is, if anywhere."""
    named = os.environ.get("TRACK_API_DESCRIPTION")
    place = Path(named) if named else BESIDE_THE_PROJECT
    return place if place.is_file() else None


def is_required() -> bool:
    """Whether a run without the description fails."""
    return os.environ.get("TRACKRELAY_REQUIRE_DESCRIPTION", "") not in ("", "0")


@cache
def description() -> Checker | None:
    """The description, or `None` where it is missing and need not be there."""
    file = description_file()
    if file is not None:
        from tests.description import Description  # reading it takes a moment, which only those who check pay

        checker: Checker = Description(file)
        return checker
    if is_required():
        raise DescriptionMissing(MISSING)
    return None


def violations(client: SandboxClient) -> list[str]:
    """What is wrong with the requests a sandbox has received since its last reset."""
    checker = description()
    if checker is None:
        return []
    records = [record for record in client.requests() if not record["path"].startswith("/_sandbox/")]
    found = [f"{name(record)}: {problem}" for record in records for problem in _problems(checker, record)]
    forgotten = client.summary()["first_request"] - 1
    return found + ([f"the sandbox has forgotten {forgotten} requests, unchecked"] if forgotten > 0 else [])


def name(record: RequestRecord) -> str:
    """A request for people."""
    return f"request {record['seq']}, {record['method']} {record['path']}"


def _problems(checker: Checker, record: RequestRecord) -> Iterable[str]:
    if record["bytes"] and record["body"] is None:
        return ["the sandbox has forgotten its body, unchecked"]
    return checker.violations(record["method"], record["path"], record["query"], record["body"])
