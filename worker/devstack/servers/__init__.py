"""Real servers as child processes: what `trackrelay dev`, `trackrelay demo` and the tests run on.

Nothing has to be installed or running beforehand: the programs come along as wheels (`trackrelay[embedded]`). And
nothing stays behind: a server ends with the process that started it, however that process ends.

    with ValkeyProcess() as redis, PostgresProcess() as database:
        print(redis.url, database.url)
"""

from .child_process import ChildProcess
from .postgres_server import PostgresProcess
from .server_errors import ServerError
from .server_process import ServerProcess
from .valkey_server import ValkeyProcess

__all__ = ["ChildProcess", "PostgresProcess", "ServerError", "ServerProcess", "ValkeyProcess"]
