"""Counters that are exact across processes, restarts and machines.

A settlement adds its counts in its own transaction, to rows of its shard and of the minute. So the
counters agree with the ledger and the dead letters whatever crashes, and no two holders wait for
each other. Maintenance folds old rows into fewer. The sum of all rows stays the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from .counts import SAMPLES, Counts, Name, Tally
from .pg_values import number_array, text_array

Step = Literal["minute", "hour", "day"]
Labels = tuple[str, ...]

#: The shard of counts that belong to none, and of folded ones.
NO_SHARD = -1

_SAMPLED = ", ".join(f"'{name}'" for name in sorted(SAMPLES))

_ADD = sa.text("""
    INSERT INTO trackrelay_counters AS c (period, at, shard, name, labels, value, sum_ms, buckets)
    SELECT 'minute', date_trunc('minute', now()), :shard, name, labels, value, sum_ms,
        CAST(buckets AS bigint[])
    FROM unnest(CAST(:names AS text[]), CAST(:labels AS text[]), CAST(:values AS bigint[]),
        CAST(:sums AS bigint[]), CAST(:buckets AS text[]))
        AS added (name, labels, value, sum_ms, buckets)
    ON CONFLICT (period, at, shard, name, labels) DO UPDATE SET
        value = c.value + excluded.value, sum_ms = c.sum_ms + excluded.sum_ms,
        buckets = CASE WHEN excluded.buckets IS NULL THEN c.buckets ELSE (
            SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY number)
            FROM unnest(c.buckets, excluded.buckets) WITH ORDINALITY AS each (a, b, number)) END
""")

_SAMPLE = sa.text(f"""
    INSERT INTO trackrelay_counters (period, at, shard, name, labels, value, sum_ms)
    VALUES ('minute', date_trunc('minute', now()), {NO_SHARD}, :name, '', :value, :sum_ms)
    ON CONFLICT (period, at, shard, name, labels) DO NOTHING
""")


def _summed(rows: str, moment: str) -> str:
    """Return a query that sums rows by moment, name and labels, with the buckets one by one."""
    return f"""
    SELECT t.at, t.name, t.labels, t.value, t.sum_ms, b.buckets
    FROM (
        SELECT {moment} AS at, name, labels,
            CAST(CASE WHEN name IN ({_SAMPLED}) THEN max(value) ELSE sum(value) END AS bigint)
                AS value,
            CAST(CASE WHEN name IN ({_SAMPLED}) THEN max(sum_ms) ELSE sum(sum_ms) END AS bigint)
                AS sum_ms
        FROM {rows} GROUP BY 1, 2, 3) AS t
    LEFT JOIN (
        SELECT at, name, labels, array_agg(number ORDER BY place) AS buckets
        FROM (
            SELECT {moment} AS at, name, labels, place, CAST(sum(number) AS bigint) AS number
            FROM {rows}, unnest(buckets) WITH ORDINALITY AS each (number, place)
            GROUP BY 1, 2, 3, 4) AS counted
        GROUP BY 1, 2, 3) AS b
    ON (b.at, b.name, b.labels) = (t.at, t.name, t.labels)
    """


_TOTALS = sa.text(
    f"""
    WITH counted AS (SELECT * FROM trackrelay_counters WHERE name NOT IN ({_SAMPLED}))
    """
    + _summed("counted", "to_timestamp(0)")
)

_SERIES = sa.text(
    """
    WITH counted AS (
        SELECT * FROM trackrelay_counters
        WHERE period = ANY(CAST(:periods AS text[]))
            AND at >= date_trunc(:step, to_timestamp(:since), 'UTC')
            AND (CAST(:until AS float8) IS NULL OR at < to_timestamp(:until))
            AND (:all_names OR name = ANY(CAST(:names AS text[]))))
    """
    + _summed("counted", "date_trunc(:step, at, 'UTC')")
    + " ORDER BY t.at, t.name, t.labels"
)


@dataclass(frozen=True, slots=True)
class _Fold:
    """Rows of a period that become rows of another one."""

    period: str
    into: str
    #: Condition of the rows.
    which: str
    #: The beginning of the longer period.
    moment: str

    @property
    def statement(self) -> sa.TextClause:
        """The rows move in one statement, so that every reader finds each count once."""
        return sa.text(
            f"""
            WITH old AS (
                DELETE FROM trackrelay_counters
                WHERE period = '{self.period}' AND {self.which} RETURNING *),
            summed AS ({_summed("old", self.moment)}),
            folded AS (
                INSERT INTO trackrelay_counters AS c
                    (period, at, shard, name, labels, value, sum_ms, buckets)
                SELECT '{self.into}', at, {NO_SHARD}, name, labels, value, sum_ms, buckets
                FROM summed ORDER BY at, name, labels
                ON CONFLICT (period, at, shard, name, labels) DO UPDATE SET
                    value = CASE WHEN c.name IN ({_SAMPLED})
                        THEN greatest(c.value, excluded.value)
                        ELSE c.value + excluded.value END,
                    sum_ms = CASE WHEN c.name IN ({_SAMPLED})
                        THEN greatest(c.sum_ms, excluded.sum_ms)
                        ELSE c.sum_ms + excluded.sum_ms END,
                    buckets = CASE WHEN excluded.buckets IS NULL THEN c.buckets ELSE (
                        SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY number)
                        FROM unnest(c.buckets, excluded.buckets) WITH ORDINALITY
                            AS each (a, b, number)) END)
            SELECT count(*) FROM old
            """
        )


# Only whole hours and days are folded, so that series have no steps.
_FOLDS = (
    _Fold("minute", "minute", f"shard <> {NO_SHARD} AND at < now() - interval '10 minutes'", "at"),
    _Fold(
        "minute",
        "hour",
        "at < date_trunc('hour', now() - interval '3 hours', 'UTC')",
        "date_trunc('hour', at, 'UTC')",
    ),
    _Fold(
        "hour",
        "day",
        "at < date_trunc('day', now() - interval '8 days', 'UTC')",
        "date_trunc('day', at, 'UTC')",
    ),
    _Fold("day", "total", "at < now() - interval '400 days'", "to_timestamp(0)"),
)


@dataclass(frozen=True, slots=True)
class Point:
    """What was counted in a minute, an hour or a day."""

    #: The beginning, in unix seconds.
    at: float
    name: str
    labels: Labels
    tally: Tally


def add(connection: sa.Connection, shard: int, counts: Counts) -> None:
    """Add ``counts`` to the counters of the current minute. The caller commits.

    Call it last: of counts without a shard, others wait for the commit.

    Args:
        shard: whose row the caller has locked, or NO_SHARD.
    """
    rows = list(counts)
    if rows:
        connection.execute(
            _ADD,
            {
                "shard": shard,
                "names": text_array([name for name, _, _ in rows]),
                "labels": text_array([",".join(labels) for _, labels, _ in rows]),
                "values": number_array([tally.value for _, _, tally in rows]),
                "sums": number_array([round(tally.sum_s * 1000) for _, _, tally in rows]),
                "buckets": text_array(
                    [number_array(tally.buckets) if tally.buckets else None for *_, tally in rows]
                ),
            },
        )


def add_sample(connection: sa.Connection, name: Name, value: int, age_s: float) -> None:
    """Write down a sample of the current minute, if there is none. The caller commits."""
    connection.execute(_SAMPLE, {"name": name, "value": value, "sum_ms": round(age_s * 1000)})


def totals(connection: sa.Connection) -> dict[tuple[str, Labels], Tally]:
    """Return what was counted since the installation, by name and labels."""
    rows = connection.execute(_TOTALS)
    return {(row.name, _labels(row.labels)): _tally(row) for row in rows}


def series(
    connection: sa.Connection,
    step: Step,
    since: float,
    until: float | None = None,
    names: Collection[str] = (),
) -> list[Point]:
    """Return what was counted in each step, the oldest first. Steps without counts are missing.

    Minutes are kept for three hours, hours for eight days, days for 400 days.

    Args:
        step: how long each point is. Hours and days are those of UTC.
        since: unix seconds. The step that contains it is complete.
        until: unix seconds; None: up to now.
        names: of the counters; none: all.
    """
    periods = {"minute": ("minute",), "hour": ("minute", "hour")}.get(
        step, ("minute", "hour", "day")
    )
    rows = connection.execute(
        _SERIES,
        {
            "step": step,
            "periods": text_array(periods),
            "since": since,
            "until": until,
            "all_names": not names,
            "names": text_array(names),
        },
    )
    return [Point(row.at.timestamp(), row.name, _labels(row.labels), _tally(row)) for row in rows]


def fold(connection: sa.Connection) -> int:
    """Sum up old rows, and return how many there were. The caller commits."""
    return sum(int(connection.execute(each.statement).scalar_one()) for each in _FOLDS)


def _labels(text: str) -> Labels:
    return tuple(text.split(",")) if text else ()


def _tally(row: Any) -> Tally:
    return Tally(row.value, row.sum_ms / 1000, tuple(row.buckets or ()))
