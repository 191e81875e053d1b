"""The shop and everything behind it, in one terminal: Valkey, PostgreSQL, a sandbox that plays Customer.io, a worker, the relay."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from trackrelay.worker.devstack.merged_output import Merged
from trackrelay.worker.devstack.servers import ChildProcess, ServerError, ports
from trackrelay.worker.devstack.stack import Stack
from trackrelay.worker.devstack.stop_signals import like_ctrl_c

HERE = Path(__file__).resolve().parent
PORT = 8000


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="examples/django_shop/run", description=__doc__)
    usual = PORT if ports.is_free(PORT) else 0
    parser.add_argument(
        "--port", type=int, default=usual, help="where the shop listens; 0: any free port"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=HERE / ".trackrelay",
        help="keeps data from one start to the next",
    )
    told = parser.parse_args()
    told.data.mkdir(exist_ok=True)
    output = Merged(sys.stdout)
    with like_ctrl_c():
        try:
            serve(told.data, told.port or ports.free_port(), output)
        except (ServerError, subprocess.CalledProcessError) as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            print("\nEverything is stopped.")
        finally:
            output.finish()


def serve(folder: Path, port: int, output: Merged) -> None:
    """Start everything, look after it, and stop it again.

    Raises:
        ServerError: something did not start, or ended by itself.
        CalledProcessError: the shop's database could not be set up.
    """
    children: list[ChildProcess] = []
    with Stack(folder, output, settings={"TRACKRELAY_LOG_FORMAT": "console"}, said=print) as stack:
        try:
            environment = {
                **os.environ,
                **stack.settings,
                "DJANGO_SETTINGS_MODULE": "shop.settings",
                "SHOP_DATABASE_URL": stack.postgres.url,
                "PYTHONUNBUFFERED": "1",
            }
            for command in (["migrate", "--verbosity=0"], ["fill_shop"]):
                subprocess.run(manage(*command), env=environment, cwd=HERE, check=True)
            # As in a workspace where people may change their address.
            stack.sandbox.client.settings(email_updates_with_id=True)
            children.append(start("relay", environment, output, "trackrelay", "relay"))
            children.append(
                start("shop", environment, output, "runserver", "--noreload", f"127.0.0.1:{port}")
            )
            print(f"\nThe shop:             http://127.0.0.1:{port}/")
            print(f"Its admin:            http://127.0.0.1:{port}/admin/ (admin, admin)")
            print(
                f"What Customer.io got: {stack.sandbox.url}/_sandbox/\n\nCtrl-C stops everything.\n",
                flush=True,
            )
            watch(stack, children)
        finally:
            for child in reversed(children):
                child.stop()


def watch(stack: Stack, children: list[ChildProcess]) -> NoReturn:
    """Raise when something ends by itself."""
    while True:
        ended = stack.dead() or next((child.name for child in children if not child.running), None)
        if ended:
            raise ServerError(f"{ended} ended by itself")
        time.sleep(0.5)


def manage(*arguments: str) -> list[str]:
    """A command of the shop's."""
    return [sys.executable, str(HERE / "manage.py"), *arguments]


def start(name: str, environment: dict[str, str], output: Merged, *arguments: str) -> ChildProcess:
    """A process that ends with this one."""
    descriptor = output.of(name)
    try:
        return ChildProcess(
            f"the {name}", manage(*arguments), env=environment, cwd=HERE, output=descriptor
        ).start()
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
