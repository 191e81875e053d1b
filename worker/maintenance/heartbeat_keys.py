"""The Redis keys by which workers and beats show that they run.

They stand apart so that commands need not import what writes them.
"""

from __future__ import annotations

from trackrelay.queue.redis_keys import PREFIX

#: When a beat last ran.
BEAT_KEY = PREFIX + "beat"
WORKER_KEY = PREFIX + "workers:"
#: Sorted set of the workers that have not stopped regularly, by their last heartbeat. With it,
#: ``status`` need not scan all keys.
WORKERS_KEY = PREFIX + "workers"
#: Hash: for each process that delivers nothing, by host and process id, why.
REFUSING_KEY = PREFIX + "refusing"
