"""Measured figures and their statistics."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from .stack import Usage


@dataclass(frozen=True)
class Throughput:
    """One run of one contender."""

    name: str
    mix: str
    operations: int
    delivered_per_s: float
    cpu_s_per_10k: float
    peak_mb: float
    requests_per_10k: float
    #: The share of one core that the sandbox used: well below 1, it was not the bottleneck.
    sandbox_cores: float

    @classmethod
    def of(
        cls,
        name: str,
        mix: str,
        operations: int,
        elapsed_s: float,
        usage: Usage,
        requests: int,
        sandbox_cores: float,
    ) -> Self:
        """Return the throughput from counts."""
        per_10k = 10_000 / operations
        return cls(
            name=name,
            mix=mix,
            operations=operations,
            delivered_per_s=round(operations / elapsed_s, 1),
            cpu_s_per_10k=round(usage.cpu_s * per_10k, 3),
            peak_mb=round(usage.peak_mb, 1),
            requests_per_10k=round(requests * per_10k, 1),
            sandbox_cores=round(sandbox_cores, 2),
        )


@dataclass(frozen=True)
class Repeated:
    """Several runs of one contender: medians and spread."""

    median: Throughput
    #: (largest - smallest) / median of delivered_per_s.
    spread: float
    runs: int

    @classmethod
    def of(cls, runs: Sequence[Throughput]) -> Self:
        """The run with the median throughput."""
        ordered = sorted(runs, key=lambda run: run.delivered_per_s)
        middle = ordered[len(ordered) // 2]
        return cls(middle, spread([run.delivered_per_s for run in runs]), len(runs))

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the results file."""
        return asdict(self.median) | {"spread": self.spread, "runs": self.runs}


def spread(values: Sequence[float]) -> float:
    """Return (largest - smallest) / median."""
    middle = statistics.median(values)
    return round((max(values) - min(values)) / middle, 3) if middle else 0.0


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return median and 99th percentile."""
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 2),
        "max": round(ordered[-1], 2),
    }
