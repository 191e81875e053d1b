"""Several jobs in one stream entry: what ``enqueue_many()`` brings by the hundred, Redis need not hand in and out one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

#: Jobs of one shard that share an entry …
ENTRY_JOBS = 25
#: … or bytes, if that is less: a worker reads no less than an entry.
ENTRY_BYTES = 64_000


class Placed(NamedTuple):
    """The bytes of a stream entry, and the shards in which it has its place."""

    shards: tuple[int, ...]
    data: bytes
    #: How many jobs it counts for. An event and its companion are one.
    jobs: int = 1


@dataclass(slots=True)
class _Group:
    parts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, data: bytes) -> bool:
        """Take an entry's bytes in; returns whether that was enough."""
        self.parts.append(data)
        self.size_bytes += len(data)
        return len(self.parts) >= ENTRY_JOBS or self.size_bytes >= ENTRY_BYTES

    def in_one(self, shard: int) -> Placed:
        """All of them in one entry: each is a JSON list, and so is what they make."""
        data = (
            self.parts[0]
            if len(self.parts) == 1
            else b"[%s]" % b",".join([part[1:-1] for part in self.parts])
        )
        return Placed((shard,), data, len(self.parts))


def gathered(entries: Iterable[Placed]) -> Iterator[Placed]:
    """The same jobs in fewer entries, in the same order within each shard.

    A job with keys in two shards keeps an entry to itself: each shard has the whole of it. So does a refused operation, which is in none.
    """
    groups: dict[int, _Group] = {}
    for entry in entries:
        if len(entry.shards) != 1:
            yield from [
                groups.pop(shard).in_one(shard) for shard in entry.shards if shard in groups
            ]
            yield entry
            continue
        (shard,) = entry.shards
        group = groups.setdefault(shard, _Group())
        if group.add(entry.data):
            yield groups.pop(shard).in_one(shard)
    yield from [group.in_one(shard) for shard, group in groups.items()]
