"""Ids in a forked process."""

from __future__ import annotations

import os

from trackrelay.operations.ids import new_id


def test_a_forked_process_does_not_repeat_its_parent() -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, "".join(new_id()[10:] for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 10_000).decode()
    ours = {new_id()[10:] for _ in range(100)}
    assert len(theirs) == 1_600
    assert ours.isdisjoint(theirs[start : start + 16] for start in range(0, 1_600, 16))
