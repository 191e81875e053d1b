"""Count in Postgres how often jobs did not keep to the tracking plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from .pg_values import number_array, text_array

#: Rows of the table. A sender that invents names cannot fill it.
MAX_ROWS = 20_000
#: The kind of the row that counts what there is no room for.
NO_ROOM = "no_room"
#: Jobs that a row names.
MAX_JOBS = 3
KEPT_DAYS = 90
_PRUNE_CHUNK = 5_000

_KEY = "day, version, source, subject, path, kind, action"
_ADD = sa.text(f"""
    WITH given AS (
        SELECT CAST(now() AT TIME ZONE 'UTC' AS date) AS day, * FROM unnest(
            CAST(:version AS bigint[]), CAST(:source AS text[]), CAST(:subject AS text[]),
            CAST(:path AS text[]), CAST(:kind AS text[]), CAST(:action AS text[]),
            CAST(:expected AS text[]), CAST(:actual AS text[]), CAST(:count AS bigint[]),
            CAST(:jobs AS text[])
        ) WITH ORDINALITY AS g (version, source, subject, path, kind, action, expected, actual,
                                count, jobs, number)
    ),
    placed AS (
        SELECT g.*, t.day IS NOT NULL AS known,
            row_number() OVER (PARTITION BY t.day IS NULL ORDER BY g.number) AS place
        FROM given g LEFT JOIN trackrelay_plan_violations t USING ({_KEY})
    ),
    room AS (SELECT :max_rows - count(*) AS rows FROM trackrelay_plan_violations)
    INSERT INTO trackrelay_plan_violations AS t
        ({_KEY}, expected, actual, count, jobs, first_seen, last_seen)
    SELECT {_KEY}, expected, actual, count, CAST(jobs AS text[]), now(), now()
    FROM placed, room WHERE known OR place <= room.rows
    UNION ALL
    SELECT day, version, '', '', '', :no_room, '', '', '', sum(count), '{{}}', now(), now()
    FROM placed, room WHERE NOT (known OR place <= room.rows) GROUP BY day, version
    ON CONFLICT ({_KEY}) DO UPDATE SET
        count = t.count + excluded.count, expected = excluded.expected, actual = excluded.actual,
        jobs = (excluded.jobs || t.jobs)[1:{MAX_JOBS}], last_seen = now()
""")
_RECENT = sa.text("""
    SELECT version, source, subject, path, kind, action,
        (array_agg(expected ORDER BY last_seen DESC))[1] AS expected,
        (array_agg(actual ORDER BY last_seen DESC))[1] AS actual,
        CAST(sum(count) AS bigint) AS times,
        string_agg(array_to_string(jobs, ' '), ' ' ORDER BY last_seen DESC) AS jobs,
        CAST(extract(epoch FROM min(first_seen)) AS float8) AS first_seen,
        CAST(extract(epoch FROM max(last_seen)) AS float8) AS last_seen
    FROM trackrelay_plan_violations
    WHERE version = ANY(CAST(:versions AS bigint[]))
        AND last_seen >= now() - make_interval(secs => :since_s)
    GROUP BY version, source, subject, path, kind, action
    ORDER BY times DESC, subject, path, source
""")
_PRUNE = sa.text("""
    DELETE FROM trackrelay_plan_violations WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM trackrelay_plan_violations
        WHERE day < CAST(now() AT TIME ZONE 'UTC' AS date) - :days LIMIT :chunk))
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationCount:
    """How many jobs of one source did not keep to one point of a version of the plan."""

    version: int
    source: str
    #: The event as it was sent, or ``person.identify``.
    subject: str
    #: The property. Empty: the event itself.
    path: str
    kind: str
    #: What was done.
    action: str
    expected: str
    actual: str
    count: int
    #: Some of the jobs, the latest first.
    jobs: tuple[str, ...] = ()
    #: Unix seconds. 0: not written down yet.
    first_seen: float = 0.0
    last_seen: float = 0.0


def add(engine: sa.Engine, counts: Sequence[ViolationCount]) -> None:
    """Add counts, in a transaction of its own that gives up early.

    Args:
        engine: Postgres.
        counts: each key once; texts are such as Postgres takes.

    Raises:
        SQLAlchemyError: nothing was added.
    """
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")
        connection.exec_driver_sql("SET LOCAL statement_timeout = '3s'")
        # One process at a time adds rows: the places of new rows are counted.
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtext('trackrelay_plan_violations'))"
        )
        texts = ("source", "subject", "path", "kind", "action", "expected", "actual")
        connection.execute(
            _ADD,
            {
                **{name: text_array([getattr(each, name) for each in counts]) for name in texts},
                "version": number_array([each.version for each in counts]),
                "count": number_array([each.count for each in counts]),
                "jobs": text_array([text_array(each.jobs) for each in counts]),
                "max_rows": MAX_ROWS,
                "no_room": NO_ROOM,
            },
        )


def recent(
    connection: sa.Connection, versions: Sequence[int], age: timedelta
) -> list[ViolationCount]:
    """Return what was counted against some versions of the plan within ``age``, most first."""
    rows = connection.execute(
        _RECENT, {"versions": number_array(versions), "since_s": age.total_seconds()}
    )
    return [
        ViolationCount(
            version=row.version,
            source=row.source,
            subject=row.subject,
            path=row.path,
            kind=row.kind,
            action=row.action,
            expected=row.expected,
            actual=row.actual,
            count=row.times,
            jobs=tuple(row.jobs.split()[:MAX_JOBS]),
            first_seen=row.first_seen,
            last_seen=row.last_seen,
        )
        for row in rows
    ]


def prune(connection: sa.Connection) -> int:
    """Delete one chunk of what is too old; return how many rows. Call until it is 0."""
    return connection.execute(_PRUNE, {"days": KEPT_DAYS, "chunk": _PRUNE_CHUNK}).rowcount
