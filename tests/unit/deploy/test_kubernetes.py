"""The Kubernetes manifests: valid, hardened, and in agreement with the code and each other."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.deployments import (
    DEPLOY,
    KUBERNETES,
    LONGEST_STOP_S,
    ROOT,
    containers,
    environment,
    kustomization,
    kustomizations,
    literals,
    manifests,
    parse,
    patches,
    pod_specs,
    resources,
)
from trackrelay.queue.queue_client import DEFAULT_SHARDS
from trackrelay.worker.cli.metrics.metric_table import METRICS

#: The oldest and the newest version that the manifests are for.
VERSIONS = ("1.29", "1.37")
#: Resources of others, whose schemas Kubernetes does not have.
OF_OTHERS = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}
PODS = dict(pod_specs())
RESOURCES: dict[tuple[str, str], dict[str, Any]] = {
    (each["kind"], each["metadata"]["name"]): each
    for path in manifests()
    if path not in {patch for folder in kustomizations() for patch in patches(folder)}
    for each in resources(path)
}

each_pod = pytest.mark.parametrize("name", PODS)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    checked = 0
    for resource in RESOURCES.values():
        if resource["kind"] not in OF_OTHERS:
            kubernetes_validate.validate(resource, version, strict=True)
            checked += 1
    assert checked > 15


def test_a_field_that_does_not_exist_would_be_found() -> None:
    job = RESOURCES["Job", "trackrelay-migrate"]
    wrong = job | {"spec": job["spec"] | {"backofLimit": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="backofLimit"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


# -- kustomize


@pytest.mark.parametrize("folder", kustomizations(), ids=lambda path: path.name)
def test_a_kustomization_names_what_exists_and_leaves_no_file_out(folder: Path) -> None:
    found = kustomization(folder)
    named = [
        *found.get("resources", []),
        *found.get("components", []),
        *(each["path"] for each in found.get("patches", []) if "path" in each),
    ]
    for name in named:
        assert (folder / name).exists(), name
    files = {path.name for path in folder.glob("*.yaml")}
    assert files - set(named) <= {"kustomization.yaml", "adapter-values.yaml"}


@pytest.mark.parametrize("folder", kustomizations(), ids=lambda path: path.name)
def test_a_patch_changes_what_exists(folder: Path) -> None:
    targets = [
        (each["target"]["kind"], each["target"]["name"])
        for each in kustomization(folder).get("patches", [])
        if "target" in each
    ]
    for path in patches(folder):
        targets += [(each["kind"], each["metadata"]["name"]) for each in resources(path)]
        for patch in resources(path):
            _names_containers_of(patch)
    assert set(targets) <= RESOURCES.keys()


def _names_containers_of(patch: dict[str, Any]) -> None:
    if patch["kind"] == "Deployment":
        changed = patch["spec"]["template"]["spec"]["containers"]
        pod = PODS[patch["metadata"]["name"]]
        assert {each["name"] for each in changed} <= {each["name"] for each in pod["containers"]}


def test_the_image_that_an_overlay_replaces_is_the_one_that_every_pod_has() -> None:
    images = {each["image"] for pod in PODS.values() for each in containers(pod)}
    assert images == {"trackrelay"}
    (replaced,) = kustomization(KUBERNETES / "overlays" / "production")["images"]
    assert replaced["name"] == "trackrelay"


# -- pods


@each_pod
def test_a_pod_has_no_privilege_and_no_token_and_writes_only_in_memory(name: str) -> None:
    pod = PODS[name]
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert f"USER {context['runAsUser']}" in (ROOT / "Dockerfile").read_text()
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert ("ServiceAccount", pod["serviceAccountName"]) in RESOURCES
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
    for volume in pod["volumes"]:
        assert volume.keys() & {"secret", "emptyDir"}
        assert volume.get("emptyDir", {}).get("medium", "Memory") == "Memory"


@each_pod
def test_every_secret_is_a_file_of_a_secret_that_is_mounted(name: str) -> None:
    pod = PODS[name]
    secrets = {each["name"] for each in pod["volumes"] if "secret" in each}
    for container in containers(pod):
        mounts = {
            each["mountPath"]: each["name"]
            for each in container["volumeMounts"]
            if each["name"] in secrets and each["readOnly"]
        }
        for setting, path in environment(container).items():
            if setting.endswith("_FILE") and path:
                folder, _, file = path.rpartition("/")
                assert folder in mounts, f"{container['name']}: {path} is not mounted"
                assert file == setting.removesuffix("_FILE")
    assert not [
        each for each in pod["volumes"] if each.get("secret", {}).get("defaultMode", 0o440) & 7
    ]


@each_pod
def test_every_pod_has_the_labels_by_which_it_is_found(name: str) -> None:
    kind = "Job" if name == "trackrelay-migrate" else "Deployment"
    resource = RESOURCES[kind, name]
    labels = resource["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "trackrelay"
    assert labels["app.kubernetes.io/component"] == name.removeprefix("trackrelay-")
    if kind == "Deployment":
        assert resource["spec"]["selector"]["matchLabels"] == labels


def test_a_worker_may_take_as_long_as_its_request_and_the_settlement_to_end() -> None:
    assert PODS["trackrelay-worker"]["terminationGracePeriodSeconds"] > LONGEST_STOP_S


def test_new_workers_wait_for_the_migration_and_no_old_one_goes_before_a_new_one_is_ready() -> None:
    (waits,) = PODS["trackrelay-worker"]["initContainers"]
    assert "until trackrelay status --quiet" in waits["command"][-1]
    update = RESOURCES["Deployment", "trackrelay-worker"]["spec"]["strategy"]["rollingUpdate"]
    assert update["maxUnavailable"] == 0


def test_no_probe_of_a_worker_asks_for_more_than_the_worker() -> None:
    (container,) = PODS["trackrelay-worker"]["containers"]
    assert container["livenessProbe"]["exec"]["command"] == ["trackrelay-probe", "alive"]
    assert container["readinessProbe"]["exec"]["command"] == ["trackrelay-probe", "ready"]
    for name in ("trackrelay-console", "trackrelay-metrics"):
        (container,) = PODS[name]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


# -- ports, policies, metrics


@pytest.mark.parametrize("name", ["trackrelay-console", "trackrelay-metrics"])
def test_ports_are_the_same_everywhere(name: str) -> None:
    (container,) = PODS[name]["containers"]
    port = parse(tuple(container["args"]))["port"]
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    assert RESOURCES["Service", name]["spec"]["ports"] == [
        {"name": "http", "port": port, "targetPort": "http"}
    ]
    (rule,) = RESOURCES["NetworkPolicy", name]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": port}]
    # The command's own default too.
    assert parse(("trackrelay", container["args"][1]))["port"] == port


def test_prometheus_is_told_the_port_and_the_path_of_the_metrics() -> None:
    template = RESOURCES["Deployment", "trackrelay-metrics"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(
            RESOURCES["Service", "trackrelay-metrics"]["spec"]["ports"][0]["port"]
        ),
        "prometheus.io/path": "/metrics",
    }
    monitor = RESOURCES["ServiceMonitor", "trackrelay"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= (
        RESOURCES["Service", "trackrelay-metrics"]["metadata"]["labels"].items()
    )
    assert [each["port"] for each in monitor["endpoints"]] == ["http"]


def test_only_what_needs_the_internet_reaches_it_and_nothing_comes_in_unasked() -> None:
    policies = {
        name: each["spec"] for (kind, name), each in RESOURCES.items() if kind == "NetworkPolicy"
    }
    everything = policies["trackrelay-default"]
    assert everything["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in everything
    (names,) = policies["trackrelay-customerio"]["podSelector"]["matchExpressions"]
    assert set(names["values"]) == {"worker", "console", "watch"}
    (rule,) = policies["trackrelay-customerio"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]


def test_the_alert_rules_are_those_of_prometheus() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "trackrelay.rules.yml").read_text())
    assert RESOURCES["PrometheusRule", "trackrelay"]["spec"] == rules, "run scripts/prometheus-rule"


def test_workers_are_scaled_by_a_metric_that_exists_up_to_the_number_of_shards() -> None:
    metrics = {each.full_name for each in METRICS}
    for folder in ("autoscaling-keda", "autoscaling-prometheus-adapter"):
        text = "".join(path.read_text() for path in (KUBERNETES / "components" / folder).glob("*"))
        assert set(re.findall(r"trackrelay_\w+", text)) == {"trackrelay_queue_jobs"} & metrics
    (container,) = PODS["trackrelay-worker"]["containers"]
    processes = int(parse(tuple(container["args"]))["concurrency"])
    keda = RESOURCES["ScaledObject", "trackrelay-worker"]["spec"]
    own = RESOURCES["HorizontalPodAutoscaler", "trackrelay-worker"]["spec"]
    most = {keda["maxReplicaCount"], keda["fallback"]["replicas"], own["maxReplicas"]}
    assert {each * processes for each in most} == {DEFAULT_SHARDS}
    least = RESOURCES["Deployment", "trackrelay-worker"]["spec"]["replicas"]
    assert {keda["minReplicaCount"], own["minReplicas"]} == {least}
    for scaled in (keda, own):
        assert scaled["scaleTargetRef"]["name"] == "trackrelay-worker"


def test_an_overlay_changes_settings_and_keeps_the_files_of_the_secrets() -> None:
    changed = literals(KUBERNETES / "overlays" / "production")
    assert changed
    assert not [name for name in changed if name.endswith("_FILE")]
