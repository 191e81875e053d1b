"""One delivery cycle from reading to settlement, without servers: every result keeps the order."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.worker.model.process import Inline
from trackrelay.operations.limits import OPERATION_BYTES
from trackrelay.worker.delivery.batching import PackedRequest, pack
from trackrelay.worker.delivery.breaker import BreakerState, BreakerStates
from trackrelay.worker.delivery.cycle import DeliveryCycle
from trackrelay.worker.delivery.cycle_parts import Rules
from trackrelay.worker.delivery.intake import Intake, partition_blocked
from trackrelay.worker.delivery.outcomes import Deferred, Delivered, Failed, Rejected, Result
from trackrelay.worker.delivery.shard_queue import StreamRead
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.responses import Refusal

OPERATIONS = (
    "person.event",
    "person.event",
    "person.identify",
    "person.delete",
    "person.merge",
    "form.submit",
    "large",
)
FATES = ("delivered", "delivered", "partly", "fails", "breaks off", "untried")


@st.composite
def reads(draw: st.DrawFn) -> list[Job]:
    """What one read gave, in order."""
    return [_job(draw, number) for number in range(draw(st.integers(1, 25)))]


def _job(draw: st.DrawFn, number: int) -> Job:
    operation = draw(st.sampled_from(OPERATIONS))
    keys = tuple(draw(st.lists(st.sampled_from("abe"), min_size=1, max_size=2, unique=True)))
    return Job(
        id=f"{number:026}",
        operation="person.event" if operation == "large" else operation,
        keys=keys,
        shards=tuple(draw(st.sampled_from((0, 0, 0, 1))) if key == "e" else 0 for key in keys),
        body=b'"' + b"x" * (OPERATION_BYTES if operation == "large" else 10) + b'"',
        lane="live",
        enqueued_at=1.0,
        age_from=1.0,
        entry=f"{number}-0",
        max_batch=draw(st.sampled_from((1000, 1000, 2))),
    )


class Fates:
    """Replaces the sender: each request gets the result that was drawn for it."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw
        #: Jobs in the order in which they were tried.
        self.tried: list[Job] = []

    def send(
        self, packed: PackedRequest, shard: int, token: str, breaker_state: BreakerState
    ) -> list[Result]:
        """As `Sender.send`."""
        fate = self._draw(st.sampled_from(FATES))
        if fate == "untried":
            return [Deferred(job, "breaker") for job in packed.jobs]
        if fate == "breaks off":  # it was halved, and the second half was not answered
            half = len(packed.jobs) // 2
            self.tried += packed.jobs[:half]
            return [Delivered(job) for job in packed.jobs[:half]] + [
                Deferred(job, "breaker") for job in packed.jobs[half:]
            ]
        self.tried += packed.jobs
        if fate == "fails":
            return [Failed(job, "503", 503, len(packed.jobs), 0.0) for job in packed.jobs]
        if fate == "partly":
            return [
                Rejected(job, Refusal("no", 207)) if self._draw(st.booleans()) else Delivered(job)
                for job in packed.jobs
            ]
        return [Delivered(job) for job in packed.jobs]


class RecordedCycle(DeliveryCycle):
    """A holder that writes down what it would settle."""

    def __init__(self, fates: Fates) -> None:
        self._queue: Any = SimpleNamespace(shard=0, token="1")
        self._clock: Any = SimpleNamespace(now=lambda: 0.0)
        rules = Rules(max_age_s=1e9, max_attempts=3, merge_delay_s=0.0)
        self._parts: Any = SimpleNamespace(executor=Inline(), sender=fates, rules=rules)
        self.settled = Settlement()

    def _settle(self, outcome: Settlement, order: dict[str, int]) -> None:
        outcome.waiting.sort(key=lambda each: order[each.job.id])
        self.settled.delivered += outcome.delivered
        self.settled.dead += outcome.dead
        self.settled.waiting += outcome.waiting


#: 400 in `make test`, 100 in `make unit`; each takes a hundredth of a second.
EXAMPLES = settings.default.max_examples * 4


@given(reads(), st.sets(st.sampled_from("abe"), max_size=1), st.data())
@settings(max_examples=EXAMPLES)
def test_whatever_each_request_comes_to_no_job_passes_one_of_its_keys_that_waits(
    jobs: list[Job], waiting_keys: set[str], data: st.DataObject
) -> None:
    fates = Fates(data.draw)
    cycle = RecordedCycle(fates)
    intake = Intake("live", jobs=list(jobs), read=StreamRead())
    kept = partition_blocked(jobs, waiting_keys)
    intake.decided.waiting += kept.waiting
    cycle._send_and_settle(pack(kept.ready), intake, BreakerStates())
    settled = [
        *(job.id for job in cycle.settled.delivered),
        *(dead_letter.job.id for dead_letter in cycle.settled.dead),
        *(each.job.id for each in cycle.settled.waiting),
    ]
    assert Counter(settled) == Counter(job.id for job in jobs)
    waits = {each.job.id for each in cycle.settled.waiting}
    tried = [job.id for job in fates.tried]
    for key in "abe":
        of_key = [job for job in jobs if key in job.keys]
        stopped = False
        for job in of_key:
            assert not (stopped and job.id not in waits), f"{job.id} passed one of {key} that waits"
            stopped = stopped or job.id in waits
        waiting = [each.job.id for each in cycle.settled.waiting if key in each.job.keys]
        assert waiting == sorted(waiting), f"the backlog of {key}"
        assert [id for id in tried if id in {job.id for job in of_key}] == [
            job.id for job in of_key if job.id in tried
        ]
    for key in waiting_keys:
        assert all(job.id in waits for job in jobs if key in job.keys)
