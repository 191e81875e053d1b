"""The keys in Redis by which workers and beats show that they are there. Who only looks need not import either."""

from __future__ import annotations

from trackrelay.queue.redis_keys import PREFIX

#: When the last beat showed itself: ``status`` reads it.
BEAT_KEY = PREFIX + "beat"
WORKER_KEY = PREFIX + "workers:"
#: Sorted set: every worker that did not say goodbye, by when it was last heard of. Spares ``status`` a scan of all keys.
WORKERS_KEY = PREFIX + "workers"
#: Hash: by host and process, why it delivers nothing.
REFUSING_KEY = PREFIX + "refusing"
