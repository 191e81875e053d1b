"""No command, worker or repr shows a password of a URL, and errors name what is wrong."""

import random
import re
import string
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.command_line import CommandLine
from tests.support.waiting import wait_until
from tests.support.worker_process import WorkerProcess
from trackrelay.errors import ConfigurationError
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.settings import load

SPECIAL = "/#?@%:[]&;,+=!'\"\\ <>|^`~$*"
#: Nobody listens there.
NOWHERE = "127.0.0.1:1"
COMMANDS = [
    ["check"],
    ["status"],
    ["migrate"],
    ["find", "--person", "42"],
    ["relay", "--once"],
    ["resume"],
]


@st.composite
def passwords(draw: st.DrawFn) -> str:
    """Pieces that are long enough to be found anywhere, with special characters between them."""
    source = random.Random(draw(st.integers(0, 2**32)))
    pieces = ["".join(source.choices(string.ascii_letters, k=8)) for _ in range(3)]
    between = [draw(st.text(SPECIAL, min_size=1, max_size=2)) for _ in range(2)]
    return "".join(piece + special for piece, special in zip(pieces, [*between, ""], strict=True))


def found(password: str, text: str) -> list[str]:
    """The pieces of a password that are in a text."""
    return [piece for piece in re.split(r"[^A-Za-z]+", password) if piece and piece in text]


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    passwords(),
    st.booleans(),
    st.sampled_from([NOWHERE, "127.0.0.1:port", "127.0.0.1:99999", "nowhere.invalid", "[::1", ""]),
    st.sampled_from(["", "http", "mysql"]),
    st.sampled_from(COMMANDS),
)
def test_no_command_shows_a_password(
    password: str, encoded: bool, where: str, other_scheme: str, command: list[str]
) -> None:
    written = quote(password, safe="") if encoded else password
    run = CommandLine(
        {
            "TRACKRELAY_REDIS_URL": f"{other_scheme or 'redis'}://user:{written}@{where}/0",
            "TRACKRELAY_DATABASE_URL": f"{other_scheme or 'postgresql'}://user:{written}@{where}/app",
            "TRACKRELAY_OUTBOX_URL": f"{other_scheme or 'postgres'}://user:{written}@{where}/app",
            "CUSTOMERIO_TRACK_URL": f"http://user:{written}@{where}",
            "CUSTOMERIO_APP_URL": f"http://user:{written}@{where}",
        }
    )

    answer = run(*command)

    assert answer.code == 1
    assert not found(password, answer.out + answer.err), answer
    assert answer.lines
    assert "Traceback" not in answer.err
    assert re.search("CUSTOMERIO_TRACK_URL:? must not contain credentials", answer.err)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(passwords(), st.sampled_from(["REDIS", "DATABASE", "OUTBOX"]))
def test_a_server_that_cannot_be_reached_is_named_with_its_setting(
    password: str, which: str
) -> None:
    url = f"user:{quote(password, safe='')}@{NOWHERE}"
    run = CommandLine(
        {
            "TRACKRELAY_REDIS_URL": f"redis://{url}/0",
            "TRACKRELAY_DATABASE_URL": f"postgresql://{url}/app",
            "TRACKRELAY_OUTBOX_URL": f"postgresql://{url}/app",
        }
    )

    answer = run("status")

    assert f"TRACKRELAY_{which}_URL" in answer.err + answer.out
    assert NOWHERE in answer.err
    assert not found(password, answer.out + answer.err), answer


@given(passwords(), st.booleans())
def test_no_repr_of_settings_or_stores_shows_a_password(password: str, encoded: bool) -> None:
    url = f"user:{quote(password, safe='') if encoded else password}@{NOWHERE}"
    told = {
        "TRACKRELAY_REDIS_URL": f"redis://{url}/0",
        "TRACKRELAY_DATABASE_URL": f"postgres://{url}/app",
    }
    if not encoded and re.search("[/?#]", password):
        with pytest.raises(ConfigurationError) as error:
            load(told)
        assert not found(password, repr(error.value))
        return
    configured = load(told)
    with open_stores(configured) as stores:
        shown = (
            f"{configured!r} {configured} {stores!r} {stores.settings} {stores.engine!r} "
            f"{stores.engine.url}"
        )
        assert not found(password, shown), shown


GREETED = '{"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "greeted"}'
PASSWORD = "Wq8:;,@%zz[Rt5mKd"


def test_a_worker_that_cannot_reach_its_servers_logs_no_password(
    worker_settings: dict[str, str], worker_log: Callable[[str], Path]
) -> None:
    told = {
        "TRACKRELAY_REDIS_URL": f"redis://user:{PASSWORD}@{NOWHERE}/0",
        "TRACKRELAY_DATABASE_URL": f"postgresql://user:{PASSWORD}@{NOWHERE}/app",
        "TRACKRELAY_OUTBOX_URL": f"postgresql://user:{PASSWORD}@{NOWHERE}/app",
    }
    worker = WorkerProcess(
        worker_settings | told, log=worker_log("worker"), arguments=["-l", "debug"]
    )
    worker.start(ready_within=None)
    try:
        wait_until(lambda: "Cannot connect to redis" in worker.output, 120.0, lambda: worker.output)
    finally:
        worker.kill()

    assert "redis_unreachable" in worker.output
    assert "postgres_unreachable" in worker.output
    assert not [
        piece for piece in ("Wq8", "Rt5mKd", quote(PASSWORD, safe="")) if piece in worker.output
    ]


def test_a_worker_with_a_password_works_and_logs_none(
    worker_settings: dict[str, str],
    own_redis: ValkeyProcess,
    start_worker: Callable[..., WorkerProcess],
) -> None:
    url = own_redis.url
    with redis.Redis.from_url(url) as client:
        client.config_set("requirepass", PASSWORD)
    told = {
        **worker_settings,
        "TRACKRELAY_REDIS_URL": url.replace("redis://", f"redis://:{PASSWORD}@"),
    }
    line = CommandLine(told)
    assert line("migrate").code == 0

    worker = start_worker(told, arguments=["-l", "debug"])
    assert line("enqueue", GREETED).code == 0
    drained = line("drain", "--timeout", "60s")

    assert drained.code == 0, drained
    assert not [piece for piece in ("Wq8", "Rt5mKd") if piece in worker.output]


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_celery_is_not_started_with_a_url_that_two_libraries_read_differently(
    worker_settings: dict[str, str], command: str
) -> None:
    answer = CommandLine(worker_settings).process(
        command, TRACKRELAY_REDIS_URL="redis://:Wq8/Rt5mKd@127.0.0.1:1/0"
    )

    assert answer.code == 1
    assert "TRACKRELAY_REDIS_URL has an '@' after the host" in answer.err
    assert not [piece for piece in ("Wq8", "Rt5mKd") if piece in answer.out + answer.err]


def test_a_worker_reaches_its_redis_by_a_socket_too(
    worker_settings: dict[str, str], reachable_dir: Path, start_worker: Callable[..., WorkerProcess]
) -> None:
    socket = reachable_dir / "redis.sock"
    with ValkeyProcess(config={"unixsocket": str(socket), "requirepass": ""}) as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", PASSWORD)
        told = {
            **worker_settings,
            "TRACKRELAY_REDIS_URL": f"unix://:{quote(PASSWORD, safe='')}@{socket}?db=1",
        }
        line = CommandLine(told)
        assert line("migrate").code == 0
        worker = start_worker(told)
        assert line("enqueue", GREETED).code == 0
        drained = line("drain", "--timeout", "60s")
        worker.kill()

    assert drained.code == 0, drained
    assert not [piece for piece in ("Wq8", "Rt5mKd") if piece in worker.output]
