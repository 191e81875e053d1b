"""Commands that read the streams cope with foreign entries."""

import pytest

from tests.support import hostile_entries
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay.operations.ids import new_id


@pytest.fixture
def hostile(harness: Harness) -> Harness:
    """Every kind of entry in each lane, and a healthy job behind them."""
    for fields in hostile_entries.all_cases().values():
        for shard, lane in ((0, "live"), (1, "bulk")):
            harness.redis.xadd(f"trackrelay:{shard}:{lane}", fields)  # type: ignore[arg-type]
    return harness


def test_status_and_check_count_them(hostile: Harness, run: CommandLine) -> None:
    for arguments in (["status"], ["status", "--json"], ["check"]):
        answer = run(*arguments)
        assert "Traceback" not in answer.out + answer.err
        assert answer.out


def test_find_skips_entries_that_it_cannot_read(hostile: Harness, run: CommandLine) -> None:
    job = hostile.producer.track("42", "seen", idempotency_key="K-1")
    for wanted in (job, "42", "id:42", "K-1", "id:h", "h", new_id()):
        answer = run("find", wanted)
        assert "Traceback" not in answer.out + answer.err, wanted
    assert job in run("find", job).out


def test_a_change_of_shards_moves_what_can_be_moved(hostile: Harness, run: CommandLine) -> None:
    job = hostile.producer.track("42", "seen")
    done = run("reshard", "8", "--yes")
    assert done.code == 0, done.err
    assert hostile.stream_length() == 0
    assert hostile.waiting(job)
