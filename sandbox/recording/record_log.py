"""A list of numbered records that forgets the oldest: first their bytes, then they themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar


class Record(Protocol):
    """What a log holds."""

    seq: int
    body: bytes | None


R = TypeVar("R", bound=Record)


class Log(Generic[R]):
    """Records in order, at most `keep` of them with at most `keep_bytes` of bodies."""

    def __init__(self, keep: int, keep_bytes: int) -> None:
        self._keep = max(1, keep)
        self._keep_bytes = keep_bytes
        self.clear()

    def __len__(self) -> int:
        return len(self._records)

    def clear(self) -> None:
        """Forget everything and number from 1 again."""
        self._records: list[R] = []
        self.next_seq = 1
        #: The seq of the first record that is still here.
        self.first_seq = 1
        self._body_bytes = 0
        self._first_with_body = 0

    def append(self, record: R) -> None:
        """Add the record numbered `next_seq`."""
        self._records.append(record)
        self.next_seq += 1
        if record.body is not None:
            self._body_bytes += len(record.body)
            if self._body_bytes > self._keep_bytes:
                self._forget_bodies()
        if len(self._records) > self._keep + self._keep // 8 + 16:
            self._forget_records(len(self._records) - self._keep)

    def after(self, seq: int) -> Iterator[R]:
        """The records numbered higher than `seq`, oldest first."""
        start = max(0, seq + 1 - self.first_seq)
        return islice(self._records, start, None) if start == 0 else iter(self._records[start:])

    def newest(self, count: int) -> list[R]:
        """The last `count` records, newest first."""
        return self._records[: -count - 1 : -1]

    def _forget_bodies(self) -> None:
        while self._body_bytes > self._keep_bytes and self._first_with_body < len(self._records):
            record = self._records[self._first_with_body]
            self._body_bytes -= len(record.body or b"")
            record.body = None
            self._first_with_body += 1

    def _forget_records(self, count: int) -> None:
        for record in self._records[:count]:
            self._body_bytes -= len(record.body or b"")
        del self._records[:count]
        self.first_seq += count
        self._first_with_body = max(0, self._first_with_body - count)
