"""The accounts of an example: drawn after every step, and closed at its end."""

from collections import Counter
from dataclasses import dataclass

from tests.integration.worker.model.calls import Call
from tests.integration.worker.model.world import MAX_ATTEMPTS, Seen, World
from trackrelay.operations.operation import Operation
from trackrelay.worker.delivery.intake import MAX_DELIVERIES


@dataclass(frozen=True)
class Before:
    """What there was when a holder began."""

    effects: int


class Accounts:
    """What must be true at any moment, and what once everything has been worked off."""

    def __init__(self, world: World) -> None:
        self._world = world
        #: How often a job took effect and its holder could not write it down.
        self._interrupted: Counter[str] = Counter()
        self._numbers: dict[str, int] = {}
        self._holds_that_died = 0

    def number_of(self, id: str) -> int:
        """Return the number of a job. Ids are different in each run."""
        return self._numbers[id]

    def accepted(self, operation: Operation, lane: str) -> None:
        """Record a call."""
        log = self._world.call_log
        for each in filter(None, (operation.companion, operation)):
            self._numbers.setdefault(each.id, len(self._numbers))
            keys = tuple(self._world.stored(key) for key in each.keys)
            log.calls.append(Call(log.next_moment(), lane, each.id, keys, each.name))

    def begin_hold(self) -> Before:
        """Return the state before a hold."""
        return Before(len(self._world.api.effects))

    def end_hold(self, before: Before, *, interrupted: bool) -> None:
        """Check that a holder that was not interrupted has settled whatever it sent."""
        seen = self._world.look()
        unsettled = [
            job.id for job in self._world.api.effects[before.effects :] if job.id not in seen.ledger
        ]
        if interrupted:
            self._holds_that_died += 1
            self._interrupted.update(unsettled)
        else:
            forgotten = [id for id in unsettled if not self._world.api.unsure[id]]
            assert not forgotten, f"delivered, and not settled: {self._named(forgotten)}"
        self.check(seen)

    def check(self, seen: Seen | None = None) -> None:
        """Check what is true at any moment."""
        seen = seen or self._world.look()
        api = self._world.api
        assert not api.wrong, api.wrong
        self._check_nothing_is_lost(seen)
        self._check_due_times(seen)
        self._check_dead_letters(seen)
        twice = [
            id for id, times in Counter(job.id for job in api.effects).items()
            if times > 1 + api.unsure[id] + self._interrupted[id]
        ]  # fmt: skip
        assert not twice, f"took effect too often: {self._named(twice)}"
        disorder = self._world.call_log.disorder(api.effects)
        assert not disorder, (disorder, self._numbers)

    def close(self) -> None:
        """Check what is true once all jobs are settled."""
        seen = self._world.look()
        assert not seen.in_streams, f"still in a stream: {self._named(seen.in_streams)}"
        assert not seen.rows, (
            f"waiting for ever: {[(self.number_of(row.id), row) for row in seen.rows]}"
        )
        dead = {id for id, (state, _) in seen.letters.items() if state != "delivered"}
        assert not dead & seen.ledger - self._world.call_log.discarded, (
            f"dead and delivered: {self._named(dead & seen.ledger)}"
        )
        replaying = [id for id, (state, _) in seen.letters.items() if state == "replaying"]
        assert not replaying, (
            f"letters that are still marked as replaying: {self._named(replaying)}"
        )
        taken = {job.id for job in self._world.api.effects}
        assert seen.ledger <= taken, (
            f"in the ledger, and never delivered: {self._named(seen.ledger - taken)}"
        )

    def _check_nothing_is_lost(self, seen: Seen) -> None:
        places = {(row.id, row.key) for row in seen.rows}
        by_shard: dict[int, set[str]] = {}
        for (shard, _), ids in seen.streams.items():
            by_shard.setdefault(shard, set()).update(ids)
        shard_of = self._shards()
        covered = set(seen.settled)
        for call in self._world.call_log.calls:
            if all(
                (call.id, key) in places or call.id in by_shard.get(shard_of[key], ())
                for key in call.keys
            ):
                covered.add(call.id)
        lost = self._world.call_log.ids - covered
        assert not lost, f"lost: {self._named(lost)}, {seen}"

    def _shards(self) -> dict[str, int]:
        plain = [f"id:p{number}" for number in range(5)] + [
            f"anonymous:a{number}" for number in range(5)
        ]
        return {self._world.stored(key): self._world.shard_of(key) for key in plain}

    def _check_due_times(self, seen: Seen) -> None:
        begun: set[tuple[int, str, str]] = set()
        for row in seen.rows:
            is_first = (row.shard, row.lane, row.key) not in begun
            begun.add((row.shard, row.lane, row.key))
            assert row.is_timed == is_first, (
                f"{'first' if is_first else 'not first'}, and due is {row.is_timed}: {row}"
            )

    def _check_dead_letters(self, seen: Seen) -> None:
        api = self._world.api
        for id, (_, reason) in seen.letters.items():
            rightly = {
                "rejected": id in api.refused,
                "exhausted": api.failed_alone[id] >= MAX_ATTEMPTS,
                "crashed": self._holds_that_died >= MAX_DELIVERIES,
            }
            assert rightly.get(reason), (
                f"job {self.number_of(id)} is a dead letter, {reason}, and should not be"
            )

    def _named(self, ids: object) -> list[int]:
        return sorted(self.number_of(id) for id in ids)  # type: ignore[attr-defined]
