"""What a process remembers of the jobs that the queue took, and when it tells another server."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError, ResponseError

from trackrelay import operations
from trackrelay.queue import acknowledged
from trackrelay.queue.acknowledged import MAX_JOBS, REMEMBERED_S, Acknowledged
from trackrelay.queue.append import Entry


class Server:
    """The far end of a connection: answers INFO, and keeps what it is told."""

    def __init__(self, run_id: str, *, error: Exception | None = None) -> None:
        self.info = f"# Server\r\nredis_version:8\r\nrun_id:{run_id}\r\n".encode()
        self.told: list[str] = []
        self.error = error
        self._answer: Any = None

    def send_packed_command(self, commands: list[bytes], check_health: bool) -> None:
        parts = commands[0].split(b"\r\n")
        if b"INFO" in parts:
            self._answer = self.info
            return
        if self.error:
            self._answer = self.error
            return
        self.told += parts[-2].decode().split(",")
        self._answer = 1

    def read_response(self, disable_decoding: bool) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def entries(count: int = 1) -> list[Entry]:
    return [
        Entry.of(operations.track("42", "ordered", {}), source=None, trace=None)
        for _ in range(count)
    ]


def ids(some: list[Entry]) -> list[str]:
    return [entry.operation.id for entry in some]


def test_another_server_is_told_which_jobs_the_earlier_one_took() -> None:
    memory, first, second = Acknowledged(), Server("aaa"), Server("bbb")
    one, many = entries(), entries(3)
    memory.connected(first)
    memory.note(one)
    memory.note(many)
    memory.connected(first)
    memory.connected(second)
    memory.connected(second)
    assert (first.told, second.told) == ([], ids(one) + ids(many))


def test_the_companion_of_an_event_is_a_job_too() -> None:
    memory, second = Acknowledged(), Server("bbb")
    made = operations.track("42", "bought", {}, person_attributes={"plan": "pro"})
    memory.connected(Server("aaa"))
    memory.note([Entry.of(made, source=None, trace=None)])
    memory.connected(second)
    assert made.companion is not None
    assert second.told == [made.id, made.companion.id]


def test_many_jobs_are_told_in_several_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledged, "CHUNK_IDS", 2)
    memory, second, many = Acknowledged(), Server("bbb"), entries(5)
    memory.connected(Server("aaa"))
    memory.note(many)
    memory.connected(second)
    assert second.told == ids(many)


def test_only_the_latest_jobs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    memory = Acknowledged(lambda: now)
    old, earlier, latest = entries(), entries(), entries()
    memory.note(old)
    now = REMEMBERED_S + 1
    memory.note(earlier)
    now = 2 * REMEMBERED_S + 2
    memory.note(latest)
    assert memory.remembered() == ids(earlier) + ids(latest)
    now += REMEMBERED_S + 1
    assert memory.remembered() == ids(latest)
    now += REMEMBERED_S
    assert memory.remembered() == []

    one = entries()[0]
    memory.note([one] * (MAX_JOBS + 1))
    assert len(memory.remembered()) <= 2 * MAX_JOBS


@pytest.mark.parametrize(
    "error", [ResponseError("READONLY You can't write against a read only replica."), None]
)
def test_jobs_that_a_server_did_not_take_note_of_are_told_to_the_next(
    error: Exception | None,
) -> None:
    memory, some = Acknowledged(), entries()
    memory.connected(Server("aaa"))
    memory.note(some)
    if error:
        memory.connected(Server("replica", error=error))
    else:
        with pytest.raises(ConnectionError):
            memory.connected(Server("gone", error=ConnectionError("closed")))
    last = Server("bbb")
    memory.connected(last)
    assert last.told == ids(some)


def test_a_server_without_a_run_id_is_told_nothing() -> None:
    memory, server = Acknowledged(), Server("bbb")
    server.info = b"# Server\r\nredis_version:8\r\n"
    memory.connected(Server("aaa"))
    memory.note(entries())
    memory.connected(server)
    assert server.told == []
