"""Put several jobs of ``enqueue_many()`` into one stream entry, which is faster in Redis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

#: Most jobs in one entry.
ENTRY_JOBS = 25
#: Size at which an entry is complete. A worker reads whole entries only.
ENTRY_BYTES = 64_000


class PlacedEntry(NamedTuple):
    """The bytes of a stream entry, and the shards that get it."""

    shards: tuple[int, ...]
    data: bytes
    #: How many jobs it counts for. An event and its companion count as one.
    jobs: int = 1


@dataclass(slots=True)
class _Group:
    parts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, data: bytes) -> bool:
        """Add an entry's bytes, and return whether the group is complete."""
        self.parts.append(data)
        self.size_bytes += len(data)
        return len(self.parts) >= ENTRY_JOBS or self.size_bytes >= ENTRY_BYTES

    def merged(self, shard: int) -> PlacedEntry:
        """Return one entry with all jobs: each part is a JSON list, and so is the result."""
        data = (
            self.parts[0]
            if len(self.parts) == 1
            else b"[%s]" % b",".join([part[1:-1] for part in self.parts])
        )
        return PlacedEntry((shard,), data, len(self.parts))


def coalesce(entries: Iterable[PlacedEntry]) -> Iterator[PlacedEntry]:
    """Yield the same jobs in fewer entries, in the same order within each shard.

    A job with keys in two shards keeps its own entry, because each shard gets the whole entry. A
    refused operation, which has no shard, keeps its own entry too.
    """
    groups: dict[int, _Group] = {}
    for entry in entries:
        if len(entry.shards) != 1:
            yield from [
                groups.pop(shard).merged(shard) for shard in entry.shards if shard in groups
            ]
            yield entry
            continue
        (shard,) = entry.shards
        group = groups.setdefault(shard, _Group())
        if group.add(entry.data):
            yield groups.pop(shard).merged(shard)
    yield from [group.merged(shard) for shard, group in groups.items()]
