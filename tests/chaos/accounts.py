"""Reconciles what every producer was told with the stores and the sandbox. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from trackrelay.operations.registry import ACTIONS
from trackrelay.sandbox.client import Effect

from . import marks
from .calls import Call
from .order import Step, follow
from .stores import Stores

#: Operations after which nothing may be sent for their keys before they are settled.
BARRIERS = frozenset(action.name for action in ACTIONS if action.is_barrier)
#: Where a job can be, the last place first.
PLACES = ("ledger", "dead", "backlog", "stream", "outbox")
#: What Customer.io knows by nothing, so that a repeat may count there twice.
WITHOUT_ID = ("form.", "delivery.", "segment.")


@dataclass(slots=True)
class Accounts:
    """What came of it."""

    #: Jobs whose calls were accepted.
    jobs: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    #: Events that arrived again and were ignored, by their id.
    repeats_ignored: int = 0
    #: Identifies and the like that arrived again, with the time they had the first time.
    repeats_harmless: int = 0
    #: Forms, metrics, segments that arrived again: Customer.io has no id to know them by.
    repeats_without_id: int = 0
    #: Jobs lost with a Redis that was wiped. The scenario checks whether the loss was reported.
    gone: int = 0
    #: Calls that failed for good, and how many of their jobs still arrived.
    given_up: int = 0
    given_up_arrived: int = 0
    #: What was checked: effects, and steps from one job of a key to the next.
    arrived: int = 0
    steps: int = 0
    #: Each loss, duplicate and misorder, in words.
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.duplicated or self.out_of_order or self.problems)


def draw(
    calls: Sequence[Sequence[Call]],
    stores: Stores,
    effects: Sequence[Effect],
    attributes: Mapping[str, object],
    *,
    ambiguous: bool,
    also_dead: Collection[str] = (),
    strangers: Collection[str] = (),
    midway: tuple[Stores, float] | None = None,
    wiped_at: float | None = None,
) -> Accounts:
    """Draw the accounts.

    Args:
        calls: each producer's journal.
        effects: what the sandbox accepted, ignored ones included, in order.
        attributes: the number each person has in the end, by key.
        ambiguous: whether the fault can leave a worker not knowing what took effect. If not,
            nothing may arrive twice.
        also_dead: reasons for which any job may rightly be dead in this scenario.
        strangers: marks that arrive without having been called for in a journal.
        midway: where the jobs were when the fault ended, and the unix seconds of the first look.
        wiped_at: unix seconds at which Redis lost everything; jobs accepted until then may be
            nowhere.
    """
    drawing = _Drawing(
        calls, stores, effects, ambiguous, frozenset(also_dead), frozenset(strangers)
    )
    drawing.wiped_at = wiped_at
    drawing.whereabouts()
    if midway is not None:
        drawing.midway(*midway)
    drawing.arrivals()
    drawing.order()
    drawing.state(attributes)
    return drawing.accounts


class _Drawing:
    def __init__(
        self,
        calls: Sequence[Sequence[Call]],
        stores: Stores,
        effects: Sequence[Effect],
        ambiguous: bool,
        also_dead: frozenset[str],
        strangers: frozenset[str],
    ) -> None:
        self.accounts = Accounts()
        self._journals = calls
        self._all = [call for journal in calls for call in journal]
        self._accepted: dict[str, Call] = {}
        for call in self._all:
            if call.told == "accepted":
                self._accepted.setdefault(call.id, call)
        self._stores = stores
        self._effects = [(mark, effect) for effect in effects for mark in marks.of_effect(effect)]
        self._ambiguous = ambiguous
        self._also_dead = also_dead
        self._strangers = strangers
        self.wiped_at: float | None = None

    # -- every accepted job is in exactly one place, and it is the right one

    def whereabouts(self) -> None:
        accounts, stores = self.accounts, self._stores
        accounts.jobs = len(self._accepted)
        for call in self._accepted.values():
            places = [name for name in PLACES if call.id in getattr(stores, name)]
            if not places and self._may_be_gone(call):
                accounts.gone += 1
            elif not places:
                self._lost(call, "is nowhere")
            elif "ledger" in places or "dead" in places:
                self._settled(call, places)
            else:
                self._lost(call, f"still waits in the {places[0]}{self._why_waiting(call)}")

    def _settled(self, call: Call, places: Sequence[str]) -> None:
        if "ledger" in places and "dead" in places:
            self._duplicated(call, "is in the ledger and a dead letter")
        elif len(places) > 1:
            # Settled, and yet there to be taken up again.
            self._duplicated(call, f"is in the {places[0]} and still in the {places[-1]}")
        elif "dead" in places and not self._rightly_dead(call):
            letter = self._stores.dead[call.id]
            self._lost(call, f"is a dead letter: {letter.reason}: {letter.error}")
        elif "ledger" in places and call.fate == "dead":
            self.accounts.problems.append(
                f"{_name(call)} was delivered, though it should have been refused"
            )

    def _rightly_dead(self, call: Call) -> bool:
        return call.fate == "dead" or self._stores.dead[call.id].reason in self._also_dead

    def _why_waiting(self, call: Call) -> str:
        return f" ({self._stores.backlog[call.id]})" if call.id in self._stores.backlog else ""

    # -- at no moment is an accepted job nowhere, not even one that is found again

    def midway(self, stores: Stores, looked_at: float) -> None:
        somewhere = (
            stores.outbox
            | stores.stream
            | stores.backlog.keys()
            | stores.dead.keys()
            | stores.ledger.keys()
        )
        for call in self._accepted.values():
            if call.ended < looked_at and call.id not in somewhere and not self._may_be_gone(call):
                self._lost(call, "was nowhere when the fault ended")

    def _may_be_gone(self, call: Call) -> bool:
        return self.wiped_at is not None and call.began <= self.wiped_at

    # -- what the ledger calls delivered did arrive, and took effect once

    def arrivals(self) -> None:
        accounts = self.accounts
        arrived = Counter(mark for mark, _ in self._effects)
        accounts.arrived = arrived.total()
        took_effect = Counter(mark for mark, effect in self._effects if not effect["ignored"])
        called: dict[str, list[Call]] = {}
        for call in self._all:
            called.setdefault(call.mark, []).append(call)
        for mark in arrived.keys() - called.keys() - self._strangers:
            accounts.problems.append(f"{mark} arrived, but nobody called for it")
        for mark, same in called.items():
            self._one_mark(mark, same, arrived[mark], took_effect[mark])
        accounts.repeats_ignored = sum(
            1 for _, effect in self._effects if effect["ignored"] and effect["note"] == "duplicate"
        )
        given_up = {
            call.id: call
            for call in self._all
            if call.told == "raised" and call.id not in self._accepted
        }
        accounts.given_up = len(given_up)
        accounts.given_up_arrived = sum(1 for call in given_up.values() if arrived[call.mark])

    def _one_mark(self, mark: str, same: Sequence[Call], arrived: int, took_effect: int) -> None:
        if same[0].told == "rolled back":
            if arrived or same[0].id in self._stores.ledger:
                self.accounts.problems.append(
                    f"{_name(same[0])} arrived, though its transaction was rolled back"
                )
            return
        ids = {call.id for call in same}
        delivered = len(ids & self._stores.ledger.keys())
        if arrived < delivered:
            self.accounts.lost += delivered - arrived
            self.accounts.problems.append(f"{_name(same[0])} is in the ledger, but never arrived")
        # Only jobs that carry nothing but their person share a mark.
        calls = len(ids) if f"person.{mark.partition(':')[0]}" in BARRIERS else 1
        if not self._ambiguous and arrived > calls:
            self.accounts.duplicated += arrived - calls
            self.accounts.problems.append(f"{_name(same[0])} arrived {arrived} times, not {calls}")
            return
        extra = took_effect - calls
        if extra <= 0:
            return
        kind = same[0].operation
        if kind.startswith(WITHOUT_ID):
            self.accounts.repeats_without_id += extra
        elif kind.partition(".")[2] not in ("event", "page", "screen"):
            self.accounts.repeats_harmless += extra
        else:
            self.accounts.duplicated += extra
            self.accounts.problems.append(
                f"{_name(same[0])} took effect {took_effect} times, not {calls}"
            )

    # -- each key's effects in the order of its calls, lane by lane

    def order(self) -> None:
        expected = self._expected()
        wanted = {mark for steps in expected.values() for mark in (step.mark for step in steps)}
        keys_of: dict[str, set[tuple[str, str]]] = {}
        for place, steps in expected.items():
            for step in steps:
                keys_of.setdefault(step.mark, set()).add(place)
        walks: dict[tuple[str, str], list[str]] = {place: [] for place in expected}
        for mark, _ in self._effects:
            if mark in wanted:
                for place in keys_of[mark]:
                    walks[place].append(mark)
        for place, steps in expected.items():
            self.accounts.steps += len(steps) - 1
            walk = follow(steps, walks[place])
            if walk.faults:
                self.accounts.out_of_order += 1
                self.accounts.problems.append(
                    f"{place[0]} ({place[1]}): {'; '.join(walk.faults[:3])}"
                )
            elif walk.missing and not self.accounts.lost:
                self.accounts.lost += len(walk.missing)
                self.accounts.problems.append(
                    f"{place[0]} ({place[1]}): {walk.missing[0]} never arrived"
                )

    def _expected(self) -> dict[tuple[str, str], list[Step]]:
        expected: dict[tuple[str, str], list[Step]] = {}
        placed: set[str] = set()
        for journal in self._journals:
            for call in journal:
                if (
                    call.id in placed
                    or call.told != "accepted"
                    or call.id not in self._stores.ledger
                ):
                    continue
                placed.add(call.id)
                for key in call.keys:
                    steps = expected.setdefault((key, call.lane), [])
                    steps.append(Step(call.mark, call.operation in BARRIERS))
        return expected

    # -- each person's last state is that of the last call

    def state(self, attributes: Mapping[str, object]) -> None:
        if self.accounts.lost:
            return
        last: dict[str, object] = {}
        merged: set[str] = set()
        for journal in self._journals:
            for call in journal:
                if call.told != "accepted" or call.id not in self._stores.ledger:
                    continue
                key = call.keys[0]
                if call.operation == "person.identify" and call.mark.startswith("n:"):
                    last[key] = call.mark.removeprefix("n:")
                elif call.operation in ("person.delete", "person.suppress"):
                    last[key] = None
                elif call.operation == "person.merge":
                    merged.add(call.keys[1])
        for key, number in last.items():
            if key not in merged and attributes.get(key) != number:
                self.accounts.out_of_order += 1
                self.accounts.problems.append(
                    f"{key} ended with {attributes.get(key)!r}; the last identify has {number!r}"
                )

    def _lost(self, call: Call, what: str) -> None:
        self.accounts.lost += 1
        self.accounts.problems.append(f"{_name(call)} {what}")

    def _duplicated(self, call: Call, what: str) -> None:
        self.accounts.duplicated += 1
        self.accounts.problems.append(f"{_name(call)} {what}")


def _name(call: Call) -> str:
    return f"{call.operation} {call.id} of {call.keys[0]} ({call.mark})"
