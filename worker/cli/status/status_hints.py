"""What an operator should know first, and what to do: computed from a snapshot, worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from trackrelay.queue.append import MEMORY_MARK
from trackrelay.worker.cli.common.humanize import (
    ago,
    count,
    duration,
    jobs_wait,
    listed,
    sentence,
)
from trackrelay.worker.cli.common.incident_report import ACKNOWLEDGE, describe
from trackrelay.worker.delivery.intake import MAX_DELIVERIES
from trackrelay.worker.endpoint_families import DELIVERS
from trackrelay.worker.queue import failed_calls
from trackrelay.worker.queue.queue_agreement import DIFFERS

from .finding_status import hint_text as finding_hint
from .plan_line import plan_hints
from .snapshot import BreakerStatus, RedisStatus, Snapshot
from .verification_status import hint_texts

Severity = Literal["wrong", "warning", "note"]

#: A shard whose jobs no worker has taken for this long is stuck.
STUCK_S = 60
#: Relays take rows within a second: after this time something hinders them.
RELAY_S = 60
#: Beats report every second: after this time none runs.
BEAT_S = 60
#: An entry that was delivered to workers this often may be what ends them.
SUSPICIOUS_DELIVERIES = 3
#: A wait because of the request rate that is worth a warning.
LONG_WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing to know, and the command that helps."""

    severity: Severity
    text: str
    command: str = ""


def hints(snapshot: Snapshot) -> list[Hint]:
    """Return everything that an operator should do something about, worst first."""
    found = [
        *_stores(snapshot),
        *_incidents(snapshot),
        *_delivery(snapshot),
        *_shards(snapshot),
        *_outbox(snapshot),
        *_memory(snapshot),
        *_failed_calls(snapshot),
        *_dead_letters(snapshot),
        *_forgotten(snapshot),
        *(Hint(*each) for each in (*hint_texts(snapshot), *plan_hints(snapshot))),
        *_findings(snapshot),
        *_workers(snapshot),
    ]
    order: tuple[Severity, ...] = ("wrong", "warning", "note")
    return sorted(found, key=lambda hint: order.index(hint.severity))


def _stores(snapshot: Snapshot) -> Iterator[Hint]:
    if snapshot.redis_problem:
        yield _problem(snapshot.redis_problem)
    if snapshot.postgres_problem:
        yield _problem(snapshot.postgres_problem)
    if snapshot.outbox_problem:
        command = "trackrelay relay" if snapshot.outbox else "trackrelay check"
        yield _problem(snapshot.outbox_problem, command)
    if snapshot.postgres and snapshot.postgres.ledger_problem:
        yield Hint("warning", sentence(snapshot.postgres.ledger_problem), "trackrelay check")
    if snapshot.redis is None and snapshot.redis_problem:
        yield Hint(
            "note",
            "Calls raise QueueUnavailableError until Redis is back; the jobs in it are kept.",
        )
    if snapshot.postgres is None and snapshot.redis and snapshot.redis.queued:
        yield Hint(
            "note",
            "Nothing is delivered while Postgres is away; the jobs wait in Redis, none is lost.",
        )


def _problem(problem: str, command: str = "trackrelay check") -> Hint:
    return Hint("wrong", sentence(problem), command)


def _incidents(snapshot: Snapshot) -> Iterator[Hint]:
    for incident in snapshot.postgres.incidents if snapshot.postgres else []:
        yield Hint("wrong", f"{describe(incident)}.", f"{ACKNOWLEDGE} {incident.id}")


def _delivery(snapshot: Snapshot) -> Iterator[Hint]:
    if snapshot.redis is None:
        return
    if not snapshot.redis.alive and snapshot.redis.config:
        yield _no_worker(snapshot)
    for breaker in snapshot.redis.stopped:
        yield _breaker(breaker, snapshot)
    for message, processes in snapshot.redis.refusing.items():
        who = (
            f"process {processes[0]} delivers"
            if len(processes) == 1
            else f"processes {listed(processes)} deliver"
        )
        yield Hint("wrong", f"Worker {who} nothing: {message}. {_CORRECT}", "trackrelay check")
    yield from _singles(snapshot, snapshot.redis)


def _forgotten(snapshot: Snapshot) -> Iterator[Hint]:
    unfinished = snapshot.postgres.forgotten.unfinished if snapshot.postgres else 0
    if unfinished:
        yield Hint(
            "warning",
            f"Not complete: {count(unfinished, 'request')} to forget a person. Payloads may be "
            "left, or Customer.io was not told. Run the command again with the same names.",
            "trackrelay forget PERSON",
        )


def _findings(snapshot: Snapshot) -> Iterator[Hint]:
    if text := finding_hint(snapshot):
        yield Hint("warning", text, "trackrelay quality")


def _no_worker(snapshot: Snapshot) -> Hint:
    gone = [each for each in (snapshot.redis.workers if snapshot.redis else []) if not each.alive]
    text = "No worker runs"
    if gone:
        last = max(gone, key=lambda each: each.seen)
        text += f"; the heartbeat of {last.hostname} was lost {ago(snapshot.now - last.seen)}"
    if snapshot.undelivered:
        text = f"{text}, and {jobs_wait(snapshot.undelivered)}. Start one."
        return Hint("wrong", text, "trackrelay worker")
    return Hint("warning", f"{text}; no job waits yet. Start one.", "trackrelay worker")


_CORRECT = (
    "Nothing is lost: correct it and restart the workers, and delivery resumes. "
    "A changed …_FILE needs no restart."
)
#: For each reason of a breaker: what is wrong, what happens next, and the command that helps.
_BREAKER_REASONS = {
    "outage": (
        "Customer.io does not answer as it should",
        "Nothing is lost, and nothing has to be done: delivery resumes by itself when Customer.io "
        "answers again (https://status.customer.io).",
        "",
    ),
    "rate_limited": (
        "Customer.io limits the rate of requests",
        "Delivery resumes by itself, slower. If this happens often, lower "
        "TRACKRELAY_REQUESTS_PER_SECOND, or find out what else uses the workspace's limit.",
        "",
    ),
    # The answer of the region endpoint names the settings already.
    "credentials": ("", _CORRECT, "trackrelay check"),
    "region": ("", _CORRECT, "trackrelay check"),
    "workspace": ("", _CORRECT, "trackrelay check"),
    "refused": (
        "Customer.io refuses every job with the same message",
        "Is this the right workspace, and do applications send what it accepts? Delivery resumes "
        "by itself with the first job that is accepted.",
        "trackrelay check",
    ),
}


def _breaker(breaker: BreakerStatus, snapshot: Snapshot) -> Hint:
    what, then, command = _BREAKER_REASONS.get(breaker.reason, ("Delivery has stopped", "", ""))
    problem = ": ".join(filter(None, (what, breaker.message)))
    whose = f" of {DELIVERS[breaker.family]}" if breaker.family else ""
    since = (
        f" Delivery{whose} stopped {ago(snapshot.now - breaker.since)};" if breaker.since else ""
    )
    text = (
        f"{problem[:1].upper()}{problem[1:]}.{since} {next_attempt(breaker, snapshot.now)}. {then}"
    )
    return Hint("wrong" if breaker.state == "halted" else "warning", text, command)


def next_attempt(breaker: BreakerStatus, now: float) -> str:
    """Return when delivery is attempted next."""
    left = breaker.until - now
    return f"the next attempt is in {duration(left)}" if left > 0 else "the next attempt is due now"


def _singles(snapshot: Snapshot, redis: RedisStatus) -> Iterator[Hint]:
    # Batches come first; single requests get at most three quarters of the request rate.
    rate = snapshot.settings.requests_per_second
    waiting = redis.sample.share * redis.queued
    waiting += sum(
        each.singles for each in (snapshot.postgres.backlog if snapshot.postgres else [])
    )
    seconds = waiting / (0.75 * rate)
    if seconds > LONG_WAIT_S:
        yield Hint(
            "warning",
            f"About {count(round(waiting), 'waiting job')} (anonymous events, forms, metrics, "
            f"large events) need their own request: at {rate:g} requests/s that takes "
            f"{duration(seconds)}. Customer.io's published limit is 1,000/s: "
            "TRACKRELAY_REQUESTS_PER_SECOND can be raised.",
        )


def _shards(snapshot: Snapshot) -> Iterator[Hint]:
    if snapshot.redis is None or snapshot.postgres is None:
        return
    if snapshot.postgres.paused:
        yield _paused(snapshot, sorted(snapshot.postgres.paused))
    for shard in snapshot.redis.shards:
        deliveries = max(lane.deliveries for lane in shard.lanes.values())
        if deliveries >= SUSPICIOUS_DELIVERIES:
            yield Hint(
                "warning",
                f"Shard {shard.number}: workers took its first entry {deliveries} times without "
                "settling it. It may be what ends them: see their log. "
                f"After {MAX_DELIVERIES} times it becomes a dead letter.",
            )
    yield from _moving(snapshot.redis)
    yield from _stuck(snapshot, snapshot.redis)


def _moving(redis: RedisStatus) -> Iterator[Hint]:
    if redis.moving == "layout" and redis.config:
        yield Hint(
            "warning",
            "The number of shards is being changed, and delivery waits for the last step. "
            "If no `trackrelay reshard` runs any more, it was interrupted: run it again.",
            f"trackrelay reshard {redis.config.shards}",
        )
    elif redis.moving and redis.moving != DIFFERS:
        yield Hint("note", "The number of shards is being changed; delivery resumes after that.")


def _paused(snapshot: Snapshot, shards: list[int]) -> Hint:
    assert snapshot.postgres is not None
    longest = duration(snapshot.now - min(snapshot.postgres.paused.values()))
    if len(shards) == snapshot.postgres.shards:
        return Hint("warning", f"Delivery is paused for {longest}.", "trackrelay resume")
    numbers = listed([str(shard) for shard in shards])
    options = " ".join(f"--shard {shard}" for shard in shards)
    return Hint(
        "warning", f"Paused: shard {numbers}, for {longest}.", f"trackrelay resume {options}"
    )


def _stuck(snapshot: Snapshot, redis: RedisStatus) -> Iterator[Hint]:
    if redis.is_stopped or not redis.alive or redis.moving or snapshot.postgres is None:
        return
    stuck = [
        str(shard.number)
        for shard in redis.shards
        if not shard.held
        and shard.number not in snapshot.postgres.paused
        and shard.oldest is not None
        and snapshot.now - shard.oldest > STUCK_S
    ]
    if stuck:
        yield Hint(
            "wrong",
            f"Shard {listed(stuck)}: jobs have waited for more than {duration(STUCK_S)}, and no "
            "worker takes them. The workers' log names the cause "
            '(look for "shard_halted", "delivery_interrupted").',
        )


def _outbox(snapshot: Snapshot) -> Iterator[Hint]:
    outbox = snapshot.outbox
    age = snapshot.age(outbox.oldest) if outbox and not snapshot.outbox_problem else None
    if outbox and age is not None and age > RELAY_S:
        yield Hint(
            "wrong",
            f"Outbox: {jobs_wait(outbox.jobs)} for up to {duration(age)}, and no relay takes "
            "them. Start a worker with TRACKRELAY_OUTBOX_URL, or a relay beside the application. "
            'If one runs, its log names the cause (look for "relay_interrupted").',
            "trackrelay relay",
        )


def _memory(snapshot: Snapshot) -> Iterator[Hint]:
    if snapshot.redis is None:
        return
    memory = snapshot.redis.memory
    if memory.share >= MEMORY_MARK:
        yield Hint(
            "wrong",
            f"Redis uses {memory.share:.0%} of its maxmemory: calls raise QueueFullError from "
            f"{MEMORY_MARK:.0%} on. Workers drain the queue while delivery works; "
            "otherwise raise maxmemory.",
        )
    if memory.policy.startswith("allkeys"):
        yield Hint(
            "wrong",
            f"Redis may delete queued jobs: its maxmemory-policy is {memory.policy}.",
            "trackrelay check",
        )
    if snapshot.redis.queued >= snapshot.settings.max_queue_length:
        limit = f"{snapshot.settings.max_queue_length:,}"
        yield Hint(
            "wrong",
            f"The queue is full ({limit} jobs): calls raise QueueFullError.",
            "trackrelay drain",
        )


def _failed_calls(snapshot: Snapshot) -> Iterator[Hint]:
    if snapshot.redis is None:
        return
    calls = snapshot.redis.failed_calls
    if number := calls.count("unavailable"):
        yield Hint(
            "wrong",
            f"{count(number, 'call')} of the last 24 hours enqueued nothing and "
            f"{'was' if number == 1 else 'were'} only logged, because the queue could not be "
            f"reached: {failed_calls.describe(calls.unavailable)}. The applications' logs name "
            "each job. With TRACKRELAY_ON_UNAVAILABLE=outbox, no job is lost.",
        )
    if number := calls.count("refused"):
        yield Hint(
            "warning",
            f"{count(number, 'call')} of the last 24 hours {'was' if number == 1 else 'were'} "
            "refused, because Customer.io would refuse "
            f"{'it' if number == 1 else 'them'}: {failed_calls.describe(calls.refused)}. "
            "Correct these calls; until then, TRACKRELAY_ON_INVALID=dead_letter keeps their data.",
        )


def _dead_letters(snapshot: Snapshot) -> Iterator[Hint]:
    if snapshot.postgres is None:
        return
    dead = [each for each in snapshot.postgres.dead_letters if each.state == "open"]
    if not dead:
        return
    newest = max(dead, key=lambda each: each.newest)
    error = f": {newest.error}" if newest.error else ""
    yield Hint(
        "warning",
        f"{count(snapshot.postgres.dead('open'), 'open dead letter')}; the newest: "
        f"{newest.reason} {ago(snapshot.now - newest.newest)}{error}. "
        "Repair and replay them, or discard them.",
        "trackrelay dead-letters list",
    )


def _workers(snapshot: Snapshot) -> Iterator[Hint]:
    if snapshot.redis is None or not snapshot.redis.config:
        return
    versions = sorted({worker.version for worker in snapshot.redis.alive})
    if len(versions) > 1:
        yield Hint(
            "warning",
            f"Workers of different versions run: {listed(versions)}. Deploy one everywhere.",
        )
    # A worker that could not ask at its start does not know its workspace.
    places = {each.endpoint for each in snapshot.redis.destinations}
    workspaces = {each.workspace for each in snapshot.redis.destinations} - {""}
    if len(places) > 1 or len(workspaces) > 1:
        places |= {f"workspace {each}" for each in workspaces}
        yield Hint(
            "wrong",
            f"Workers deliver to different places: {listed(sorted(places))}. "
            "Give all of them the same CUSTOMERIO_… settings.",
            "trackrelay check",
        )
    gone = [each for each in snapshot.redis.workers if not each.alive]
    if gone and snapshot.redis.alive:
        last = max(gone, key=lambda each: each.seen)
        yield Hint(
            "note",
            f"The heartbeat of worker {last.hostname} was lost {ago(snapshot.now - last.seen)}; "
            "others have taken over its work.",
        )
    beat = snapshot.age(snapshot.redis.beat)
    if beat is not None and beat > BEAT_S:
        yield Hint(
            "note",
            f"The last beat was seen {ago(beat)}. "
            "Without one, workers still find due retries and prune.",
            "trackrelay beat",
        )
