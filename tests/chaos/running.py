"""Running a scenario: load on, faults, load off, everything delivered, accounts."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.support.description_check import latest_violations
from trackrelay import Producer
from trackrelay.sandbox.client import Effect

from . import prometheus_watch, stores
from .accounts import Accounts, draw
from .caller import Caller
from .calls import Call, Journal, count, read
from .job_takers import IntoQueue
from .metric_accounts import Line, Scraped, books_of, compare
from .scenario import Scenario, Trial
from .stack import Stack
from .stores import Stores

#: Load before the first fault, and after the last.
BEFORE_S, AFTER_S = 2.0, 2.0
#: Producers that a fault has held up are given up when they have made no call for so long.
CATCH_UP_S = 60.0
#: Jobs a second that are delivered once the faults are over, besides what a scenario's own bound is
#: for: leases that run out, retries that fall due. Measured: 51,000 mixed jobs, through restarts,
#: at 200/s on two cores at load 14. A seventh of them takes a request each, of which 100 a second
#: are allowed.
DRAINED_A_SECOND = 100.0
#: What a scenario takes besides its faults on an idle machine of two cores: start, end, recovery,
#: reconciliation.
BESIDES_S = 11.0
POLL_S = 0.2


@dataclass(slots=True)
class Result:
    """A row of the table."""

    scenario: Scenario
    accounts: Accounts = field(default_factory=Accounts)
    injected: int = 0
    #: Calls that were to be made, and that were: one job may be called for more than once.
    wanted: int = 0
    calls: int = 0
    #: Seconds from the end of the fault until everything accepted before that was delivered.
    recovery_s: float | None = None
    #: What Prometheus scraped of `trackrelay metrics`, compared with the accounts.
    metrics: list[Line] = field(default_factory=list)
    #: What ended the scenario early.
    error: str | None = None
    seconds: float = 0.0

    @property
    def proves_nothing(self) -> list[str]:
        """Why nothing would have been found here, whatever was wrong."""
        return [
            why
            for why, empty in (
                ("the fault never struck", not self.injected),
                (
                    f"only {self.calls:,} of {self.wanted:,} calls were made",
                    self.calls < self.wanted,
                ),
                ("no job was accepted", not self.accounts.jobs),
                ("nothing arrived", not self.accounts.arrived),
                (
                    "no key had two jobs to be in order",
                    not self.accounts.steps and self.scenario.ordered,
                ),
            )
            if empty
        ]

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, in words."""
        if self.error:
            return [self.error]
        return [*self.proves_nothing, *self.accounts.problems]

    @property
    def good(self) -> bool:
        """Whether every promise was kept, and would have been seen not to be."""
        return not self.problems and self.accounts.good


def run(
    scenario: Scenario,
    *,
    seed: int,
    seconds: float | None,
    jobs: int | None,
    folder: Path,
    prometheus: bool = False,
) -> Result:
    """Run one scenario.

    Args:
        seed: decides the calls and the faults.
        seconds: how long faults are injected, instead of the scenario's own time.
        jobs: how many jobs, instead of the scenario's own number.
        folder: for journals and logs; exists, empty.
        prometheus: whether a Prometheus scrapes it, if the scenario is observed.
    """
    began = time.monotonic()
    result = Result(scenario)
    stack = Stack(scenario.stack, scenario.traffic, folder)
    try:
        stack.start()
        if prometheus and scenario.observed:
            stack.observe()
        _run(scenario, stack, result, seed, seconds or scenario.seconds, jobs)
    except Exception as error:
        result.error = f"{type(error).__name__}: {error}"
    finally:
        stack.close()
    result.seconds = time.monotonic() - began
    return result


def _run(
    scenario: Scenario, stack: Stack, result: Result, seed: int, seconds: float, jobs: int | None
) -> None:
    # A longer run has more jobs, unless their number is given.
    result.wanted = (
        jobs if jobs is not None else round(scenario.jobs * max(1.0, seconds / scenario.seconds))
    )
    own = Journal(stack.journal("own"))
    chance = random.Random(f"{seed} {scenario.name}")
    caller = Caller(
        IntoQueue(Producer(redis_url=stack.redis_url, source="chaos")), own, random.Random(seed)
    )
    for fault in scenario.api:
        stack.sandbox.client.add_fault(**fault)
    stack.produce(seed, scenario.traffic.rate or result.wanted / (BEFORE_S + seconds))
    time.sleep(BEFORE_S)
    trial = Trial(stack, chance, time.monotonic() + seconds, caller, result.wanted)
    scenario.inject(trial)
    stack.heal(api=not scenario.api)
    looked_at = time.time()
    over = trial.over or looked_at
    midway = stores.look(stack.redis, stack.engine, stack.application)
    time.sleep(AFTER_S)
    _wait_for_calls(stack, result.wanted)
    stack.stop_producing()
    own.close()
    left = sum(stores.waiting(stack.redis, stack.engine, stack.application))
    _wait_until_nothing_waits(stack, time.time() + bound_s(scenario, left))
    _draw(scenario, stack, trial, result, over, (midway, looked_at))


def bound_s(scenario: Scenario, left: int) -> float:
    """Return the time within which the jobs left after the faults must be delivered."""
    return scenario.bound_s + left / DRAINED_A_SECOND


def _wait_for_calls(stack: Stack, wanted: int) -> None:
    made, deadline = 0, time.monotonic() + CATCH_UP_S
    while (now := sum(map(count, stack.journals))) < wanted and time.monotonic() < deadline:
        if now > made:
            made, deadline = now, time.monotonic() + CATCH_UP_S
        time.sleep(POLL_S)


def _wait_until_nothing_waits(stack: Stack, deadline: float) -> None:
    while (
        any(stores.waiting(stack.redis, stack.engine, stack.application)) and time.time() < deadline
    ):
        time.sleep(POLL_S)


def _draw(
    scenario: Scenario,
    stack: Stack,
    trial: Trial,
    result: Result,
    over: float,
    midway: tuple[Stores, float],
) -> None:
    calls = [read(path) for path in stack.journals]
    found = stores.look(stack.redis, stack.engine, stack.application)
    arrivals = stores.arrivals(stack.sandbox.client)
    result.injected = trial.injected + sum(
        int(fault["hits"]) for fault in stack.sandbox.client.faults()
    )
    everything = [call for journal in calls for call in journal]
    result.calls = len(everything)
    result.accounts = draw(
        calls,
        found,
        arrivals,
        stores.attributes(stack.sandbox.client),
        ambiguous=scenario.ambiguous,
        also_dead=scenario.also_dead,
        strangers=trial.strangers,
        midway=midway,
        wiped_at=trial.wiped_at,
    )
    metric_problems = _compare_metrics(stack, result, calls, found, arrivals)
    # First what the scenario itself looks at: the accounts may have a line for each job.
    own = [problem for check in trial.checks for problem in check(found, everything)]
    result.accounts.problems = [
        *own,
        *stores.miscounted(stack.engine),
        *metric_problems,
        *result.accounts.problems,
        *latest_violations(stack.sandbox.client),
    ]
    before = {call.id for call in everything if call.told == "accepted" and call.ended <= over}
    if trial.wiped_at is not None:
        before &= found.ledger.keys() | found.dead.keys()
    if before <= found.ledger.keys() | found.dead.keys():
        settled = [
            found.ledger[id] if id in found.ledger else found.dead[id].died_at for id in before
        ]
        result.recovery_s = max(0.0, max(settled, default=over) - over)
    if not result.good:
        _keep(arrivals, stack.folder / "effects")


def _compare_metrics(
    stack: Stack,
    result: Result,
    calls: list[list[Call]],
    found: Stores,
    arrivals: list[Effect],
) -> list[str]:
    """Compare what Prometheus scraped last, and return what disagrees."""
    if stack.watch is None:
        return []
    since = time.time()
    scraped: dict[str, Scraped] = {}
    for target in prometheus_watch.TARGETS:
        try:
            scraped[target] = stack.watch.last_scrape(target, since)
        except TimeoutError as error:
            return [str(error)]
    books = books_of(
        [call for journal in calls for call in journal],
        found,
        arrivals,
        stack.sandbox.client.requests(),
        workers=len(stack.fleet.workers),
        lost=result.accounts.lost + result.accounts.gone,
        failed_attempts=stores.failed_attempts(stack.engine),
    )
    compared = {target: compare(scraped[target], books) for target in scraped}
    result.metrics = compared[prometheus_watch.TARGETS[0]]
    return [
        line.problem(target)
        for target, lines in compared.items()
        for line in lines
        if not line.agrees
    ]


def _keep(arrivals: list[Effect], path: Path) -> None:
    # What arrived, in order, a line each: beside journals and logs, what one needs to see why.
    path.write_bytes(b"".join(msgspec.json.encode(effect) + b"\n" for effect in arrivals))
