"""Jobs that share an entry of a stream."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from trackrelay.queue.shared_entries import ENTRY_BYTES, ENTRY_JOBS, PlacedEntry, coalesce


def placed(*of_shards: tuple[int, ...], size_bytes: int = 10) -> list[PlacedEntry]:
    """Entries of one numbered job each."""
    return [
        PlacedEntry(shards, b'[{"n":%d}%s]' % (number, b" " * size_bytes))
        for number, shards in enumerate(of_shards)
    ]


def in_shard(entries: Iterable[PlacedEntry], shard: int) -> list[bytes]:
    """The jobs of a shard, in order."""
    return [
        part
        for entry in entries
        if shard in entry.shards
        for part in entry.data[1:-1].replace(b" ", b"").split(b",")
    ]


@given(st.lists(st.sampled_from([(0,), (1,), (2,), (0, 1), (2, 0)]), max_size=200))
def test_each_shard_has_its_jobs_in_their_order(of_shards: list[tuple[int, ...]]) -> None:
    before = placed(*of_shards)
    after = list(coalesce(before))
    assert all(in_shard(after, shard) == in_shard(before, shard) for shard in range(3))
    assert sum(entry.jobs for entry in after) == len(before)
    assert all(entry.jobs == 1 for entry in after if len(entry.shards) > 1)
    assert all(entry.jobs <= ENTRY_JOBS for entry in after)


def test_as_many_share_an_entry_as_may() -> None:
    assert [entry.jobs for entry in coalesce(placed(*[(0,)] * 60))] == [ENTRY_JOBS, ENTRY_JOBS, 10]
    large = placed(*[(0,)] * 5, size_bytes=ENTRY_BYTES // 2)
    assert [entry.jobs for entry in coalesce(large)] == [2, 2, 1]
    assert [entry.jobs for entry in coalesce(placed((0,), (1,), (0,)))] == [2, 1]
