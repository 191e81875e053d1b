"""Runs one program, and stops it as soon as the parent process has ended.

This is a program of its own, because only another process can notice that a process was killed
with SIGKILL. PR_SET_PDEATHSIG does it on Linux alone, and is lost when a server gives up root. The
file needs the standard library alone, and starts in about 15 ms.

The supervisor notices the end of its parent in two ways. Its standard input is a pipe that closes
when the parent ends. A forked child of the parent may keep the pipe open, so the supervisor also
checks once per second that its parent is the same.

It reads its order (see `Order`) as one line of JSON from standard input: everybody can read the
arguments of a process, and the environment of the program holds secrets. It prints the program's
process id, and exits with its exit code.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import NoReturn, TypedDict

STDIN, STDOUT, STDERR = 0, 1, 2
ORPHAN_CHECK_S = 1.0
POLL_S = 0.02
REMOVE_ATTEMPTS = 10


class Order(TypedDict):
    """What the supervisor has to do."""

    command: list[str]
    #: Environment of the program.
    env: dict[str, str]
    #: User and group to run it as; None: those of this process.
    uid: int | None
    gid: int | None
    #: Signals that ask it to stop, each with the seconds to wait; SIGKILL follows the last.
    stop_signals: list[tuple[int, float]]
    #: Descriptor of a locked file, which the supervisor keeps open and the program does not get.
    lock: int | None
    #: Temporary folder to remove if the parent has ended.
    remove: str | None


def main() -> int:
    """Run the server that the parent orders, and return the exit code."""
    parent = os.getppid()
    order = _read_order()
    if order["lock"] is not None:
        os.set_inheritable(order["lock"], False)
    signals = _receive_signals()
    program = _launch(order)
    os.write(STDOUT, f"{program}\n".encode())
    os.close(STDOUT)
    while True:
        ready, _, _ = select.select([STDIN, signals], [], [], ORPHAN_CHECK_S)
        code = _exit_code(program)
        if code is not None:
            return code
        terminated = signals in ready and signal.SIGTERM in os.read(signals, 512)
        if STDIN in ready or terminated or os.getppid() != parent:
            return _end(program, order)


def _read_order() -> Order:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(STDIN, 65_536) or sys.exit("no order on standard input")
    order: Order = json.loads(line)
    return order


def _receive_signals() -> int:
    """Return a descriptor that becomes readable when the program ends, or on SIGTERM."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return readable


def _launch(order: Order) -> int:
    pid = os.fork()
    if pid == 0:
        _become(order)
    return pid


def _become(order: Order) -> NoReturn:
    try:
        os.setpgid(0, 0)  # so that the children it leaves behind can be killed
        os.dup2(os.open(os.devnull, os.O_RDONLY), STDIN)
        os.dup2(STDERR, STDOUT)
        if order["uid"] is not None and order["gid"] is not None:
            os.setgroups([])
            os.setgid(order["gid"])
            os.setuid(order["uid"])
        os.execve(order["command"][0], order["command"], order["env"])
    except OSError as error:
        os.write(STDERR, f"cannot run {order['command'][0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _exit_code(program: int) -> int | None:
    pid, status = os.waitpid(program, os.WNOHANG)
    return None if pid == 0 else _shell_code(os.waitstatus_to_exitcode(status))


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


def _end(program: int, order: Order) -> int:
    code = _stop(program, order["stop_signals"])
    _signal_group(program, signal.SIGKILL)  # children it left behind
    if order["remove"] is not None:
        _remove(order["remove"])
    return code


def _remove(folder: str) -> None:
    import shutil  # here, because importing it doubles the time to start

    for _ in range(REMOVE_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        # PostgreSQL's children can write until they notice that their parent has ended.
        time.sleep(POLL_S * 10)


def _stop(program: int, stop_signals: list[tuple[int, float]]) -> int:
    for number, patience_s in stop_signals:
        os.kill(program, number)
        _resume(program)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            code = _exit_code(program)
            if code is not None:
                return code
            time.sleep(POLL_S)
    os.kill(program, signal.SIGKILL)
    return _shell_code(os.waitstatus_to_exitcode(os.waitpid(program, 0)[1]))


def _signal_group(program: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.killpg(program, number)


def _resume(program: int) -> None:
    """Resume a paused program, which otherwise receives no signal.

    PostgreSQL's children have process groups of their own. They are found on Linux only;
    elsewhere PostgreSQL kills them in the end.
    """
    _signal_group(program, signal.SIGCONT)
    task = f"/proc/{program}/task/{program}/children"
    with contextlib.suppress(OSError), open(task) as children:
        for child in children.read().split():
            os.kill(int(child), signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main())
