"""Zero drift: whoever applied the samples, in whatever way, finds them as he wrote them when the operator was there.

And no success before there is one, for `kubectl wait`, Flux and Argo CD alike.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.api import ROOT, Api, Object
from support.fake_agent import fake_agent, free_base_port
from support.gitops import judged
from support.operator import Operator
from support.snapshots import OURS, settled

pytestmark = pytest.mark.integration

SAMPLES = ROOT / "manifests" / "samples"
OPERATOR = "mcs-operator"
OF_TOOLS = ("kubectl.kubernetes.io/", "meta.helm.sh/", "app.kubernetes.io/managed-by")
"""Where they note that an object is theirs."""


@dataclass(frozen=True)
class Applied:
    """Samples in the namespace of ``api``. ``bodies`` are as their author wrote them, ``files`` the same."""

    api: Api
    bodies: list[Object]
    files: Path

    def live(self) -> list[Object]:
        """The same objects as stored."""
        return [self.api.get(body["kind"], body["metadata"]["name"]) for body in self.bodies]


def samples(api: Api, folder: Path, *names: str) -> Applied:
    """These samples, in the test's namespace, and with a port that is free here."""
    bodies = [
        body
        for name in names
        for file in sorted((SAMPLES / name).glob("*.yaml"))
        for body in yaml.safe_load_all(file.read_text())
        if body["kind"] != "Namespace"
    ]
    for body in bodies:
        body["metadata"]["namespace"] = api.namespace
        if body["kind"] == "MCSInstance":
            body["spec"].setdefault("vpn", {})["basePort"] = free_base_port()
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: samples, version: 1.0.0}\n")
    files = folder / "templates" / "samples.yaml"
    files.parent.mkdir()
    files.write_text(yaml.safe_dump_all(bodies))
    return Applied(api, bodies, files)


@pytest.fixture
def demo(api: Api, operator: Operator, tmp_path: Path) -> Applied:
    """The samples of the demo, and the customer who comes later."""
    return samples(api, tmp_path, "demo", "third-customer")


# --- who applies, and what he compares with afterwards ---


def by_client_side_apply(applied: Applied) -> None:
    applied.api.kubectl("apply", "-f", str(applied.files))


def by_server_side_apply(applied: Applied) -> None:
    applied.api.kubectl("apply", "--server-side", "-f", str(applied.files))


def by_helm(applied: Applied) -> None:
    """A chart of the samples. An upgrade to the same is a difference to none."""
    where = ("samples", str(applied.files.parents[1]), f"--namespace={applied.api.namespace}")
    known = f"--kubeconfig={applied.api.kubeconfig}"
    done = subprocess.run(
        [ROOT / "hack" / "helm", "upgrade", "--install", *where, known], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def differences(applied: Applied, *how: str) -> str:
    """What `kubectl diff` says; it exits with 1 where there is any difference, and with more where it fails."""
    command = applied.api.kubectl_command("diff", *how, "-f", str(applied.files))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


WAYS: list[tuple[Callable[[Applied], None], tuple[str, ...]]] = [
    (by_client_side_apply, ()),
    (by_server_side_apply, ("--server-side",)),
    (by_helm, ("--server-side",)),  # not as Helm's own manager: that would take Helm's labels away
]


@pytest.mark.parametrize(("apply", "how"), WAYS, ids=[apply.__name__ for apply, _ in WAYS])
def test_what_was_applied_is_found_as_it_was_written(
    demo: Applied, apply: Callable[[Applied], None], how: tuple[str, ...]
) -> None:
    apply(demo)
    with everything_served(demo):
        assert differences(demo, *how) == ""
        before = [(body["metadata"]["generation"], body["spec"]) for body in demo.live() if "spec" in body]
        apply(demo)
        settled(demo.api)
        assert [(body["metadata"]["generation"], body["spec"]) for body in demo.live() if "spec" in body] == before
        nothing_of_the_users_is_changed(demo)


def test_a_difference_would_have_been_seen(demo: Applied) -> None:
    """So that the test above can fail."""
    by_server_side_apply(demo)
    demo.api.change("TVoxLink", "acme", protocol="TCP")
    demo.files.write_text(demo.files.read_text().replace("domain: acme.mcs.test", "domain: b.mcs.test"))
    assert "+  domain: b.mcs.test" in differences(demo, "--server-side")


def test_the_production_samples_are_found_as_they_were_written(api: Api, operator: Operator, tmp_path: Path) -> None:
    """Of which much is missing here: certificates, users, a CA."""
    applied = samples(api, tmp_path, "production")
    by_client_side_apply(applied)
    api.wait_condition("MCSInstance", "milano", "Reconciling", "True", "CaNotFound")
    settled(api)
    assert differences(applied) == ""
    nothing_of_the_users_is_changed(applied)


class everything_served:  # noqa: N801 - reads as a phrase
    """The pod's link agent answers, and all objects are what Flux and Argo CD wait for."""

    def __init__(self, applied: Applied) -> None:
        self._applied = applied
        (instance,) = [body for body in applied.bodies if body["kind"] == "MCSInstance"]
        self._agent = fake_agent(applied.api, instance["spec"]["vpn"]["basePort"])

    def __enter__(self) -> None:
        self._agent.__enter__()
        for body in self._applied.bodies:
            if body["kind"] in OURS:
                self._applied.api.wait_condition(body["kind"], body["metadata"]["name"], "Ready", "True")
        settled(self._applied.api)
        objects = [body for body in self._applied.live() if body["kind"] in OURS]
        assert {(seen.flux, seen.argocd) for seen in judged(objects)} == {("Current", "Healthy")}

    def __exit__(self, *_: Any) -> None:
        self._agent.__exit__(None, None, None)


def nothing_of_the_users_is_changed(applied: Applied) -> None:
    """Not a field but status is the operator's, whatever `kubectl diff` may leave out."""
    for written, body in zip(applied.bodies, applied.live(), strict=True):
        name = f"{body['kind']}/{body['metadata']['name']}"
        for part in ("spec", "data"):
            assert body.get(part) == written.get(part), name
        for part in ("labels", "annotations"):
            assert not_of_tools(body["metadata"].get(part)) == (written["metadata"].get(part) or {}), name
        assert not {"finalizers", "ownerReferences"} & body["metadata"].keys(), name
        mine = [entry for entry in body["metadata"]["managedFields"] if entry["manager"] == OPERATOR]
        assert bool(mine) == (body["kind"] in OURS), name
        assert all(entry["subresource"] == "status" and set(entry["fieldsV1"]) == {"f:status"} for entry in mine), name


def not_of_tools(notes: dict[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (notes or {}).items() if not key.startswith(OF_TOOLS)}


# --- no success at first sight ---


@pytest.fixture
def nobody_there(operator_process: Operator) -> Iterator[None]:
    """No operator runs."""
    operator_process.stop()
    yield
    operator_process.start()


def test_before_any_operator_has_seen_it_nothing_is_a_success(api: Api, nobody_there: None, tmp_path: Path) -> None:
    applied = samples(api, tmp_path, "demo")
    by_server_side_apply(applied)
    objects = [body for body in applied.live() if body["kind"] in OURS]
    assert {(seen.flux, seen.argocd) for seen in judged(objects)} == {("InProgress", "Progressing")}
    assert "timed out" in waited(api, "--for=condition=Ready")
    assert "timed out" in waited(api, "--for=condition=Stalled")


def test_a_change_that_no_operator_has_seen_is_in_progress(
    demo: Applied, operator: Operator, operator_process: Operator
) -> None:
    by_server_side_apply(demo)
    with everything_served(demo):
        operator.stop()
        demo.api.change("TVoxLink", "acme", protocol="TCP")
        (seen,) = judged([demo.api.get("TVoxLink", "acme")])
        assert (seen.flux, seen.argocd) == ("InProgress", "Progressing")


def waited(api: Api, what: str) -> str:
    """What `kubectl wait` says about all links."""
    return api.kubectl("wait", "tvl", "--all", what, "--timeout=1s", check=False, merge=True)


# --- Argo CD's configuration ---


def test_the_health_checks_are_added_to_argo_cds_configuration_and_take_nothing_from_it(api: Api) -> None:
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": {"url": "https://x"}}
    api.create(mine)
    body = yaml.safe_load((ROOT / "manifests" / "argocd" / "argocd-cm.yaml").read_text())
    body["metadata"]["namespace"] = api.namespace
    api.kubectl("apply", "--server-side", "--field-manager=mcs", "-f", "-", stdin=json.dumps(body))
    assert api.get("ConfigMap", "argocd-cm")["data"] == {"url": "https://x"} | body["data"]
