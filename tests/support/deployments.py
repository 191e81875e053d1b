"""What the files in `deploy/` run: commands with their settings, wherever they are written."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml
from celery.bin.beat import beat
from celery.bin.worker import worker

from trackrelay.configuration.settings_table import BY_NAME
from trackrelay.worker.celery_app.graceful_shutdown import IDLE_STOP_S
from trackrelay.worker.cli.main import trackrelay
from trackrelay.worker.settings import parse_duration
from trackrelay.worker.storage.engine import STATEMENT_TIMEOUT_MS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SYSTEMD = DEPLOY / "systemd"
HEROKU = DEPLOY / "heroku"
#: What a worker takes at most to end: its request, the settlement, the end of its processes.
LONGEST_STOP_S = (
    parse_duration(str(BY_NAME["TRACKRELAY_REQUEST_TIMEOUT"].default)).total_seconds()
    + STATEMENT_TIMEOUT_MS / 1000
    + IDLE_STOP_S
)
#: Of Kustomize, and configuration of others: no resources.
NO_RESOURCES = ("kustomization.yaml", "adapter-values.yaml")


@dataclass(frozen=True)
class Started:
    """A command that a file starts."""

    where: str
    words: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.where


def resources(path: Path) -> list[dict[str, Any]]:
    """The resources of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def manifests() -> list[Path]:
    """The files of Kubernetes resources, patches among them."""
    return sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name not in NO_RESOURCES)


def kustomizations() -> list[Path]:
    """The folders that Kustomize builds."""
    return sorted(path.parent for path in KUBERNETES.rglob("kustomization.yaml"))


def kustomization(folder: Path) -> dict[str, Any]:
    """What Kustomize makes in a folder."""
    (found,) = resources(folder / "kustomization.yaml")
    return found


def literals(folder: Path) -> dict[str, str]:
    """The settings that a folder's kustomization sets for all processes."""
    return {
        name: value
        for generator in kustomization(folder).get("configMapGenerator", [])
        for name, _, value in (each.partition("=") for each in generator["literals"])
    }


def patches(folder: Path) -> list[Path]:
    """The files with which a folder's kustomization changes resources."""
    listed = kustomization(folder).get("patches", [])
    return [folder / each["path"] for each in listed if "path" in each]


def pod_specs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pods of the resources, patches left out."""
    patched = {path for folder in kustomizations() for path in patches(folder)}
    for path in manifests():
        if path in patched:
            continue
        for resource in resources(path):
            if resource["kind"] in ("Deployment", "Job"):
                yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The containers of a pod, those that only wait included."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """The settings of a container."""
    own = {each["name"]: each["value"] for each in container.get("env", [])}
    return literals(KUBERNETES / "base") | own


def commands() -> Iterator[Started]:
    """Yield every command of ours in the files for Kubernetes, systemd, Heroku and Compose."""
    for name, pod in pod_specs():
        for container in containers(pod):
            settings = environment(container)
            where = f"{name}/{container['name']}"
            yield from _words(where, container.get("args") or container["command"], settings)
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if command := container.get(probe, {}).get("exec", {}).get("command"):
                    yield from _words(f"{where}/{probe}", command, {})
    for path in sorted(SYSTEMD.glob("*.service")):
        (line,) = re.findall(r"^ExecStart=(.*)$", path.read_text(), re.MULTILINE)
        yield from _words(path.name, shlex.split(line), {})
    for folder in (ROOT, HEROKU):
        for line in (folder / "Procfile").read_text().splitlines():
            name, _, command = line.partition(": ")
            yield from _words(f"{folder.name}/Procfile/{name}", shlex.split(command), {})
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for name, service in compose["services"].items():
        for command in (service.get("command"), service.get("healthcheck", {}).get("test")):
            words = shlex.split(command) if isinstance(command, str) else command or []
            yield from _words(f"compose/{name}", words, {})


def _words(where: str, words: list[str], settings: Mapping[str, str]) -> Iterator[Started]:
    if words[:2] == ["sh", "-c"]:
        # Of a shell's line, the command that is repeated until it succeeds.
        words = shlex.split(words[2].partition("until ")[2].partition(";")[0])
    elif words[:1] == ["CMD"]:
        words = words[1:]
    if words and (program := Path(words[0]).name) in ("trackrelay", "trackrelay-probe"):
        yield Started(where, (program, *words[1:]), settings)


def parse(words: tuple[str, ...]) -> dict[str, Any]:
    """Let the real parser read a command; it starts nothing.

    Raises:
        click.UsageError: a command or an option does not exist, or a value is none.
    """
    command: click.Command = trackrelay
    rest = [re.sub(r"\$\w+", "8463", word).replace("%%", "%") for word in words[1:]]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), name := rest.pop(0))
        if found is None:
            raise click.UsageError(f"there is no command {name}")
        command = found
    if command.name in ("worker", "beat"):
        # Celery's, which would ask its application for the values.
        celery = {"worker": worker, "beat": beat}[command.name]
        options, others, _ = celery.make_parser(click.Context(celery)).parse_args(rest)
        if others:
            raise click.UsageError(f"{command.name} takes no {others}")
        return dict(options)
    return dict(command.make_context(command.name, rest).params)


def unit(name: str) -> dict[str, list[str]]:
    """The values of a systemd unit's keys, those for all units included."""
    found: dict[str, list[str]] = {}
    for path in (SYSTEMD / "trackrelay-.service.d" / "hardening.conf", SYSTEMD / name):
        for key, value in re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE):
            found.setdefault(key, []).append(value)
    return found


def heroku_environment() -> dict[str, Any]:
    """The settings that Heroku asks for, or sets."""
    document: dict[str, Any] = json.loads((HEROKU / "app.json").read_text())
    env: dict[str, Any] = document["env"]
    return env
