"""PostgreSQL refuses to run as root, so as root it runs as another user."""

import os
import shutil
from pathlib import Path

import psutil
import psycopg
import pytest

from trackrelay.worker.devstack.servers import (
    PostgresProcess,
    ServerError,
    postgres_server,
    unprivileged,
)

STRANGER = (4_000_123, 4_000_123)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about being root, and this run is not")


@pytest.fixture
def private_dir(reachable_dir: Path) -> Path:
    """A folder that only its owner may enter, as homes are."""
    folder = reachable_dir / "home"
    folder.mkdir(mode=0o700)
    return folder


def test_a_folder_is_out_of_reach_if_one_above_it_is(
    reachable_dir: Path, private_dir: Path
) -> None:
    below = private_dir / "clone"
    below.mkdir(mode=0o755)

    assert not unprivileged.may_enter(below, *STRANGER)
    reachable_dir.chmod(0o711)
    private_dir.chmod(0o711)
    assert unprivileged.may_enter(below, *STRANGER)


def test_the_owner_and_the_group_have_rights_of_their_own(private_dir: Path) -> None:
    found = private_dir.stat()
    assert unprivileged.may_enter(private_dir, found.st_uid, STRANGER[1])
    private_dir.chmod(0o710)
    assert unprivileged.may_enter(private_dir, STRANGER[0], found.st_gid)


def test_without_being_root_everything_stays_where_it_is(
    private_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert unprivileged.owner() is None
    assert unprivileged.reachable_home(private_dir) == private_dir
    assert unprivileged.reachable_copy(private_dir, private_dir, "copy") == private_dir


def test_without_a_user_nobody_the_error_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(_: str) -> None:
        raise KeyError

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(unprivileged.pwd, "getpwnam", unknown)
    with pytest.raises(ServerError, match="there is no user `nobody`"):
        unprivileged.owner()


@as_root
def test_as_root_it_runs_as_another_user(own_postgres: PostgresProcess) -> None:
    uids = psutil.Process(own_postgres.pid).uids()
    assert set(uids) == {unprivileged.pwd.getpwnam("nobody").pw_uid}


@as_root
def test_data_wanted_in_a_private_folder_is_kept_elsewhere_and_found_again(
    private_dir: Path, reachable_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "KEPT_FOR_ROOT", reachable_dir / "kept")
    with (
        PostgresProcess(private_dir / "postgres", durable=False) as server,
        psycopg.connect(server.url) as connection,
    ):
        connection.execute("CREATE TABLE kept ()")
        connection.commit()

    assert (private_dir / "postgres" / "kept-elsewhere").resolve().parent == reachable_dir / "kept"
    with (
        PostgresProcess(private_dir / "postgres", durable=False) as again,
        psycopg.connect(again.url) as connection,
    ):
        connection.execute("SELECT * FROM kept")


@as_root
def test_data_of_a_private_folder_that_was_deleted_does_not_come_back(
    private_dir: Path, reachable_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "KEPT_FOR_ROOT", reachable_dir / "kept")
    (private_dir / "postgres").mkdir()
    (unprivileged.reachable_home(private_dir / "postgres") / "old").touch()

    shutil.rmtree(private_dir / "postgres")
    (private_dir / "another").mkdir()
    unprivileged.reachable_home(private_dir / "another")
    assert [kept.name.partition("-")[0] for kept in (reachable_dir / "kept").iterdir()] == [
        "another"
    ]

    (private_dir / "postgres").mkdir()
    assert not (unprivileged.reachable_home(private_dir / "postgres") / "old").exists()


@as_root
def test_data_of_a_private_folder_goes_with_it_when_it_is_renamed(
    private_dir: Path, reachable_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "KEPT_FOR_ROOT", reachable_dir / "kept")
    (private_dir / "before").mkdir()
    (unprivileged.reachable_home(private_dir / "before") / "data").touch()

    (private_dir / "before").rename(private_dir / "after")
    (private_dir / "another").mkdir()
    unprivileged.reachable_home(private_dir / "after")
    unprivileged.reachable_home(private_dir / "another")

    assert (unprivileged.reachable_home(private_dir / "after") / "data").exists()
    (private_dir / "before").mkdir()
    assert not (unprivileged.reachable_home(private_dir / "before") / "data").exists()


@as_root
def test_a_copy_of_a_private_folder_has_its_own_data(
    private_dir: Path, reachable_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprivileged, "KEPT_FOR_ROOT", reachable_dir / "kept")
    (private_dir / "one").mkdir()
    first = unprivileged.reachable_home(private_dir / "one")
    shutil.copytree(private_dir / "one", private_dir / "two", symlinks=True)

    assert unprivileged.reachable_home(private_dir / "two") != first
    assert unprivileged.reachable_home(private_dir / "one") == first


@as_root
def test_programs_in_a_private_folder_are_copied(
    private_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = postgres_server.postgres_package()
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, private_dir / folder.name)
    monkeypatch.setattr(postgres_server, "postgres_package", lambda: private_dir / package.name)

    with PostgresProcess(durable=False) as server:
        assert Path(psutil.Process(server.pid).exe()).is_relative_to(server.data_dir)
        with psycopg.connect(server.url) as connection:
            connection.execute("SELECT 1")
