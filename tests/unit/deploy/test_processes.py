"""Every process that a deployment starts: its command can be parsed, its settings exist."""

import re

import click
import pytest

from tests.support.deployments import (
    DEPLOY,
    HEROKU,
    KUBERNETES,
    LONGEST_STOP_S,
    SYSTEMD,
    Started,
    commands,
    heroku_environment,
    kustomization,
    kustomizations,
    literals,
    parse,
    unit,
)
from trackrelay.configuration.settings_table import ALL_NAMES, BY_NAME
from trackrelay.version import __version__
from trackrelay.worker.maintenance.probe import USAGE
from trackrelay.worker.settings import problems

STARTED = [*commands()]
UNITS = sorted(path.name for path in SYSTEMD.glob("*.service"))


@pytest.mark.parametrize("started", STARTED, ids=str)
def test_a_command_is_one_that_the_command_line_takes(started: Started) -> None:
    words = started.words
    if words[0] == "trackrelay-probe":
        assert len(words) == 2
        assert words[1] in re.split(r"[ |]", USAGE)
    else:
        parse(words)


def test_a_command_that_does_not_exist_would_be_found() -> None:
    for words in (
        ("trackrelay", "wrok"),
        ("trackrelay", "worker", "--concurency=1"),
        ("trackrelay", "metrics", "--port=x"),
    ):
        with pytest.raises(click.UsageError):
            parse(words)


def test_each_way_of_deployment_has_each_process_that_it_should() -> None:
    def of(place: str) -> set[str]:
        return {each.words[1] for each in STARTED if re.match(place, each.where)}

    every = {"worker", "beat", "relay", "console", "metrics", "watch", "migrate"}
    assert of(r"trackrelay-[a-z]+/[a-z-]+$") == every | {"status"}
    assert of(r"trackrelay-.*\.service") == every
    assert of("heroku") == {"worker", "relay", "console", "watch", "migrate"}
    assert of("compose") >= {"worker", "beat", "console", "metrics", "migrate"}


def test_settings_of_kubernetes_exist_and_have_values_that_count() -> None:
    for folder in kustomizations():
        found = literals(folder)
        assert found.keys() <= ALL_NAMES
        given = {name: value for name, value in found.items() if not name.endswith("_FILE")}
        assert not given.keys() & problems(given).keys()
    for started in STARTED:
        assert started.settings.keys() <= ALL_NAMES, started.where
    assert literals(KUBERNETES / "base")


def test_settings_of_systemd_and_heroku_exist() -> None:
    text = (SYSTEMD / "trackrelay.env").read_text()
    names = re.findall(r"^#?([A-Z][A-Z_]+)=", text, re.MULTILINE)
    assert len(names) > 8
    assert set(names) <= ALL_NAMES
    heroku = heroku_environment()
    assert heroku.keys() <= ALL_NAMES
    given = {name: each["value"] for name, each in heroku.items() if "value" in each}
    assert not given.keys() & problems(given).keys()
    profile = re.findall(r"^export (\w+)=", (HEROKU / ".profile").read_text(), re.MULTILINE)
    assert set(profile) <= ALL_NAMES


def test_what_is_installed_is_this_version() -> None:
    assert f"=={__version__}\n" in (HEROKU / "requirements.txt").read_text()
    (image,) = kustomization(KUBERNETES / "overlays" / "production")["images"]
    assert image["newTag"] == __version__


def test_no_file_has_a_secret() -> None:
    secret = [name for name, each in BY_NAME.items() if each.is_secret]
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            for name, value in re.findall(rf"({'|'.join(secret)})[=:] ?(\S+)", path.read_text()):
                told = value.strip('"{')
                assert not told or told[0] == "$" or "PASSWORD" in told, f"{path}: {name}={value}"


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_reads_its_secrets_from_a_file_and_comes_back_by_itself(name: str) -> None:
    found = unit(name)
    assert found["EnvironmentFile"] == ["/etc/trackrelay/trackrelay.env"]
    assert "Environment" not in found
    if name == "trackrelay-migrate.service":
        assert found["Type"] == ["oneshot"]
    else:
        assert found["Restart"] == ["always"]
        assert found["StartLimitIntervalSec"] == ["0"]
        assert found["WantedBy"] == ["trackrelay.target"]


def test_systemd_gives_a_worker_the_time_that_it_takes_to_end() -> None:
    found = unit("trackrelay-worker@.service")
    assert found["KillMode"] == ["mixed"]
    assert float(found["TimeoutStopSec"][0]) > LONGEST_STOP_S


def test_two_workers_of_one_machine_have_two_names() -> None:
    (line,) = unit("trackrelay-worker@.service")["ExecStart"]
    assert "--hostname=worker-%i@%%h" in line
