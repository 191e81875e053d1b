"""The shop with its whole stack: Valkey, PostgreSQL, a sandbox, a worker, a beat, the relay."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from trackrelay.worker.devstack.merged_output import MergedOutput
from trackrelay.worker.devstack.servers import ChildProcess, ServerError, ports
from trackrelay.worker.devstack.stack import Stack, like_ctrl_c

HERE = Path(__file__).resolve().parent
PORT = 8000


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="examples/django_shop/run", description=__doc__)
    default = PORT if ports.is_free(PORT) else 0
    parser.add_argument(
        "--port", type=int, default=default, help="port of the shop; 0: any free port"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=HERE / ".trackrelay",
        help="folder that keeps the data from one start to the next",
    )
    options = parser.parse_args()
    options.data.mkdir(exist_ok=True)
    output = MergedOutput(sys.stdout)
    with like_ctrl_c():
        try:
            serve(options.data, options.port or ports.free_port(), output)
        except (ServerError, subprocess.CalledProcessError) as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            print("\nEverything is stopped.")
        finally:
            output.finish()


def serve(folder: Path, port: int, output: MergedOutput) -> None:
    """Start everything, watch it, and stop it again.

    Raises:
        ServerError: A part did not start, or ended unexpectedly.
        CalledProcessError: The shop's database could not be set up.
    """
    children: list[ChildProcess] = []
    with Stack(
        folder, output, settings={"TRACKRELAY_LOG_FORMAT": "console"}, report=print
    ) as stack:
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
            # The workspace setting that lets customers change their address.
            stack.sandbox.client.settings(email_updates_with_id=True)
            children.append(start("relay", environment, output, "trackrelay", "relay"))
            children.append(
                start("shop", environment, output, "runserver", "--noreload", f"127.0.0.1:{port}")
            )
            shop = f"http://127.0.0.1:{port}"
            print(f"\nThe shop:             {shop}/")
            print(f"Its admin:            {shop}/admin/ (admin, admin): a dead letter waits there")
            print(f"What Customer.io got: {stack.sandbox.url}/_sandbox/")
            print("\nCtrl-C stops everything.\n", flush=True)
            watch(stack, children)
        finally:
            for child in reversed(children):
                child.stop()


def watch(stack: Stack, children: list[ChildProcess]) -> NoReturn:
    """Raise an error when a part ends unexpectedly."""
    while True:
        ended = stack.dead() or next((child.name for child in children if not child.running), None)
        if ended:
            raise ServerError(f"{ended} ended unexpectedly")
        time.sleep(0.5)


def manage(*arguments: str) -> list[str]:
    """Return a command of the shop's manage.py."""
    return [sys.executable, str(HERE / "manage.py"), *arguments]


def start(
    name: str, environment: dict[str, str], output: MergedOutput, *arguments: str
) -> ChildProcess:
    """Start a command that ends with this process."""
    descriptor = output.of(name)
    try:
        return ChildProcess(
            f"the {name}", manage(*arguments), env=environment, cwd=HERE, output=descriptor
        ).start()
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
