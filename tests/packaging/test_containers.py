"""What docker-compose.yml and the Dockerfile promise of every container, read from the files."""

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import yaml

from tests.support.deployments import LONGEST_STOP_S
from tests.support.waiting import wait_until
from trackrelay.configuration.settings_table import WORKER_SETTINGS
from trackrelay.worker.devstack.servers import ports
from trackrelay.worker.devstack.servers.valkey_server import valkey_program

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
#: Runs to its end: whether it did is what others wait for.
ONE_SHOT = {"migrate"}
EXACT = re.compile(r"[a-z/]+:v?\d+(\.\d+)+(-[a-z-]+)?(@sha256:[0-9a-f]{64})?")

each_service = pytest.mark.parametrize("name", SERVICES)


def default(value: str) -> str:
    """What compose makes of ``${NAME:-default}`` when nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


@each_service
def test_no_container_has_a_privilege(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not service.get("privileged")
    assert service["user"] not in ("root", "0", 0)
    assert "network_mode" not in service
    assert "pid" not in service


@each_service
def test_what_a_container_writes_is_in_a_named_volume_or_in_memory(name: str) -> None:
    service = SERVICES[name]
    assert any(place.startswith("/tmp") for place in service["tmpfs"])
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"]


@each_service
def test_every_image_is_an_exact_version(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert EXACT.fullmatch(default(service["build"]["args"]["PYTHON_IMAGE"]))
    else:
        assert EXACT.fullmatch(default(service["image"]))


def test_the_dockerfile_builds_on_the_image_that_compose_names_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", text, re.MULTILINE)
    assert image == default(SERVICES["worker"]["build"]["args"]["PYTHON_IMAGE"])
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert (
        re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == SERVICES["worker"]["user"] == "10001"
    )


@each_service
def test_every_container_that_stays_has_a_health_check(name: str) -> None:
    assert ("healthcheck" in SERVICES[name]) == (name not in ONE_SHOT)


@each_service
def test_ports_are_this_machine_s_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_every_server_wants_a_password_that_nobody_chose_for_you() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("REDIS_PASSWORD", "POSTGRES_PASSWORD"):
        used = re.findall(rf"(?<!\$)\$\{{{name}([^}}]*)\}}", text)
        assert used
        assert set(used) == {":?set it in .env"}
    assert "requirepass" in " ".join(SERVICES["redis"]["command"])
    assert not [argument for argument in SERVICES["redis"]["command"] if "${" in argument]


def test_a_worker_may_take_as_long_as_its_request_and_the_settlement_to_end() -> None:
    assert float(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > LONGEST_STOP_S


def test_the_workers_get_every_setting() -> None:
    told = set(SERVICES["worker"]["environment"])
    assert {each.name for each in WORKER_SETTINGS} - told == set()


def test_prometheus_and_grafana_find_what_they_are_told_of() -> None:
    files = {
        name: yaml.safe_load((ROOT / each["file"]).read_text())
        for name, each in COMPOSE["configs"].items()
    }
    targets = {
        each["source"]: Path(each["target"])
        for service in ("prometheus", "grafana")
        for each in SERVICES[service]["configs"]
    }
    assert targets.keys() == files.keys()
    assert f"--config.file={targets['prometheus']}" in SERVICES["prometheus"]["command"]
    (rules,) = files["prometheus"]["rule_files"]
    assert targets["prometheus"].parent / rules == targets["rules"]
    (job,) = files["prometheus"]["scrape_configs"]
    (scraped,) = job["static_configs"][0]["targets"]
    assert scraped.partition(":")[0] in SERVICES
    assert f":{scraped.partition(':')[2]}/" in SERVICES["metrics"]["healthcheck"]["test"][-1]
    (source,) = files["datasources"]["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert ":9090/" in SERVICES["prometheus"]["healthcheck"]["test"][-1]
    (provider,) = files["dashboards"]["providers"]
    assert Path(provider["options"]["path"]) == targets["dashboard"].parent


def test_grafana_takes_no_password_that_everybody_knows() -> None:
    shell, option, line = SERVICES["grafana"]["entrypoint"]
    assert (shell, option) == ("sh", "-c")
    line = line.replace("$$", "$").replace("exec /run.sh", "echo started")
    for password, code, told in (("", 2, ""), ("mine", 0, "started\n")):
        answer = subprocess.run(
            ["sh", "-c", line],
            env={"GF_SECURITY_ADMIN_PASSWORD": password},
            check=False,
            capture_output=True,
            text=True,
        )
        assert (answer.returncode, answer.stdout) == (code, told)
        assert bool(code) == ("set GRAFANA_PASSWORD" in answer.stderr)


def test_the_command_of_valkey_starts_one_with_a_password(tmp_path: Path) -> None:
    port = ports.free_port()
    command = [part.replace("$$", "$") for part in SERVICES["redis"]["command"]]
    command[-1] = (
        command[-1].replace("/tmp/", f"{tmp_path}/").replace("/data", f"{tmp_path} --port {port}")
    )
    password = "0123456789abcdef"
    path = f"{valkey_program().parent}:{os.defpath}"
    with subprocess.Popen(
        command, env={"PATH": path, "REDIS_PASSWORD": password}, stdout=subprocess.DEVNULL
    ) as server:
        try:
            client = redis.Redis(port=port, password=password)
            wait_until(lambda: answers(client), 60.0, "Valkey to answer")
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=port).ping()
            config: Any = client.config_get("*")
            assert (config["appendonly"], config["maxmemory-policy"]) == ("yes", "noeviction")
            assert int(config["maxmemory"]) > 0
            assert password not in " ".join(psutil.Process(server.pid).cmdline())
        finally:
            server.kill()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        time.sleep(0.05)
        return False
