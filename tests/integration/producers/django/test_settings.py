"""`settings.TRACKRELAY`: precedence, derived settings, and system checks."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import sqlalchemy as sa
from django.core import checks
from django.core.management import CommandError, call_command
from django.test import override_settings

import trackrelay
from tests.support import django_project
from tests.support.waiting import patient
from tests.support.worker_process import ROOT, clean_environment
from trackrelay import ConfigurationError, InvalidOperationError, operations
from trackrelay.configuration.settings_loader import environment
from trackrelay.django.database_urls import url_of
from trackrelay.worker.relay.relay_queue import RelayQueue
from trackrelay.worker.settings import load as load_worker


def settings(**told: Any) -> Any:
    with django_project.connected(**told):
        return trackrelay.default.default_producer().settings


def test_configure_wins_over_django_and_django_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACKRELAY_SOURCE", "environment")
    monkeypatch.setenv("TRACKRELAY_BACKEND", "memory")
    assert settings().source == "environment"
    assert settings(SOURCE="django").source == "django"
    with django_project.connected(SOURCE="django"):
        trackrelay.configure(source="configured")
        assert trackrelay.default.default_producer().settings.source == "configured"


def test_a_secret_s_file_in_the_environment_does_not_win_over_django(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text("redis://from-a-file/0")
    monkeypatch.setenv("TRACKRELAY_REDIS_URL_FILE", str(tmp_path / "url"))
    assert settings().redis_url == "redis://from-a-file/0"
    assert settings(REDIS_URL="redis://django/0").redis_url == "redis://django/0"


def test_the_worker_s_settings_are_django_s_too() -> None:
    told = {
        "MAX_AGE": timedelta(days=14),
        "CUSTOMERIO_SITE_ID": "site",
        "DATABASE_URL": "postgresql://h/d",
    }
    with django_project.connected(REDIS_URL="redis://h/0", **told):
        configured = load_worker()
    assert configured.max_age == timedelta(days=14)
    assert configured.site_id.get_secret_value() == "site"


def test_explicit_settings_override_derived_ones(
    shop_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"REDIS_URL": "redis://h/0", "OUTBOX": True, "DATABASE": "default"}
    with django_project.connected(**told):
        follows = environment()
        assert follows["TRACKRELAY_OUTBOX_URL"] == follows["TRACKRELAY_DATABASE_URL"] == shop_url
        assert follows["TRACKRELAY_NAIVE_TIMEZONE"] == "Europe/Berlin"
        monkeypatch.setenv("TRACKRELAY_OUTBOX_URL", "postgresql://elsewhere/shop")
        assert environment()["TRACKRELAY_OUTBOX_URL"] == "postgresql://elsewhere/shop"


def test_a_duration_may_be_a_timedelta() -> None:
    assert (
        settings(REDIS_URL="redis://h/0", ENQUEUE_TIMEOUT=timedelta(seconds=1.5)).enqueue_timeout_s
        == 1.5
    )


def test_names_of_object_types_may_be_a_dict() -> None:
    typed = settings(REDIS_URL="redis://h/0", OBJECT_TYPES={"product": 1, "company": "2"})
    assert typed.object_types == {"product": "1", "company": "2"}


def postgresql(**told: Any) -> Any:
    """A connection of Django's, as far as its settings go."""
    return SimpleNamespace(vendor="postgresql", settings_dict={"NAME": "", **told})


def test_a_database_that_a_service_file_names_is_reached_by_its_url(
    shop_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(shop_url)
    name = parts.path[1:]
    (tmp_path / "services").write_text(
        f"[shop]\nhost={parts.hostname}\nport={parts.port}\nuser={parts.username}\npassword={parts.password}\ndbname={name}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    url = url_of(postgresql(OPTIONS={"service": "shop"}))
    engine = sa.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT current_database()")) == name


def test_options_of_libpq_are_in_the_url_and_options_of_django_are_not() -> None:
    libpq = {
        "passfile": "/etc/shop pass",
        "channel_binding": "require",
        "gssencmode": "disable",
        "requirepeer": "postgres",
        "sslmode": "verify-full",
    }
    url = url_of(
        postgresql(
            NAME="shop", HOST="/run/pg", OPTIONS={**libpq, "assume_role": "web", "pool": True}
        )
    )
    assert dict(sa.make_url(url).query) == {"host": "/run/pg", **libpq}


def test_a_naive_datetime_is_one_of_django_s_time_zone() -> None:
    naive = datetime(2026, 7, 1, 12)
    with django_project.connected(BACKEND="memory"):
        assert b'"timestamp":1782900000' in operations.track("42", "seen", timestamp=naive).body
    trackrelay.configure(backend="off")
    with pytest.raises(InvalidOperationError):
        trackrelay.track("42", "seen", timestamp=naive)


@override_settings(TRACKRELAY={})
def test_without_any_setting_the_first_call_names_what_is_missing() -> None:
    with (
        django_project.connected(),
        pytest.raises(ConfigurationError, match="TRACKRELAY_REDIS_URL"),
    ):
        trackrelay.track("42", "seen")


GOOD = {
    # Nothing listens there, and it takes no look at a name server to know it.
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SOURCE": "shop",
    "ANONYMOUS_COOKIE": {"SECURE": True},
    "ON_UNAVAILABLE": "log",
}


@pytest.mark.parametrize(
    ("told", "id", "says"),
    [
        ({"REDIS_ULR": "redis://h/0"}, "trackrelay.E002", "Did you mean 'REDIS_URL'?"),
        ({"TRACKRELAY_SOURCE": "shop"}, "trackrelay.E002", "Did you mean 'SOURCE'?"),
        ({"REDIS_URL": "http://h/0"}, "trackrelay.E003", "must begin with redis://"),
        ({"ENQUEUE_TIMEOUT": "soon"}, "trackrelay.E003", "number of seconds"),
        ({"REDIS_URL": None}, "trackrelay.W001", "No queue is configured"),
        ({"OUTBOX": "nowhere"}, "trackrelay.E004", "'nowhere', which is not in DATABASES"),
        ({"DATABASE": "nowhere"}, "trackrelay.E006", "'nowhere', which is not in DATABASES"),
        ({"PERSON": "uuid"}, "trackrelay.E007", "no attribute 'uuid'"),
        ({"PERSON": "no.such.function"}, "trackrelay.E007", "No module named"),
        ({"IDENTIFY_FIELDS": ["emial"]}, "trackrelay.E008", "no attribute 'emial'"),
        ({"IDENTIFY_ON_LOGIN": True}, "trackrelay.W002", "IDENTIFY_FIELDS"),
        ({"PLAN": "none.yaml"}, "trackrelay.E010", "none.yaml: cannot be read"),
        ({"ANONYMOUS_COOKIE": {"LIFETIME": 3}}, "trackrelay.E009", "no setting 'LIFETIME'"),
        ({"ANONYMOUS_COOKIE": {"SAME_SITE": "Laxx"}}, "trackrelay.E009", "it is 'Laxx'"),
        ({"ANONYMOUS_COOKIE": "trackrelay"}, "trackrelay.E009", "it is a str"),
    ],
)
def test_what_is_wrong_has_an_id_and_a_hint(told: dict[str, Any], id: str, says: str) -> None:
    with django_project.connected(**{**GOOD, **told}):
        (found,) = [each for each in checks.run_checks() if each.id.startswith("trackrelay.")]
    assert found.id == id
    assert found.hint
    assert says in f"{found.msg} {found.hint}"


def test_the_fields_of_users_are_held_against_the_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "plan: 1\nname: shop\nattributes:\n"
        "  email: {type: string, owner: crm}\n"
        "  is_active: {type: string}\n"
        "  joined: {type: integer, aliases: [date_joined]}\n"
        "  first_name: {type: string}\n"
        "  id: {type: number}\n"
    )
    fields = ["email", "is_active", "date_joined", "first_name", "id", "last_name"]
    with django_project.connected(**GOOD, PLAN=plan, IDENTIFY_FIELDS=fields):
        found = [each for each in checks.run_checks() if each.id == "trackrelay.W004"]
    assert [each.msg.partition("the plan: ")[2] for each in found] == [
        "the plan says that crm sets 'email', and this is the source 'shop'.",
        "the plan says that 'is_active' is string, and the user's field is boolean.",
        "the tracking plan 'shop' has no attribute 'date_joined'.",
        "the tracking plan 'shop' has no attribute 'last_name'.",
    ]
    assert found[2].hint == "The plan calls it 'joined'."


def test_manage_py_checks_the_plan_that_the_project_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("plan: 1\nname: shop")
    with django_project.connected(**GOOD, PLAN=plan):
        call_command("trackrelay", "plan", "check")
        assert capsys.readouterr().out.startswith(f"{plan}: shop is a valid plan")
        plan.write_text("plan: 2")
        with pytest.raises(CommandError):
            call_command("trackrelay", "plan", "check")
    assert f"{plan}:1: plan must be 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("postgres://somebody:else@localhost/shop", False),
        ("postgresql://%2Frun%2Fpostgresql:5432/shop", True),
        ("postgresql:///shop?host=/run/postgresql", False),
        ("postgresql://db.example/shop", True),
        ("postgresql://127.0.0.1:6432/shop", True),
        ("postgresql://127.0.0.1/trackrelay", True),
    ],
)
def test_two_databases_of_the_workers_are_pointed_out(
    monkeypatch: pytest.MonkeyPatch, url: str, warns: bool
) -> None:
    monkeypatch.setenv("TRACKRELAY_DATABASE_URL", url)
    django_project.use("relay", "postgresql://app:hidden@127.0.0.1:5432/shop")

    with django_project.connected(**GOOD, DATABASE="relay"):
        found = [each for each in checks.run_checks() if each.id.startswith("trackrelay.")]

    assert [each.id for each in found] == (["trackrelay.W003"] if warns else [])
    for each in found:
        assert "Django's alias 'relay' leads to localhost:5432/shop" in each.msg
        assert 'Set "DATABASE" in TRACKRELAY' in each.hint
        assert "hidden" not in each.msg


def test_a_database_that_is_no_postgresql_is_not_the_workers(
    monkeypatch: pytest.MonkeyPatch, lite_url: str
) -> None:
    monkeypatch.setenv("TRACKRELAY_DATABASE_URL", "postgresql://db.example/shop")
    with django_project.connected(**GOOD, DATABASE="lite"):
        (found,) = [each for each in checks.run_checks() if each.id.startswith("trackrelay.")]
    assert found.id == "trackrelay.W003"
    assert "'lite' leads to SQLite" in found.msg


def test_without_an_alias_and_the_admin_the_workers_database_is_none_of_django_s_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACKRELAY_DATABASE_URL", "postgresql://db.example/shop")
    django_project.use("default", "postgresql://app@127.0.0.1:5432/shop")
    monkeypatch.setattr("trackrelay.django.system_checks.apps.is_installed", lambda name: False)
    with django_project.connected(**GOOD):
        assert checks.run_checks(tags=["trackrelay"]) == []


def test_trackrelay_must_be_a_dict() -> None:
    with django_project.connected(), override_settings(TRACKRELAY="redis://h/0"):
        (found,) = [each for each in checks.run_checks() if each.id.startswith("trackrelay.")]
    assert found.id == "trackrelay.E001"


@pytest.mark.parametrize(
    ("told", "ids"),
    [
        ({}, []),
        ({"BACKEND": "console"}, ["trackrelay.W101"]),
        ({"REDIS_URL": None}, ["trackrelay.W001", "trackrelay.E101"]),
        ({"REDIS_URL": None, "OUTBOX": True}, []),
        ({"SOURCE": None}, ["trackrelay.W102"]),
        ({"ANONYMOUS_COOKIE": {}}, ["trackrelay.W103"]),
        ({"ANONYMOUS_COOKIE": {"MAX_AGE_S": "a year"}}, ["trackrelay.E009"]),
        ({"ANONYMOUS_COOKIE": ["SECURE"]}, ["trackrelay.E009"]),
        ({"ON_UNAVAILABLE": None}, ["trackrelay.W104"]),
        ({"ON_UNAVAILABLE": "raise"}, []),
        ({"ON_UNAVAILABLE": None, "OUTBOX": True}, []),
        ({"ON_UNAVAILABLE": None, "BACKEND": "off"}, ["trackrelay.W101"]),
    ],
)
def test_check_deploy_says_what_is_wrong_in_production_only(
    told: dict[str, Any], ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKRELAY_ON_INVALID", "log")
    with django_project.connected(**{**GOOD, **told}):
        found = [each.id for each in checks.run_checks(include_deployment_checks=True)]
    assert sorted(id for id in found if id.startswith("trackrelay.")) == sorted(ids)


def deployment_warnings(**told: Any) -> list[str]:
    with django_project.connected(**{**GOOD, **told}):
        found = [each.id for each in checks.run_checks(include_deployment_checks=True)]
    return [id for id in found if id in {"trackrelay.W104", "trackrelay.W105", "trackrelay.W106"}]


def test_check_deploy_warns_until_it_is_chosen_what_becomes_of_a_refused_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRACKRELAY_ON_INVALID", raising=False)
    assert deployment_warnings() == ["trackrelay.W105"]
    assert deployment_warnings(ON_INVALID="dead_letter") == []
    monkeypatch.setenv("TRACKRELAY_ON_INVALID", "raise")
    assert deployment_warnings() == []


@pytest.mark.parametrize("told", [{"OUTBOX": True}, {"ON_UNAVAILABLE": "outbox"}], ids=str)
def test_check_deploy_warns_of_an_outbox_that_no_relay_reads(
    told: dict[str, Any], shop_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKRELAY_ON_INVALID", "log")
    assert deployment_warnings(**told, REDIS_URL=redis_url) == ["trackrelay.W106"]
    assert deployment_warnings(REDIS_URL=redis_url) == []

    client = redis.Redis.from_url(redis_url)
    assert RelayQueue(client, max_length=1_000).take_lease("0123456789ab")
    client.close()
    assert deployment_warnings(**told, REDIS_URL=redis_url) == []


def test_there_are_no_migrations_to_make(shop_url: str, lite_url: str) -> None:
    with django_project.connected(**GOOD):
        call_command(
            "makemigrations", "trackrelay", "trackrelay_ops", check=True, dry_run=True, verbosity=0
        )


WITHOUT_USERS = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["trackrelay.django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TRACKRELAY={
        "BACKEND": "memory", "OUTBOX": True, "PERSON": "uuid",
        "IDENTIFY_ON_SAVE": True, "IDENTIFY_FIELDS": ["email"],
    },
)
django.setup()
from django.core.management import call_command
import trackrelay
from trackrelay.django.models import OutboxRow
call_command("migrate", verbosity=0)
call_command("check", fail_level="WARNING")
trackrelay.track("42", "seen")
row = OutboxRow(job_id="x", lane="live", format=1, entry="{}", accepted_ms=1)
row.save()
try:
    trackrelay.track(row, "seen")
except trackrelay.InvalidOperationError:
    print("refused")
print(len(trackrelay.default.default_producer().backend.operations))
"""


def test_a_project_without_users_can_do_without_django_s(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_USERS],
        env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-2:] == ["refused", "1"]
