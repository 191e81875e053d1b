"""Which jobs share a request, and which requests may be sent in parallel. Pure.

Jobs are packed into waves. The requests of one wave share no key, so they may be sent in parallel.
A wave is sent when the one before it is settled. Two jobs with a common key stand in order: in the
same request, or in different waves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Literal, NamedTuple

from trackrelay.operations import limits
from trackrelay.worker.endpoint_families import Family, family_of_operation
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.request_builder import UnsendableDocumentError, segment_endpoint

#: Operations in one batch, as one large integration has it. The published limit is in bytes.
MAX_OPERATIONS = 1000
#: "Smaller than 500 kB", with room for doubt about what counts.
MAX_BATCH_BYTES = 499_000
#: Ids in one segment request.
MAX_SEGMENT_IDS = 1000

_FRAME = len('{"batch":[]}')

Route = Literal["v2", "segment", "single"]
_ROUTES: dict[Family, Route] = {Family.V2: "v2", Family.SEGMENTS: "segment"}


class Exchange(NamedTuple):
    """A request to the Track API that was made."""

    family: Family
    #: None: no answer came.
    status: int | None
    duration_s: float


@dataclass(slots=True)
class PackedRequest:
    """The jobs of one request."""

    route: Route
    jobs: list[Job] = field(default_factory=list)
    size_bytes: int = _FRAME
    max_jobs: int = MAX_OPERATIONS
    #: The path that segment jobs have in common.
    endpoint: str = ""
    #: The requests that were made for its jobs so far: refused batches are halved.
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def family(self) -> Family:
        """The family of all its jobs, whose breaker the request depends on."""
        return self.jobs[0].family

    def fits(self, job: Job, route: Route, endpoint: str) -> bool:
        """Whether ``job`` still fits."""
        return (
            self.route == route != "single"
            and self.endpoint == endpoint
            and len(self.jobs) < self.max_jobs == job.max_batch
            and self.size_bytes + len(job.body) + 1 <= MAX_BATCH_BYTES
        )

    def add(self, job: Job) -> None:
        """Append ``job``."""
        self.jobs.append(job)
        self.size_bytes += len(job.body) + 1


Wave = list[PackedRequest]


def route_of(job: Job) -> Route:
    """Return the kind of request that ``job`` needs: batch, segment request, or one of its own."""
    route = _route_of_operation(job.operation)
    # As Job.family has it, without a property and a function for each job.
    return "single" if route == "v2" and len(job.body) > limits.OPERATION_BYTES else route


@lru_cache(maxsize=1000)
def _route_of_operation(operation: str) -> Route:
    return _ROUTES.get(family_of_operation(operation), "single")


def _segment_of(job: Job) -> str:
    try:
        return segment_endpoint(job.body)
    except UnsendableDocumentError:
        # Building its request will say what is wrong. Here it must not hold up the other jobs.
        return f"unsendable {job.id}"


def pack(jobs: Sequence[Job]) -> list[Wave]:
    """Pack ``jobs`` into waves, in order."""
    packer = _Packer()
    for job in jobs:
        packer.place(job)
    return packer.waves


def split_blocked(jobs: Sequence[Job], blocked: set[str]) -> tuple[list[Job], list[Job]]:
    """Split ``jobs`` into those that may be sent and those that must wait, in order.

    Args:
        jobs: of one request.
        blocked: keys that wait. The keys of jobs that must wait are added.
    """
    free: list[Job] = []
    held: list[Job] = []
    for job in jobs:
        if blocked.isdisjoint(job.keys):
            free.append(job)
        else:
            # A job that waits for one of its keys blocks later jobs of its other key.
            blocked.update(job.keys)
            held.append(job)
    return free, held


class _Place(NamedTuple):
    wave: int
    packed: PackedRequest
    is_barrier: bool


_wave_of = attrgetter("wave")


class _Packer:
    def __init__(self) -> None:
        self.waves: list[Wave] = []
        self._last: dict[str, _Place] = {}
        self._open: dict[tuple[int, Route, str, int], PackedRequest] = {}

    def place(self, job: Job) -> None:
        route = route_of(job)
        endpoint = _segment_of(job) if route == "segment" else ""
        last = self._last
        before = [last[key] for key in job.keys if key in last]
        latest = max(before, key=_wave_of) if before else None
        if latest and self._may_join(job, latest, before, route, endpoint):
            place = _Place(latest.wave, latest.packed, job.is_barrier)
        else:
            place = self._in_wave(latest.wave + 1 if latest else 0, job, route, endpoint)
        place.packed.add(job)
        for key in job.keys:
            last[key] = place

    def _may_join(
        self, job: Job, latest: _Place, before: list[_Place], route: Route, endpoint: str
    ) -> bool:
        return (
            not job.is_barrier
            and not any(place.is_barrier and place.wave == latest.wave for place in before)
            and all(place.wave < latest.wave or place.packed is latest.packed for place in before)
            and latest.packed.fits(job, route, endpoint)
        )

    def _in_wave(self, wave: int, job: Job, route: Route, endpoint: str) -> _Place:
        while len(self.waves) <= wave:
            self.waves.append([])
        slot = (wave, route, endpoint, job.max_batch)
        packed = self._open.get(slot)
        if packed is None or not packed.fits(job, route, endpoint):
            limit = MAX_SEGMENT_IDS if route == "segment" else MAX_OPERATIONS
            packed = PackedRequest(route, max_jobs=min(job.max_batch, limit), endpoint=endpoint)
            self._open[slot] = packed
            self.waves[wave].append(packed)
        return _Place(wave, packed, job.is_barrier)
