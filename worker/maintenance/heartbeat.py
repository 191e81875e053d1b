"""Show that a worker runs, and send the periodic tasks, so that no beat is needed."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from functools import lru_cache
from uuid import uuid4

import redis
import structlog
from redis.exceptions import RedisError

from trackrelay.queue.append import MAX_WAKEUPS, celery_message
from trackrelay.queue.lua_files import lua_script
from trackrelay.queue.redis_keys import PREFIX, QUEUE_KEY
from trackrelay.version import __version__
from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.settings import settings
from trackrelay.worker.track_api.destination import destination

from . import probe
from .heartbeat_keys import WORKER_KEY, WORKERS_KEY
from .retention import PRUNE_S
from .ticks import TICK_S

log = structlog.get_logger("trackrelay.worker")

#: Seconds without a heartbeat after which a worker counts as lost.
LOST_AFTER_S = 10
#: Seconds for which a lost worker is remembered.
REMEMBERED_S = 86_400

_SEND_TASK = lua_script(__package__, "send_task")
_NO_ARGUMENTS = base64.b64encode(json.dumps([[], {}, {}]).encode()).decode()
#: For each periodic task: the key that exists for its interval, the message, the interval in s.
_PERIODIC_TASKS = (
    (PREFIX + "ticked", celery_message("trackrelay.tick", _NO_ARGUMENTS, "()"), TICK_S),
    (PREFIX + "told-to-prune", celery_message("trackrelay.prune", _NO_ARGUMENTS, "()"), PRUNE_S),
)
#: Is sent if deliveries are verified.
_VERIFICATION = (
    PREFIX + "told-to-verify",
    celery_message("trackrelay.verify", _NO_ARGUMENTS, "()"),
    TICK_S,
)

_stopped = threading.Event()
_messages = probe.MessageWatch()


def start(hostname: str, pool: str, concurrency: int) -> None:
    """Start a thread of the worker's parent process that shows the worker and sends the tasks."""
    _stopped.clear()
    facts = {
        "hostname": hostname,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "pool": pool.rsplit(".", 1)[-1],
        "concurrency": concurrency,
        "version": __version__,
        "started": int(time.time()),
    }
    threading.Thread(target=_run, args=(facts,), name="trackrelay-heartbeat", daemon=True).start()


def note_received() -> None:
    """Note that the worker's parent process took a message."""
    _messages.received()


def stop() -> None:
    """Stop the thread, because the worker is shutting down."""
    _stopped.set()


def _run(facts: dict[str, str | int]) -> None:
    configured = settings()
    client = connect(configured)
    facts = {**facts, **destination(configured)}
    send = client.register_script(_SEND_TASK)
    tasks = _PERIODIC_TASKS if configured.verify == "off" else (*_PERIODIC_TASKS, _VERIFICATION)
    is_reachable = True
    reached_at = 0.0
    probe.remove_stale()
    while not _stopped.is_set():
        messages = None
        try:
            _show(client, facts)
            messages = None if _is_busy(facts) else int(client.llen(QUEUE_KEY))
            reached_at = time.time()
            for key, message, interval_s in tasks:
                # A little less than the interval, so that the next heartbeat is not too early.
                interval_ms = int(interval_s * 900)
                send(args=[key, QUEUE_KEY, message, interval_ms, MAX_WAKEUPS, uuid4().hex])
            is_reachable = True
        except (RedisError, OSError) as error:
            if is_reachable:
                log.error("redis_unreachable", error=f"{type(error).__name__}: {error}"[:300])
            is_reachable = False
        _write_probe_file(facts, reached_at, messages)
        _stopped.wait(TICK_S)
    probe.remove(str(facts["hostname"]))
    try:
        client.delete(_key(facts))
        client.zrem(WORKERS_KEY, str(facts["hostname"]))
    except (RedisError, OSError):
        return


def _show(client: redis.Redis, facts: dict[str, str | int]) -> None:
    now = time.time()
    client.set(_key(facts), json.dumps(facts), ex=LOST_AFTER_S)
    client.zadd(WORKERS_KEY, {str(facts["hostname"]): now})
    client.zremrangebyscore(WORKERS_KEY, "-inf", now - REMEMBERED_S)


def _is_busy(facts: dict[str, str | int]) -> bool:
    from celery.worker.state import active_requests

    return len(active_requests) >= int(facts["concurrency"] or 1)


def _write_probe_file(facts: dict[str, str | int], reached_at: float, messages: int | None) -> None:
    told = {
        "worker": facts["hostname"],
        "pid": facts["pid"],
        "at": time.time(),
        "reached_at": reached_at,
        "stuck_s": _messages.stuck_s(messages),
    }
    try:
        probe.write(str(facts["hostname"]), told)
    except OSError as error:
        _log_no_probe_once(f"{type(error).__name__}: {error}"[:300])


@lru_cache(maxsize=1)
def _log_no_probe_once(error: str) -> None:
    log.warning("probe_file_not_written", error=error)


def _key(facts: dict[str, str | int]) -> str:
    return f"{WORKER_KEY}{facts['hostname']}"
