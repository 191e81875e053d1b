"""On a Redis and a Postgres shared with an application: theirs stays theirs, ours stays ours."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import clean_environment
from trackrelay.worker.devstack.servers import ChildProcess
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.settings import sqlalchemy_url

HERE = Path(__file__).parent


@pytest.fixture
def somebody(redis_url: str, worker_log: Callable[[str], Path]) -> Iterator[ChildProcess]:
    """Their worker."""
    log = worker_log("somebody")
    with log.open("ab") as output:
        child = ChildProcess(
            "somebody's worker",
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "somebody",
                "worker",
                "--concurrency=2",
                "-l",
                "info",
            ],
            env=neighbour_environment(redis_url),
            cwd=HERE,
            output=output.fileno(),
        ).start()
    wait_until(
        lambda: b"ready" in log.read_bytes(), 30, lambda: f"somebody's worker: {log.read_text()}"
    )
    yield child
    child.kill()


def neighbour_environment(redis_url: str) -> dict[str, str]:
    return clean_environment() | {"NEIGHBOUR_REDIS_URL": redis_url, "PYTHONPATH": str(HERE)}


def call(redis_url: str, code: str) -> str:
    """Run a line of theirs."""
    return subprocess.run(
        [sys.executable, "-c", f"from somebody import add, app; {code}"],
        env=neighbour_environment(redis_url),
        check=True,
        capture_output=True,
        text=True,
        timeout=patient(60),
    ).stdout


def test_their_tasks_and_ours_run_side_by_side_and_a_shutdown_reaches_only_its_own(
    harness: Harness, redis_url: str, somebody: ChildProcess, start_worker: Any
) -> None:
    ours = start_worker(harness.settings)
    jobs = [harness.producer.track(str(person), "seen", {}) for person in range(50)]
    for _ in range(3):
        assert (
            call(
                redis_url, "print([add.delay(n, 1).get(timeout=20) for n in range(10)][-1])"
            ).strip()
            == "10"
        )
    harness.wait_delivered(jobs)
    assert int(redis.Redis.from_url(redis_url).get("somebody:runs") or 0) == 30

    call(redis_url, "app.control.shutdown()")
    wait_until(lambda: not somebody.running, 20, "their worker to end")
    assert ours.running
    harness.wait_delivered([harness.producer.track("42", "after", {})])


def test_our_shutdown_leaves_their_worker_running(
    harness: Harness, redis_url: str, somebody: ChildProcess, start_worker: Any
) -> None:
    ours = start_worker(harness.settings)
    subprocess.run(
        [sys.executable, "-m", "celery", "-A", "trackrelay", "control", "shutdown"],
        env=clean_environment() | harness.settings,
        check=False,
        capture_output=True,
        timeout=patient(60),
    )
    wait_until(lambda: not ours.running, 20, "our worker to end")
    assert somebody.running
    assert call(redis_url, "print(add.delay(1, 1).get(timeout=20))").strip() == "2"


def test_every_key_of_ours_in_redis_carries_our_name(
    harness: Harness, redis_url: str, start_worker: Any
) -> None:
    start_worker(harness.settings)
    harness.wait_delivered([harness.producer.track("42", "seen", {})])
    names = [name.decode() for name in redis.Redis.from_url(redis_url).scan_iter()]
    assert names
    assert [name for name in names if not name.startswith("trackrelay:")] == []


def test_an_applications_shared_tasks_stay_with_its_own_app(
    redis_url: str, database_url: str
) -> None:
    code = (
        "from celery import Celery, shared_task, current_app\n"
        "theirs = Celery('theirs')\n"
        "import trackrelay.worker.celery\n"
        "@shared_task(name='theirs.add')\ndef add(): pass\n"
        "print(current_app.main, add.app.main)"
    )
    settings = {
        "TRACKRELAY_REDIS_URL": redis_url,
        "TRACKRELAY_DATABASE_URL": database_url,
    }
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment() | settings,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.split() == ["theirs", "theirs"]


def test_their_migrations_and_ours_live_in_one_database(
    empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    url = sqlalchemy_url(empty_database_url)
    engine = sa.create_engine(url)
    flask(url, tmp_path, "init")
    flask(url, tmp_path, "migrate", "-m", "theirs")
    flask(url, tmp_path, "upgrade")
    django(empty_database_url, "migrate")
    before = tables(engine)

    client = redis.Redis.from_url(redis_url)
    migrate(engine, client, None)
    ours = tables(engine) - before
    assert ours
    assert all(name.startswith("trackrelay_") for name in ours)

    # Neither takes the other's tables for its own leftovers.
    from trackrelay.worker.storage.schema import downgrade

    with engine.connect() as connection:
        downgrade(connection, "base")
        connection.commit()
    assert tables(engine) - before <= {"trackrelay_alembic_version"}
    migrate(engine, client, None)
    django(empty_database_url, "migrate")
    assert "No changes" in django(empty_database_url, "makemigrations", "--check")
    flask(url, tmp_path, "upgrade")
    assert before <= tables(engine)
    engine.dispose()


def test_their_next_migration_drops_our_tables_only_without_our_filter(
    empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    url = sqlalchemy_url(empty_database_url)
    flask(url, tmp_path, "init")
    flask(url, tmp_path, "migrate", "-m", "theirs")
    flask(url, tmp_path, "upgrade")
    engine = sa.create_engine(url)
    migrate(engine, redis.Redis.from_url(redis_url), None)
    engine.dispose()
    versions = tmp_path / "flask_migrations" / "versions"

    assert "No changes in schema detected" in flask(
        url, tmp_path, "migrate", "-m", "next", filters=True
    )
    assert len(list(versions.glob("*.py"))) == 1

    flask(url, tmp_path, "migrate", "-m", "next")
    (written,) = versions.glob("*_next.py")
    assert "op.drop_table('trackrelay_ledger')" in written.read_text()


def test_our_tables_are_what_our_models_say(database_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from trackrelay.worker.storage.tables import METADATA, VERSION_TABLE

    engine = sa.create_engine(sqlalchemy_url(database_url))
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "include_name": is_no_partition}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def is_no_partition(name: str | None, kind: str, parents: object) -> bool:
    return kind != "table" or not (name or "").startswith("trackrelay_ledger_")


def tables(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def flask(url: str, folder: Path, *arguments: str, filters: bool = False) -> str:
    environment = clean_environment() | {
        "NEIGHBOUR_FILTERS": "1" if filters else "0",
        "NEIGHBOUR_DATABASE_URL": url,
        "NEIGHBOUR_MIGRATIONS": str(folder / "flask_migrations"),
        "FLASK_APP": str(HERE / "flask_app.py"),
    }
    return run([sys.executable, "-m", "flask", "db", *arguments], environment)


def django(url: str, *arguments: str) -> str:
    code = (
        "import sys, django\n"
        "from django.conf import settings\n"
        "from urllib.parse import urlsplit, unquote\n"
        "u = urlsplit(sys.argv[1])\n"
        "settings.configure(\n"
        "  INSTALLED_APPS=['django.contrib.auth', 'django.contrib.contenttypes'],\n"
        "  DEFAULT_AUTO_FIELD='django.db.models.BigAutoField', DATABASES={'default': {\n"
        "  'ENGINE': 'django.db.backends.postgresql', 'NAME': u.path[1:],\n"
        "  'USER': unquote(u.username or ''),\n"
        "  'PASSWORD': unquote(u.password or ''), 'HOST': u.hostname, 'PORT': u.port}})\n"
        "django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command(*sys.argv[2:])"
    )
    return run([sys.executable, "-c", code, url, *arguments], clean_environment())


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=patient(90)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
