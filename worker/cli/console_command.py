"""Look: serve the web console."""

from __future__ import annotations

import os
import socket

import click

from trackrelay.errors import ConfigurationError
from trackrelay.worker.settings import load

from .common.command_errors import CommandError
from .common.command_stores import operator_name
from .common.output import say

DEFAULT_PORT = 8463
#: What `dev` and `demo` tell the console that they start: the secret of its link.
LINK_TOKEN = "CONSOLE_LINK_TOKEN"


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0: any free port.",
)
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    help="The path under which a reverse proxy that removes it serves the console, such as /ops.",
)
@click.pass_context
def console(ctx: click.Context, host: str, port: int, root_path: str) -> None:
    """Serve the web console: what is delivered, what waits, what failed, and what to do about it.

    Without TRACKRELAY_CONSOLE_USERS, whoever opens the printed link is signed in, and only this
    machine is served. Ctrl-C stops it.
    """
    if ctx.invoked_subcommand is not None:
        return
    try:
        from trackrelay.worker.console.console_app import console_app
        from trackrelay.worker.console.console_server import serve
        from trackrelay.worker.console.console_settings import is_loopback, load_console_settings
        from trackrelay.worker.console.identity import OneTimeLink
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the console needs the package {error.name}: pip install 'trackrelay[console]'"
        ) from None

    settings, console_settings = load(), load_console_settings()
    link = None if console_settings.users else OneTimeLink(operator_name())
    # `dev` and `demo` print the link themselves.
    link_token = os.environ.get(LINK_TOKEN)
    if link and link_token:
        link = OneTimeLink(link.user_name, link_token)
    if link and not is_loopback(host):
        raise ConfigurationError(
            f"the console is not served on {host} without users: set TRACKRELAY_CONSOLE_USERS "
            "(`trackrelay console hash-password`), or listen on 127.0.0.1"
        )
    app = console_app(settings, console_settings=console_settings, link=link)
    try:
        listening = _listen(host, port)
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    address, bound = listening.getsockname()[:2]
    url = f"http://{f'[{address}]' if ':' in address else address}:{bound}{root_path}"
    say(f"The console listens on {url}")
    if link and not link_token:
        say(f"To sign in, open {url}/sign-in?token={link.token}")
    serve(app, listening, root_path)


@console.command("hash-password")
def hash_password() -> None:
    """Ask for a password, and print its hash for TRACKRELAY_CONSOLE_USERS."""
    from trackrelay.worker.console.passwords import hash_password as hashed

    password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(password) < 12:
        raise CommandError(f"a password needs 12 characters or more; this one has {len(password)}")
    click.echo(hashed(password))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except BaseException:
        listening.close()
        raise
    listening.listen(256)
    return listening
