"""A scenario: one kind of fault, what it is injected into, and what may follow from it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .caller import Caller
from .calls import Call
from .plans import StackPlan, TrafficPlan
from .stack import Stack
from .stores import Stores


@dataclass(slots=True)
class Trial:
    """A scenario while it runs: what its fault is injected into."""

    stack: Stack
    #: Decides everything that is left to chance.
    chance: random.Random
    #: `time.monotonic()` at which faults should stop.
    until: float
    #: For calls the scenario makes itself.
    caller: Caller
    #: Jobs the command line asked for, or the scenario's own number.
    jobs: int
    #: Times the fault was injected.
    injected: int = 0
    #: Marks that will arrive though no journal has them.
    strangers: set[str] = field(default_factory=set)
    #: Further checks at the end; each returns problems as text.
    checks: list[Check] = field(default_factory=list)
    #: Unix seconds from which recovery counts, if the fault ended before its injection did.
    over: float | None = None
    #: Unix seconds at which Redis lost everything, if the scenario sets it. What was accepted until
    #: then may be gone, and must be reported.
    wiped_at: float | None = None

    def fault_is_over(self) -> None:
        """Let recovery count from now on. The last call counts."""
        self.over = time.time()

    def goes_on(self) -> bool:
        """Whether there is time for more faults."""
        return time.monotonic() < self.until

    def seconds_left(self) -> float:
        """How much of the time for faults is left."""
        return max(0.0, self.until - time.monotonic())

    def pause(self, low_s: float, high_s: float | None = None) -> None:
        """Wait some time between two faults; not beyond the end."""
        wanted = low_s if high_s is None else self.chance.uniform(low_s, high_s)
        time.sleep(min(wanted, self.seconds_left()))

    def repeat(self, act: Act, low_s: float, high_s: float | None = None) -> None:
        """Inject again and again, with pauses between, until the time is up."""
        while self.goes_on():
            act(self)
            self.injected += 1
            self.pause(low_s, high_s)


#: Looks at the stores and the calls.
Check: TypeAlias = Callable[[Stores, Sequence[Call]], list[str]]
#: Injects once.
Act: TypeAlias = Callable[[Trial], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the table."""

    name: str
    #: What is done, in a line.
    what: str
    inject: Act
    #: How long faults are injected, unless the command line says otherwise.
    seconds: float = 12.0
    #: Time in which everything must be delivered after the fault, besides the time that delivering
    #: the rest takes (see `running.DRAINED_A_SECOND`).
    bound_s: float = 60.0
    #: Whether a worker may not know what took effect: then operations without an id at Customer.io
    #: may arrive again.
    ambiguous: bool = True
    stack: StackPlan = field(default_factory=StackPlan)
    traffic: TrafficPlan = field(default_factory=TrafficPlan)
    #: Jobs a run of the usual length has.
    jobs: int = 5_000
    #: Whether anyone gets more than one job: else there is no order to check.
    ordered: bool = True
    #: The sandbox's faults from the first call until everything is settled.
    api: tuple[dict[str, Any], ...] = ()
    #: Reasons for which any job may rightly be a dead letter.
    also_dead: tuple[str, ...] = ()
    #: What cannot be promised here, and by whose doing.
    note: str = ""
    #: Whether a Prometheus scrapes the stack, and its last values are compared with the accounts.
    observed: bool = False
    #: Left out unless it is asked for.
    on_request: bool = False


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, what: str, **details: Any) -> Callable[[Act], Act]:
    """Put a scenario on the list; the function injects its fault until the trial's time is up.

    Args:
        details: fields of `Scenario`.
    """

    def add(inject: Act) -> Act:
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(name=name, what=what, inject=inject, **details)
        return inject

    return add
