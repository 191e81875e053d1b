"""Real servers as child processes, for `trackrelay dev`, `trackrelay demo` and the tests.

Nothing has to be installed or running: the programs come with `trackrelay[embedded]`. A server
ends with the process that started it, even if that process is killed.

    with ValkeyProcess() as redis, PostgresProcess() as database:
        print(redis.url, database.url)
"""

from .child_process import ChildProcess, ServerError
from .postgres_server import PostgresProcess
from .server_process import ServerProcess
from .valkey_server import ValkeyProcess

__all__ = ["ChildProcess", "PostgresProcess", "ServerError", "ServerProcess", "ValkeyProcess"]
