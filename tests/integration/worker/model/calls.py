"""The calls of a test, and the order in which they must take effect. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from trackrelay.operations.registry import BY_NAME
from trackrelay.worker.storage.stored_job import Job


@dataclass(frozen=True)
class Call:
    """A job of an accepted call."""

    moment: int
    lane: str
    id: str
    keys: tuple[str, ...]
    operation: str


@dataclass(frozen=True)
class Replayed:
    """A replay, which puts a job at the end of its keys' bulk backlog."""

    moment: int
    id: str
    keys: tuple[str, ...]
    #: The jobs that waited there before it, by key.
    ahead: dict[str, frozenset[str]]
    #: The number of effects before it.
    effects_before: int


@dataclass
class CallLog:
    """All accepted calls and replays so far."""

    calls: list[Call] = field(default_factory=list)
    replays: list[Replayed] = field(default_factory=list)
    #: Jobs that were discarded at some time. Enqueued again, they are new.
    discarded: set[str] = field(default_factory=set)
    moment: int = 0

    def next_moment(self) -> int:
        """Return the number of the next call or replay."""
        self.moment += 1
        return self.moment

    @property
    def ids(self) -> set[str]:
        """The ids of all accepted jobs."""
        return {call.id for call in self.calls}

    def disorder(self, effects: Sequence[Job]) -> list[str]:
        """Return the effects that are not in the order of the calls of their lane and key."""
        return _calls_out_of_order(self, effects) + _replays_out_of_order(self, effects)


@dataclass(frozen=True)
class _Place:
    """When a job was enqueued for a key, and when it took effect.

    A job that was enqueued again after it was discarded has two moments.
    """

    id: str
    first: int
    last: int
    began: int
    ended: int
    is_barrier: bool


def _calls_out_of_order(log: CallLog, effects: Sequence[Job]) -> list[str]:
    found = []
    for (lane, key), places in _places(log, effects).items():
        for earlier in places:
            for later in places:
                if earlier.last >= later.first:
                    continue
                if earlier.began > later.began:
                    found.append(f"{later.id} overtook {earlier.id} in {lane}, {key}")
                elif (earlier.is_barrier or later.is_barrier) and earlier.ended > later.began:
                    found.append(
                        f"{later.id} did not wait for {earlier.id} in {lane}, {key}: "
                        "one is a barrier"
                    )
    return found


def _places(log: CallLog, effects: Sequence[Job]) -> dict[tuple[str, str], list[_Place]]:
    began: dict[tuple[str, str], int] = {}
    ended: dict[tuple[str, str], int] = {}
    for index, job in enumerate(effects):
        if not job.replayed:
            began.setdefault((job.lane, job.id), index)
            ended[job.lane, job.id] = index
    lanes: dict[str, set[str]] = defaultdict(set)
    moments: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for call in log.calls:
        lanes[call.id].add(call.lane)
        for key in call.keys:
            moments[call.lane, key, call.id].append(call.moment)
    places = defaultdict(list)
    keys_of = {job.id: job.keys for job in effects}
    operation_of = {call.id: call.operation for call in log.calls}
    for (lane, key, id), at in moments.items():
        # The rows of its two keys may be in different lanes.
        if (
            (lane, id) not in began
            or key not in keys_of[id]
            or (len(keys_of[id]) > 1 and len(lanes[id]) > 1)
        ):
            continue
        last = at[-1] if id in log.discarded else at[0]
        is_barrier = BY_NAME[operation_of[id]].is_barrier
        places[lane, key].append(
            _Place(id, at[0], last, began[lane, id], ended[lane, id], is_barrier)
        )
    return places


def _replays_out_of_order(log: CallLog, effects: Sequence[Job]) -> list[str]:
    found = []
    for replay in log.replays:
        again = [r for r in log.replays if r.id == replay.id and r.moment > replay.moment]
        end = again[0].effects_before if again else len(effects)
        own = [
            i
            for i in range(replay.effects_before, end)
            if effects[i].id == replay.id and effects[i].replayed
        ]
        if not own:
            continue
        for key in replay.keys:
            for index, job in enumerate(effects[replay.effects_before :], replay.effects_before):
                if (
                    job.id in replay.ahead.get(key, ())
                    and job.lane == "bulk"
                    and own[0] < index
                    and _first(effects, job, index, replay.effects_before)
                ):
                    found.append(f"{replay.id}, replayed, overtook {job.id} of {key}")
            for call in log.calls:
                if (
                    call.lane != "bulk"
                    or call.moment < replay.moment
                    or key not in call.keys
                    or call.id == replay.id
                ):
                    continue
                earlier = any(c.id == call.id and c.moment < replay.moment for c in log.calls)
                sooner = [
                    i
                    for i in range(replay.effects_before, own[0])
                    if effects[i].id == call.id
                    and effects[i].lane == "bulk"
                    and not effects[i].replayed
                ]
                if sooner and not earlier:
                    found.append(
                        f"{call.id} overtook {replay.id}, which was replayed before, of {key}"
                    )
    return found


def _first(effects: Sequence[Job], job: Job, index: int, begin: int) -> bool:
    return not any(effects[i].id == job.id for i in range(begin, index))
