"""``python -m benchmarks.console_pages``: each page of the console over full stores.

Also records the slowest statement of each page, because Postgres executes it for everybody.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec
import sqlalchemy as sa

from tests.support.console_browser import ConsoleBrowser, Page, user
from trackrelay.configuration.console_values import Role
from trackrelay.worker.console import passwords
from trackrelay.worker.console.console_app import console_app
from trackrelay.worker.console.console_settings import ConsoleSettings
from trackrelay.worker.settings import load

from .machine import heading
from .mixes import event_attributes
from .stack import Stack
from .stored_rows import fill_backlog, fill_ledger
from .tables import markdown

#: The longest time of a page, of nineteen in twenty, and of a statement.
MAX_PAGE_MS, MAX_STATEMENT_MS = 500.0, 1_000.0
PEOPLE = 100_000

_LETTERS = sa.text("""
    INSERT INTO trackrelay_dead_letters (job_id, key, operation, lane, source, body, reason, error,
        field, status, attempts, state, enqueued_at, died_at, updated_at, history)
    SELECT upper('01B' || lpad(to_hex(n), 7, '0') || substr(md5(n::text), 1, 16)),
        'id:' || n % :people, 'person.event', 'live', 'shop',
        json_build_object('type', 'person', 'action', 'event', 'name', 'order_completed',
            'identifiers', json_build_object('id', CAST(n % :people AS text)),
            'attributes', CAST(:attributes AS json)),
        CASE n % 3 WHEN 0 THEN 'rejected' WHEN 1 THEN 'expired' ELSE 'plan' END,
        'invalid value ' || n % 40, 'attributes.total', 400, 1,
        CASE n % 4 WHEN 0 THEN 'discarded' WHEN 1 THEN 'delivered' ELSE 'open' END,
        at, at, at, '[]'
    FROM generate_series(1, CAST(:rows AS int)) AS n,
        LATERAL (SELECT now() - n * interval '20 seconds' AS at) moment
""")
_CATALOG = sa.text("""
    INSERT INTO trackrelay_catalog (source, operation, name, path, type, count, bytes, first_at,
        last_at, first_seen, last_seen)
    SELECT 'app' || n % 10, 'person.event', 'event_' || n / 100,
        CASE n % 10 WHEN 0 THEN '' ELSE 'path_' || n % 100 END,
        CASE n % 10 WHEN 0 THEN 'observed' ELSE 'string' END, 1000, 0, 0, 1000, now(), now()
    FROM generate_series(1, 5000) AS n ON CONFLICT DO NOTHING
""")
_CATALOG_DAYS = sa.text("""
    INSERT INTO trackrelay_catalog_days (day, catalog_id, count)
    SELECT CAST(now() AS date) - day, id, 10
    FROM trackrelay_catalog, generate_series(0, 89) AS day
""")
_IDENTITIES = sa.text("""
    INSERT INTO trackrelay_identities (name, how, person, source, job_id, first_seen, last_seen)
    SELECT kind || ':' || md5(CAST(n AS text)), 'claimed', 'id:' || md5(CAST(n AS text)), 'shop',
        '01B' || lpad(CAST(n AS text), 23, '0'), now(), now()
    FROM generate_series(1, 100000) AS n, unnest(ARRAY['email', 'anonymous']) AS kind
""")
_COUNTERS = sa.text("""
    INSERT INTO trackrelay_counters (period, at, shard, name, labels, value)
    SELECT 'day', date_trunc('day', now()) - day * interval '1 day', -1, 'died',
        'reason ' || label, 1000
    FROM generate_series(8, 400) AS day, generate_series(1, 30) AS label
""")
_ACTS = sa.text("""
    INSERT INTO trackrelay_acts (at, author, origin, act)
    SELECT now() - n * interval '3 minutes', 'ada', 'console', 'signed_in'
    FROM generate_series(1, 150000) AS n
""")


def fill(
    stack: Stack,
    ledger: int,
    backlog: int,
    letters: int,
    *,
    waiting_people: int = PEOPLE,
) -> None:
    """Fill the tables as years of operation and an outage would.

    Args:
        waiting_people: whose jobs are in the backlog.
    """
    attributes = msgspec.json.encode(event_attributes(1)).decode()
    fill_ledger(stack.engine, ledger, people=PEOPLE)
    fill_backlog(stack.engine, backlog, attributes, shards=stack.shards, people=waiting_people)
    with stack.engine.begin() as connection:
        values = {"rows": letters, "people": PEOPLE, "attributes": attributes}
        connection.execute(_LETTERS, values)
        for statement in (_CATALOG, _CATALOG_DAYS, _IDENTITIES, _COUNTERS, _ACTS):
            connection.execute(statement)
    with stack.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def pages(browser: ConsoleBrowser, stack: Stack) -> list[tuple[str, str]]:
    """Return what is opened: its name and its address."""
    return [
        *addresses(stack),
        ("Person", browser.post("/person", who="42").location),
        ("Person who is unknown", browser.post("/person", who="nobody").location),
    ]


def addresses(stack: Stack) -> list[tuple[str, str]]:
    """Return the pages that are opened without a form: names and addresses."""

    def one(query: str) -> str:
        with stack.engine.connect() as connection:
            return str(connection.execute(sa.text(query)).scalar_one())

    delivered = one("SELECT id FROM trackrelay_ledger ORDER BY id DESC LIMIT 1")
    letter = one("SELECT job_id FROM trackrelay_dead_letters WHERE state = 'open' LIMIT 1")
    waiting = one("SELECT job_id FROM trackrelay_backlog ORDER BY job_id DESC LIMIT 1")
    return [
        ("Overview", "/"),
        ("Overview, live part", "/live/overview"),
        *((f"Overview, chart of a {span}", f"/charts/flow?range={span}&show=waiting")
          for span in ("hour", "days", "month")),
        ("Jobs: by id, delivered", f"/jobs/{delivered}"),
        ("Jobs: by id, waiting", f"/jobs/{waiting}"),
        ("Jobs: by id, dead", f"/jobs/{letter}"),
        ("Jobs: of a person", "/jobs?key=id%3A42"),
        ("Jobs: by idempotency key", "/jobs?text=invoice-42"),
        ("Backlog", "/backlog"),
        ("Backlog: by reason", "/backlog?reason=breaker"),
        ("Backlog: of an event", "/backlog?name=order_completed"),
        ("Dead letters", "/dead-letters"),
        ("Dead letters: by reason", "/dead-letters?reasons=rejected"),
        ("Dead letters: by error", "/dead-letters?error=invalid+value+7"),
        ("Dead letters: of an event", "/dead-letters?names=order_completed"),
        ("Dead letters: discarded", "/dead-letters?states=discarded"),
        ("Dead letter", f"/dead-letters/{letter}"),
        ("Dead letter: repair", f"/dead-letters/{letter}/repair"),
        *((path.strip("/").capitalize(), path)
          for path in ("/quality", "/catalog", "/plan", "/verification", "/activity")),
        ("Catalog of one event", "/catalog?name=event_7"),
        ("Metrics", "/metrics"),
    ]  # fmt: skip


@contextmanager
def slowest_statements() -> Iterator[list[tuple[float, str]]]:
    """Yield the milliseconds and texts of all statements of this process."""
    found: list[tuple[float, str]] = []

    def before(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        connection.info["began"] = time.perf_counter()

    def after(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        took_ms = (time.perf_counter() - connection.info["began"]) * 1000
        found.append((took_ms, " ".join(statement.split())))

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    sa.event.listen(sa.Engine, "after_cursor_execute", after)
    yield found
    sa.event.remove(sa.Engine, "before_cursor_execute", before)
    sa.event.remove(sa.Engine, "after_cursor_execute", after)


@click.command()
@click.option("--ledger", default=10_000_000, show_default=True)
@click.option("--backlog", default=1_000_000, show_default=True)
@click.option("--letters", default=20_000, show_default=True)
@click.option("--times", default=20, show_default=True, help="How often each page is opened.")
def main(ledger: int, backlog: int, letters: int, times: int) -> None:
    """Open each page of the console over full tables."""
    with Stack() as stack:
        stack.fresh()
        click.echo(heading("python -m benchmarks.console_pages"))
        began = time.monotonic()
        fill(stack, ledger, backlog, letters)
        click.echo(f"{ledger:,} ledger rows, {backlog:,} waiting jobs, {letters:,} dead letters: "
                   f"filled in {time.monotonic() - began:.0f} s")  # fmt: skip
        who = user("ada", *Role, password_hash=passwords.hash_password("never asked for"))
        settings = load(stack.settings)
        app = console_app(settings, console_settings=ConsoleSettings(users=(who,)))
        browser = ConsoleBrowser(app).sign_in(who)
        rows, slow = [], []
        with slowest_statements() as statements:
            for name, path in pages(browser, stack):
                took, statement = open_page(browser, path, times, statements)
                p95 = sorted(took)[math.ceil(len(took) * 0.95) - 1]
                rows.append((name, f"{statistics.median(took):,.0f}", f"{p95:,.0f}",
                             f"{took[0]:,.0f}", f"{statement[0]:,.0f}"))  # fmt: skip
                click.echo(f"{name:34} p50 {rows[-1][1]:>6} p95 {rows[-1][2]:>6} ms, "
                           f"statement {statement[0]:7,.0f} ms")  # fmt: skip
                if p95 > MAX_PAGE_MS or statement[0] > MAX_STATEMENT_MS:
                    slow.append(f"{name}: {p95:,.0f} ms; {statement[0]:,.0f} ms: {statement[1]}")
        app.state.parts.process_stores.close()
    click.echo(markdown(("ms", "p50", "p95", "first", "slowest statement"), rows))
    for each in slow:
        click.echo(f"TOO SLOW: {each[:2000]}")
    if slow:
        raise SystemExit(1)


def open_page(
    browser: ConsoleBrowser,
    path: str,
    times: int,
    statements: list[tuple[float, str]],
) -> tuple[list[float], tuple[float, str]]:
    """Open a page several times; return the milliseconds of each, and the slowest statement."""
    took: list[float] = []
    statements.clear()
    for _ in range(times):
        began = time.perf_counter()
        page: Page = browser.get(path)
        took.append((time.perf_counter() - began) * 1000)
        if page.status != 200:
            raise RuntimeError(f"{path} answers {page.status}: {page.text[:500]}")
    return took, max(statements, default=(0.0, ""))


if __name__ == "__main__":
    main()
