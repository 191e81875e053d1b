"""Everything that can happen, in any order: applications, holders, the API, time, people."""

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy.exc import OperationalError

from tests.integration.worker.model.accounts import Accounts
from tests.integration.worker.model.api import ANSWERS
from tests.integration.worker.model.calls import Replayed
from tests.integration.worker.model.process import POINTS, Fault, Plan, Sleeper, hold
from tests.integration.worker.model.world import World
from tests.support.in_process_worker import probe_now
from trackrelay import operations
from trackrelay.operations.operation import Operation
from trackrelay.operations.refs import Person
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.queue.shard_migration import Resharder, ReshardError
from trackrelay.worker.track_api.region import Verdict

#: Few, so that they meet: two of one shard, one of the other, and an anonymous id in each.
PEOPLE = ("p0", "p1", "p4")
ANONYMOUS = ("a0", "a4")
LARGE = "x" * 40_000

KINDS = ("event", "event", "large", "anonymous event", "identify", "join", "join", "merge",
    "delete", "suppress", "form",
         "event with attributes")  # fmt: skip
MOODS = ("good",) * 7 + ("bad", "poison", "sick")
LANES = ("live", "live", "bulk")
#: A drain takes no more cycles than these and two for each job.
CYCLES = 12

points = st.sampled_from(POINTS)
shards = st.integers(0, 2)
lanes = st.sampled_from(LANES)
answers = st.lists(st.sampled_from(ANSWERS), max_size=3).map(tuple)
faults = st.none() | st.builds(
    Fault,
    st.sampled_from(("killed", "killed", "no postgres", "no redis")),
    points,
    st.integers(1, 2),
)


plans = st.builds(
    Plan,
    answers,
    faults,
    st.integers(1, 2),
    most=st.sampled_from((1000, 1000, 2, 1)),
    patience=st.sampled_from((1000, 1000, 3)),
)


@dataclass(frozen=True)
class Saying:
    """A call of an application."""

    kind: str
    who: str
    anonymous: str
    mood: str
    lane: str
    repeatable: bool

    def operation(self, number: int) -> Operation:
        """Its `number`-th operation."""
        label, key, who = f"{number}", f"k{number}" if self.repeatable else None, self.who
        match self.kind:
            case "event":
                return operations.track(who, label, {}, idempotency_key=key)
            case "event with attributes":
                return operations.track(
                    who, label, {}, person_attributes={"label": label}, idempotency_key=key
                )
            case "large":
                return operations.track(who, label, {"text": LARGE}, idempotency_key=key)
            case "anonymous event":
                return operations.track_anonymous(self.anonymous, label, {}, idempotency_key=key)
            case "identify":
                return operations.identify(who, {"label": label}, idempotency_key=key)
            case "join":
                return operations.identify(
                    who, {"label": label}, anonymous_id=self.anonymous, idempotency_key=key
                )
            case "merge":
                other = PEOPLE[PEOPLE.index(who) - 1]
                return operations.merge(
                    primary=Person(id=who), secondary=Person(id=other), idempotency_key=key
                )
            case "delete":
                return operations.delete_person(who, idempotency_key=key)
            case "suppress":
                return operations.suppress(who, idempotency_key=key)
        return operations.submit_form("f", Person(id=who), {"label": label}, idempotency_key=key)


sayings = st.builds(
    Saying,
    st.sampled_from(KINDS),
    st.sampled_from(PEOPLE),
    st.sampled_from(ANONYMOUS),
    st.sampled_from(MOODS),
    lanes,
    st.booleans(),
)


class Harness(RuleBasedStateMachine):
    """The whole harness. Set `world` in a subclass."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.begin_anew()
        self.accounts = Accounts(self.world)
        self.operations: list[Operation] = []
        self.sleeper: Sleeper | None = None

    # -- applications

    @initialize(sayings=st.lists(sayings, max_size=6))
    def begin(self, sayings: list[Saying]) -> None:
        """Calls that are there when it begins."""
        self.say(sayings=sayings)

    @rule(sayings=st.lists(sayings, min_size=1, max_size=4))
    def say(self, sayings: list[Saying]) -> None:
        """Calls in a row."""
        for each in sayings:
            operation = each.operation(len(self.operations))
            self.world.api.moods[operation.id] = each.mood
            self._enqueue(operation, each.lane)

    @precondition(lambda self: self.operations)
    @rule(
        which=st.lists(st.integers(0, 100), min_size=1, max_size=3),
        lane=lanes,
        otherwise=st.booleans(),
    )
    def say_again(self, which: list[int], lane: str, otherwise: bool) -> None:
        """Repeat calls, or their idempotency key with another second key."""
        for each in which:
            operation = self.operations[each % len(self.operations)]
            if (
                otherwise
                and operation.idempotency_key
                and operation.name == "person.identify"
                and len(operation.keys) == 2
            ):
                operation = _with_another_second_key(operation)
            self._enqueue(operation, lane)

    def _enqueue(self, operation: Operation, lane: Any) -> None:
        self.world.producer.enqueue(operation, lane=lane)
        self.accounts.accepted(operation, lane)
        time.sleep(0.0015)  # later calls are also later by the clock
        self.operations.append(operation)
        self.accounts.check()

    # -- holders

    @rule(holds=st.lists(st.tuples(shards, plans), min_size=1, max_size=3))
    def hold(self, holds: list[tuple[int, Plan]]) -> None:
        """Hold a shard, and the next one."""
        for shard, plan in holds:
            self._hold(shard, plan)

    @rule(holds=st.lists(st.tuples(shards, plans), min_size=1, max_size=3))
    def hold_more(self, holds: list[tuple[int, Plan]]) -> None:
        """The same: it is what happens most."""
        self.hold(holds=holds)

    def _hold(self, shard: int, plan: Plan) -> None:
        before = self.accounts.begin_hold()
        ended = hold(self.world.processes[0], shard % self.world.shards, plan)
        self.accounts.end_hold(before, interrupted=ended != "well")

    @rule()
    def hold_all(self) -> None:
        """Every shard is held once, and nothing goes wrong."""
        for shard in range(self.world.shards):
            self._hold(shard, Plan())

    @rule(shard=shards, point=points, times=st.integers(2, 11))
    def die_again_and_again(self, shard: int, point: str, times: int) -> None:
        """Holder after holder is killed at the same point."""
        for _ in range(times):
            self._hold(shard, Plan(fault=Fault("killed", point)))
            self._lease_runs_out(shard)

    @precondition(lambda self: self.sleeper is None)
    @rule(
        shard=shards, answers=answers, point=points, nth=st.integers(1, 2), runs_out=st.booleans()
    )
    def fall_asleep(
        self, shard: int, answers: tuple[str, ...], point: str, nth: int, runs_out: bool
    ) -> None:
        """A holder falls asleep, most likely for longer than its lease."""
        before = self.accounts.begin_hold()
        plan = Plan(answers, Fault("asleep", point, nth))
        sleeper = Sleeper(self.world.processes[1], shard % self.world.shards, plan)
        if sleeper.asleep:
            self.sleeper = sleeper
            if runs_out:
                self._lease_runs_out(shard)
        else:
            sleeper.wake()
        self.accounts.end_hold(before, interrupted=True)

    @precondition(lambda self: self.sleeper is not None)
    @rule()
    def wake_up(self) -> None:
        """It wakes up."""
        assert self.sleeper is not None
        before, sleeper = self.accounts.begin_hold(), self.sleeper
        self.sleeper = None
        sleeper.wake()
        self.accounts.end_hold(before, interrupted=True)

    # -- time

    @rule(shard=shards, everything=st.booleans())
    def time_passes(self, shard: int, everything: bool) -> None:
        """Let time pass: a lease runs out, or backoffs, an open breaker and a probe's token."""
        self._lease_runs_out(shard)
        if everything:
            self._much_time_passes()

    def _lease_runs_out(self, shard: int) -> None:
        shard = shard % self.world.shards
        self.world.lease_runs_out(shard)
        if self.sleeper is not None and self.sleeper.shard == shard:
            self.sleeper.lease_ran_out()

    def _much_time_passes(self) -> None:
        with suppress(OperationalError):  # somebody is in the middle of a commit
            self.world.backoffs_pass()
        probe_now(self.world.redis)

    @rule(state=st.sampled_from(("open", "halted")), family=st.sampled_from(list(Family)))
    def delivery_becomes_impossible(self, state: str, family: Family) -> None:
        """Others met an outage of an endpoint family, or wrong credentials."""
        breaker = self.world.processes[0].breaker
        if state == "open":
            breaker.failed(family, "away", retry_after_s=3600)
        else:
            breaker.halt("credentials", "wrong key")

    # -- people

    @rule(
        what=st.sampled_from(
            ("credentials", "resume", "pause", "one shard", "two shards", "three shards")
        ),
        shard=shards,
    )
    def operate(self, what: str, shard: int) -> None:
        """Repair the credentials, pause a shard, resume all, or change their number."""
        counts = {"one shard": 1, "two shards": 2, "three shards": 3}
        if what == "credentials":
            self.world.api.verdict = Verdict()
        elif what in counts:
            self._reshard(counts[what])
        else:
            with suppress(OperationalError):  # somebody is in the middle of a commit
                self.world.pause(
                    shard % self.world.shards if what == "pause" else None, what == "pause"
                )

    def _reshard(self, count: int) -> None:
        if self.sleeper is not None:
            return
        process = self.world.processes[0]
        for shard in range(self.world.shards):
            self.world.lease_runs_out(shard)
        with suppress(ReshardError):
            Resharder(process.engine, process.redis, process.settings, process.hasher).run(count)
        self.accounts.check()

    @rule(
        which=st.lists(st.integers(0, 100), min_size=1, max_size=3),
        even_if_newer=st.booleans(),
        discarded=st.booleans(),
    )
    def replay(self, which: list[int], even_if_newer: bool, discarded: bool) -> None:
        """Replay dead letters."""
        states: Any = frozenset({"open", "discarded"} if discarded else {"open"})
        seen = self.world.look()
        letters = sorted(
            (self.accounts.number_of(id), id)
            for id, (state, _) in seen.letters.items()
            if state in states
        )
        if not letters:
            return
        ids = list(dict.fromkeys(letters[each % len(letters)][1] for each in which))
        try:
            outcomes = list(
                self.world.replayer.replay(
                    ids, ReplayPolicy(even_if_newer=even_if_newer, states=states)
                )
            )
        except OperationalError:
            return
        replayed = [each.job for outcome in outcomes for each in outcome.replays]
        for job in replayed:
            ahead = {
                key: frozenset(
                    row.id for row in seen.rows
                    if row.lane == "bulk" and row.key == key
                    and sum(other.id == row.id for other in seen.rows) >= row.parts
                )
                for key in job.keys
            }  # fmt: skip
            moment = self.world.call_log.next_moment()
            effects = len(self.world.api.effects)
            self.world.call_log.replays.append(Replayed(moment, job.id, job.keys, ahead, effects))
        self.accounts.check()

    @rule(which=st.integers(0, 100))
    def discard(self, which: int) -> None:
        """Discard a dead letter."""
        seen = self.world.look()
        letters = sorted(
            (self.accounts.number_of(id), id)
            for id, (state, _) in seen.letters.items()
            if state == "open"
        )
        if letters:
            _, id = letters[which % len(letters)]
            for discarded in self.world.replayer.discard([id]):
                self.world.call_log.discarded |= discarded
            self.accounts.check()

    @rule(which=st.integers(0, 100))
    def heal(self, which: int) -> None:
        """What Customer.io refused of a job is all right now."""
        moods = self.world.api.moods
        ill = [id for id, mood in moods.items() if mood != "good"]
        if ill:
            moods[ill[which % len(ill)]] = "good"

    # -- the end: nothing interferes any more, and everything arrives

    def teardown(self) -> None:
        """Check that all accepted jobs arrive, or are dead letters, within so many cycles."""
        broken = sys.exc_info()[0] is not None
        if self.sleeper is not None:
            sleeper, self.sleeper = self.sleeper, None
            before = self.accounts.begin_hold()
            sleeper.wake()
            if not broken:
                self.accounts.end_hold(before, interrupted=True)
        if not broken:
            self._drain()

    def _drain(self) -> None:
        world = self.world
        world.api.calm = True
        world.api.verdict = Verdict()
        world.pause(None, False)
        for _ in range(CYCLES + 2 * len(world.call_log.ids)):
            self._much_time_passes()
            for shard in range(world.shards):
                world.lease_runs_out(shard)
                before = self.accounts.begin_hold()
                ended = hold(world.processes[0], shard, Plan())
                self.accounts.end_hold(before, interrupted=False)
                assert ended == "well"
            seen = world.look()
            if not seen.rows and not seen.in_streams:
                break
        self.accounts.close()


def _with_another_second_key(before: Operation) -> Operation:
    who, anonymous = (key.partition(":")[2] for key in before.keys)
    other = ANONYMOUS[ANONYMOUS.index(anonymous) - 1]
    operation = operations.identify(
        who, {"label": "again"}, anonymous_id=other, idempotency_key=before.idempotency_key
    )
    assert operation.id == before.id
    return operation
