"""Every pod of `deploy/kubernetes` as its manifest says, as far as one machine can do it.

``python -m tests.support.deployment_trial``, as root: each command is the first process of a
namespace of its own, with the manifest's user, settings and files of secrets, without capabilities,
on a read-only root with a /tmp in memory. Its probes must succeed, and SIGTERM must end it in time.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
import sqlalchemy as sa

from tests.support.deployments import containers, environment, pod_specs
from tests.support.upgrade_rehearsal import Installation, Load
from tests.support.waiting import wait_until
from tests.support.worker_process import ROOT
from trackrelay.outbox import create_table
from trackrelay.worker.console.passwords import hash_password
from trackrelay.worker.devstack.servers.ports import free_port
from trackrelay.worker.settings import sqlalchemy_url

#: Kubernetes' own, where a pod says nothing.
GRACE_S = 30
#: What the image sets.
IMAGE = {
    "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
#: Run in the namespaces: $1 is the project, $2 where Python is, $3 the folder of the secrets, $4
#: user and group; the rest is the command. What lies in folders that the pod has not, or must not
#: see, is shown there again.
ENTER = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/project /mnt/python
mount --bind "$1" /mnt/project
mount --bind "$2" /mnt/python
mount -t tmpfs tmpfs /run
cp -a "$3" /run/secrets
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /root
show() {
    [ -d "$2" ] || { mkdir -p "$2" && mount --bind "$1" "$2" && mount -o remount,bind,ro "$2"; }
}
show /mnt/project "$1"
show /mnt/python "$2"
mount -o remount,bind,ro /root
mount -o remount,bind,ro /run
mount -o remount,bind,ro /
cd /tmp
user=$4
shift 4
exec setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set=-all --inh-caps=-all \
    --no-new-privs "$@"
"""


@dataclass
class Trial:
    """A pod that runs.

    Attributes:
        pid: its first process, as this machine sees it.
        port: where it listens, if it does.
        log: what it wrote.
    """

    pid: int
    user: str
    environment: Mapping[str, str]
    port: int | None
    log: Path

    def probe(self, probe: Mapping[str, Any]) -> None:
        """Do what Kubernetes does. Raises if the probe fails."""
        if "exec" in probe:
            drop = ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups"]
            subprocess.run(
                ["nsenter", "-t", str(self.pid), "-m", "-p", *drop, *probe["exec"]["command"]],
                env=self.environment,
                check=True,
                capture_output=True,
            )
            return
        url = f"http://127.0.0.1:{self.port}{probe['httpGet']['path']}"
        # The kubelet asks for the pod's address.
        request = urllib.request.Request(url, headers={"Host": f"10.1.2.3:{self.port}"})
        with urllib.request.urlopen(request, timeout=probe["timeoutSeconds"]) as answer:
            assert answer.status == 200

    def handles_sigterm(self) -> bool:
        """Whether it ends by it: a first process ignores what it does not handle."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (caught,) = re.findall(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

    def memory_mb(self) -> float:
        """What it and its children use, without what others use too."""
        first = psutil.Process(self.pid)
        processes = [first, *first.children(recursive=True)]
        return sum(each.memory_full_info().uss for each in processes) / 1e6

    def succeeds(self, probe: Mapping[str, Any]) -> bool:
        """Whether a probe succeeds."""
        if not psutil.pid_exists(self.pid):
            raise RuntimeError(self.log.read_text()[-3000:])
        try:
            self.probe(probe)
        except (subprocess.CalledProcessError, OSError):
            return False
        return True


@contextmanager
def running(
    container: Mapping[str, Any], pod: Mapping[str, Any], secrets: Path, settings: dict[str, str]
) -> Iterator[tuple[Trial, subprocess.Popen[bytes]]]:
    """Run a container."""
    user = str(pod["securityContext"]["runAsUser"])
    words, port = list(container.get("args") or container["command"]), None
    if any(word.startswith("--port=") for word in words):
        port = free_port()
        words = [f"--port={port}" if word.startswith("--port=") else word for word in words]
    given = IMAGE | environment(container) | settings
    log = secrets.parent / f"{container['name']}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", ENTER, "sh"),
                *(str(ROOT), sys.base_prefix, str(secrets), user, *words),
            ],
            env=given,
            stdout=output,
            stderr=output,
        )
    try:
        parent = psutil.Process(process.pid)
        wait_until(lambda: parent.children() or process.poll() is not None, 10, "the pod to start")
        pid = parent.children()[0].pid if process.poll() is None else 0
        yield Trial(pid, user, given, port, log), process
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.wait()


def try_pod(pod: Mapping[str, Any], secrets: Path, settings: dict[str, str]) -> str:
    """Run a pod's container, and return what is to be told of it. Raises if something is wrong."""
    (container,) = pod["containers"]
    for waits in pod.get("initContainers", []):
        with running(waits, pod, secrets, settings) as (trial, process):
            assert process.wait(60) == 0, trial.log.read_text()
    began = time.monotonic()
    with running(container, pod, secrets, settings) as (trial, process):
        if pod.get("restartPolicy") == "OnFailure":
            assert process.wait(60) == 0, trial.log.read_text()
            return f"done after {time.monotonic() - began:.1f} s"
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name in container:
                probe = container[name]
                wait_until(lambda probe=probe: trial.succeeds(probe), 60, name)  # type: ignore[misc]
        told = f"ready after {time.monotonic() - began:.1f} s"
        if "startupProbe" not in container:
            wait_until(trial.handles_sigterm, 30, "a handler of SIGTERM")
            time.sleep(3)
            assert process.poll() is None, trial.log.read_text()
            told = "runs"
        limit_mb = float(container["resources"]["limits"]["memory"].removesuffix("Mi")) * 1.048576
        used_mb = trial.memory_mb()
        assert used_mb < limit_mb * 0.7, f"uses {used_mb:.0f} of {limit_mb:.0f} MB"
        began = time.monotonic()
        os.kill(trial.pid, signal.SIGTERM)
        code = process.wait(60)
        took_s = time.monotonic() - began
        grace_s = pod.get("terminationGracePeriodSeconds", GRACE_S)
        assert took_s < grace_s / 2, f"ended after {took_s:.0f} of {grace_s} s"
        assert code == 0, f"exit status {code}: {trial.log.read_text()[-2000:]}"
        told += f", {used_mb:.0f} of {limit_mb:.0f} MB"
        return f"{told}, ended {took_s:.1f} s after SIGTERM (has {grace_s} s)"


def write_secrets(folder: Path, values: Mapping[str, str], pods: Mapping[str, Any]) -> None:
    """Write the secrets that the pods mount, as Kubernetes does."""
    for pod in pods.values():
        for container in containers(pod):
            for name, path in environment(container).items():
                if name.endswith("_FILE") and path:
                    target = folder / Path(path).relative_to("/run/secrets")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(values[name.removesuffix("_FILE")] + "\n")
                    os.chown(target, 0, pod["securityContext"]["fsGroup"])
                    target.chmod(0o440)


@click.command()
def main() -> None:
    """Run every pod."""
    if os.geteuid():
        raise click.ClickException("run it as root: it makes namespaces, and becomes another user")
    pods = dict(pod_specs())
    # First what the others wait for.
    names = sorted(pods, key=lambda name: name != "trackrelay-migrate")
    with tempfile.TemporaryDirectory() as name:
        place, secrets = Installation(Path(name), Load()), Path(name) / "secrets"
        try:
            place.start()
            engine = sa.create_engine(sqlalchemy_url(place.settings["TRACKRELAY_DATABASE_URL"]))
            create_table(engine)
            engine.dispose()
            own = {
                "TRACKRELAY_OUTBOX_URL": place.settings["TRACKRELAY_DATABASE_URL"],
                "TRACKRELAY_CONSOLE_USERS": f"ada:view:{hash_password('correct horse battery')}",
                "TRACKRELAY_ALERT_WEBHOOK": f"{place.settings['CUSTOMERIO_TRACK_URL']}/hook",
            }
            write_secrets(secrets, place.settings | own, pods)
            settings = {"CUSTOMERIO_TRACK_URL": place.settings["CUSTOMERIO_TRACK_URL"]}
            failed = False
            for each in names:
                try:
                    told = try_pod(pods[each], secrets, settings)
                except (AssertionError, RuntimeError, subprocess.TimeoutExpired) as error:
                    told, failed = f"FAILED: {error}", True
                click.echo(
                    f"{each:<20} {shlex.join(pods[each]['containers'][0]['args']):<48} {told}"
                )
        finally:
            place.close()
    sys.exit(failed)


if __name__ == "__main__":
    main()
