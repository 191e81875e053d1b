"""Runs one server, or another program, and ends it as soon as the process that asked for it is gone.

A program of its own, started as a file with nothing but the standard library (about 15 ms), because only another
process can notice that its parent was killed with SIGKILL, on Linux and macOS alike, and because PR_SET_PDEATHSIG,
Linux' answer, is lost when a server gives up root. It notices in two ways: its standard input is a pipe that the parent
never writes to again and that ends with the parent; and, should a forked child of the parent have inherited the other end, by
looking once a second who its parent is.

It is told what to do by one line of JSON (see `Order`) on its standard input, since everybody can read arguments and
environments hold secrets; it prints the server's process id, and exits as the server did.
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
    """What the leash is told."""

    command: list[str]
    #: environment of the server
    env: dict[str, str]
    #: whom to run it as, `None` for whoever we are
    uid: int | None
    gid: int | None
    #: signals that ask the server to end, each with the seconds it is given; SIGKILL follows the last
    farewell: list[tuple[int, float]]
    #: file descriptor of a lock: ours for as long as we live, not the server's
    lock: int | None
    #: directory to remove once the parent is gone: a temporary one that nobody else will
    remove: str | None


def main() -> int:
    parent = os.getppid()
    order = _read_order()
    if order["lock"] is not None:
        os.set_inheritable(order["lock"], False)
    signals = _receive_signals()
    server = _launch(order)
    os.write(STDOUT, f"{server}\n".encode())
    os.close(STDOUT)
    while True:
        ready, _, _ = select.select([STDIN, signals], [], [], ORPHAN_CHECK_S)
        code = _exit_code(server)
        if code is not None:
            return code
        told_to_end = signals in ready and signal.SIGTERM in os.read(signals, 512)
        if STDIN in ready or told_to_end or os.getppid() != parent:
            return _end(server, order)


def _read_order() -> Order:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(STDIN, 65_536) or sys.exit("no order came")
    order: Order = json.loads(line)
    return order


def _receive_signals() -> int:
    """A descriptor that becomes readable when the server ends or somebody asks us to end it."""
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
        os.setpgid(0, 0)  # the children it leaves behind can then be found
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


def _exit_code(server: int) -> int | None:
    pid, status = os.waitpid(server, os.WNOHANG)
    return None if pid == 0 else _as_shells_do(os.waitstatus_to_exitcode(status))


def _as_shells_do(code: int) -> int:
    return code if code >= 0 else 128 - code


def _end(server: int, order: Order) -> int:
    code = _say_farewell(server, order["farewell"])
    _signal_group(server, signal.SIGKILL)  # children it left behind
    if order["remove"] is not None:
        _remove(order["remove"])
    return code


def _remove(folder: str) -> None:
    import shutil  # only needed here, and it would double the time we take to start

    for _ in range(REMOVE_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(
            POLL_S * 10
        )  # Postgres' children may write until they notice that they lost their parent


def _say_farewell(server: int, farewell: list[tuple[int, float]]) -> int:
    for number, patience_s in farewell:
        os.kill(server, number)
        _resume(server)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            code = _exit_code(server)
            if code is not None:
                return code
            time.sleep(POLL_S)
    os.kill(server, signal.SIGKILL)
    return _as_shells_do(os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]))


def _signal_group(server: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.killpg(server, number)


def _resume(server: int) -> None:
    """Lets a paused server go on, or it would not hear us.

    Postgres' children, each a group of its own, are found on Linux only; elsewhere Postgres kills those in the end.
    """
    _signal_group(server, signal.SIGCONT)
    with contextlib.suppress(OSError), open(f"/proc/{server}/task/{server}/children") as children:
        for child in children.read().split():
            os.kill(int(child), signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main())
