"""Nothing is left running, however the process ends that started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.canaries import CANARY_API_KEY
from tests.support.waiting import patient, wait_until
from trackrelay.worker.devstack.servers import ChildProcess

BOTH = "[ValkeyProcess().start(), PostgresProcess(durable=False).start()]"
VALKEY = "[ValkeyProcess().start()]"
STARTS = """
import sys, time
from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess
servers = {servers}
{then}
print(*(f"{{server.pid}} {{server.data_dir}}" for server in servers), sep="\\n", flush=True)
{finally_}
"""


def run(
    servers: str = BOTH, then: str = "", finally_: str = "time.sleep(60)", own_group: bool = False
) -> tuple[subprocess.Popen[str], list[int], list[Path]]:
    script = STARTS.format(servers=servers, then=then, finally_=finally_)
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=own_group
    )
    assert process.stdout is not None
    lines = [process.stdout.readline().split(" ", 1) for _ in range(servers.count("start"))]
    return process, [int(pid) for pid, _ in lines], [Path(folder.strip()) for _, folder in lines]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_all_gone(pids: list[int], folders: list[Path], timeout: float = 10) -> None:
    wait_until(lambda: all(map(gone, pids)), timeout, f"the servers {pids} to be gone")
    wait_until(
        lambda: not any(folder.exists() for folder in folders), 5, f"{folders} to be removed"
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_a_process_ended_by_a_signal(number: signal.Signals) -> None:
    process, pids, folders = run(BOTH if number == signal.SIGKILL else VALKEY)
    process.send_signal(number)
    process.wait(patient(10))
    assert_all_gone(pids, folders)


@pytest.mark.parametrize("exit_", ["sys.exit()", "import os; os._exit(3)", "raise SystemError"])
def test_servers_end_with_a_process_that_ends_without_stopping_them(exit_: str) -> None:
    process, pids, folders = run(VALKEY, finally_=exit_)
    process.wait(patient(20))
    assert_all_gone(pids, folders)


def test_servers_end_although_a_forked_child_of_the_process_lives_on() -> None:
    """The child has inherited the pipe, so that its end is not seen."""
    process, pids, folders = run(
        VALKEY, then="import os\nif os.fork() == 0: time.sleep(20); os._exit(0)"
    )
    child = next(c for c in psutil.Process(process.pid).children() if is_fork(c))
    process.kill()
    process.wait(patient(10))
    assert_all_gone(pids, folders)
    assert child.is_running()
    child.kill()


def is_fork(process: psutil.Process) -> bool:
    return STARTS.splitlines()[1] in " ".join(process.cmdline())


def test_paused_servers_end_too() -> None:
    process, pids, folders = run(then="for server in servers: server.pause()")
    process.kill()
    process.wait(patient(10))
    assert_all_gone(pids, folders, timeout=25)


def test_a_process_group_killed_as_a_whole_takes_its_servers_along() -> None:
    process, pids, folders = run(VALKEY, own_group=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(patient(10))
    assert_all_gone(pids, folders)


def test_a_childs_environment_cannot_be_read_from_its_supervisor(
    tmp_path: Path,
) -> None:
    with (tmp_path / "log").open("wb") as output:
        script = "import os, time; print(os.environ['KEY'], flush=True); time.sleep(60)"
        child = ChildProcess(
            "sleep", [sys.executable, "-c", script],
            env={"KEY": CANARY_API_KEY}, cwd=tmp_path, output=output.fileno(),
        ).start()  # fmt: skip
    try:
        wait_until(
            lambda: CANARY_API_KEY in (tmp_path / "log").read_text(),
            10,
            "the child to say what it was told",
        )
        supervisor = psutil.Process(child.pid).parent()
        assert supervisor is not None
        assert CANARY_API_KEY not in " ".join(supervisor.cmdline())
    finally:
        child.kill()


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as output:
        child = ChildProcess(
            "x", ["/nonexistent/program"], env={}, cwd=tmp_path, output=output.fileno()
        ).start()
    assert child.wait(patient(10))
    assert child.exit_code == 127
    assert (
        "cannot run /nonexistent/program: [Errno 2] No such file" in (tmp_path / "log").read_text()
    )
