"""What is installed and copied from: the API server takes all of it, in a restricted namespace; so does kubeconform."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.api import ROOT, Api, Object
from support.cluster import MissingError
from support.levels import left_out_if_missing
from support.schemas import write_schemas

pytestmark = pytest.mark.integration

NAMESPACE = "mcs-system"
UNOWNED = "is missing the kubectl.kubernetes.io/last-applied-configuration annotation"
SAMPLES = sorted((ROOT / "manifests" / "samples").rglob("*.yaml"))
BESIDE = [file for folder in ("argocd", "tenancy") for file in (ROOT / "manifests" / folder).glob("*.yaml")]
APART = "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
EVERYTHING = (
    "namespaces={mcs-system}",
    "priorityClassName=system-cluster-critical",
    "nodeSelector.pool=system",
    "tolerations[0].operator=Exists",
    f"{APART}.topologyKey=kubernetes.io/hostname",
    f"{APART}.labelSelector.matchLabels.team=voice",
    "imagePullSecrets[0].name=pull",
    "serviceAccount.annotations.a=b",
    "podLabels.team=voice",
    "podAnnotations.a=b",
    "commonLabels.team=voice",
    "extraEnv[0].name=HTTPS_PROXY",
    "extraEnv[0].value=http://proxy",
    "extraVolumes[0].name=more",
    "extraVolumes[0].emptyDir.medium=Memory",
    "extraVolumeMounts[0].name=more",
    "extraVolumeMounts[0].mountPath=/more",
    "webhook.clientCaConfigMap=api-server-ca",
    "metrics.readers[0].namespace=monitoring",
    "metrics.readers[0].name=prometheus",
    "mediaPod.dns={10.1.2.3,openshift-dns}",
    "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
    "networkPolicy.egress[0].ports[0].port=6443",
    "networkPolicy.egress[0].ports[0].protocol=TCP",
)


@pytest.fixture(scope="module")
def home(server: Api) -> Iterator[Api]:
    """The namespace of install.yaml, labelled as there: a dry run cannot put anything into one that is not there."""
    made = server.find("Namespace", NAMESPACE) is None
    if made:
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    yield server.within(NAMESPACE)
    if made:
        server.delete("Namespace", NAMESPACE)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(("--filename", "manifests/install.yaml"), id="kubectl apply"),
        pytest.param(("--server-side", "--force-conflicts", "--filename", "manifests/install.yaml"), id="server-side"),
        pytest.param(("--kustomize", "manifests"), id="as a kustomize base"),
    ],
)
def test_the_manifests_are_accepted_without_a_warning(home: Api, how: tuple[str, ...]) -> None:
    accepted = dry_run(home, *how)
    for name in ("deployment.apps/mcs-operator", "clusterrole.rbac.authorization.k8s.io/mcs-operator-edit"):
        assert name in accepted


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_sample_is_accepted_without_a_warning(home: Api, file: Path, tmp_path: Path) -> None:
    """In a namespace that is there: those of the samples are not, and a dry run makes none."""
    bodies = [body for body in yaml.safe_load_all(file.read_text()) if body]
    for body in bodies:
        if body["kind"] != "Namespace":
            body["metadata"]["namespace"] = NAMESPACE
    (tmp_path / "sample.yaml").write_text(yaml.safe_dump_all(bodies))
    assert dry_run(home, "--filename", str(tmp_path / "sample.yaml"))


@pytest.fixture(scope="module")
def account_of_the_check(home: Api) -> None:
    """A pod is not taken before its account is there, and a dry run makes none. It goes with the namespace."""
    home.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mcs-operator-test"}})


@pytest.mark.parametrize("values", [(), EVERYTHING], ids=["by default", "with everything set"])
def test_what_the_chart_renders_is_accepted_without_a_warning(
    home: Api, account_of_the_check: None, values: tuple[str, ...], tmp_path: Path
) -> None:
    accepted = dry_run(home, "--filename", str(rendered(tmp_path, *values)))
    for name in ("networkpolicy.networking.k8s.io/mcs-operator", "pod/mcs-operator-test"):
        assert name in accepted


def dry_run(home: Api, *how: str) -> str:
    """What `kubectl apply` says that it would do; nothing else is said."""
    command = home.kubectl_command("apply", "--dry-run=server", "--validate=strict", *how)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if UNOWNED not in line] == []  # of what the tests applied
    return done.stdout


def rendered(folder: Path, *values: str) -> Path:
    """What the chart renders, helm's test included."""
    where = ("template", "mcs-operator", str(ROOT / "charts" / "mcs-operator"), "--namespace", NAMESPACE)
    file = folder / "chart.yaml"
    file.write_text(tool("helm", *where, *(f"--set={value}" for value in values)))
    return file


def tool(name: str, *arguments: str) -> str:
    """Output of a pinned program, which is built the first time."""
    command = [str(ROOT / "hack" / "helm")] if name == "helm" else [str(ROOT / "hack" / "tool"), name]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=280, check=False)
    with left_out_if_missing():
        if done.returncode == 3:
            raise MissingError(done.stderr)
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-1000:]}"
    return done.stdout


# ------------------------------------------------------------------------------------------ kubeconform, with no server


@pytest.fixture(scope="module")
def schemas(server: Api, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of this API server, our own kinds among them."""
    return write_schemas(server, tmp_path_factory.mktemp("schemas"))


def test_kubeconform_accepts_everything_that_is_shipped(schemas: str, tmp_path: Path) -> None:
    shipped = [ROOT / "manifests" / "install.yaml", *SAMPLES, *BESIDE, *(ROOT / "crds").glob("*.yaml")]
    shipped += [rendered(tmp_path).rename(tmp_path / "default.yaml"), rendered(tmp_path, *EVERYTHING)]
    said = tool("kubeconform", "-strict", "-summary", "-schema-location", schemas, *map(str, shipped))
    assert ", Errors: 0, Skipped: 0" in said, said


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param("TVoxLink", {"domian": "acme.mcs.test"}, id="a misspelt field of a link"),
        pytest.param("MCSInstance", {"vpn": {"slots": 251}}, id="251 slots"),
    ],
)
def test_kubeconform_would_have_refused(schemas: str, kind: str, spec: Object, tmp_path: Path) -> None:
    """So that the test above can fail."""
    body = {"apiVersion": "mcs.tvox.io/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(body))
    with pytest.raises(AssertionError, match="is invalid"):
        tool("kubeconform", "-strict", "-schema-location", schemas, str(tmp_path / "bad.yaml"))
