"""The targets of a run, and whether it reached them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A figure of the results and its target."""

    group: str
    name: str
    says: str
    limit: float
    #: Whether a larger figure is better.
    at_least: bool = True

    def met(self, value: float) -> bool:
        """Whether a figure reaches the target."""
        return value >= self.limit if self.at_least else value <= self.limit


TARGETS = (
    Target("ratios", "bare_batch_1", "throughput ÷ bare `batch()` loop, one connection", 1.0),
    Target("ratios", "bare_batch_4", "throughput ÷ bare `batch()` loop, four connections", 0.6),
    Target("ratios", "best_celery_per_call", "throughput ÷ the best Celery task per call", 40),
    Target(
        "ratios",
        "enqueue_vs_delay_p50",
        "time of a call ÷ Celery's `.delay()`, p50 under load",
        0.25,
        False,
    ),
    Target("ratios", "enqueue_many_vs_delay", "rate of `enqueue_many()` ÷ rate of `.delay()`", 20),
    Target(
        "ratios", "ledger_10m_vs_empty", "throughput with a full ledger ÷ with an empty one", 0.9
    ),
    Target(
        "ratios", "backlog_drain_vs_fresh", "throughput of a draining backlog ÷ of new traffic", 0.5
    ),
    Target(
        "latency_ms",
        "idle_p50",
        "call to arrival when idle, p50, ms (the API takes 50)",
        100,
        False,
    ),
    Target("latency_ms", "p99_at_200", "call to arrival at 200/s, p99, ms", 200, False),
    Target(
        "latency_ms",
        "p99_beside_import",
        "call to arrival at 100/s beside an import, p99, ms",
        1000,
        False,
    ),
    Target(
        "latency_ms",
        "p99_beside_backlog",
        "call to arrival at 100/s beside a draining backlog, p99, ms",
        1000,
        False,
    ),
    Target(
        "latency_ms",
        "p99_half_anonymous",
        "call to arrival at 100/s, half of it anonymous (v1), p99, ms",
        1000,
        False,
    ),
    Target(
        "growth_checks",
        "memory_growth",
        "memory of a worker at the end ÷ after a fifth of the jobs",
        1.1,
        False,
    ),
)


def judged(results: dict[str, Any]) -> Iterator[tuple[Target, float, bool]]:
    """Return each target with a figure, the figure, and whether it reaches the target."""
    for target in TARGETS:
        value = results.get(target.group, {}).get(target.name)
        if value is not None:
            yield target, value, target.met(value)
