"""What to do. Pure: from how things stand to what a person should know first, worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from trackrelay.queue.append import MEMORY_MARK
from trackrelay.worker.cli.common.humanize import ago, count, duration, listed
from trackrelay.worker.cli.common.loss_report import ACKNOWLEDGE, describe
from trackrelay.worker.delivery.intake import MAX_DELIVERIES
from trackrelay.worker.endpoint_families import DELIVERS
from trackrelay.worker.queue.queue_agreement import DIFFERS

from .failed_calls import named
from .redis_snapshot import BreakerLook, RedisSide
from .snapshot import Snapshot

Severity = Literal["wrong", "warning", "note"]

#: A shard with work that nobody has touched for so long is stuck.
STUCK_S = 60
#: A relay takes rows on within a second.
RELAY_S = 60
#: Beats show themselves every second.
BEAT_S = 60
#: Entries handed out so often are what may end their workers.
SUSPICIOUS_DELIVERIES = 3
#: If what waits will take longer than this because of the request budget, it is worth saying.
LONG_WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing to know, and the command that helps."""

    severity: Severity
    text: str
    command: str = ""


def hints(now: Snapshot) -> list[Hint]:
    """Everything worth doing something about, worst first."""
    found = [
        *_stores(now),
        *_lost(now),
        *_delivery(now),
        *_shards(now),
        *_outbox(now),
        *_memory(now),
        *_calls(now),
        *_dead_letters(now),
        *_fleet(now),
    ]
    order: tuple[Severity, ...] = ("wrong", "warning", "note")
    return sorted(found, key=lambda hint: order.index(hint.severity))


def _stores(now: Snapshot) -> Iterator[Hint]:
    if now.redis_problem:
        yield _problem(now.redis_problem)
    if now.postgres_problem:
        yield _problem(now.postgres_problem)
    if now.outbox_problem:
        yield _problem(now.outbox_problem, "trackrelay relay" if now.outbox else "trackrelay check")
    if now.redis is None and now.redis_problem:
        yield Hint(
            "note",
            "Applications get QueueUnavailableError until Redis is back; what it already has waits there.",
        )
    if now.postgres is None and now.redis and now.redis.queued:
        yield Hint(
            "note",
            "Nothing is delivered while Postgres is away; jobs wait in Redis, and none is lost.",
        )


def _lost(now: Snapshot) -> Iterator[Hint]:
    for incident in now.postgres.incidents if now.postgres else []:
        yield Hint("wrong", f"{describe(incident)}.", f"{ACKNOWLEDGE} {incident.id}")


def _problem(problem: str, command: str = "trackrelay check") -> Hint:
    sentence = problem[:1].upper() + problem[1:]
    return Hint("wrong", sentence if sentence.endswith("?") else f"{sentence}.", command)


def _delivery(now: Snapshot) -> Iterator[Hint]:
    if now.redis is None:
        return
    if not now.redis.alive and now.redis.config:
        yield _no_worker(now)
    for breaker in now.redis.stopped:
        yield _breaker(breaker, now)
    for message, processes in now.redis.refusing.items():
        who = (
            f"process {processes[0]} delivers"
            if len(processes) == 1
            else f"processes {listed(processes)} deliver"
        )
        yield Hint("wrong", f"Worker {who} nothing: {message}. {_CORRECTED}", "trackrelay check")
    yield from _singles(now, now.redis)


def _no_worker(now: Snapshot) -> Hint:
    gone = [each for each in (now.redis.workers if now.redis else []) if not each.alive]
    text = "No worker runs"
    if gone:
        text += f"; {gone[0].hostname} went without a word {ago(now.now - max(each.seen for each in gone))}"
    if now.undelivered:
        waits = f"{count(now.undelivered, 'job')} wait{'s' if now.undelivered == 1 else ''}"
        return Hint("wrong", f"{text}, and {waits}. Start one.", "trackrelay worker")
    return Hint("warning", f"{text}; nothing waits yet. Start one.", "trackrelay worker")


_CORRECTED = "Nothing is lost: corrected and the workers restarted, delivery goes on by itself (a …_FILE is read again without that)."
_STOPPED = {
    "outage": (
        "Customer.io does not answer as it should",
        "Nothing is lost and nothing has to be done here: delivery goes on by itself once it answers "
        "(https://status.customer.io).",
        "",
    ),
    "rate_limited": (
        "Customer.io says that requests come too fast",
        "Delivery goes on by itself, slower. If this repeats, lower TRACKRELAY_REQUESTS_PER_SECOND, or see who else uses "
        "the workspace's limit.",
        "",
    ),
    # What the region endpoint was found to say names the settings already.
    "credentials": ("", _CORRECTED, "trackrelay check"),
    "region": ("", _CORRECTED, "trackrelay check"),
    "workspace": ("", _CORRECTED, "trackrelay check"),
    "refused": (
        "Everything is refused, in the same words",
        "Is this the right workspace, and do applications send what it takes? Delivery goes on by itself with the first job "
        "that is accepted.",
        "trackrelay check",
    ),
}


def _breaker(breaker: BreakerLook, now: Snapshot) -> Hint:
    what, then, command = _STOPPED.get(breaker.reason, ("Delivery has stopped", "", ""))
    said = ": ".join(filter(None, (what, breaker.message)))
    whose = f" of {DELIVERS[breaker.family]}" if breaker.family else ""
    since = f" Delivery{whose} stopped {ago(now.now - breaker.since)};" if breaker.since else ""
    text = f"{said[:1].upper()}{said[1:]}.{since} {next_try(breaker, now.now)}. {then}"
    return Hint("wrong" if breaker.state == "halted" else "warning", text, command)


def next_try(breaker: BreakerLook, now: float) -> str:
    """When somebody looks whether delivery is possible again."""
    left = breaker.until - now
    return f"the next attempt is in {duration(left)}" if left > 0 else "the next attempt is due now"


def _singles(now: Snapshot, redis: RedisSide) -> Iterator[Hint]:
    # Batches come first, singles get what the budget leaves: three quarters of it at the most.
    waiting = redis.sample.share * redis.queued
    waiting += sum(each.singles for each in (now.postgres.backlog if now.postgres else []))
    seconds = waiting / (0.75 * now.settings.requests_per_second)
    if seconds > LONG_WAIT_S:
        yield Hint(
            "warning",
            f"About {count(round(waiting), 'waiting job')} (anonymous events, forms, metrics, large events) need a request "
            f"each: at {now.settings.requests_per_second:g} requests/s that takes {duration(seconds)}. Customer.io publishes "
            "1,000/s: TRACKRELAY_REQUESTS_PER_SECOND can be raised.",
        )


def _shards(now: Snapshot) -> Iterator[Hint]:
    if now.redis is None or now.postgres is None:
        return
    if now.postgres.paused:
        yield _paused(now, sorted(now.postgres.paused))
    for shard in now.redis.shards:
        deliveries = max(lane.deliveries for lane in shard.lanes.values())
        if deliveries >= SUSPICIOUS_DELIVERIES:
            yield Hint(
                "warning",
                f"Shard {shard.number}: its first entry was handed out {deliveries} times without being settled. It may be "
                f"what ends its workers; after {MAX_DELIVERIES} times it becomes a dead letter. See the workers' log.",
            )
    yield from _moving(now.redis)
    yield from _stuck(now, now.redis)


def _moving(redis: RedisSide) -> Iterator[Hint]:
    if redis.moving == "layout" and redis.config:
        yield Hint(
            "warning",
            "The number of shards is being changed, and delivery waits for the last step. If no `trackrelay reshard` runs any "
            "more, it was interrupted: run it again.",
            f"trackrelay reshard {redis.config.shards}",
        )
    elif redis.moving and redis.moving != DIFFERS:
        yield Hint(
            "note", "The number of shards is being changed; delivery goes on when that is done."
        )


def _paused(now: Snapshot, shards: list[int]) -> Hint:
    assert now.postgres is not None
    longest = now.now - min(now.postgres.paused.values())
    if len(shards) == now.postgres.shards:
        return Hint("warning", f"Delivery is paused for {duration(longest)}.", "trackrelay resume")
    which = listed([str(shard) for shard in shards])
    options = " ".join(f"--shard {shard}" for shard in shards)
    return Hint(
        "warning",
        f"Paused: shard {which}, for {duration(longest)}.",
        f"trackrelay resume {options}",
    )


def _stuck(now: Snapshot, redis: RedisSide) -> Iterator[Hint]:
    if redis.is_stopped or not redis.alive or redis.moving or now.postgres is None:
        return
    stuck = [
        str(shard.number)
        for shard in redis.shards
        if not shard.held
        and shard.number not in now.postgres.paused
        and shard.oldest is not None
        and now.now - shard.oldest > STUCK_S
    ]
    if stuck:
        yield Hint(
            "wrong",
            f"Shard {listed(stuck)}: work waits for more than {duration(STUCK_S)}, and no worker takes it. The workers' log "
            'says why (look for "shard_halted", "delivery_interrupted").',
        )


def _outbox(now: Snapshot) -> Iterator[Hint]:
    age = now.age(now.outbox.oldest) if now.outbox and not now.outbox_problem else None
    if now.outbox and age is not None and age > RELAY_S:
        wait = f"{count(now.outbox.jobs, 'job')} {'waits' if now.outbox.jobs == 1 else 'wait'}"
        yield Hint(
            "wrong",
            f"Outbox: {wait} for up to {duration(age)}, and nobody relays. Workers with TRACKRELAY_OUTBOX_URL do, or a relay "
            'beside the application; the log of one that runs says what hinders it (look for "relay interrupted").',
            "trackrelay relay",
        )


def _memory(now: Snapshot) -> Iterator[Hint]:
    if now.redis is None:
        return
    memory = now.redis.memory
    if memory.share >= MEMORY_MARK:
        yield Hint(
            "wrong",
            f"Redis uses {memory.share:.0%} of its maxmemory: applications get QueueFullError from {MEMORY_MARK:.0%} on. The "
            "workers drain it as long as delivery works; otherwise give Redis more.",
        )
    if memory.policy.startswith("allkeys"):
        yield Hint(
            "wrong",
            f"Redis may throw away jobs: its maxmemory-policy is {memory.policy}.",
            "trackrelay check",
        )
    if now.redis.queued >= now.settings.max_queue_length:
        limit = f"{now.settings.max_queue_length:,}"
        yield Hint(
            "wrong",
            f"The queue is full ({limit} jobs): applications get QueueFullError.",
            "trackrelay drain",
        )


def _calls(now: Snapshot) -> Iterator[Hint]:
    if now.redis is None:
        return
    calls = now.redis.failed_calls
    if number := calls.count("unavailable"):
        yield Hint(
            "wrong",
            f"{count(number, 'call')} of the last 24 hours enqueued nothing and {'was' if number == 1 else 'were'} only logged, "
            f"as the queue could not be reached: {named(calls.unavailable)}. The applications' logs name each job. "
            "TRACKRELAY_ON_UNAVAILABLE=outbox loses none.",
        )
    if number := calls.count("refused"):
        yield Hint(
            "warning",
            f"{count(number, 'call')} of the last 24 hours {'was' if number == 1 else 'were'} refused, as Customer.io would "
            f"not take {'it' if number == 1 else 'them'}: {named(calls.refused)}. Correct these calls; "
            "TRACKRELAY_ON_INVALID=dead_letter keeps what they say until then.",
        )


def _dead_letters(now: Snapshot) -> Iterator[Hint]:
    dead = [
        each for each in (now.postgres.dead_letters if now.postgres else []) if each.state == "open"
    ]
    if not dead or now.postgres is None:
        return
    newest = max(dead, key=lambda each: each.newest)
    said = f": {newest.error}" if newest.error else ""
    yield Hint(
        "warning",
        f"{count(now.postgres.dead('open'), 'dead letter')} to look at; the newest, {newest.reason} "
        f"{ago(now.now - newest.newest)}{said}. Repair and replay them, or discard them.",
        "trackrelay dead-letters list",
    )


def _fleet(now: Snapshot) -> Iterator[Hint]:
    if now.redis is None or not now.redis.config:
        return
    versions = sorted({worker.version for worker in now.redis.alive})
    if len(versions) > 1:
        yield Hint(
            "warning",
            f"Workers of different versions run: {listed(versions)}. Deploy one everywhere.",
        )
    # A worker that could not ask at its start does not know its workspace.
    places = {each.endpoint for each in now.redis.destinations}
    workspaces = {each.workspace for each in now.redis.destinations} - {""}
    if len(places) > 1 or len(workspaces) > 1:
        places |= {f"workspace {each}" for each in workspaces}
        yield Hint(
            "wrong",
            f"Workers deliver to different places: {listed(sorted(places))}. Give all of them the same CUSTOMERIO_… settings.",
            "trackrelay check",
        )
    gone = [each for each in now.redis.workers if not each.alive]
    if gone and now.redis.alive:
        lost = max(gone, key=lambda each: each.seen)
        yield Hint(
            "note",
            f"Worker {lost.hostname} went without a word {ago(now.now - lost.seen)}; others took over its work.",
        )
    beat = now.age(now.redis.beat)
    if beat is not None and beat > BEAT_S:
        yield Hint(
            "note",
            f"The last beat was seen {ago(beat)}. Workers find due retries, and prune, without one.",
            "trackrelay beat",
        )
