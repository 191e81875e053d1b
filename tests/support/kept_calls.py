"""Calls that were refused, and are kept."""

import json
from typing import Any

import msgspec
import redis

from trackrelay.operations.refused_operations import RefusedCall, decode_refused


class Kept:
    """An entry in the stream of refused operations."""

    def __init__(self, entry: bytes) -> None:
        (self.job,) = decode_refused(entry)
        self.call = msgspec.json.decode(self.job.body, type=RefusedCall)
        self.document: Any = json.loads(bytes(self.call.document))


def kept(queue: redis.Redis) -> list[Kept]:
    """What is in the stream of refused operations, in order."""
    return [Kept(fields[b"j"]) for _, fields in queue.xrange("trackrelay:invalid")]
