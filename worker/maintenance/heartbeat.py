"""A worker shows that it is there, ticks and prunes: due retries happen, and old rows go, even without a beat."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from uuid import uuid4

import redis
import structlog
from redis.exceptions import RedisError

from trackrelay.queue.append import MAX_WAKEUPS, celery_message
from trackrelay.queue.redis_keys import PREFIX, QUEUE_KEY
from trackrelay.version import __version__
from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.settings import settings
from trackrelay.worker.track_api.destination import destination

from .heartbeat_keys import WORKER_KEY, WORKERS_KEY
from .retention import PRUNE_S
from .ticks import TICK_S

log = structlog.get_logger("trackrelay.worker")

#: A worker that was not heard of for this long is gone, seconds.
GONE_S = 10
#: How long one that went without a word is remembered, seconds.
REMEMBERED_S = 86_400

# One message in so many milliseconds for the whole fleet. ARGV: key, queue, message, milliseconds, max wakeups, unique
_SEND = """
if redis.call('LLEN', ARGV[2]) < tonumber(ARGV[5]) and redis.call('SET', ARGV[1], '1', 'NX', 'PX', ARGV[4]) then
  redis.call('LPUSH', ARGV[2], (string.gsub(ARGV[3], '@', ARGV[6])))
end
"""
_NO_ARGUMENTS = base64.b64encode(json.dumps([[], {}, {}]).encode()).decode()
#: What is sent: the key that says it was, the message, and how often, seconds.
_CLOCKWORK = (
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


def start(hostname: str, pool: str, concurrency: int) -> None:
    """Begin to show this worker and to tick, from a thread of the worker's parent process."""
    _stopped.clear()
    about = {
        "hostname": hostname,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "pool": pool.rsplit(".", 1)[-1],
        "concurrency": concurrency,
        "version": __version__,
        "started": int(time.time()),
    }
    threading.Thread(target=_run, args=(about,), name="trackrelay-presence", daemon=True).start()


def stop() -> None:
    """Stop ticking: the worker is shutting down."""
    _stopped.set()


def _run(about: dict[str, str | int]) -> None:
    configured = settings()
    client = connect(configured)
    about = {**about, **destination(configured)}
    send = client.register_script(_SEND)
    clockwork = _CLOCKWORK if configured.verify == "off" else (*_CLOCKWORK, _VERIFICATION)
    quiet = False
    while not _stopped.is_set():
        try:
            _show(client, about)
            for key, message, every_s in clockwork:
                send(args=[key, QUEUE_KEY, message, int(every_s * 900), MAX_WAKEUPS, uuid4().hex])
            quiet = False
        except (RedisError, OSError) as error:
            if not quiet:
                log.error("Redis cannot be reached", error=f"{type(error).__name__}: {error}"[:300])
            quiet = True
        _stopped.wait(TICK_S)
    try:
        client.delete(_key(about))
        client.zrem(WORKERS_KEY, str(about["hostname"]))
    except (RedisError, OSError):
        return


def _show(client: redis.Redis, about: dict[str, str | int]) -> None:
    now = time.time()
    client.set(_key(about), json.dumps(about), ex=GONE_S)
    client.zadd(WORKERS_KEY, {str(about["hostname"]): now})
    client.zremrangebyscore(WORKERS_KEY, "-inf", now - REMEMBERED_S)


def _key(about: dict[str, str | int]) -> str:
    return f"{WORKER_KEY}{about['hostname']}"
