"""The jobs that a process's Redis took lately, so that a failover which forgot some is noticed.

A replica is a moment behind its primary. If it takes over, what it had not received is lost, and
nothing in it tells so. Only the callers know. So each process keeps the ids of its latest jobs.
When it connects to another server than before, it writes them to that server's list
``ACKNOWLEDGED``. Workers look for them in every store, and record those that are in none as lost.

A server is known by its ``run_id``, which changes with each start. After a restart the same is
done: an append-only file may lack its last second.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from redis.exceptions import ResponseError

from . import redis_keys, resp
from .append import Entry
from .lua_files import lua_script

#: How long a process remembers a job at least; at most twice as long. A replica that is further
#: behind should not take over (``min-replicas-max-lag``).
REMEMBERED_S = 60.0
#: How many jobs of each such period it remembers.
MAX_JOBS = 5_000
#: How many ids one element of the list has at most.
CHUNK_IDS = 500
#: How many elements the list has at most, of all processes. Further ids are not written.
MAX_CHUNKS = 400
#: How long the list is kept if no worker reads it.
KEPT_S = 86_400

REPORT = lua_script(__package__, "report_acknowledged")
_INFO = resp.command(2, resp.packed(["INFO", "server"]))
_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


class Acknowledged:
    """Ids of the latest jobs that the queue took from this process. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._earlier: deque[str] = deque(maxlen=MAX_JOBS)
        self._latest: deque[str] = deque(maxlen=MAX_JOBS)
        #: When the latest period ends.
        self._ends = clock() + REMEMBERED_S
        #: The ``run_id`` of the server that took them.
        self._server: bytes | None = None
        self._lock = Lock()

    def note(self, entries: Sequence[Entry]) -> None:
        """Remember the jobs of entries that the queue has taken."""
        now = self._clock()
        if now > self._ends:
            self._earlier, self._latest = self._latest, deque(maxlen=MAX_JOBS)
            self._ends = now + REMEMBERED_S
        # Most calls bring one operation, and each of them comes through here.
        for entry in entries if len(entries) == 1 else entries[-MAX_JOBS:]:
            operation = entry.operation
            self._latest.append(operation.id)
            if operation.companion is not None:
                self._latest.append(operation.companion.id)

    def remembered(self) -> list[str]:
        """Return the ids of the latest jobs, oldest first."""
        over_s = self._clock() - self._ends
        earlier = self._earlier if over_s <= 0 else ()
        return [*earlier, *self._latest] if over_s <= REMEMBERED_S else []

    def connected(self, connection: Any) -> None:
        """Report the jobs to the server of a new connection, if it is another one than before.

        Raises:
            OSError, RedisError: there was no answer. The next connection reports.
        """
        # Another thread may report at this moment. What it misses is in the new server.
        if not self._lock.acquire(blocking=False):
            return
        try:
            server = _run_id(_ask(connection, _INFO))
            if server is None or server == self._server:
                return
            if self._server is not None:
                for chunk in _chunks(self.remembered()):
                    _ask(connection, _report_command(chunk))
            self._server = server
        except ResponseError:
            # It is a replica, or refuses INFO. The command that follows finds out.
            return
        finally:
            self._lock.release()


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + CHUNK_IDS] for start in range(0, len(ids), CHUNK_IDS)]


def _report_command(ids: Sequence[str]) -> bytes:
    arguments = (redis_keys.PREFIX, MAX_CHUNKS, KEPT_S, ",".join(ids))
    return resp.command(3 + len(arguments), resp.packed(["EVAL", REPORT, 0, *arguments]))


def _ask(connection: Any, command: bytes) -> Any:
    connection.send_packed_command([command], check_health=False)
    return connection.read_response(disable_decoding=True)


def _run_id(answer: Any) -> bytes | None:
    found = _RUN_ID.search(answer) if isinstance(answer, bytes) else None
    return found[1] if found else None
