"""The shop with its whole stack: Valkey, PostgreSQL, a sandbox, a worker and a beat."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from werkzeug.serving import make_server

from trackrelay.worker.devstack.servers import ports
from trackrelay.worker.devstack.stack import Stack, like_ctrl_c

from .shop import create_app

PORT = 5000


class LogFile:
    """The log file of worker and beat."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, name: str) -> int:
        """Return a file descriptor for the output of a child."""
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="examples/flask_app/run", description=__doc__)
    default = PORT if ports.is_free(PORT) else 0
    parser.add_argument(
        "--port", type=int, default=default, help="port of the shop; 0: any free port"
    )
    port = parser.parse_args().port
    with like_ctrl_c(), tempfile.TemporaryDirectory(prefix="trackrelay-flask-") as folder:
        serve(Path(folder), port)


def serve(folder: Path, port: int) -> None:
    """Start everything, serve the shop, and stop everything again."""
    database = f"sqlite:///{folder / 'shop.db'}"
    log = LogFile(folder / "worker.log")
    # The worker relays the outbox to the queue.
    stack = Stack(
        None,
        log,
        settings={"TRACKRELAY_OUTBOX_URL": database},
        report=lambda step: print(f"{step} …"),
    )
    app = create_app(SQLALCHEMY_DATABASE_URI=database)
    try:
        stack.start()
        app.config.update(stack.settings)
        server = make_server("127.0.0.1", port, app, threaded=True)
        print(f"\nThe shop:             http://127.0.0.1:{server.server_port}/")
        print(f"What Customer.io got: {stack.sandbox.url}/_sandbox/")
        print(f"The worker's log:     {log.path}\n\nCtrl-C stops everything.", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        print("\nStopping.")
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
