"""A release, as a company has it: pushed into a registry of its own, and from there and nothing else into the cluster.

The registry asks for a password. What the node has been given otherwise cannot stand in: every image is named by
registry and digest, and the registry notes who takes what. The tests are a story.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
import yaml

from support import cluster
from support.api import ROOT, Api, Object, remove_namespaces
from support.cluster import CLUSTER, Node
from support.lab import bridge_of, sh
from support.levels import left_out_if_missing
from support.mcs import COMMUNITY, POD, Mcs
from support.objects import INSTANCE, a_community, an_instance
from support.programs import debian
from support.registry import USER, Registry, registry, trusted_by_node
from support.snapshots import Audit, assert_rests
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NEEDS = "a node; cosign, which is built the first time: 18 minutes on two busy cores. Then 4 minutes."
IMAGES = ("operator", "link", "appliance")
FIRST = "acme"
SECRET = "registry"
DENIED = "no basic auth credentials"
PULLING = ("ErrImagePull", "ImagePullBackOff")
OURS = "app.kubernetes.io/managed-by=mcs-operator"
OFFLINE = ("--use-signing-config=false", "--tlog-upload=false", "--yes")
MAKE = [sys.executable, ROOT / "hack" / "release" / "release"]
PAGE = ROOT / "docs" / "releases.md"
HELM, COSIGN = [ROOT / "hack" / "helm"], [ROOT / "hack" / "tool", "cosign"]


@dataclass(frozen=True)
class Release:
    """What `make release REGISTRY=` leaves in a folder, for this registry."""

    folder: Path
    registry: Registry

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of the images, by name."""
        told = json.loads((self.folder / "images.json").read_text())
        return {name: image["digest"] for name, image in told.items()}

    @cached_property
    def version(self) -> str:
        return self.the(".tgz").name.removeprefix("mcs-operator-").removesuffix(".tgz")

    @property
    def images(self) -> str:
        """Where its images are."""
        return f"{self.registry.name}/mcs"

    @property
    def chart(self) -> str:
        """Where its chart is."""
        return f"oci://{self.registry.name}/charts/mcs-operator"

    def the(self, ending: str) -> Path:
        """The file with this ending."""
        (found,) = self.folder.glob(f"*{ending}")
        return found

    def reference(self, name: str) -> str:
        """An image by its digest alone."""
        return f"{self.images}/{name}@{self.digests[name]}"

    def documented(self, program: str, name: str = "operator") -> str:
        """The line of the page that begins with this program, for this release and one of its images."""
        (line,) = re.findall(rf"^\$ ({program} .+?)(?: +#.*)?$", PAGE.read_text(), re.MULTILINE)
        assert "mcs-operator-0.1.0" in line
        return str(line).replace("0.1.0", self.version).replace("operator", name)

    def run(self, line: str) -> str:
        """What a line says, beside the files of the release."""
        return self.registry.client("sh", "-ec", f"cd {self.folder}\n{line}")

    def helm(self, *arguments: str | Path) -> str:
        return self.registry.client(*HELM, *arguments)

    def cosign(self, *arguments: str | Path) -> str:
        return self.registry.client(*COSIGN, *arguments, COSIGN_PASSWORD="")


@pytest.fixture(scope="module")
def node() -> Node:
    with left_out_if_missing():
        found = cluster.node()
    if bridge_of(found.ip) is None:
        pytest.skip("the node is not this machine")
    return found


@pytest.fixture(scope="module")
def server(node: Node) -> Api:
    """A client of it. The chart brings our kinds."""
    return Api(node.kubeconfig)


@pytest.fixture(scope="module")
def served(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The registry, at the node's own address."""
    with left_out_if_missing(), registry(node.ip, tmp_path_factory.mktemp("registry")) as there:
        yield there


@pytest.fixture(scope="module")
def release(served: Registry, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release for this registry."""
    release = Release(tmp_path_factory.mktemp("release"), served)
    subprocess.run([*MAKE, release.folder, "--platform=linux-amd64", f"--registry={release.images}"], check=True)
    return release


@pytest.fixture(scope="module")
def key(release: Release) -> Path:
    """Of who releases: the release is signed by it. Not by `make release KEY=`, which wants a tree without changes."""
    subprocess.run([*COSIGN, "version"], stdout=subprocess.DEVNULL, check=True)  # built while it trusts all the world
    release.cosign("generate-key-pair")
    key = release.registry.folder / "cosign.key"
    signing = [*MAKE, release.folder, "--only-sign", f"--key={key}"]
    subprocess.run(signing, env=os.environ | {"COSIGN_PASSWORD": ""}, check=True)
    return key


@pytest.fixture(scope="module")
def pushed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The same, in the registry."""
    for name in IMAGES:
        layout = tmp_path_factory.mktemp(name)
        sh(
            "tar",
            "--extract",
            f"--file={release.the(f'mcs-{name}-{release.version}.oci.tar')}",
            f"--directory={layout}",
        )
        release.registry.crane("push", layout, f"{release.images}/{name}:{release.version}")
    release.helm("push", release.the(".tgz"), release.chart.removesuffix("/mcs-operator"))
    return release


@pytest.fixture(scope="module")
def trusting(node: Node, pushed: Release) -> Iterator[Node]:
    """The node, which trusts the registry's certificate, and has no password for it."""
    name = pushed.registry.name
    with left_out_if_missing(), trusted_by_node(pushed.registry):
        yield node
        gone = subprocess.run([CLUSTER, "unload", name], stderr=subprocess.PIPE, text=True, check=True).stderr
        assert all(f"{pushed.reference(image)}: removed" in gone for image in IMAGES), gone


@pytest.fixture(scope="module")
def home(trusting: Node, server: Api) -> Iterator[Api]:
    """A namespace for the operator, where no other one is at work."""
    others = list(server.everywhere("Pod", OURS))
    assert not others, "another MCS has the node's ports (of the demo? `make demo-clean`)"
    home = namespace(server, "restricted")
    yield home
    remove_namespaces(server, home.namespace)


def namespace(server: Api, level: str) -> Api:
    """A new one."""
    name = f"mcs-registry-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": level}
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    return server.within(name)


@pytest.fixture(scope="module")
def operator(pushed: Release, home: Api) -> Iterator[Api]:
    """It, by the registry's chart and the release's values. Its Secret for pulling is named, and is not there."""
    where = (f"--kubeconfig={home.kubeconfig}", f"--namespace={home.namespace}")
    values = (f"--values={pushed.the('.values.yaml')}", f"--set=imagePullSecrets[0].name={SECRET}")
    # The kinds are on the node already, from other tests.
    adopting = ("--take-ownership", "--force-conflicts")
    pushed.helm("install", "mcs-operator", pushed.chart, f"--version={pushed.version}", *where, *values, *adopting)
    yield home
    pushed.helm("uninstall", "mcs-operator", *where, "--wait")


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator: Api) -> Iterator[Mcs]:
    """An empty namespace for an instance; nothing of it is left on the node's ports."""
    mcs = Mcs(node, namespace(server, "privileged"))
    yield mcs
    remove_namespaces(server, mcs.api.namespace, until_gone=False)


def let_pull(api: Api, registry: Registry) -> None:
    """Bring the password into a namespace."""
    known = base64.b64encode((registry.folder / "config.json").read_bytes()).decode()
    kind = "kubernetes.io/dockerconfigjson"
    metadata = {"name": SECRET}
    api.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": {".dockerconfigjson": known}}
    )


def pods(api: Api) -> dict[str, tuple[str, int]]:
    """UID and restarts of each."""

    def restarts(pod: Object) -> int:
        return sum(one["restartCount"] for one in pod["status"].get("containerStatuses", []))

    return {pod["metadata"]["name"]: (pod["metadata"]["uid"], restarts(pod)) for pod in api.list("Pod")}


# --- onto a node, without a registry: first, for nothing of it may be there when the others pull ---


@pytest.mark.parametrize("name", IMAGES)
def test_ctr_brings_an_image_onto_a_node_where_it_is_known_by_its_tag(node: Node, release: Release, name: str) -> None:
    if "CONTAINERD_ADDRESS" not in os.environ:
        pytest.skip("the node is none of hack/cluster on this machine")
    tag = f"localhost/mcs/{name}:{release.version}"
    release.run(release.documented("ctr", name))
    rows = [row.split() for row in sh("ctr", "--namespace=k8s.io", "images", "list").splitlines()]
    known = {row[0]: row[2] for row in rows}
    # containerd gives it its id for another name, under which it would stay.
    named = [one for one, digest in known.items() if digest == release.digests[name]]
    sh("ctr", "--namespace=k8s.io", "images", "remove", "--sync", *named)
    assert known[tag] == release.digests[name]


def test_kubectl_applies_the_manifest_of_the_release(server: Api, release: Release) -> None:
    """As far as the API server says without doing it. The namespace has to be there, or it has nothing to say."""
    manifest = release.the(f"-{release.version}.yaml")
    bodies = [body for body in yaml.safe_load_all(manifest.read_text()) if body]
    (home,) = [body for body in bodies if body["kind"] == "Namespace"]
    name = home["metadata"]["name"]
    assert server.find("Namespace", name) is None, f"another operator is in {name}"
    server.create(home)
    try:
        told = server.within(name).kubectl("apply", "--dry-run=server", "--filename", str(manifest)).splitlines()
    finally:
        remove_namespaces(server, name)
    assert len(told) == len(bodies) and all(line.endswith(" (server dry run)") for line in told), told


# --- into the registry ---


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_the_digest_in_the_registry_that_the_release_tells(pushed: Release, name: str) -> None:
    assert pushed.registry.crane("digest", f"{pushed.images}/{name}:{pushed.version}") == pushed.digests[name]
    pushed.registry.crane("validate", "--remote", pushed.reference(name))


@pytest.mark.parametrize("name", IMAGES)
def test_skopeo_brings_an_image_into_a_registry_as_crane_does(pushed: Release, name: str) -> None:
    with left_out_if_missing():
        debian("skopeo", "skopeo")
    elsewhere = f"{pushed.registry.name}/by-skopeo"
    pushed.run(pushed.documented("skopeo copy", name).replace("registry.example.com/mcs", elsewhere))
    assert pushed.registry.crane("digest", f"{elsewhere}/{name}:{pushed.version}") == pushed.digests[name]


def test_the_chart_comes_out_of_the_registry_as_it_went_in(pushed: Release, tmp_path: Path) -> None:
    pushed.helm("pull", pushed.chart, f"--version={pushed.version}", f"--destination={tmp_path}")
    (chart,) = tmp_path.iterdir()
    digest = hashlib.sha256(chart.read_bytes()).hexdigest()
    assert f"{digest}  {chart.name}\n" in (pushed.folder / "SHA256SUMS").read_text()


def test_what_is_in_the_registry_is_signed_there_by_the_key_of_the_release_and_by_no_other(
    pushed: Release, key: Path, tmp_path: Path
) -> None:
    sums = pushed.folder / "SHA256SUMS"
    ours, theirs = key.with_suffix(".pub"), tmp_path / "theirs.pub"
    pushed.cosign("generate-key-pair", f"--output-key-prefix={theirs.with_suffix('')}")
    checked = ("--insecure-ignore-tlog",)
    pushed.cosign("verify-blob", f"--key={ours}", *checked, f"--bundle={sums}.sigstore.json", sums)
    for name in IMAGES:
        with pytest.raises(AssertionError, match="no signatures found"):
            pushed.cosign("verify", f"--key={ours}", *checked, pushed.reference(name))
        pushed.cosign("sign", f"--key={key}", *OFFLINE, pushed.reference(name))
        pushed.cosign("verify", f"--key={ours}", *checked, pushed.reference(name))
        with pytest.raises(AssertionError, match="failed to verify signature"):
            pushed.cosign("verify", f"--key={theirs}", *checked, pushed.reference(name))


# --- and out of it ---


def test_without_the_password_the_operator_is_not_pulled_and_with_it_the_same_pods_run(
    pushed: Release, operator: Api
) -> None:
    refused = f"{pushed.images}/operator"
    until("both replicas say so", lambda: [refused in said for said in not_pulled(operator)] == [True, True], 60)
    before = pods(operator)
    let_pull(operator, pushed.registry)
    operator.kubectl("rollout", "status", "deployment/mcs-operator", "--timeout=150s", timeout=160)
    assert pods(operator) == before


def not_pulled(api: Api) -> list[str]:
    """What the kubelet says of each container that waits for an image that the registry refuses."""
    told = [status for pod in api.list("Pod") for status in pod["status"].get("containerStatuses", [])]
    waiting: list[Object] = [status["state"].get("waiting", {}) for status in told]
    return [w["message"] for w in waiting if w.get("reason") in PULLING and DENIED in w["message"]]


def test_helm_test_runs_by_the_same_image(pushed: Release, operator: Api) -> None:
    pushed.helm("test", "mcs-operator", f"--kubeconfig={operator.kubeconfig}", f"--namespace={operator.namespace}")


def test_an_instance_that_has_its_media_and_no_slot_says_so(pushed: Release, mcs: Mcs) -> None:
    """The image of its media is on the node, under a name of no registry. Not one customer could connect."""
    spec = an_instance(node=mcs.node.name, address=mcs.node.ip, domain=mcs.node.zone, vpn={"slots": 2})
    mcs.api.apply(spec, a_community(COMMUNITY, users=("anna",)))

    def told() -> bool:
        for kind, status in (("Ready", "False"), ("Stalled", "True")):
            condition = mcs.api.condition("MCSInstance", INSTANCE, kind)
            assert condition[:2] == (status, "SlotsNotRunning"), (kind, condition)
            assert f"{pushed.images}/link" in condition[2], (kind, condition)
        return True

    until("the instance says so", told, 90, pause=0.5)
    mcs.api.delete("MCSInstance", INSTANCE)
    until("its pod is gone", lambda: mcs.api.find("Pod", POD) is None, 90, pause=0.5)


def test_an_instance_without_a_secret_says_what_was_refused(pushed: Release, mcs: Mcs) -> None:
    image = pushed.reference("appliance")
    spec = an_instance(node=mcs.node.name, address=mcs.node.ip, domain=mcs.node.zone, image=image, vpn={"slots": 2})
    mcs.api.apply(spec, a_community(COMMUNITY, users=("anna",)))

    def told() -> bool:
        ready, stalled = (mcs.api.condition("MCSInstance", INSTANCE, kind) for kind in ("Ready", "Stalled"))
        assert ready[:2] == ("False", "MediaNotReady"), ready
        assert ready[2].startswith(PULLING), ready
        assert image in ready[2] and DENIED in ready[2], ready
        assert stalled[:2] == ("True", "SlotsNotRunning"), stalled
        assert f"{pushed.images}/link" in stalled[2] and "credentials" in stalled[2], stalled
        return True

    until("the instance says so", told, 90, pause=0.5)


def test_a_secret_that_is_named_and_missing_is_told_and_heals_it_when_it_comes(
    pushed: Release, operator: Api, mcs: Mcs
) -> None:
    mcs.api.change("MCSInstance", INSTANCE, imagePullSecrets=[{"name": SECRET}])

    def told() -> bool:
        conditions = [mcs.api.condition("MCSInstance", INSTANCE, kind) for kind in ("Reconciling", "Stalled")]
        assert ("True", "PullSecretNotFound") in [c[:2] for c in conditions], conditions
        pod = mcs.api.find("Pod", POD)  # it is replaced: there may be none
        assert pod and pod["spec"].get("imagePullSecrets") == [{"name": SECRET}]
        return bool(not_pulled(mcs.api))

    until("the instance says so", told, 90, pause=0.5)
    before = pods(mcs.api), pods(operator)
    let_pull(mcs.api, pushed.registry)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", timeout=240)
    assert (pods(mcs.api), pods(operator)) == before
    assert mcs.api.condition("MCSInstance", INSTANCE, "Stalled")[0] == "False"


def test_a_customer_connects_and_then_nobody_writes(mcs: Mcs) -> None:
    audit = Audit.of(mcs.api)
    assert audit is not None
    mcs.link(FIRST)
    mcs.connect(FIRST)
    assert audit.writes(mcs.api.namespace), "the audit log does not tell what it writes"
    assert_rests(mcs.api)


def test_every_image_came_from_the_registry_by_its_digest(pushed: Release, operator: Api, mcs: Mcs) -> None:
    statuses = [one for pod in operator.list("Pod") for one in pod["status"]["containerStatuses"]]
    statuses += mcs.api.get("Pod", POD)["status"]["containerStatuses"]
    assert {one["imageID"] for one in statuses} == {pushed.reference(name) for name in IMAGES}
    got = [one for one in pushed.registry.asked() if one.agent.startswith("containerd/") and one.code == 200]
    fetched = {one.path for one in got if one.method == "GET" and one.user == USER}
    for name in IMAGES:
        manifest = json.loads(pushed.registry.crane("manifest", pushed.reference(name)))
        assert f"/v2/mcs/{name}/manifests/{pushed.digests[name]}" in fetched
        parts = {part["digest"] for part in (manifest["config"], *manifest["layers"])}
        there_before = parts - {path.rpartition("/")[2] for path in fetched}  # images share layers
        assert not there_before, f"the node did not fetch these of {name}"
    assert not [path for path in fetched if re.search(r"/manifests/(?!sha256:)", path)], "one was asked for by its tag"
