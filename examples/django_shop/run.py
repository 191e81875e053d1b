"""The shop and everything behind it, in one terminal: Valkey, PostgreSQL, a sandbox that plays Customer.io, a worker, the relay."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from worker.ops.dev.merged import Merged
from worker.ops.dev.stack import Stack
from worker.ops.servers import ChildProcess

HERE = Path(__file__).resolve().parent
PORT = os.environ.get("PORT", "8000")


def main() -> None:
    """Run until Ctrl-C."""
    folder = HERE / ".trackrelay"
    folder.mkdir(exist_ok=True)
    output = Merged(sys.stdout)
    children: list[ChildProcess] = []
    with Stack(folder, output, settings={"TRACKRELAY_LOG_FORMAT": "console"}, said=print) as stack:
        try:
            environment = {
                **os.environ,
                **stack.settings,
                "SHOP_DATABASE_URL": stack.postgres.url,
                "PYTHONUNBUFFERED": "1",
            }
            for command in (["migrate", "--verbosity=0"], ["fill_shop"]):
                subprocess.run(manage(*command), env=environment, cwd=HERE, check=True)
            # As in a workspace where people may change their address.
            stack.sandbox.client.settings(email_updates_with_id=True)
            children.append(start("relay", environment, output, "trackrelay", "relay"))
            children.append(start("shop", environment, output, "runserver", "--noreload", f"127.0.0.1:{PORT}"))
            print(f"\nThe shop:            http://127.0.0.1:{PORT}/")
            print(f"Its admin:           http://127.0.0.1:{PORT}/admin/ (admin, admin)")
            print(f"What Customer.io got: {stack.sandbox.url}/_sandbox/\n\nCtrl-C stops everything.\n", flush=True)
            while stack.dead() is None and all(child.running for child in children):
                time.sleep(0.5)
        except KeyboardInterrupt:
            print("\nStopping.")
        finally:
            for child in reversed(children):
                child.stop()
    output.finish()


def manage(*arguments: str) -> list[str]:
    """A command of the shop's."""
    return [sys.executable, str(HERE / "manage.py"), *arguments]


def start(name: str, environment: dict[str, str], output: Merged, *arguments: str) -> ChildProcess:
    """A process that ends with this one."""
    descriptor = output.of(name)
    try:
        return ChildProcess(f"the {name}", manage(*arguments), env=environment, cwd=HERE, output=descriptor).start()
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
