"""What all pages share: settings, stores, facts, templates and signatures."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

import jinja2
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from trackrelay.worker.cli.common.command_stores import Stores, open_stores
from trackrelay.worker.cli.status.snapshot import Snapshot
from trackrelay.worker.cli.status.snapshot_reader import read_snapshot
from trackrelay.worker.quality.finding_check import FindingCheck, check_data
from trackrelay.worker.settings import Settings

from .console_settings import ConsoleSettings
from .facts import Facts
from .identity import FrameworkUser, Identities, OneTimeLink
from .page_templates import make_environment
from .sign_in_limits import SignInLimits
from .signatures import Signer

if TYPE_CHECKING:
    from .page_request import PageRequest

#: Postgres cancels a query of a page that takes longer: somebody waits for the page.
QUERY_TIMEOUT_MS = 5_000
#: Connections to Postgres that a process keeps.
POOL_SIZE = 4
#: A check of the data that takes longer, in seconds, is not waited for where there is an older one
#: up to this age: with 100,000 rows of the catalog it takes seconds.
CHECK_PATIENCE_S, CHECK_USABLE_S = 0.3, 600.0
#: How parts of a page renew themselves: by an event stream, or by asking every few seconds where a
#: stream would occupy a thread of the server.
LiveMode = Literal["stream", "poll"]


class ProcessStores:
    """The stores of each process: a server may fork after the application was made."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: dict[int, Stores] = {}
        self._closing = ExitStack()
        self._lock = Lock()

    def current(self) -> Stores:
        """Return the stores of this process, which are opened at first use."""
        pid = os.getpid()
        if (found := self._opened.get(pid)) is not None:
            return found
        with self._lock:
            if pid not in self._opened:
                stores = self._closing.enter_context(
                    open_stores(self._settings, pool_size=POOL_SIZE)
                )
                sa.event.listen(stores.engine, "begin", _set_deadline)
                self._opened[pid] = stores
            return self._opened[pid]

    def close(self) -> None:
        """Close the connections."""
        self._closing.close()
        self._opened.clear()


def _set_deadline(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {QUERY_TIMEOUT_MS}")


@dataclass(slots=True)
class ConsoleParts:
    """The parts of one console."""

    settings: Settings
    console_settings: ConsoleSettings
    link: OneTimeLink | None = None
    framework_user: FrameworkUser | None = None
    live_mode: LiveMode = "stream"
    #: Whether the server stops: streams end.
    closing: bool = field(default=False, init=False)
    process_stores: ProcessStores = field(init=False)
    signer: Signer = field(init=False)
    identities: Identities = field(init=False)
    limits: SignInLimits = field(init=False)
    facts: Facts[Snapshot] = field(init=False)
    data_check: Facts[FindingCheck] = field(init=False)
    environment: jinja2.Environment = field(init=False)

    def __post_init__(self) -> None:
        self.process_stores = ProcessStores(self.settings)
        self.signer = Signer(_signing_key(self.settings, self.console_settings))
        self.identities = Identities(
            self.console_settings, self.signer, self.link, self.framework_user
        )
        self.limits = SignInLimits(lambda: self.stores.redis, self.signer)
        self.facts = Facts(lambda: read_snapshot(self.stores))
        self.data_check = Facts(
            self._check_data, usable_s=CHECK_USABLE_S, patience_s=CHECK_PATIENCE_S
        )
        self.environment = make_environment()

    @property
    def stores(self) -> Stores:
        """The clients of this process. Postgres cancels a statement after five seconds."""
        return self.process_stores.current()

    def _check_data(self) -> FindingCheck:
        stores = self.stores
        with stores.engine.begin() as connection:
            return check_data(connection, stores.redis, time.time())

    def is_closing(self) -> bool:
        """Return whether the server stops."""
        return self.closing

    def prefix(self, request: Request) -> str:
        """Return the path below which the console is mounted, without a slash at its end."""
        return str(request.scope.get("root_path", "")).rstrip("/")

    def url(self, request: Request, path: str, **params: Any) -> str:
        """Return an address in the console. Parameters that are empty or None are left out."""
        return f"{quote(self.prefix(request))}{quote(path)}{query_string(params)}"

    def set_cookie(
        self, request: Request, response: Response, name: str, value: str, max_age: float
    ) -> None:
        """Set a cookie that no script sees and no other site's form sends."""
        response.set_cookie(
            name,
            value,
            max_age=int(max_age),
            path=self.prefix(request) or "/",
            secure=self.identities.is_encrypted(request),
            httponly=True,
            samesite="lax",
        )

    def render(self, template: str, page: PageRequest, values: Mapping[str, Any]) -> str:
        """Return what a template makes."""
        return self.environment.get_template(template).render(page=page, **values)


def query_string(params: Mapping[str, Any]) -> str:
    """Return parameters as the end of an address; those that are empty or None are left out."""
    pairs = [
        (name, each)
        for name, value in params.items()
        for each in (value if isinstance(value, list | tuple) else [value])
        if each not in (None, "")
    ]
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""


def _signing_key(settings: Settings, console: ConsoleSettings) -> bytes:
    # All processes of a console have the same settings, and so the same key.
    secrets = [settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()]
    secrets += [f"{each.name}:{each.password_hash}" for each in console.users]
    return hashlib.sha256("\0".join(["trackrelay console", *secrets]).encode()).digest()
