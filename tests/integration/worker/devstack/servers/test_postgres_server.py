import os
import stat
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.support.waiting import wait_until
from trackrelay.worker.devstack.servers import PostgresProcess, ServerError


def ask(server: PostgresProcess, question: str) -> object:
    with psycopg.connect(server.url, connect_timeout=5, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def keep_a_row(server: PostgresProcess) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'yes' AS value")


def test_it_is_postgresql_18_on_loopback_with_a_password(own_postgres: PostgresProcess) -> None:
    assert str(ask(own_postgres, "SELECT version()")).startswith("PostgreSQL 18")
    assert ask(own_postgres, "SHOW listen_addresses") == "127.0.0.1"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(own_postgres.url.replace(own_postgres.password, "wrong"))


def test_its_password_is_for_the_owner_alone(own_postgres: PostgresProcess) -> None:
    mode = (own_postgres.data_dir / "password").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_a_durable_one_waits_for_the_disk(durable: bool, fsync: str) -> None:
    with PostgresProcess(durable=durable, settings={"work_mem": "5MB"}) as server:
        assert ask(server, "SHOW fsync") == fsync
        assert ask(server, "SHOW work_mem") == "5MB"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_committed_is_there_on_the_same_port_after_it_ended(
    own_postgres: PostgresProcess, end: str
) -> None:
    keep_a_row(own_postgres)
    url = own_postgres.url

    getattr(own_postgres, end)()
    assert not own_postgres.running
    with pytest.raises(psycopg.OperationalError):
        ask(own_postgres, "SELECT 1")
    own_postgres.start()

    assert (own_postgres.url, ask(own_postgres, "SELECT value FROM kept")) == (url, "yes")


def test_a_kill_takes_its_children_along(own_postgres: PostgresProcess) -> None:
    connection = psycopg.connect(own_postgres.url)
    family = psutil.Process(own_postgres.pid).children(recursive=True)
    assert connection.info.backend_pid in [process.pid for process in family]

    own_postgres.kill()

    assert not [
        process
        for process in family
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_a_paused_server_neither_answers_nor_refuses(own_postgres: PostgresProcess) -> None:
    own_postgres.pause()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(own_postgres.url, connect_timeout=2)
    own_postgres.resume()
    assert ask(own_postgres, "SELECT 1") == 1


def test_a_paused_server_can_be_stopped(own_postgres: PostgresProcess) -> None:
    own_postgres.pause()
    own_postgres.stop()
    assert not own_postgres.running


def test_a_given_folder_outlives_the_server(reachable_dir: Path) -> None:
    with PostgresProcess(reachable_dir / "postgres", durable=False) as server:
        keep_a_row(server)
    with PostgresProcess(reachable_dir / "postgres", durable=False) as another:
        assert ask(another, "SELECT value FROM kept") == "yes"


def test_the_pid_file_of_a_killed_server_does_not_stand_in_the_way(
    own_postgres: PostgresProcess,
) -> None:
    own_postgres.kill()
    pid_file = next(own_postgres.data_dir.rglob("postmaster.pid"))
    lines = pid_file.read_text().splitlines()
    pid_file.write_text(
        "\n".join([str(os.getpid()), *lines[1:]]) + "\n"
    )  # the process id is somebody else's by now

    own_postgres.start()

    assert ask(own_postgres, "SELECT 1") == 1


def test_a_wrong_setting_is_shown_with_the_servers_message() -> None:
    with (
        pytest.raises(ServerError, match='unrecognized configuration parameter "nonsense"'),
        PostgresProcess(durable=False, settings={"nonsense": "1"}),
    ):
        pass


def test_a_server_that_died_is_noticed(own_postgres: PostgresProcess) -> None:
    psutil.Process(own_postgres.pid).kill()
    wait_until(lambda: not own_postgres.running, 5, "the server to be gone")
