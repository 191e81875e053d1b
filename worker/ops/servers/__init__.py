"""Real servers as child processes: what `trackrelay dev`, `trackrelay demo` and the tests run on.

Nothing has to be installed or running beforehand: the programs come along as wheels (`trackrelay[embedded]`). And
nothing stays behind: a server ends with the process that started it, however that process ends.

    with ValkeyProcess() as redis, PostgresProcess() as database:
        print(redis.url, database.url)
"""

from .child import ChildProcess
from .errors import ServerError
from .postgres import PostgresProcess
from .process import ServerProcess
from .valkey import ValkeyProcess

__all__ = ["ChildProcess", "PostgresProcess", "ServerError", "ServerProcess", "ValkeyProcess"]
