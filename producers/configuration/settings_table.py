"""Every setting of trackrelay, declared once for applications, workers and documentation."""

from __future__ import annotations

from collections.abc import Mapping

from . import server_urls
from .console_table import CONSOLE_SETTINGS
from .declaration import PREFIX, Setting
from .value_types import (
    api_url,
    boolean,
    choice,
    duration,
    file_path,
    numbers_by_name,
    positive_number,
    server_url,
    share,
    short_duration,
    text,
    time_zone,
    whole_number,
)

__all__ = [
    "ALL_NAMES",
    "APP_API_SETTINGS",
    "BY_NAME",
    "CONSOLE_SETTINGS",
    "PREFIX",
    "PRODUCER_SETTINGS",
    "SETTINGS",
    "WORKER_SETTINGS",
    "Setting",
]

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "TRACKRELAY_REDIS_URL",
        server_url(
            server_urls.redis_url,
            ("redis://", "rediss://", "unix://", "sentinel://", "sentinels://"),
        ),
        "The Redis that holds the queue, or the Sentinels that know it. `REDIS_URL` is read if "
        "this is not set.",
        "all",
        is_secret=True,
        fallback="REDIS_URL",
    ),
    Setting(
        "TRACKRELAY_DATABASE_URL",
        server_url(
            server_urls.postgres_url, ("postgresql://", "postgres://", "postgresql+psycopg://")
        ),
        "The Postgres that holds ledger, backlog and dead letters. `DATABASE_URL` is read if this "
        "is not set.",
        is_secret=True,
        fallback="DATABASE_URL",
    ),
    Setting(
        "TRACKRELAY_OUTBOX_URL",
        server_url(server_urls.outbox_url, ("postgresql://", "postgres://", "sqlite:///")),
        "The application's database that holds the outbox table; workers that have it relay "
        "the outbox.",
        "all",
        is_secret=True,
    ),
    Setting(
        "TRACKRELAY_BACKEND",
        choice("redis", "console", "memory", "off"),
        "Where operations go: all values but `redis` check every call and enqueue nothing.",
        "applications",
        default="redis",
    ),
    Setting(
        "TRACKRELAY_SOURCE",
        text(),
        "The name of the application; it is shown with every job.",
        "applications, `import`",
    ),
    Setting(
        "TRACKRELAY_ENQUEUE_TIMEOUT",
        short_duration(0.01, 60),
        "How long a call may take before it raises `QueueUnavailableError`; resolving the host "
        "name of "
        "Redis and writing to the outbox take extra time.",
        "applications",
        default="1s",
    ),
    Setting(
        "TRACKRELAY_REDIS_WAIT_REPLICAS",
        whole_number(0, 100),
        "How many replicas of Redis must have the jobs of a call before it returns; a call that "
        "they do not confirm in time raises `QueueUnavailableError`.",
        "all",
        default="0",
    ),
    Setting(
        "TRACKRELAY_ON_UNAVAILABLE",
        choice("raise", "log", "outbox"),
        "What happens to an operation that the queue did not take: `raise` an error, `log` the "
        "job's id, or write it to the `outbox`.",
        "applications",
        default="raise",
    ),
    Setting(
        "TRACKRELAY_ON_INVALID",
        choice("raise", "log", "dead_letter"),
        "What happens to an operation that Customer.io would refuse: `raise` an error, `log` it, "
        "or keep it as a `dead_letter` that can be repaired and replayed.",
        "applications",
        default="raise",
    ),
    Setting(
        "TRACKRELAY_MAX_QUEUE_LENGTH",
        whole_number(1, 1_000_000_000),
        "How many jobs the queue holds before calls raise `QueueFullError`; imports and "
        "`enqueue_many()` wait at half of it. Set the same value everywhere.",
        "all",
        default="1000000",
    ),
    Setting(
        "TRACKRELAY_NAIVE_TIMEZONE",
        time_zone(),
        "The time zone of datetimes that have none; if it is not set, they are refused.",
        "applications, `import`",
    ),
    Setting(
        "TRACKRELAY_OBJECT_TYPES",
        numbers_by_name(),
        "Names of object types with their numbers in the workspace; a name can be used wherever a "
        "number can.",
        "applications, `import`",
        default_note="no names",
    ),
    Setting(
        "TRACKRELAY_PLAN",
        file_path(),
        "The file of the tracking plan; a call that violates it is refused as "
        "`TRACKRELAY_ON_INVALID` says.",
        "applications, `import`",
        default_note="no plan",
    ),
    Setting(
        "TRACKRELAY_SHARDS",
        whole_number(1, 1024),
        "How many shards the queue must have; leave it out to take what `trackrelay migrate` "
        "set up (4 by default).",
        "all",
        default_note="as set up",
    ),
    Setting("CUSTOMERIO_SITE_ID", text(), "The workspace's site id.", is_secret=True),
    Setting("CUSTOMERIO_TRACK_API_KEY", text(), "The workspace's Track API key.", is_secret=True),
    Setting(
        "CUSTOMERIO_REGION",
        choice("us", "eu"),
        "The region of the Customer.io account.",
        "workers, `AppApi`",
        default="us",
    ),
    Setting(
        "TRACKRELAY_ALLOW_HTTP",
        boolean(),
        "Whether API URLs may begin with `http://` if they lead to another machine.",
        "workers, `AppApi`",
        default="0",
    ),
    Setting(
        "CUSTOMERIO_TRACK_URL",
        api_url(),
        "Another base URL of the Track API, such as the sandbox's.",
        default_note="the region's",
    ),
    Setting(
        "CUSTOMERIO_APP_API_KEY",
        text(),
        "An App API key, with which people, objects, segments and activities are read.",
        "command line, `AppApi`",
        is_secret=True,
    ),
    Setting(
        "CUSTOMERIO_APP_URL",
        api_url(),
        "Another base URL of the App API.",
        "command line, `AppApi`",
        default_note="the region's",
    ),
    Setting(
        "TRACKRELAY_ENVIRONMENT_ID",
        text("the workspace's id"),
        "The workspace that the credentials must belong to; a worker whose credentials belong to "
        "another one delivers nothing.",
    ),
    Setting(
        "TRACKRELAY_REQUESTS_PER_SECOND",
        positive_number(1000),
        "How many requests all workers together send in a second; Customer.io allows 1,000.",
        default="100",
    ),
    Setting(
        "TRACKRELAY_REQUEST_TIMEOUT",
        short_duration(0.1, 60),
        "How long one request may take, from the first byte sent to the last byte read.",
        "workers, `AppApi`",
        default="10s",
    ),
    Setting(
        "TRACKRELAY_MAX_AGE",
        duration(),
        "The age at which an undelivered job becomes a dead letter; outages do not count.",
        default="3d",
    ),
    Setting(
        "TRACKRELAY_MAX_ATTEMPTS",
        whole_number(1, 1000),
        "How often a job may fail by itself before it becomes a dead letter; outages do not count.",
        default="10",
    ),
    Setting(
        "TRACKRELAY_MERGE_DELAY",
        duration(),
        "How long a merge waits after the last delivery to either person.",
        default="5s",
    ),
    Setting(
        "TRACKRELAY_LEDGER_RETENTION",
        duration(),
        "How long the ids of delivered jobs are kept; it must be more than twice "
        "`TRACKRELAY_MAX_AGE`.",
        default="30d",
    ),
    Setting(
        "TRACKRELAY_DEAD_LETTER_RETENTION",
        duration(),
        "How long replayed and discarded dead letters are kept.",
        default="90d",
    ),
    Setting(
        "TRACKRELAY_OPEN_DEAD_LETTER_RETENTION",
        duration(),
        "How long dead letters may stay open; older ones are discarded, and kept for "
        "`TRACKRELAY_DEAD_LETTER_RETENTION` more.",
        default="365d",
    ),
    Setting(
        "TRACKRELAY_FORGOTTEN_RETENTION",
        duration(),
        "How long the keys of forgotten people stay blocked; then the request is deleted.",
        default="3650d",
    ),
    Setting(
        "TRACKRELAY_KEY_HASH_SECRET",
        text("any secret text"),
        "The secret with which emails, phone numbers and anonymous ids are hashed before they are "
        "stored or logged as keys; change it only while no such job waits.",
        default_note="made by `trackrelay migrate`",
        is_secret=True,
    ),
    Setting(
        "TRACKRELAY_CATALOG",
        boolean(),
        "Whether workers count names and types of events and attributes, never values, in the "
        "catalog; `trackrelay catalog` and `trackrelay quality` read it.",
        default="1",
    ),
    Setting(
        "TRACKRELAY_IDENTITIES",
        boolean(),
        "Whether workers that fill the catalog also note which emails, phones, visitors and "
        "devices belong to one person, as keyed hashes; `trackrelay identities` reads it.",
        default="1",
    ),
    Setting(
        "TRACKRELAY_VERIFY",
        choice("off", "sample", "all"),
        "Whose deliveries are compared with what Customer.io has: nobody's, those of a sample of "
        "people and objects, or all; this needs `CUSTOMERIO_APP_API_KEY`.",
        default="off",
    ),
    Setting(
        "TRACKRELAY_VERIFY_SAMPLE",
        share(),
        "The share of people and objects that `sample` selects, by a hash of their key.",
        default="1%",
    ),
    Setting(
        "TRACKRELAY_VERIFY_RATE",
        positive_number(10),
        "How many requests a second all workers together spend on verification; the App API "
        "allows 10 to all its readers.",
        default="2",
    ),
    Setting(
        "TRACKRELAY_VERIFY_AFTER",
        duration(),
        "How long after a delivery the first comparison happens; Customer.io processes what it "
        "accepted some time later.",
        default="2m",
    ),
    Setting(
        "TRACKRELAY_VERIFY_WINDOW",
        duration(),
        "How long digests of what was sent are kept for comparison.",
        default="24h",
    ),
    Setting(
        "TRACKRELAY_VERDICT_RETENTION",
        duration(),
        "How long verdicts on deliveries are kept.",
        default="30d",
    ),
    Setting(
        "TRACKRELAY_ALERT_WEBHOOK",
        text("a URL"),
        "Where `trackrelay watch` posts alerts.",
        "`watch`",
        is_secret=True,
    ),
    Setting(
        "TRACKRELAY_ALERT_HEARTBEAT",
        text("a URL"),
        "What `trackrelay watch` asks for while it works; the monitor there calls you when nobody "
        "asks any more.",
        "`watch`",
        is_secret=True,
    ),
    Setting(
        "TRACKRELAY_SMTP_URL",
        text("a URL"),
        "The mail server for alerts: `smtp://user:password@host:587?from=alerts@example.com`, or "
        "`smtps://…`.",
        "`watch`",
        is_secret=True,
    ),
    Setting(
        "TRACKRELAY_CONSOLE_URL",
        api_url(),
        "The address at which people open the console; alerts link to it.",
        "`watch`, console",
    ),
    Setting(
        "TRACKRELAY_TRACING",
        boolean(),
        "Whether calls, deliveries and verification are recorded as spans, where OpenTelemetry is "
        "set up, and jobs carry the trace of their call.",
        "all",
        default="1",
    ),
    Setting(
        "TRACKRELAY_LOG_FORMAT",
        choice("auto", "json", "console"),
        "The format of log lines; `auto` writes JSON unless the output is a terminal.",
        default="auto",
    ),
    Setting(
        "TRACKRELAY_LOG_LEVEL",
        choice("debug", "info", "warning", "error"),
        "The level from which log lines are written.",
        default="info",
    ),
    *CONSOLE_SETTINGS,
    Setting("TRACKRELAY_FAILPOINT", text(), "Where a test ends the process.", is_internal=True),
)

BY_NAME: Mapping[str, Setting] = {each.name: each for each in SETTINGS}
PRODUCER_SETTINGS = tuple(
    each for each in SETTINGS if each.readers == "all" or each.readers.startswith("applications")
)
WORKER_SETTINGS = tuple(
    each
    for each in SETTINGS
    if not each.readers.startswith(("applications", "console")) and not each.is_internal
)
#: What the App API's client reads, in applications and in workers.
APP_API_SETTINGS = tuple(
    each for each in SETTINGS if "AppApi" in each.readers or each.name == "TRACKRELAY_REDIS_URL"
)
#: Every environment variable of a setting, each ``NAME_FILE`` among them.
ALL_NAMES = frozenset(name for each in SETTINGS for name in each.names)
