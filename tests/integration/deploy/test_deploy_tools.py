"""The tools that read the files in `deploy/` in production read them here."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.deployments import KUBERNETES, ROOT, SYSTEMD, containers
from tests.support.skips import NO_COMPOSE, NO_KUBECTL, NO_SYSTEMD

#: What `systemd-analyze security` may say of a unit at most: below it begins "OK".
MAX_EXPOSURE = 1.5


def run(*command: str, **environment: str) -> str:
    """What a tool prints."""
    answer = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
        cwd=ROOT,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert not answer.stderr.strip() or "configs" in answer.stderr, answer.stderr
    return answer.stdout


def test_kustomize_builds_the_overlay_with_its_own_settings_image_and_namespace() -> None:
    if not shutil.which("kubectl"):
        pytest.skip(NO_KUBECTL)
    text = run("kubectl", "kustomize", str(KUBERNETES / "overlays" / "production"))
    built: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    found = {(each["kind"], each["metadata"]["name"]): each for each in built}
    (settings,) = (each for (kind, _), each in found.items() if kind == "ConfigMap")
    assert settings["data"]["CUSTOMERIO_REGION"] == "eu"
    assert settings["data"]["TRACKRELAY_REDIS_URL_FILE"].startswith("/run/secrets/")
    worker = found["Deployment", "trackrelay-worker"]["spec"]
    assert "replicas" not in worker  # the autoscaler's
    (container,) = worker["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.example.com/trackrelay:")
    # A change of a setting changes this name, and so restarts the pods.
    assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    assert container["resources"]["limits"]["memory"] == "768Mi"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    (metrics,) = found["Deployment", "trackrelay-metrics"]["spec"]["template"]["spec"]["containers"]
    assert "TRACKRELAY_OUTBOX_URL_FILE" in [each["name"] for each in metrics["env"]]
    assert {each["metadata"].get("namespace") for each in built} == {"trackrelay", None}
    for resource in (each for each in built if each["kind"] in ("Deployment", "Job")):
        pod = resource["spec"]["template"]["spec"]
        volumes = {each["name"] for each in pod["volumes"]}
        for each in containers(pod):
            assert {mount["name"] for mount in each["volumeMounts"]} <= volumes
    kubernetes_validate.validate(found["Deployment", "trackrelay-worker"], "1.37", strict=True)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with the program of this environment."""
    if not shutil.which("systemd-analyze"):
        pytest.skip(NO_SYSTEMD)
    folder = tmp_path / "units"
    shutil.copytree(SYSTEMD, folder)
    for path in folder.glob("*.service"):
        text = path.read_text()
        assert "/opt/trackrelay/bin/" in text
        path.write_text(text.replace("/opt/trackrelay/bin/", f"{Path(sys.executable).parent}/"))
        if "@" in path.name:
            path.rename(folder / path.name.replace("@", "@1"))
    return folder


def test_systemd_accepts_every_unit_and_calls_none_exposed(units: Path) -> None:
    paths = sorted(map(str, [*units.glob("*.service"), *units.glob("*.target")]))
    assert len(paths) == 8
    run("systemd-analyze", "verify", "--man=no", *paths, SYSTEMD_UNIT_PATH=f"{units}:")
    for path in (each for each in paths if each.endswith(".service")):
        text = run(
            *("systemd-analyze", "security", "--offline=true", "--no-pager", path),
            SYSTEMD_UNIT_PATH=f"{units}:",
        )
        (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", text)
        assert float(exposure) <= MAX_EXPOSURE, text


def test_compose_accepts_its_file_with_every_profile() -> None:
    if not shutil.which("docker-compose"):
        pytest.skip(NO_COMPOSE)
    profiles = ("--profile", "sandbox", "--profile", "console", "--profile", "monitoring")
    text = run(
        *("docker-compose", *profiles, "config"),
        REDIS_PASSWORD="secret",
        POSTGRES_PASSWORD="secret",
    )
    services = yaml.safe_load(text)["services"]
    assert {"worker", "console", "metrics", "prometheus", "grafana", "sandbox"} <= services.keys()
