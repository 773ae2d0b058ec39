"""Flux as its users run it: source- and kustomize-controller follow a Git repository, and our operator what they apply.

No kubelet runs: a fake link agent stands in for the pod, and the test for the Deployment's controller.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.api import Api, Object, know_kinds, until_established
from support.certificates import chain, tls_secret
from support.fake_agent import FakeAgent, fake_agent
from support.git_server import BRANCH, Repository
from support.gitops import judged
from support.in_git import Folder
from support.installed import MANIFESTS, available, deletion_protection, of_operator
from support.levels import left_out_if_missing
from support.objects import a_community, a_link
from support.operator import Operator
from support.ports import free_port
from support.programs import answers, built, running
from support.snapshots import OURS, Audit, audited, identities, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration

NEEDS = "git; Flux, which is built the first time: 20 minutes, with all that it needs. Then it takes 6."
FLUX = "flux-system"
INSTANCE = ("MCSInstance", "mcs")
EVERY = 4
"""Seconds between two of Flux's looks at what is there."""


@pytest.fixture(scope="module")
def flux(server: Api, repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Both controllers, and the repository as their source; a client in their namespace."""
    with left_out_if_missing():
        programs = built("flux")
    server.kubectl("apply", "--server-side", "-f", f"{programs}/source-crds", "-f", f"{programs}/kustomize-crds")
    until_established(server)
    know_kinds("/apis/source.toolkit.fluxcd.io/v1", GitRepository="gitrepositories")
    know_kinds("/apis/kustomize.toolkit.fluxcd.io/v1", Kustomization="kustomizations")
    know_kinds("/apis/apps/v1", Deployment="deployments")
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FLUX}})
    with ExitStack() as started:
        for name in ("source-controller", "kustomize-controller"):
            started.enter_context(controller(programs / name, server, tmp_path_factory.mktemp(name)))
        api = server.within(FLUX)
        spec = {"interval": "2s", "url": repository.url, "ref": {"branch": BRANCH}}
        api.create(flux_object("source", "GitRepository", "customers", spec))
        api.wait_condition("GitRepository", "customers", "Ready", "True")
        yield api


def controller(program: Path, server: Api, folder: Path) -> AbstractContextManager[None]:
    """One of Flux's controllers, on loopback; ready when it says so."""
    health, metrics, storage = (f"127.0.0.1:{free_port()}" for _ in range(3))
    options = [f"--health-addr={health}", f"--metrics-addr={metrics}"]
    if program.name == "source-controller":
        options += [f"--storage-path={folder}", f"--storage-addr={storage}", f"--storage-adv-addr={storage}"]
    known = {"KUBECONFIG": str(server.kubeconfig), "RUNTIME_NAMESPACE": FLUX}

    def ready() -> bool:
        return answers(f"http://{health}/readyz")

    return running(program.name, program, *options, log=folder / "log", ready=ready, **known)


def flux_object(group: str, kind: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": f"{group}.toolkit.fluxcd.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": FLUX},
        "spec": spec,
    }


def kustomization(name: str, path: str, **more: object) -> Object:
    """What docs/gitops.md has, and all the faster."""
    source = {"kind": "GitRepository", "name": "customers"}
    spec = {"sourceRef": source, "path": path, "interval": f"{EVERY}s", "timeout": "40s", "prune": True, "wait": True}
    return flux_object("kustomize", "Kustomization", name, spec | more)


def until_fetched(flux: Api, revision: str) -> None:
    """Until Flux has this commit: of a folder that it does not know yet it says that there is none."""

    def look() -> bool:
        artifact = flux.get("GitRepository", "customers")["status"].get("artifact", {})
        return revision in artifact.get("revision", "")

    until("Flux has the commit", look)


@dataclass(frozen=True)
class Demo:
    """The demo's samples in Git and, by Flux, in the namespace of `api`."""

    api: Api
    flux: Api
    git: Folder

    def begin(self, **more: object) -> str:
        """Commit the samples, and have Flux follow them; the revision."""
        revision = self.git.put_demo()
        until_fetched(self.flux, revision)
        self.flux.create(kustomization(self.git.path, f"./{self.git.path}", **more))
        return revision

    def end(self) -> None:
        """Take away what Flux has applied."""
        self.flux.delete("Kustomization", self.git.path, wait=60)

    def synced(self, revision: str, timeout: float = 60) -> None:
        """Until Flux says that all of this commit is applied and healthy. It must not fail meanwhile."""

        def look() -> bool:
            body = self.flux.get("Kustomization", self.git.path)
            status, reason, message = self.flux.condition("Kustomization", self.git.path, "Ready")
            if status == "False":
                pytest.fail(f"Flux gives up: {reason}: {message}")
            return status == "True" and revision in body["status"].get("lastAppliedRevision", "")

        until("Flux says that it is applied and healthy", look, timeout)

    def stays(self, seconds: float) -> bool:
        """Whether Flux looks several times, our operator writes nothing, and no object gets another version."""
        audit, before = audited(self.api), versions(self.api)
        time.sleep(seconds)
        assert len(audit.asked(self.api.namespace, "kustomize-controller")) > seconds / EVERY, "Flux did not look"
        assert audit.writes(self.api.namespace) == []
        return versions(self.api) == before


@pytest.fixture
def served(flux: Api, api: Api, operator: Operator, repository: Repository) -> Iterator[tuple[Demo, FakeAgent]]:
    """Applied by Flux, served, and healthy; what their TVoxes show is the agent's."""
    demo = Demo(api, flux, Folder(repository, api))
    revision = demo.begin()
    with fake_agent(api, demo.git.base_port) as agent:
        demo.synced(revision)
        yield demo, agent
        demo.end()


@pytest.fixture
def demo(served: tuple[Demo, FakeAgent]) -> Demo:
    return served[0]


def test_the_samples_are_healthy_only_when_they_are_served(
    flux: Api, api: Api, operator: Operator, repository: Repository
) -> None:
    demo = Demo(api, flux, Folder(repository, api))
    revision = demo.begin(timeout="3m")
    until("its slots are made", lambda: api.find("Secret", "acme-profile"))
    settled(api)
    assert flux.condition("Kustomization", api.namespace, "Ready")[:2] == ("Unknown", "Progressing")
    with fake_agent(api, demo.git.base_port):
        demo.synced(revision)
        live = [api.get(body["kind"], body["metadata"]["name"]) for body in demo.git.objects() if body["kind"] in OURS]
        assert {seen.flux for seen in judged(live)} == {"Current"}
        demo.end()


def test_at_rest_nobody_writes(demo: Demo) -> None:
    assert demo.stays(6 * EVERY)


def test_what_somebody_changes_by_hand_is_put_back(demo: Demo) -> None:
    was = demo.api.get("Community", "acme")["spec"]
    demo.api.change("Community", "acme", displayName="Somebody else's")
    until("it is put back", lambda: demo.api.get("Community", "acme")["spec"] == was)
    settled(demo.api)
    assert demo.stays(3 * EVERY)


def test_what_somebody_deletes_comes_back_with_its_identity(demo: Demo) -> None:
    before, link = identities(demo.api), demo.api.get("TVoxLink", "acme")
    demo.api.delete("TVoxLink", "acme")
    until("it is back", lambda: uid(demo.api, "TVoxLink", "acme") not in ("", link["metadata"]["uid"]))
    demo.api.wait_condition("TVoxLink", "acme", "Ready", "True")
    assert demo.api.get("TVoxLink", "acme")["status"]["vpnAddress"] == link["status"]["vpnAddress"]
    assert identities(demo.api) == before


def uid(api: Api, kind: str, name: str) -> str:
    """Of an object that may not be there."""
    return str((api.find(kind, name) or {"metadata": {"uid": ""}})["metadata"]["uid"])


def test_a_customer_who_is_pruned_keeps_his_identity_for_his_return(demo: Demo) -> None:
    before, acme = identities(demo.api), demo.git.get("TVoxLink", "acme")
    community = demo.git.get("Community", "acme")
    address = demo.api.get("TVoxLink", "acme")["status"]["vpnAddress"]
    demo.synced(demo.git.remove(("TVoxLink", "acme"), ("Community", "acme")))
    assert demo.api.find("TVoxLink", "acme") is None
    assert demo.api.find("Community", "acme") is None
    settled(demo.api)
    assert identities(demo.api) == before
    assert demo.stays(3 * EVERY)
    demo.synced(demo.git.put(acme, community))
    assert identities(demo.api) == before
    assert demo.api.get("TVoxLink", "acme")["status"]["vpnAddress"] == address


def test_a_customer_in_one_commit_is_healthy_whatever_the_order(demo: Demo) -> None:
    """Link, Community and certificate; the link's file is the first one."""
    secret = {"tls": {"secretRef": {"name": "z-tls"}}}
    link = a_link("a-link", community="b-community", **secret)
    demo.synced(demo.git.put(link, a_community("b-community"), tls_secret("z-tls", chain("a-link.mcs.test"))))
    demo.api.wait_condition("TVoxLink", "a-link", "Ready", "True")


def test_a_certificate_that_takes_its_time_is_waited_for(demo: Demo) -> None:
    """As an issuer takes it: the Secret comes ten seconds after the link. Flux gives up at the first failure."""
    link = a_link("late", community="acme", tls={"secretRef": {"name": "late-tls"}})
    revision = demo.git.put(link)
    until("Flux has applied it", lambda: demo.api.find("TVoxLink", "late"))
    demo.api.wait_condition("TVoxLink", "late", "Reconciling", "True", "CertificateNotFound")
    time.sleep(10)
    demo.api.wait_condition("TVoxLink", "late", "Stalled", "False")
    demo.api.create(tls_secret("late-tls", chain("late.mcs.test")))
    demo.synced(revision)
    demo.api.delete("Secret", "late-tls")


def test_what_a_person_has_to_mend_fails_at_once(demo: Demo) -> None:
    """And the mend is taken at once."""
    demo.git.put(a_link("wrong", domain="mcs.test"))

    def fails() -> bool:
        return demo.flux.condition("Kustomization", demo.git.path, "Ready")[:2] == ("False", "HealthCheckFailed")

    until("Flux says that it failed", fails, 30)
    assert "TVoxLink/" in demo.flux.condition("Kustomization", demo.git.path, "Ready")[2]
    revision = demo.git.change("TVoxLink", "wrong", domain="right.mcs.test")
    until("the mended one is ready", lambda: demo.api.condition("TVoxLink", "wrong", "Ready")[0] == "True")
    until("Flux is well again", lambda: not fails())
    demo.synced(revision)


# --- an instance that vanishes from Git by mistake ---


def test_an_instance_that_vanishes_from_git_stays_where_it_is_annotated_so(demo: Demo) -> None:
    instance = demo.git.get(*INSTANCE)
    kept = {"annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"}}
    demo.synced(demo.git.put(instance | {"metadata": instance["metadata"] | kept}))
    before = demo.api.get(*INSTANCE)
    demo.synced(demo.git.remove(INSTANCE))
    assert demo.stays(3 * EVERY)
    after = demo.api.get(*INSTANCE)
    assert (after["metadata"]["uid"], after["metadata"].get("deletionTimestamp")) == (before["metadata"]["uid"], None)


def test_an_instance_with_links_up_is_not_pruned_and_flux_says_why(served: tuple[Demo, FakeAgent]) -> None:
    demo, agent = served
    instance = demo.git.get(*INSTANCE)
    agent.connect("acme")
    demo.api.wait_condition("TVoxLink", "acme", "Connected", "True")
    with deletion_protection(demo.api):
        demo.git.remove(INSTANCE)

        def said() -> bool:
            status, _, message = demo.flux.condition("Kustomization", demo.git.path, "Ready")
            return status == "False" and "1 TVoxLink is up" in message

        until("Flux says why", said, 60)
        assert "deletionTimestamp" not in demo.api.get(*INSTANCE)["metadata"]
        revision = demo.git.put(instance)
        until("Flux is well again", lambda: not said(), 60)
        demo.synced(revision)
        demo.api.wait_condition("TVoxLink", "acme", "Connected", "True")


def test_the_operator_itself_is_installed_by_flux_and_left_alone(
    flux: Api, operator: Operator, repository: Repository
) -> None:
    """The last one: what it installs is for the whole cluster, deletion protection included."""
    revision = repository.commit({"operator/install.yaml": MANIFESTS.read_text()})
    until_fetched(flux, revision)
    flux.create(kustomization("operator", "./operator", prune=False, timeout="2m"))
    home = flux.within("mcs-system")
    deployment = until("the Deployment is there", lambda: home.find("Deployment", "mcs-operator"))
    assert flux.condition("Kustomization", "operator", "Ready")[0] != "True"
    home.merge_status("Deployment", "mcs-operator", available(deployment))

    def look() -> bool:
        body = flux.get("Kustomization", "operator")
        ready = flux.condition("Kustomization", "operator", "Ready")
        assert ready[0] == "True", ready
        return revision in body["status"].get("lastAppliedRevision", "")

    until("Flux says that it is applied and healthy", look, 60)
    audit = Audit.of(flux)
    before = of_operator(home), versions(home)
    assert "Deployment/mcs-operator" in before[0]
    time.sleep(3 * EVERY)
    assert (of_operator(home), versions(home)) == before
    assert audit is not None, "this API server has no audit log"
    assert audit.writes("mcs-system") == []
