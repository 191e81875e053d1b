"""PgBouncer, which knows few startup parameters and refuses or ignores the others."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Literal

import sqlalchemy as sa

_ENCRYPTION = (80877103, 80877104)


@contextlib.contextmanager
def pooler(url: str, unknown: Literal["refused", "ignored"]) -> Iterator[str]:
    """Start a session pooler in front of the Postgres at `url`, and yield its own URL."""
    behind = sa.make_url(url)
    assert behind.host
    assert behind.port

    def serve(client: socket.socket) -> None:
        with (
            client,
            socket.create_connection((behind.host, behind.port)) as server,
            contextlib.suppress(OSError),
        ):
            parameters = _startup(client)
            if b"options" in parameters and unknown == "refused":
                client.sendall(_refusal("unsupported startup parameter: options"))
                return
            parameters.pop(b"options", None)
            server.sendall(_packed(parameters))
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield behind.set(host="127.0.0.1", port=listener.getsockname()[1]).render_as_string(
                hide_password=False
            )
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _startup(client: socket.socket) -> dict[bytes, bytes]:
    while True:
        length, code = struct.unpack("!II", _exactly(client, 8))
        if code not in _ENCRYPTION:
            break
        client.sendall(b"N")
    words = _exactly(client, length - 8).rstrip(b"\0").split(b"\0")
    return dict(zip(words[::2], words[1::2], strict=True))


def _packed(parameters: dict[bytes, bytes]) -> bytes:
    body = b"".join(name + b"\0" + value + b"\0" for name, value in parameters.items()) + b"\0"
    return struct.pack("!II", len(body) + 8, 196608) + body


def _refusal(message: str) -> bytes:
    body = b"SFATAL\0C08P01\0M" + message.encode() + b"\0\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


def _exactly(client: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += client.recv(size - len(received)) or _gone()
    return received


def _gone() -> bytes:
    raise ConnectionResetError


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
