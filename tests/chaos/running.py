"""Running a scenario: load on, faults, load off, everything delivered, accounts."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from producers import Producer

from . import stores
from .accounts import Accounts, draw
from .caller import Caller
from .calls import Journal, read
from .scenario import Scenario, Trial
from .stack import Stack
from .stores import Stores
from .taking import IntoQueue

#: Load before the first fault, and after the last.
BEFORE_S, AFTER_S = 2.0, 3.0
POLL_S = 0.2


@dataclass(slots=True)
class Result:
    """A row of the table."""

    scenario: Scenario
    accounts: Accounts = field(default_factory=Accounts)
    injected: int = 0
    #: Seconds from the end of the fault until everything accepted before that was delivered.
    recovery_s: float | None = None
    #: What ended the scenario early.
    error: str | None = None
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return self.error is None and self.accounts.good


def run(scenario: Scenario, *, seed: int, seconds: float | None, jobs: int | None, folder: Path) -> Result:
    """Run one scenario.

    Args:
        seed: decides the calls and the faults.
        seconds: how long faults are injected, instead of the scenario's own time.
        jobs: how many jobs, instead of the scenario's own number.
        folder: for journals and logs; exists, empty.
    """
    began = time.monotonic()
    result = Result(scenario)
    stack = Stack(scenario.stack, scenario.traffic, folder)
    try:
        stack.start()
        _run(scenario, stack, result, seed, seconds or scenario.seconds, jobs)
    except Exception as error:
        result.error = f"{type(error).__name__}: {error}"
    finally:
        stack.close()
    result.seconds = time.monotonic() - began
    return result


def _run(scenario: Scenario, stack: Stack, result: Result, seed: int, seconds: float, jobs: int | None) -> None:
    # A longer run has more jobs, unless their number is given.
    wanted = jobs if jobs is not None else scenario.jobs * max(1.0, seconds / scenario.seconds)
    own = Journal(stack.journal("own"))
    chance = random.Random(f"{seed} {scenario.name}")
    caller = Caller(IntoQueue(Producer(redis_url=stack.redis_url, source="chaos")), own, random.Random(seed))
    for fault in scenario.api:
        stack.sandbox.client.add_fault(**fault)
    stack.produce(seed, scenario.traffic.rate or wanted / (BEFORE_S + seconds + AFTER_S))
    time.sleep(BEFORE_S)
    trial = Trial(stack, chance, time.monotonic() + seconds, caller, round(wanted))
    scenario.inject(trial)
    stack.heal(api=not scenario.api)
    over = time.time()
    midway = stores.look(stack.redis, stack.engine, stack.application)
    time.sleep(AFTER_S)
    stack.stop_producing()
    own.close()
    _wait_until_nothing_waits(stack, over + scenario.bound_s)
    _draw(scenario, stack, trial, result, over, midway)


def _wait_until_nothing_waits(stack: Stack, deadline: float) -> None:
    while any(stores.waiting(stack.redis, stack.engine, stack.application)) and time.time() < deadline:
        time.sleep(POLL_S)


def _draw(scenario: Scenario, stack: Stack, trial: Trial, result: Result, over: float, midway: Stores) -> None:
    calls = [read(path) for path in sorted(stack.folder.glob("*.journal"))]
    found = stores.look(stack.redis, stack.engine, stack.application)
    result.injected = trial.injected + sum(int(fault["hits"]) for fault in stack.sandbox.client.faults())
    everything = [call for journal in calls for call in journal]
    result.accounts = draw(
        calls,
        found,
        stores.arrivals(stack.sandbox.client),
        stores.attributes(stack.sandbox.client),
        ambiguous=scenario.ambiguous,
        also_dead=scenario.also_dead,
        strangers=trial.strangers,
        midway=(midway, over),
    )
    for check in trial.checks:
        result.accounts.problems += check(found, everything)
    before = {call.id for call in everything if call.told == "accepted" and call.ended <= over}
    if before <= found.ledger.keys() | found.dead.keys():
        settled = [found.ledger[id] if id in found.ledger else found.dead[id].died_at for id in before]
        result.recovery_s = max(0.0, max(settled, default=over) - over)
