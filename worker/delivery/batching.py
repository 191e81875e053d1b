"""What goes together in a request, and which requests may be on their way at the same time. Pure.

Jobs are packed into waves. The requests of one wave share no key, so they may be sent side by side; a wave is sent when
the one before it is settled. Two jobs with a key in common are either in the same request, in order, or in waves, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.request_builder import UnsendableDocumentError, segment_endpoint

#: One large integration caps a batch at so many operations; the published limit is in bytes.
MAX_OPERATIONS = 1000
#: "Smaller than 500 kB", with room for headers' worth of doubt.
MAX_BATCH_BYTES = 499_000
#: Ids in one segment request.
MAX_SEGMENT_IDS = 1000

_FRAME = len('{"batch":[]}')

Route = Literal["v2", "segment", "single"]
_ROUTES: dict[Family, Route] = {Family.V2: "v2", Family.SEGMENTS: "segment"}


@dataclass(slots=True)
class Packed:
    """The jobs of one request."""

    route: Route
    jobs: list[Job] = field(default_factory=list)
    size_bytes: int = _FRAME
    #: It takes at most this many.
    room: int = MAX_OPERATIONS
    #: The path that segment jobs have in common.
    endpoint: str = ""

    @property
    def family(self) -> Family:
        """Whose breaker its request depends on: all of its jobs are of one family."""
        return self.jobs[0].family

    def takes(self, job: Job, route: Route, endpoint: str) -> bool:
        """Whether ``job`` still fits."""
        return (
            self.route == route != "single"
            and self.endpoint == endpoint
            and len(self.jobs) < self.room == job.max_batch
            and self.size_bytes + len(job.body) + 1 <= MAX_BATCH_BYTES
        )

    def add(self, job: Job) -> None:
        """Put ``job`` behind the others."""
        self.jobs.append(job)
        self.size_bytes += len(job.body) + 1


Wave = list[Packed]


def route_of(job: Job) -> Route:
    """Whether v2 can carry ``job``, segment jobs can be gathered with it, or it needs a v1 request of its own."""
    return _ROUTES.get(job.family, "single")


def _segment_of(job: Job) -> str:
    try:
        return segment_endpoint(job.body)
    except UnsendableDocumentError:
        # Whoever builds its request says what is wrong with it; here it must not hold up all the others.
        return f"unsendable {job.id}"


def pack(jobs: Sequence[Job]) -> list[Wave]:
    """Pack ``jobs``, given in order, into waves."""
    packer = _Packer()
    for job in jobs:
        packer.place(job)
    return packer.waves


def unblocked(jobs: Sequence[Job], blocked: set[str]) -> tuple[list[Job], list[Job]]:
    """Split ``jobs``, given in order, in those free to go and those held up; the keys of the latter are added to ``blocked``."""
    free: list[Job] = []
    held: list[Job] = []
    for job in jobs:
        if blocked.isdisjoint(job.keys):
            free.append(job)
        else:
            # Held up by one of its keys, it holds up what follows it for the other.
            blocked.update(job.keys)
            held.append(job)
    return free, held


class _Place(NamedTuple):
    wave: int
    packed: Packed
    is_barrier: bool


class _Packer:
    def __init__(self) -> None:
        self.waves: list[Wave] = []
        self._last: dict[str, _Place] = {}
        self._open: dict[tuple[int, Route, str, int], Packed] = {}

    def place(self, job: Job) -> None:
        route = route_of(job)
        endpoint = _segment_of(job) if route == "segment" else ""
        before = [place for key in job.keys if (place := self._last.get(key))]
        latest = max(before, key=lambda place: place.wave, default=None)
        if latest and self._may_join(job, latest, before, route, endpoint):
            place = _Place(latest.wave, latest.packed, job.is_barrier)
        else:
            place = self._in_wave(latest.wave + 1 if latest else 0, job, route, endpoint)
        place.packed.add(job)
        for key in job.keys:
            self._last[key] = place

    def _may_join(
        self, job: Job, latest: _Place, before: list[_Place], route: Route, endpoint: str
    ) -> bool:
        return (
            not job.is_barrier
            and not any(place.is_barrier and place.wave == latest.wave for place in before)
            and all(place.wave < latest.wave or place.packed is latest.packed for place in before)
            and latest.packed.takes(job, route, endpoint)
        )

    def _in_wave(self, wave: int, job: Job, route: Route, endpoint: str) -> _Place:
        while len(self.waves) <= wave:
            self.waves.append([])
        slot = (wave, route, endpoint, job.max_batch)
        packed = self._open.get(slot)
        if packed is None or not packed.takes(job, route, endpoint):
            limit = MAX_SEGMENT_IDS if route == "segment" else MAX_OPERATIONS
            packed = Packed(route, room=min(job.max_batch, limit), endpoint=endpoint)
            self._open[slot] = packed
            self.waves[wave].append(packed)
        return _Place(wave, packed, job.is_barrier)
