"""``trackrelay import``: JSON Lines, rejects, running it again, interruptions."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import clean_environment
from trackrelay.queue.job import decode_entry
from trackrelay.worker.cli.file_import.import_run import LineKeys
from trackrelay.worker.cli.file_import.import_source import read_json_lines


def event(person: int | str, name: str = "ordered", **more: Any) -> dict[str, Any]:
    return {
        "type": "person",
        "action": "event",
        "identifiers": {"id": str(person)},
        "name": name,
        **more,
    }


def jobs(harness: Harness, lane: str = "bulk") -> list[Any]:
    """Every queued job of a lane, shard by shard."""
    return [
        job
        for shard in range(4)
        for _, fields in harness.redis.xrange(f"trackrelay:{shard}:{lane}")
        for job in decode_entry(fields[b"j"])
    ]


@pytest.fixture
def lines(tmp_path: Path) -> Any:
    """Writes documents (or text, as it is) to a file, a line each."""

    def write(*documents: Any, name: str = "events.jsonl") -> str:
        file = tmp_path / name
        texts = [each if isinstance(each, str) else json.dumps(each) for each in documents]
        file.write_text("".join(f"{text}\n" for text in texts))
        return str(file)

    return write


def test_every_line_becomes_a_job_in_the_bulk_lane(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    file = lines(
        event(1),
        {"type": "person", "action": "identify", "identifiers": {"email": "A@x.de"}},
        "",
        event(2),
    )

    answer = run("import", file)

    assert (answer.code, answer.out) == (0, "3 operations enqueued, 0 lines rejected.\n")
    assert sorted(job.operation for job in jobs(harness)) == [
        "person.event",
        "person.event",
        "person.identify",
    ]
    assert jobs(harness, "live") == []
    assert not Path(f"{file}.rejects.jsonl").exists()


def test_running_it_again_sends_nothing_twice(
    working_harness: Harness, run: CommandLine, lines: Any
) -> None:
    file = lines(*(event(number % 7, f"event-{number}") for number in range(50)))
    run("import", file)
    working_harness.wait_settled()

    assert run("import", file).out == "50 operations enqueued, 0 lines rejected.\n"
    working_harness.wait_settled()

    assert len(working_harness.ledger_ids()) == 50
    assert working_harness.sandbox.summary()["events"] == 50
    assert working_harness.sandbox.summary()["duplicates_ignored"] == 0


def test_lines_that_say_the_same_are_as_many_jobs_each_time(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    same = lines(event(1), event(1), event(1))
    for _ in range(2):
        run("import", same)

    assert len(jobs(harness)) == 6
    assert len({job.id for job in jobs(harness)}) == 3


def test_the_same_file_under_another_name_of_the_run_is_sent_again(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    file = lines(event(1))
    for name in ("", "january", "january", "february"):
        run("import", file, "--run", name)

    assert len({job.id for job in jobs(harness)}) == 3


def test_a_line_brings_its_own_idempotency_key(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    run("import", lines(event(1, idempotency_key="A-1"), event(1, "other", idempotency_key="A-1")))
    first, second = jobs(harness)

    assert first.idempotency_key == second.idempotency_key == "A-1"
    assert first.id != second.id  # of another name
    assert run("enqueue", json.dumps(event(1)), "--idempotency-key", "A-1").out.strip() == first.id


def test_bad_lines_are_kept_with_their_number_reason_and_text(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    file = lines(event(1), "{oops", event(2, "x" * 101), "[1, 2]", event(3))

    answer = run("import", file)

    rejects = Path(f"{file}.rejects.jsonl")
    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert answer.code == 1
    assert answer.out == "2 operations enqueued, 3 lines rejected.\n"
    assert [(each["line"], each.get("field")) for each in kept] == [
        (2, None),
        (3, "name"),
        (4, None),
    ]
    assert kept[0]["text"] == "{oops"
    assert "101 bytes; Customer.io takes 100" in kept[1]["reason"]
    assert kept[1]["operation"] == event(2, "x" * 101)
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    assert str(rejects) in answer.lines[-1]


def test_a_rejects_file_that_cannot_be_written_ends_it_before_it_begins(
    harness: Harness, run: CommandLine, lines: Any, tmp_path: Path
) -> None:
    line = run(
        "import", lines(event(1), "{oops"), "--rejects", str(tmp_path / "nowhere" / "rejects")
    ).only_line()

    assert "rejects cannot be written: No such file or directory" in line
    assert jobs(harness) == []


def test_a_disk_that_is_full_of_rejects_ends_it_and_says_how_far_it_came(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    answer = run("import", lines(event(1), "{oops", event(2)), "--rejects", "/dev/full")

    assert answer.code == 1
    assert answer.lines == [
        "the rejects file /dev/full cannot be written: No space left on device",
        "stopped after line 3: 2 operations enqueued. Run the same command again to continue: "
        "no operation is sent twice",
    ]


def test_repaired_rejects_can_be_imported(harness: Harness, run: CommandLine, lines: Any) -> None:
    file = lines(event(1, "x" * 101), "{oops")
    run("import", file)
    rejects = Path(f"{file}.rejects.jsonl")
    rejects.write_text(rejects.read_text().replace("x" * 101, "shorter"))

    answer = run("import", str(rejects))

    assert [msgspec.json.decode(job.body)["name"] for job in jobs(harness)] == ["shorter"]
    assert "line 2: rejected before, and still not repaired: not JSON" in answer.lines[0]


def test_a_rejects_file_that_may_be_under_repair_is_never_overwritten(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    file = lines("{oops")
    for _ in range(3):
        run("import", file)

    assert sorted(path.name for path in Path(file).parent.iterdir()) == [
        "events.jsonl",
        "events.jsonl.rejects-2.jsonl",
        "events.jsonl.rejects-3.jsonl",
        "events.jsonl.rejects.jsonl",
    ]
    assert run("import", file, "--rejects", file).code == 2


def test_the_number_of_events_that_may_trigger_campaigns_comes_first(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    now = int(time.time())
    file = lines(
        event(1),
        event(2, timestamp=now - 3600),
        event(3, timestamp=now - 73 * 3600),
        event(4, timestamp=10**9),
    )

    answer = run("import", file)

    assert "4 lines: 4 person.event" in answer.err
    assert (
        "2 events younger than 72 hours (or without a timestamp) may trigger campaigns"
        in answer.err
    )
    assert "2 events older than 72 hours will not trigger campaigns" in answer.err


def test_what_will_be_enqueued_and_refused_is_shown_first(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    file = lines(
        event(1),
        {"type": "person", "action": "identify", "identifiers": {"id": "null"}},
        event(2, ""),
        "{oops",
    )

    answer = run("import", file)

    first, second, third, fourth = answer.err.splitlines()[:4]
    assert first == f"{file}: 4 lines: 1 person.event, 3 refused"
    assert second.startswith("  line 2: the id of a person is 'null', which names nobody")
    assert third.startswith("  line 3: the name of event of person id:2 is blank")
    assert fourth.startswith("  line 4: not JSON")
    assert answer.out == "1 operation enqueued, 3 lines rejected.\n"


def test_a_dry_run_checks_everything_and_enqueues_nothing(
    harness: Harness, run: CommandLine, lines: Any
) -> None:
    file = lines(event(1), "{oops")

    answer = run("import", file, "--dry-run")

    assert answer.code == 1
    assert answer.out == "1 valid operation, 1 line rejected; nothing was enqueued.\n"
    assert answer.lines[0].startswith("line 2: not JSON")
    assert jobs(harness) == []
    rejected = msgspec.json.decode(Path(f"{file}.rejects.jsonl").read_bytes())
    assert (rejected["line"], rejected["text"]) == (2, "{oops")


def test_stdin_is_read_to_its_end(harness: Harness, run: CommandLine) -> None:
    answer = run(
        "import",
        "-",
        "--json",
        input="".join(json.dumps(event(number)) + "\n" for number in range(3)),
    )

    assert answer.json == {
        "lines": 3,
        "enqueued": 3,
        "rejected": 0,
        "rejects_file": None,
        "operations": {"person.event": 3},
        "events": {"may_trigger_campaigns": 3, "will_not": 0},
        "dry_run": False,
    }


def test_unreadable_import_files_are_reported(
    harness: Harness, run: CommandLine, lines: Any, tmp_path: Path
) -> None:
    assert "No such file or directory" in run("import", str(tmp_path / "none.jsonl")).only_line()
    assert "Is a directory" in run("import", str(tmp_path)).only_line()
    assert "is one JSON document, not JSON Lines" in run("import", lines("[", "]")).only_line()


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(
    harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "windows.jsonl"
    file.write_bytes(
        b"\xef\xbb\xbf" + json.dumps(event(1)).encode() + b"\r\n" + json.dumps(event(2)).encode()
    )

    assert run("import", str(file)).out == "2 operations enqueued, 0 lines rejected.\n"


def test_a_line_without_end_is_refused_without_being_held(tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    with file.open("wb") as out:
        out.write(b'{"a":"' + b"x" * 20_000_000 + b'"}\n' + json.dumps(event(1)).encode() + b"\n")

    tracemalloc.start()
    with file.open("rb") as opened:
        first, second = read_json_lines(opened, "long.jsonl")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert first.problem == "longer than 1,000,000 bytes"
    assert (second.number, second.document) == (2, event(1))
    assert most < 6_000_000


def test_lines_that_no_parser_takes_are_refused_by_themselves(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    hostile = [
        b"[" * 1_500,
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b"9" * 5_000,
        b'{"a":1e400}',
        b'{"a":"\\ud800"}',
    ]
    file.write_bytes(b"\n".join([*hostile, b'{"fine": 1}']))
    with file.open("rb") as opened:
        found = list(read_json_lines(opened, "lines.jsonl"))
    assert [bool(line.problem) for line in found] == [True] * 5 + [False]


def test_memory_does_not_grow_with_the_number_of_lines() -> None:
    identity = LineKeys()
    tracemalloc.start()
    for number in range(20_000):
        identity.key_of(event(number))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 300_000


def test_an_interrupted_import_says_where_and_a_second_run_completes_it(
    harness: Harness, run: CommandLine, lines: Any, start_worker: Any
) -> None:
    documents = [event(number % 50, f"event-{number}") for number in range(30_000)]
    file = lines(*documents)
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("trackrelay")), "import", file],
        env=clean_environment() | harness.settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: harness.stream_length() > 1000, 60, "the import to begin")
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=patient(30))

    assert process.returncode == 1
    assert "stopped after line" in errors
    assert "Run the same command again to continue: no operation is sent twice" in errors
    assert "Traceback" not in errors
    assert 0 < harness.stream_length() < 30_000

    assert run("import", file).code == 0
    start_worker(harness.settings, pool="threads", concurrency=4)
    harness.wait_settled(90)
    assert len(harness.ledger_ids()) == 30_000
    names = [effect["name"] for effect in harness.effects("id:7")]
    assert names == [
        document["name"] for document in documents if document["identifiers"]["id"] == "7"
    ]


def test_an_import_leaves_half_of_the_queue_to_applications(harness: Harness, lines: Any) -> None:
    file = lines(*(event(number) for number in range(2_000)))
    settings = harness.settings | {"TRACKRELAY_MAX_QUEUE_LENGTH": "2000"}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("trackrelay")), "import", file],
        env=clean_environment() | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: harness.stream_length() >= 1000, 60, "half of the queue to be filled")
        live = CommandLine(settings)("enqueue", json.dumps(event(1)))
        assert live.code == 0
        assert harness.stream_length() == 1001
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
