"""The public contract of 0.1.0: what the documentation shows stays.

The lists are in ``public_contract.json``. Each is a lower bound: names may be added, and none may
vanish. A signature may get further optional parameters after those that are promised. This file
names no module but those that the docs show.

How a signature is written: ``name?`` has a default, ``*`` begins the parameters that are given by
name, ``/`` ends those that are given by position alone, ``**name`` is taken by name, maybe among
``**keywords``, and ``**`` takes any name.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
import redis
from click.testing import CliRunner, Result

ROOT = Path(__file__).parents[2]
CONTRACT: dict[str, Any] = json.loads(
    Path(__file__).with_name("public_contract.json").read_text(encoding="utf-8")
)
#: A name of no setting. It shows that unknown names are noticed at all.
NO_SETTING = "XYZZY"
#: Long enough for a machine that is busy with other things.
DEADLINE_S = 300
BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

RunCommand = Callable[..., Result]


def assert_kept(problems: Iterable[str]) -> None:
    """Fail with one line for each promise that is broken."""
    lines = list(problems)
    assert not lines, "the public contract is broken:\n" + "\n".join(lines)


def missing(what: str, promised: Iterable[str], found: Iterable[str]) -> Iterator[str]:
    """Yield a line for each promised name that was not found."""
    there = set(found)
    yield from (f"{what}: {name} is missing" for name in promised if name not in there)


# -- names and signatures


def signature_problems(name: str, promised: str, function: Callable[..., Any]) -> Iterator[str]:
    """Yield a line for each way in which a function no longer takes what it promised to take."""
    parameters = {
        each.name: each
        for each in inspect.signature(function).parameters.values()
        if each.name != "self"
    }
    positional = [each for each in parameters.values() if each.kind in BY_POSITION]
    takes_any_name = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    parts = [
        part.strip()
        for part in promised.removeprefix("(").removesuffix(")").split(",")
        if part.strip()
    ]
    nameless = parts.index("/") if "/" in parts else 0
    known = {each.name for each in positional[:nameless]}
    position, by_name = 0, False
    for part in parts:
        wanted = part.strip("*?")
        found: inspect.Parameter | None = parameters.get(wanted)
        if part in ("*", "/"):
            by_name = by_name or part == "*"
            continue
        if part.startswith("**"):
            known.add(wanted)
            if not takes_any_name and (found is None or found.kind not in BY_NAME):
                yield f"{name}{promised}: no longer takes {wanted or 'any name'} by name"
            continue
        if part.startswith("*"):
            by_name = True
            known.update(
                each.name
                for each in parameters.values()
                if each.kind is inspect.Parameter.VAR_POSITIONAL
            )
            takes_all = any(
                each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters.values()
            )
            if not takes_all or len(positional) != position:
                yield f"{name}{promised}: no longer takes any number of {wanted}"
            continue
        if by_name:
            if found is None or found.kind not in BY_NAME:
                yield f"{name}{promised}: the parameter {wanted} is missing"
                continue
        else:
            found = positional[position] if position < len(positional) else None
            position += 1
            if found is None or (
                position > nameless
                and (found.name != wanted or found.kind is inspect.Parameter.POSITIONAL_ONLY)
            ):
                yield f"{name}{promised}: the parameter {wanted} is not at position {position}"
                continue
        known.add(found.name)
        if part.endswith("?") and found.default is found.empty:
            yield f"{name}{promised}: the parameter {wanted} has no default any more"
    for each in parameters.values():
        if each.name not in known and each.kind not in VARIABLE and each.default is each.empty:
            yield f"{name}{promised}: the new parameter {each.name} has no default"


def name_problems(owner: Any, name: str, promised: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each promised name of a module or class that is missing or has changed."""
    for each, expected in promised.items():
        full_name = name if each == "()" else f"{name}.{each}"
        if each != "()" and not hasattr(owner, each):
            yield f"{full_name} is missing"
            continue
        value = owner if each == "()" else getattr(owner, each)
        if isinstance(expected, Mapping):
            yield from name_problems(value, full_name, expected)
        elif expected != "value":
            yield from signature_problems(full_name, expected, value)


def module_problems(modules: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each promised name of these modules that is missing or has changed."""
    for name, promised in modules.items():
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            yield f"{name} cannot be imported: {error}"
        else:
            yield from name_problems(module, name, promised)


def resolve(path: str) -> Any:
    """Return the object named ``package.module.Name``, or a builtin."""
    if hasattr(builtins, path):
        return getattr(builtins, path)
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", CONTRACT["modules"])
def test_a_module_has_its_names(module: str) -> None:
    assert_kept(module_problems({module: CONTRACT["modules"][module]}))


@pytest.mark.parametrize("place", CONTRACT["vocabulary_places"])
def test_the_vocabulary_is_everywhere_the_same(place: str) -> None:
    assert_kept(name_problems(resolve(place), place, CONTRACT["vocabulary"]))


def test_the_asynchronous_functions_are_coroutines() -> None:
    aio = importlib.import_module("producers.aio")
    names = [*CONTRACT["vocabulary"], *CONTRACT["coroutines"]]
    coroutines = [name for name in names if inspect.iscoroutinefunction(getattr(aio, name, None))]
    assert_kept(missing("coroutines of producers.aio", names, coroutines))


def test_the_errors_have_their_bases() -> None:
    assert_kept(
        f"{name} is no {base} any more"
        for name, bases in CONTRACT["errors"].items()
        for base in bases
        if not issubclass(resolve(name), resolve(base))
    )


def test_what_is_raised_has_its_attributes() -> None:
    operations = importlib.import_module("producers.operations")
    producers = importlib.import_module("producers")
    nobody_listens = producers.Producer(redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(producers.InvalidOperation) as invalid:
        operations.track("42", "")
    with pytest.raises(producers.QueueUnavailable) as unavailable:
        nobody_listens.track("42", "seen")
    with pytest.raises(producers.QueueUnavailable) as some_enqueued:
        nobody_listens.enqueue_many([operations.track("42", "seen")])
    raised = {
        "InvalidOperation": invalid.value,
        "QueueUnavailable": unavailable.value,
        "QueueUnavailable of enqueue_many": some_enqueued.value,
    }

    assert_kept(
        f"{name}: the attribute {attribute} is missing"
        for name, error in raised.items()
        for attribute in CONTRACT["error_attributes"][name]
        if not hasattr(error, attribute)
    )
    assert (
        unavailable.value.job_id
        == unavailable.value.operation.id
        == unavailable.value.operations[0].id
    )


def test_producers_take_every_setting_as_a_keyword() -> None:
    producers = importlib.import_module("producers")
    settings = CONTRACT["configure"]
    # The backend is the one that needs no server.
    assert producers.Producer(**settings).track("42", "seen")
    producers.configure(**settings)
    assert producers.track("42", "seen")

    (operation,) = (
        importlib.import_module("producers.default").default_producer().backend.operations
    )
    assert operation.name == "person.event"


def test_the_drop_in_client_answers_like_the_official_one() -> None:
    producers = importlib.import_module("producers")
    customerio = importlib.import_module("producers.customerio")
    client = customerio.CustomerIO("site", "key", region=customerio.Regions.US)
    with importlib.import_module("producers.testing").capture() as captured:
        answer = client.track(customer_id="5", name="purchased", data={"price": 23.45})
        partly = client.batch([{"type": "person", "identifiers": {}, "action": "identify"}])
        with pytest.raises(customerio.CustomerIOException) as refused:
            client.identify(id="undefined")

    (operation,) = captured
    official = [name for name in CONTRACT["customerio"]["official"] if hasattr(customerio, name)]
    assert_kept(
        [
            *missing("CustomerIO", CONTRACT["customerio"]["client"], dir(client)),
            *missing("the answer of CustomerIO", CONTRACT["customerio"]["answer"], dir(answer)),
            *missing(
                "the official package in producers.customerio",
                CONTRACT["customerio"]["official"],
                official,
            ),
        ]
    )
    assert (answer.status_code, answer.json(), list(answer.job_ids)) == (200, {}, [operation.id])
    assert partly.status_code == 207
    assert isinstance(refused.value, producers.InvalidOperation)


def test_the_distribution_has_its_extras() -> None:
    extras = metadata.metadata("trackrelay").get_all("Provides-Extra") or []
    assert_kept(missing("extras", CONTRACT["extras"], extras))


# -- the command line


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> click.Group:
    """The click group behind the console script ``trackrelay``."""
    (script,) = set(metadata.entry_points(group="console_scripts", name="trackrelay"))
    entry = script.load()
    if isinstance(entry, click.Group):
        return entry
    started: list[click.Command] = []
    with monkeypatch.context() as patch:
        patch.setattr(click.Command, "main", lambda self, *_, **__: started.append(self))
        patch.setattr(sys, "argv", ["trackrelay"])
        entry()
    (group,) = started
    assert isinstance(group, click.Group)
    return group


@pytest.fixture
def run(command_line: click.Group) -> RunCommand:
    """Runs a command with some settings."""

    def invoke(*arguments: str, settings: Mapping[str, str]) -> Result:
        result = CliRunner(env=settings).invoke(command_line, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def find_command(group: click.Group, path: list[str]) -> click.Command | None:
    """Return the command that these words name."""
    command: click.Command | None = group
    for word in path:
        if not isinstance(command, click.Group):
            return None
        command = command.get_command(click.Context(command), word)
    return command


def parameter_problems(name: str, promised: list[str], command: click.Command) -> Iterator[str]:
    """Yield a line for each option or argument of a command that is missing or has changed."""
    options = {
        spelling: each
        for each in command.params
        if isinstance(each, click.Option)
        for spelling in [*each.opts, *each.secondary_opts]
    }
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    for text in promised:
        if not text.startswith("-"):
            found = arguments.pop(0) if arguments else None
            if found is None:
                yield f"{name}: the argument {text} is missing"
            elif text.startswith("[") and found.required:
                yield f"{name}: the argument {text} must be given now"
            elif "..." in text and found.nargs != -1:
                yield f"{name}: the argument {text} is taken once only"
            continue
        spellings, _, value = text.replace(", ", ",").partition(" ")
        for spelling in spellings.split(","):
            if spelling not in options:
                yield f"{name}: the option {spelling} is missing"
                continue
            option = options[spelling]
            if option.is_flag != (not value):
                now = "takes a value" if value == "" else "is a flag"
                yield f"{name}: the option {spelling} {now} now"
            if value.endswith("...") and not option.multiple:
                yield f"{name}: the option {spelling} is taken once only"
            choices = value.removesuffix("...").strip()
            if "|" in choices and isinstance(option.type, click.Choice):
                yield from missing(
                    f"{name}: choices of {spelling}", choices.split("|"), option.type.choices
                )
    written = {
        word.strip(",") for text in promised for word in text.split(" ") if word.startswith("-")
    }
    for each in command.params:
        if each.required and isinstance(each, click.Option) and not written.intersection(each.opts):
            yield f"{name}: the new option {each.opts[0]} must be given"
    yield from (
        f"{name}: the new argument {each.name} must be given" for each in arguments if each.required
    )


def command_problems(group: click.Group) -> Iterator[str]:
    """Yield a line for each promised command, option or argument that is missing."""
    for name, promised in CONTRACT["commands"].items():
        command = find_command(group, name.split()[1:])
        if command is None:
            yield f"the command {name} is missing"
        else:
            yield from parameter_problems(name, promised, command)


def test_every_command_takes_its_options(command_line: click.Group) -> None:
    assert_kept(command_problems(command_line))


def test_commands_exit_as_documented(
    run: RunCommand,
    redis_url: str,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"TRACKRELAY_REDIS_URL": redis_url, "TRACKRELAY_DATABASE_URL": database_url}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.jsonl").write_text("no JSON\n")
    assert run("migrate", settings=settings).exit_code == 0

    codes = {
        line: run(*line.split()[1:], settings=settings).exit_code for line in CONTRACT["exit_codes"]
    }
    failing = {
        condition: run("status", "--fail-if", condition, settings=settings).exit_code
        for condition in CONTRACT["fail_if_on_an_idle_system"]
    }

    assert codes == CONTRACT["exit_codes"]
    assert failing == CONTRACT["fail_if_on_an_idle_system"]


# -- settings


def test_every_setting_is_known_to_the_command_line(run: RunCommand) -> None:
    unknown = {f"TRACKRELAY_{NO_SETTING}": "1"}
    known = CONTRACT["settings"] | {f"{name}_FILE": os.devnull for name in CONTRACT["secrets"]}
    about_the_unknown_one = run("status", "--help", settings=unknown).stderr.splitlines()
    about_all = run("status", "--help", settings=known | unknown).stderr.splitlines()

    assert any(NO_SETTING in line for line in about_the_unknown_one)
    assert_kept(line for line in about_all if line not in about_the_unknown_one)


def test_a_wrong_setting_is_named(run: RunCommand) -> None:
    right = {
        name: CONTRACT["settings"][name]
        for name in ("TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL")
    }
    result = run("check", settings=right | CONTRACT["wrong_settings"])

    assert result.exit_code == 1
    assert_kept(
        f"a wrong value of {name} goes unnoticed"
        for name in CONTRACT["wrong_settings"]
        if name not in result.stderr
    )


@pytest.mark.parametrize("secret", CONTRACT["secrets"])
def test_a_secret_is_read_from_a_file(run: RunCommand, secret: str, tmp_path: Path) -> None:
    right = {
        name: CONTRACT["settings"][name]
        for name in ("TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL")
    }
    right.pop(secret, None)
    result = run("status", settings={**right, f"{secret}_FILE": str(tmp_path / "no such file")})

    assert result.exit_code == 1
    assert f"{secret}_FILE" in result.stderr, f"nobody reads {secret}_FILE"


def test_flask_knows_every_setting() -> None:
    flask = importlib.import_module("flask")
    app = flask.Flask("shop")
    app.config.update(CONTRACT["settings"] | CONTRACT["flask_settings"])
    app.config[f"TRACKRELAY_{NO_SETTING}"] = "1"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        importlib.import_module("producers.flask").TrackRelay(app)

    warned = [str(each.message) for each in caught]
    assert any(NO_SETTING in line for line in warned)
    assert_kept(line for line in warned if NO_SETTING not in line)
    assert "trackrelay" in app.cli.commands


# -- Django


def look_at_django() -> None:
    """Print what a Django project sees, as JSON. Run in a separate process."""
    given = json.load(sys.stdin)
    django = importlib.import_module("django")
    conf = importlib.import_module("django.conf")
    contrib = [
        f"django.contrib.{each}"
        for each in ("admin", "auth", "contenttypes", "sessions", "messages")
    ]
    processors = [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
    ]
    processors.append("django.contrib.messages.context_processors.messages")
    middleware = [
        "sessions.middleware.Session",
        "auth.middleware.Authentication",
        "messages.middleware.Message",
    ]
    conf.settings.configure(
        SECRET_KEY="for tests only, and long enough for every check that Django makes of it",
        ROOT_URLCONF="django.contrib.auth.urls",
        INSTALLED_APPS=[*contrib, *given["apps"]],
        MIDDLEWARE=[
            *(f"django.contrib.{each}Middleware" for each in middleware),
            *given["middleware"],
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": processors},
            }
        ],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
            "workers": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "workers",
                "HOST": "localhost",
            },
        },
        TRACKRELAY={},
    )
    django.setup()
    from django.apps import apps
    from django.contrib import admin
    from django.core import checks, management
    from django.db import connection
    from django.http import HttpResponse
    from django.test import RequestFactory, override_settings

    def messages(told: Mapping[str, Any], deploy: bool = False) -> list[tuple[str, str]]:
        with override_settings(TRACKRELAY=dict(told)):
            return [
                (each.id, each.msg) for each in checks.run_checks(include_deployment_checks=deploy)
            ]

    def cookies() -> list[str]:
        def view(request: Any) -> Any:
            visitor(request)
            return HttpResponse()

        request = RequestFactory().get("/")
        request.user = importlib.import_module("django.contrib.auth.models").AnonymousUser()
        return list(middleware_class(view)(request).cookies)

    visitor = importlib.import_module("producers.django").visitor
    middleware_class = resolve(given["middleware"][0])
    management.call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        tables = {
            name: [
                column.name
                for column in connection.introspection.get_table_description(cursor, name)
            ]
            for name in connection.introspection.table_names()
        }
    json.dump(
        {
            "modules": list(module_problems(given["modules"])),
            "labels": [config.label for config in apps.get_app_configs()],
            "models": {
                model._meta.label: [
                    model._meta.db_table,
                    *(each.column for each in model._meta.local_fields),
                ]
                for model in apps.get_models()
            },
            "admin": [model._meta.label for model in admin.site._registry],
            "permissions": [
                f"{model._meta.app_label}.{codename}"
                for model in apps.get_models()
                for codename in [
                    *(
                        f"{each}_{model._meta.model_name}"
                        for each in model._meta.default_permissions
                    ),
                    *(codename for codename, _ in model._meta.permissions),
                ]
            ],
            "commands": list(management.get_commands()),
            "tables": tables,
            "cookies": cookies(),
            "settings": messages(given["settings"]),
            "cookie_without_field": messages({"ANONYMOUS_COOKIE": {NO_SETTING: 1}}),
            "warnings": [
                *messages(
                    {"DATABASE": "workers", "DATABASE_URL": "postgresql://localhost/elsewhere"}
                ),
                *messages({"OUTBOX": True, "REDIS_URL": given["redis_url"]}, deploy=True),
            ],
        },
        sys.stdout,
    )


def run_python(*arguments: str, given: str = "", settings: Mapping[str, str] | None = None) -> str:
    """Return what a Python process of the clone prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **(settings or {})},
        input=given,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, (
        f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def refused_settings(found: list[list[str]]) -> Iterator[str]:
    """Yield messages that call a name an unknown setting, without the expected one."""
    kinds = {kind for kind, message in found if NO_SETTING in message}
    assert kinds, f"Django's checks say nothing of {NO_SETTING}: {found}"
    yield from (message for kind, message in found if kind in kinds and NO_SETTING not in message)


def test_a_django_project_finds_everything(redis_url: str) -> None:
    promised = CONTRACT["django"]
    shared = CONTRACT["settings"] | {f"{name}_FILE": os.devnull for name in CONTRACT["secrets"]}
    names = {name.removeprefix("TRACKRELAY_"): value for name, value in shared.items()}
    given = {
        **{name: promised[name] for name in ("apps", "middleware", "modules")},
        "settings": {**names, **promised["settings"], NO_SETTING: 1},
        "redis_url": redis_url,
    }
    code = "from tests.packaging.test_public_contract import look_at_django; look_at_django()"
    found = json.loads(run_python("-c", code, given=json.dumps(given)))

    cookie_kinds = {
        kind for kind, message in found["cookie_without_field"] if NO_SETTING in message
    }
    assert cookie_kinds, "Django's checks say nothing of a wrong field of ANONYMOUS_COOKIE"
    assert_kept(
        [
            *found["modules"],
            *missing("Django's app labels", promised["labels"], found["labels"]),
            *(
                problem
                for model, names in promised["models"].items()
                for problem in missing(
                    f"Django's model {model}", names, found["models"].get(model, ())
                )
            ),
            *missing("Django's admin", promised["admin"], found["admin"]),
            *missing("Django's permissions", promised["permissions"], found["permissions"]),
            *missing("management commands", promised["commands"], found["commands"]),
            *missing(
                "the table trackrelay_outbox",
                CONTRACT["outbox"],
                found["tables"].get("trackrelay_outbox", ()),
            ),
            *missing("the visitors' cookie", promised["cookies"], found["cookies"]),
            *missing(
                "Django's checks", promised["checks"], [kind for kind, _ in found["warnings"]]
            ),
            *refused_settings(found["settings"]),
            *(message for kind, message in found["settings"] if kind in cookie_kinds),
        ]
    )


# -- Celery


def look_at_celery() -> None:
    """Print what ``celery -A worker`` finds, as JSON. Run in a separate process."""
    app = importlib.import_module("celery.app.utils").find_app("worker")
    found = {
        "tasks": list(app.tasks),
        "scheduled_tasks": [each["task"] for each in app.conf.beat_schedule.values()],
        "queue": app.conf.task_default_queue,
        "prefix": app.conf.broker_transport_options["global_keyprefix"],
    }
    json.dump(found, sys.stdout)


def test_celery_finds_the_app_and_its_tasks() -> None:
    settings = {
        name: CONTRACT["settings"][name]
        for name in ("TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL")
    }
    code = "from tests.packaging.test_public_contract import look_at_celery; look_at_celery()"
    found = json.loads(run_python("-c", code, settings=settings))
    promised = CONTRACT["celery"]

    assert_kept(
        [
            *missing("Celery's tasks", promised["tasks"], found["tasks"]),
            *missing(
                "tasks of beat's schedule", promised["scheduled_tasks"], found["scheduled_tasks"]
            ),
        ]
    )
    assert (found["queue"], found["prefix"]) == (promised["queue"], promised["prefix"])


def test_celery_runs_beat() -> None:
    # A worker is run by the test of the logs, in the same way.
    settings = {
        name: CONTRACT["settings"][name]
        for name in ("TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL")
    }
    assert "Usage" in run_python(
        "-m", "celery", "-A", "worker", "beat", "--help", settings=settings
    )


# -- the stores


def test_migrate_makes_every_table(
    run: RunCommand, redis_url: str, empty_database_url: str
) -> None:
    settings = {"TRACKRELAY_REDIS_URL": redis_url, "TRACKRELAY_DATABASE_URL": empty_database_url}
    assert run("migrate", settings=settings).exit_code == 0
    with psycopg.connect(empty_database_url) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public'"
        ).fetchall()
    found = [f"{table}.{column}" for table, column in rows]

    promised = [
        f"{table}.{column}" for table, columns in CONTRACT["tables"].items() for column in columns
    ]
    assert_kept(missing("the workers' tables", promised, found))
    assert [name for name in found if not name.startswith("trackrelay_")] == []


def test_the_outbox_has_its_table(empty_database_url: str) -> None:
    sa = importlib.import_module("sqlalchemy")
    outbox = importlib.import_module("producers.outbox")
    engine = sa.create_engine(
        empty_database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    )
    outbox.create_table(engine)
    with engine.begin() as connection:
        job_id = outbox.Outbox(connection).track("42", "seen")
    with engine.connect() as connection:
        (row,) = connection.execute(sa.text("SELECT * FROM trackrelay_outbox")).mappings()
    engine.dispose()

    assert_kept(missing("the table trackrelay_outbox", CONTRACT["outbox"], row))
    assert (outbox.table.name, row["job_id"], row["format"]) == (
        "trackrelay_outbox",
        job_id,
        CONTRACT["redis"]["format"],
    )


def test_redis_holds_what_older_workers_read(
    run: RunCommand, redis_url: str, database_url: str
) -> None:
    producers = importlib.import_module("producers")
    settings = {"TRACKRELAY_REDIS_URL": redis_url, "TRACKRELAY_DATABASE_URL": database_url}
    assert run("migrate", settings=settings).exit_code == 0
    producers.configure(redis_url=redis_url, source="shop", on_invalid="dead_letter")
    job_id = producers.track("42", "seen", idempotency_key="A-1001")
    producers.enqueue_many(producers.operations.track("42", "seen", {"n": n}) for n in range(3))
    producers.track("42", "")
    producers.configure(max_queue_length=1)
    with pytest.raises(producers.QueueFull) as full:
        producers.track("42", "seen")

    promised = CONTRACT["redis"]
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        names = set(client.scan_iter("*"))
        config = client.hgetall(promised["config"])
        streams = {n: promised["live"].format(shard=n) for n in range(int(config["shards"]))}
        shard = next((n for n, stream in streams.items() if stream in names), None)
        assert shard is not None, f"there is no stream {promised['live']} among {sorted(names)}"
        entries = {
            lane: client.xrange(promised[lane].format(shard=shard))[0][1]
            for lane in promised["fields"]
            if promised[lane].format(shard=shard) in names
        }
        messages = [json.loads(each) for each in client.lrange(promised["celery_queue"], 0, -1)]
    (job,) = json.loads(entries["live"]["j"])

    assert_kept(
        [
            *missing("Redis' lanes", promised["fields"], entries),
            *(
                problem
                for lane, fields in promised["fields"].items()
                for problem in missing(
                    f"fields of a {lane} stream's entry", fields, entries.get(lane, ())
                )
            ),
            *missing("fields of a job", promised["job"], job),
            *missing("the queue's configuration", promised["config_fields"], config),
            *missing("QueueFull", CONTRACT["error_attributes"]["QueueFull"], dir(full.value)),
            *(
                f"the key {each} begins with another name"
                for each in names
                if not each.startswith(promised["prefix"])
            ),
        ]
    )
    assert (
        {int(entry["v"]) for entry in entries.values()}
        == {int(config["format"])}
        == {promised["format"]}
    )
    assert (job["id"], job["keys"], job["operation"]) == (job_id, ["id:42"], "person.event")
    assert {each["headers"]["task"] for each in messages} == {promised["message_task"]}


# -- logs and documents


def test_an_application_logs_a_job_that_was_not_enqueued(caplog: pytest.LogCaptureFixture) -> None:
    producers = importlib.import_module("producers")
    producers.configure(redis_url="redis://127.0.0.1:1/0", on_unavailable="log")
    job_id = producers.track("42", "seen")

    loggers = {record.name for record in caplog.records if job_id in record.getMessage()}
    assert_kept(
        missing("loggers that name a lost job", [CONTRACT["logs"]["application_logger"]], loggers)
    )


def log_lines(output: str) -> list[dict[str, Any]]:
    """Return the lines of a log that are JSON."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def closest(fields: list[str], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the line that has most of these fields."""
    return max(lines, key=lambda line: len(line.keys() & set(fields)), default={})


def test_logs_and_documents_have_their_fields(
    run: RunCommand, worker_settings: dict[str, str], sandbox: Any, start_worker: Callable[..., Any]
) -> None:
    settings = worker_settings | {"TRACKRELAY_LOG_FORMAT": "json"}
    assert run("migrate", settings=settings).exit_code == 0
    sandbox.client.add_fault(kind="reject", match={"name": "odd"}, message="odd is odd")
    worker = start_worker(settings, pool="threads", concurrency=2)
    producers = importlib.import_module("producers")
    producers.configure(redis_url=settings["TRACKRELAY_REDIS_URL"])
    delivered = producers.track("42", "seen")
    refused = producers.track("43", "odd")
    deadline = time.monotonic() + DEADLINE_S
    while run("dead-letters", "show", refused, "--json", settings=settings).exit_code or not list(
        sandbox.client.events()
    ):
        assert time.monotonic() < deadline, f"the worker delivers nothing:\n{worker.output}"
        time.sleep(0.05)

    commands = {
        name: name.format(delivered=delivered, refused=refused) for name in CONTRACT["documents"]
    }
    documents = {
        name: json.loads(run(*command.split()[1:], settings=settings).stdout)
        for name, command in commands.items()
    }
    lines = log_lines(worker.output)
    promised = {
        f"the document of {name}": (keys, documents[name])
        for name, keys in CONTRACT["documents"].items()
    } | {
        f"the log's line of {line}": (fields, closest(fields, lines))
        for line, fields in CONTRACT["logs"]["worker"].items()
    }
    assert_kept(
        problem
        for what, (keys, found) in promised.items()
        for problem in missing(what, keys, found)
    )


def test_the_sandbox_can_be_asked_and_made_to_misbehave(sandbox: Any) -> None:
    def answers(path: str) -> bool:
        try:
            with urllib.request.urlopen(f"{sandbox.url}{path}", timeout=DEADLINE_S) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False

    promised = CONTRACT["sandbox"]
    pages = [path for path in promised["pages"] if answers(path)]
    refused = {}
    for kind, more in promised["faults"].items():
        try:
            sandbox.client.add_fault(kind=kind, times=1, **more)
        except Exception as error:
            refused[kind] = error
    sandbox.client.clear_faults()
    assert_kept(
        [
            *missing("the sandbox's pages", promised["pages"], pages),
            *(f"the sandbox's fault {kind} is refused: {error}" for kind, error in refused.items()),
        ]
    )
