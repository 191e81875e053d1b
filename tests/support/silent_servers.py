"""Servers on loopback that accept connections and never answer usefully."""

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def not_accepting() -> Iterator[int]:
    """A port at which connecting never ends: nobody accepts, and the queue is full."""
    with socket.socket() as server, contextlib.ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(16):
            client = waiting.enter_context(socket.socket())
            client.settimeout(0.3)
            try:
                client.connect(server.getsockname())
            except TimeoutError:
                yield server.getsockname()[1]
                return
        raise AssertionError("the queue of connections did not fill")


@contextlib.contextmanager
def dripping(beginning: bytes, drop: bytes) -> Iterator[int]:
    """A port that accepts, says ``beginning``, then ``drop`` every tenth of a second, for ever."""
    over = threading.Event()

    def drip(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.sendall(beginning)
            while not over.wait(0.1):
                client.sendall(drop)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
