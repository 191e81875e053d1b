"""Random requests to the console: no answer is a fault, and nobody gets in without a session."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from tests.fuzz.entries import servers
from tests.fuzz.mutations import TEXTS, mutated, shown, value
from tests.support import hostile_dead_letters
from tests.support.console_browser import XSS, ConsoleBrowser, Page, user
from trackrelay import Producer
from trackrelay.configuration.console_values import Role
from trackrelay.worker.console.console_app import console_app
from trackrelay.worker.console.console_settings import ConsoleSettings
from trackrelay.worker.console.page_table import PAGES
from trackrelay.worker.queue.bootstrap import migrate as migrate_queue
from trackrelay.worker.settings import load

NAME = "pages"
USERS = {
    "ada": user("ada", *Role, password_hash="x"),
    "eve": user("eve", password_hash="y"),
}
#: Names that pages read, and some that they do not.
NAMES = (
    "key", "text", "who", "limit", "before", "author", "act", "range", "show", "once", "content",
    "shards", "number", "csrf", "next", "token", "state", "reason", "id", "note", "document", "x",
)  # fmt: skip
VALUES = (
    XSS, "id:42", "42", "email:ada@example.com", "-1", "0", "1e9", "9" * 25, "hour", "' OR 1=1 --",
    "%", "../../etc/passwd", "{{7*7}}", "\u0000", "//evil.test", "01ARZ3NDEKTSV4RRFFQ69G5FAV",
)  # fmt: skip
METHODS = ("GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "X")
#: What nobody may read who is not signed in: it is in the stores.
SECRET = "the content of a job"
_RAW = re.compile(r"<script>alert|<img src=x onerror|\{\{7\*7\}\}=49")


def run(
    rng: random.Random,
    more: Callable[[int], bool],
    *,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Try requests while ``more(tried)`` is true; return how many.

    Args:
        environment: settings whose Redis and Postgres are set up and may be written to. By default
            it starts its own.
    """
    if environment is None:
        with servers() as own:
            return run(rng, more, environment=own)
    settings = load({**environment, "CUSTOMERIO_APP_API_KEY": ""})
    app = console_app(settings, console_settings=ConsoleSettings(users=tuple(USERS.values())))
    try:
        _fill(app.state.parts.stores, environment)
        return _run(rng, more, app)
    finally:
        app.state.parts.process_stores.close()


def _fill(stores: Any, environment: Mapping[str, str]) -> None:
    """Write hostile and healthy content into every store."""
    migrate_queue(stores.engine, stores.redis, 4)
    hostile_dead_letters.write(stores.engine)
    with stores.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE trackrelay_dead_letters SET error = :xss, field = :xss"), {"xss": XSS}
        )
    producer = Producer(redis_url=environment["TRACKRELAY_REDIS_URL"], source=XSS)
    for number in range(50):
        producer.track(str(number), XSS, {"x": SECRET}, idempotency_key=f"{XSS}{number}")
    producer.close()
    stores.redis.xadd("trackrelay:0:live", {"v": 1, "j": b"\xff\x00nothing"})


def _run(rng: random.Random, more: Callable[[int], bool], app: Any) -> int:
    ids = [*_job_ids(app.state.parts.stores), *VALUES]
    # Reading the facts of `status` for each request would test nothing more.
    app.state.parts.facts.renew()
    app.state.parts.facts.clock = lambda: 0.0
    app.state.parts.facts._read_at = 0.0
    tried = 0
    while more(tried):
        visitor = ConsoleBrowser(app)
        name = rng.choice([None, None, "ada", "eve"])
        case = _case(rng, ids)
        if name is not None:
            visitor.sign_in(USERS[name])
            if case[2] is not None and rng.random() < 0.8:
                case[2]["csrf"] = visitor.csrf
        elif rng.random() < 0.5:
            session = app.state.parts.identities.session(USERS["ada"], time.time()).encode()
            if (forged := mutated(rng, session)) != session:
                visitor.cookies["trackrelay_session"] = quote(forged.decode("latin-1"))
        page = visitor.send(*case)
        _check(page, name, case)
        tried += 1
    return tried


def _job_ids(stores: Any) -> list[str]:
    with stores.engine.connect() as connection:
        return list(
            connection.execute(sa.text("SELECT job_id FROM trackrelay_dead_letters")).scalars()
        )


def _case(rng: random.Random, ids: list[str]) -> tuple[str, str, Any]:
    paths = [path.path for page in PAGES for path in page.paths if path.kind != "live"]
    paths += ["/live/overview?once=1", "/metrics", "/readyz", "/static/x/console.css", "/sign-out"]
    path = re.sub(r"\{\w+\}", lambda _: quote(rng.choice(ids), safe=""), rng.choice(paths))
    if rng.random() < 0.1:
        path = quote(mutated(rng, path.encode()), safe="/?=&%")
    pairs = [(rng.choice(NAMES), _text(rng)) for _ in range(rng.choice((0, 0, 1, 1, 2, 5)))]
    query = "&".join(f"{name}={quote(text, errors='replace')}" for name, text in pairs)
    path += ("&" if "?" in path else "?") + query if query else ""
    method = rng.choice(METHODS)
    fields = {rng.choice(NAMES): _text(rng) for _ in range(3)} if method == "POST" else None
    return method, path, fields


def _text(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(VALUES)
    text = rng.choice(TEXTS) if kind < 0.8 else json.dumps(value(rng))[:3_000]
    return text.encode(errors="replace").decode()


def _check(page: Page, name: str | None, case: Any) -> None:
    where = f"{name or 'nobody'}: {shown(case)} gave {page.status}: {page.text[:300]}"
    assert page.status < 500, where
    assert not _RAW.search(page.body), where
    if name is None:
        open_to_all = "/static/" in case[1] or "/readyz" in case[1]
        assert open_to_all or page.status in (303, 307, 400, 401, 404, 405), where
        assert SECRET not in page.body, where
        assert "ada" not in page.text, where
