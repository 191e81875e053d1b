"""What a worker process has one of. Made at first use, and never shared across a fork."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial

import redis
import sqlalchemy as sa
import structlog

from trackrelay.queue.redis_keys import Lane

from .delivery.breaker import Breaker
from .delivery.cycle_parts import Rules
from .delivery.entry_decoder import Decoder
from .delivery.rate_limiter import GRACE_S, RateLimiter
from .delivery.sender import Sender
from .delivery.workspace_guard import Pair, WorkspaceGuard
from .endpoint_families import Family
from .quality.catalog_observer import OBSERVED, CatalogObserver, Notes
from .quality.identity_notes import IdentityNotes
from .quality.order_notes import OrderNotes
from .quality.plan_counts import PlanCounts
from .quality.plan_enforcer import PlanEnforcer
from .quality.sent_memory import SentMemory, sent_memory
from .quality.state_notes import StateNotes
from .queue.redis_client import connect
from .settings import Settings, settings
from .storage import catalog_rows, identity_links, plan_violations, shards
from .storage.blocklist import Blocklist
from .storage.engine import engine
from .storage.key_hasher import KeyHasher, generated_secret
from .storage.scan_cursor import ScanCursor
from .telemetry.exemplars import ExemplarNotes
from .track_api.credentials import Credentials, unset
from .track_api.http_client import TrackApi
from .track_api.region import Verdict, judge

log = structlog.get_logger("trackrelay.worker")

#: Requests that one process may send at the same time.
REQUESTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Resources:
    """The clients and rules of one process."""

    settings: Settings
    # Older versions of redis-py show the password in a client's repr.
    redis: redis.Redis = field(repr=False)
    engine: sa.Engine
    api: TrackApi
    breaker: Breaker
    sender: Sender
    executor: Executor
    hasher: KeyHasher
    rules: Rules
    #: Whose jobs are not sent.
    blocklist: Blocklist
    #: None if nothing is observed.
    observer: CatalogObserver | None = None
    #: None if no tracking plan is enforced.
    plan: PlanEnforcer | None = None
    #: None if nothing is guarded.
    guard: WorkspaceGuard | None = None
    #: None if nothing is verified.
    remember: SentMemory | None = None
    #: None if nothing is traced.
    exemplars: ExemplarNotes | None = None
    #: How far holders of this process have scanned each lane's backlog, and how far its ticks have.
    cursors: defaultdict[tuple[int, Lane], ScanCursor] = field(
        default_factory=lambda: defaultdict(ScanCursor)
    )
    tick_cursors: defaultdict[tuple[int, Lane], ScanCursor] = field(
        default_factory=lambda: defaultdict(ScanCursor)
    )

    @lru_cache(maxsize=2)  # noqa: B019 - lives as long as the process
    def decoder(self, queue_shards: int) -> Decoder:
        """Return the decoder for a queue with this many shards."""
        return Decoder(queue_shards, self.hasher)

    def __hash__(self) -> int:
        return id(self)


def resources() -> Resources:
    """Return the resources of this process."""
    return _of_process(os.getpid())


@lru_cache(maxsize=1)
def _of_process(pid: int) -> Resources:
    configured = settings()
    client = connect(configured)
    timeout_s = configured.request_timeout.total_seconds()
    credentials = Credentials(configured)
    unguarded = TrackApi(configured.base_url, timeout_s, credentials)
    guard = WorkspaceGuard(credentials, configured.environment_id, region_check(configured))
    api = TrackApi(configured.base_url, timeout_s, guard)
    breaker = Breaker(client, probe_s=2 * timeout_s + GRACE_S)
    database = engine()

    def check_account() -> Verdict:
        credentials.refresh()
        return ask_region(unguarded, configured)

    def on_recovery(family: Family | None) -> None:
        with database.begin() as connection:
            shards.mark_delivery_resumed(connection, family)

    hasher = KeyHasher(key_hash_secret(configured, database))
    rate_limiter = RateLimiter(
        client, requests_per_second=configured.requests_per_second, timeout_s=timeout_s
    )
    return Resources(
        settings=configured,
        redis=client,
        engine=database,
        api=api,
        breaker=breaker,
        sender=Sender(api, rate_limiter, breaker, check_account, on_recovery, configured.tracing),
        executor=ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="trackrelay-request"),
        hasher=hasher,
        blocklist=Blocklist(hasher),
        rules=Rules(
            max_age_s=configured.max_age.total_seconds(),
            max_attempts=configured.max_attempts,
            merge_delay_s=configured.merge_delay.total_seconds(),
        ),
        observer=make_observer(configured, database, hasher),
        plan=make_enforcer(database),
        guard=guard,
        remember=sent_memory(configured, hasher),
        exemplars=ExemplarNotes(database) if configured.tracing else None,
    )


def make_observer(
    configured: Settings, database: sa.Engine, hasher: KeyHasher
) -> CatalogObserver | None:
    """Return what observes jobs for the catalog, or None if the catalog is switched off."""
    if not configured.catalog:
        return None
    notes: list[Notes] = [OrderNotes(hasher.digest), StateNotes()]
    if configured.identities:
        notes.append(IdentityNotes(hasher.hidden, partial(identity_links.add, database)))
    return CatalogObserver(partial(catalog_rows.add, database, observed=OBSERVED), notes=notes)


def make_enforcer(database: sa.Engine) -> PlanEnforcer:
    """Return what compares jobs with the tracking plan, once one is applied."""
    return PlanEnforcer(PlanCounts(partial(plan_violations.add, database)))


def ask_region(api: TrackApi, configured: Settings) -> Verdict:
    """Return whether the credentials are good for the configured region and workspace."""
    return judge(
        api.region(),
        base_url=configured.base_url,
        region=configured.region,
        own_url=bool(configured.track_url),
        environment_id=configured.environment_id,
        unset=unset(api.credentials()),
    )


def region_check(configured: Settings) -> Callable[[Pair], Verdict]:
    """Return a function that asks the region endpoint about a pair of credentials.

    Only one thread may call it at a time.
    """
    asked: list[Pair] = [("", "")]
    api = TrackApi(
        configured.base_url, configured.request_timeout.total_seconds(), lambda: asked[0]
    )

    def ask(pair: Pair) -> Verdict:
        asked[0] = pair
        return ask_region(api, configured)

    return ask


def key_hash_secret(configured: Settings, database: sa.Engine) -> bytes:
    """Return the secret that hashes keys: the configured one, or else the database's own."""
    if secret := configured.key_hash_secret.get_secret_value():
        return secret.encode()
    with database.connect() as connection:
        return generated_secret(connection)
