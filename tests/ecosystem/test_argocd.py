"""Argo CD as its users run it: it follows a Git repository, and our operator what it applies.

No kubelet runs: a fake link agent stands in for the pod, and the test for the Deployment's controller.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from support.api import ROOT, Api, Object, know_kinds
from support.argocd import EVERY, Application, argo_cd, project
from support.certificates import chain, tls_secret
from support.fake_agent import FakeAgent, fake_agent
from support.git_server import Repository
from support.in_git import Folder
from support.installed import MANIFESTS, available, deletion_protection, of_operator
from support.levels import left_out_if_missing
from support.objects import a_community, a_link
from support.operator import Operator
from support.snapshots import CHILDREN, OURS, Audit, audited, identities, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration

NEEDS = (
    "git, redis-server; Argo CD, which is built the first time: 9 minutes on two busy cores. Then it takes 8 minutes."
)
ACME, INSTANCE = ("TVoxLink", "acme"), ("MCSInstance", "mcs")
TRACKED = "argocd.argoproj.io/tracking-id"
PAGE = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.+?)```", (ROOT / "docs/gitops.md").read_text(), re.S)]


@pytest.fixture(scope="module")
def argocd(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Argo CD; a client in its namespace."""
    with left_out_if_missing(), argo_cd(server, tmp_path_factory.mktemp("argocd")) as home:
        know_kinds("/apis/apps/v1", Deployment="deployments")
        yield home


@dataclass(frozen=True)
class Demo:
    """The demo's samples in Git and, by Argo CD, in the namespace of `api`; what their TVoxes show is the agent's."""

    api: Api
    git: Folder
    app: Application
    agent: FakeAgent

    def stays(self, seconds: float) -> bool:
        """Whether Argo CD looks several times and says the same, our operator writes nothing, and nothing changes."""
        audit, before = audited(self.api), (versions(self.api), self.app.history())
        time.sleep(seconds)
        assert self.app.looks(audit) >= seconds / EVERY / 2, "Argo CD did not look"
        assert audit.writes(self.api.namespace) == []
        return (versions(self.api), self.app.history()) == before

    def drifts(self) -> list[str]:
        """What Argo CD said of being in sync with Git, one after the other."""
        return [said for said in self.app.history() if said.startswith("Updated sync status: ")]

    def spec(self, kind: str, name: str) -> Object:
        """As it is in the cluster."""
        spec: Object = self.api.get(kind, name)["spec"]
        return spec

    def put_back(self, kind: str, name: str, **spec: object) -> None:
        """Until these fields are so."""
        until("it is put back", lambda: self.spec(kind, name).items() >= spec.items())


IN_BOTH_WAYS: dict[str, Object] = {
    "client-side": {},
    "server-side": {"sync_options": ["ServerSideApply=true"], "compare": "ServerSideDiff=true"},
}
"""How Argo CD applies and compares: as it does by itself, and by the API server."""


@pytest.fixture(params=["client-side"])
def demo(
    argocd: Api, api: Api, operator: Operator, repository: Repository, request: pytest.FixtureRequest
) -> Iterator[Demo]:
    """Applied by Argo CD, served, and healthy."""
    git = Folder(repository, api)
    revision = git.put_demo()
    with (
        followed(argocd, repository, api, git.path, **IN_BOTH_WAYS[request.param]) as app,
        fake_agent(api, git.base_port) as agent,
    ):
        app.synced(revision)
        yield Demo(api, git, app, agent)


in_both_ways = pytest.mark.parametrize("demo", IN_BOTH_WAYS, indirect=True)


@contextmanager
def followed(argocd: Api, repository: Repository, api: Api, path: str, **how: Any) -> Iterator[Application]:
    """An Application as long as the block lasts; what it has applied stays."""
    app = Application.begin(argocd, repository, path, api.namespace, **how)
    try:
        yield app
    finally:
        argocd.delete("Application", app.name, wait=60)


def test_an_application_is_progressing_degraded_and_healthy_by_our_health_check(
    argocd: Api, api: Api, operator: Operator, repository: Repository
) -> None:
    git = Folder(repository, api)
    revision = git.put_demo()
    with followed(argocd, repository, api, git.path) as app:
        until("its slots are made", lambda: api.find("Secret", "acme-profile"))
        settled(api)
        app.synced(revision, "Progressing")
        waiting = [health for name, (health, _) in app.judged().items() if not name.startswith("Community/")]
        assert waiting == ["Progressing"] * 3  # the instance and both links
        with fake_agent(api, git.base_port):
            app.synced(revision)
            healthy = {f"{body['kind']}/{body['metadata']['name']}" for body in git.objects() if body["kind"] in OURS}
            assert {name for name, (health, _) in app.judged().items() if health == "Healthy"} == healthy
            app.synced(git.put(a_link("wrong", domain="mcs.test")), "Degraded")
            health, message = app.judged()["TVoxLink/wrong"]
            assert (health, message.partition(":")[0]) == ("Degraded", api.condition("TVoxLink", "wrong", "Stalled")[1])
            app.synced(git.change("TVoxLink", "wrong", domain="right.mcs.test"))
    became = [said.split()[-1] for said in app.history() if said.startswith("Updated health status: ")]
    assert became[: became.index("Healthy")] == ["Missing", "Progressing"]
    assert [health for health in became if health in ("Healthy", "Degraded")] == ["Healthy", "Degraded", "Healthy"]


@in_both_ways
def test_at_rest_nobody_writes(demo: Demo) -> None:
    assert demo.stays(10 * EVERY)
    assert {body["metadata"]["generation"] for kind in OURS for body in demo.api.list(kind)} == {1}


def test_what_somebody_changes_by_hand_is_put_back(demo: Demo) -> None:
    was = demo.spec("Community", "acme")
    demo.api.change("Community", "acme", displayName="Somebody else's")
    demo.put_back("Community", "acme", **was)
    demo.app.is_("Healthy")
    assert demo.stays(3 * EVERY)


def test_what_somebody_deletes_comes_back_with_its_identity(demo: Demo) -> None:
    before, link = identities(demo.api), demo.api.get(*ACME)
    demo.api.delete(*ACME)

    def is_another() -> bool:
        body = demo.api.find(*ACME)
        return bool(body and body["metadata"]["uid"] != link["metadata"]["uid"])

    until("it is back", is_another)
    demo.api.wait_condition(*ACME, "Ready", "True")
    assert demo.api.get(*ACME)["status"]["vpnAddress"] == link["status"]["vpnAddress"]
    assert identities(demo.api) == before


def test_a_customer_who_is_pruned_keeps_his_identity_for_his_return(demo: Demo) -> None:
    before, acme, community = identities(demo.api), demo.git.get(*ACME), demo.git.get("Community", "acme")
    address = demo.api.get(*ACME)["status"]["vpnAddress"]
    demo.app.synced(demo.git.remove(ACME, ("Community", "acme")))
    assert demo.api.find(*ACME) is None
    assert demo.api.find("Community", "acme") is None
    settled(demo.api)
    assert identities(demo.api) == before
    assert demo.stays(3 * EVERY)
    demo.app.synced(demo.git.put(acme, community))
    assert identities(demo.api) == before
    assert demo.api.get(*ACME)["status"]["vpnAddress"] == address


def test_a_customer_in_one_commit_is_healthy_whatever_the_order(demo: Demo) -> None:
    """Link, Community and certificate; the link's file is the first one."""
    link = a_link("a-link", community="b-community", tls={"secretRef": {"name": "z-tls"}})
    certificate = tls_secret("z-tls", chain("a-link.mcs.test"))
    demo.app.synced(demo.git.put(link, a_community("b-community"), certificate))
    demo.api.wait_condition("TVoxLink", "a-link", "Ready", "True")


# --- what Git does not say ---

BY_HAND: Object = {
    "enabled": False,
    "protocol": "TCP",
    "allowedSources": ["192.0.2.0/24"],
    "tls": {"secretRef": {"name": "by-hand"}},
}


@in_both_ways
def test_what_git_says_nothing_of_is_no_drift(demo: Demo) -> None:
    git, drifts = demo.git.get(*ACME)["spec"], demo.drifts()
    demo.api.change(*ACME, enabled=False)
    demo.app.until_looked()
    demo.app.is_("Healthy")
    assert demo.spec(*ACME) == git | {"enabled": False}
    assert demo.drifts() == drifts


@in_both_ways
def test_what_git_says_is_put_back(demo: Demo) -> None:
    stated = {"enabled": True, "protocol": "UDP"}
    demo.app.synced(demo.git.change(*ACME, **stated))
    for field, value in stated.items():
        demo.api.change(*ACME, **{field: BY_HAND[field]})
        demo.put_back(*ACME, **{field: value})
        demo.app.is_("Healthy")


def test_an_empty_list_in_git_is_put_back(demo: Demo) -> None:
    demo.app.synced(demo.git.change(*ACME, allowedSources=[]))
    demo.api.change(*ACME, allowedSources=BY_HAND["allowedSources"])
    demo.put_back(*ACME, allowedSources=[])
    demo.app.is_("Healthy")


NOTHING = [("server-side", "allowedSources", []), ("server-side", "tls", {}), ("client-side", "tls", {})]


@pytest.mark.parametrize(("demo", "field", "empty"), NOTHING, indirect=["demo"])
def test_an_empty_map_says_nothing_nor_does_an_empty_list_to_server_side_apply(
    demo: Demo, field: str, empty: object
) -> None:
    demo.app.synced(demo.git.change(*ACME, **{field: empty}))
    demo.api.change(*ACME, **{field: BY_HAND[field]})
    demo.app.until_looked(3)
    assert demo.app.status()["sync"]["status"] == "Synced"
    assert demo.spec(*ACME)[field] == BY_HAND[field]


def test_managed_fields_tell_what_was_set_by_hand(demo: Demo) -> None:
    assert writers(demo.api, *ACME) == {("argocd-controller", ""), ("mcs-operator", "status")}
    demo.api.change(*ACME, enabled=False)
    by_hand = writers(demo.api, *ACME) - {("argocd-controller", ""), ("mcs-operator", "status")}
    assert len(by_hand) == 1


def writers(api: Api, kind: str, name: str) -> set[tuple[str, str]]:
    """Who manages fields of an object, each with the subresource by which he does."""
    found = api.get(kind, name)["metadata"]["managedFields"]
    return {(entry["manager"], entry.get("subresource", "")) for entry in found}


# --- orphans ---


def test_what_outlives_its_owner_is_an_orphan_unless_the_project_leaves_it_out_as_documented(
    demo: Demo, argocd: Api
) -> None:
    (documented,) = [body for body in PAGE if body["kind"] == "AppProject"]
    settings = documented["spec"]["orphanedResources"]
    name = demo.api.namespace
    argocd.create(project(f"{name}-all", orphanedResources={"warn": True}))
    argocd.create(project(f"{name}-documented", orphanedResources=settings))
    profiles = {"Secret/acme-profile", "Secret/globex-profile"}
    assert orphans(demo.api) == {"Secret/mcs-ca", "PersistentVolumeClaim/mcs-data"} | profiles
    argocd.change("Application", demo.app.name, project=f"{name}-all")
    until("Argo CD warns", lambda: warnings(demo.app) == ["Application has 4 orphaned resources"])
    argocd.change("Application", demo.app.name, project=f"{name}-documented")
    until("Argo CD warns no more", lambda: warnings(demo.app) == [])
    demo.app.synced(demo.git.remove(ACME))
    demo.app.until_looked()
    assert warnings(demo.app) == []


def orphans(api: Api) -> set[str]:
    """What has neither an owner nor Argo CD's mark, but for what is in every namespace."""
    metadata = {f"{kind}/{body['metadata']['name']}": body["metadata"] for kind in CHILDREN for body in api.list(kind)}
    marked = {name for name, of in metadata.items() if TRACKED in of.get("annotations", {})}
    owned = {name for name, of in metadata.items() if of.get("ownerReferences")}
    return metadata.keys() - marked - owned - {"ConfigMap/kube-root-ca.crt"}


def warnings(app: Application) -> list[str]:
    found = app.status().get("conditions", [])
    return [one["message"] for one in found if one["type"] == "OrphanedResourceWarning"]


# --- an instance that vanishes from Git by mistake ---


def test_an_instance_that_vanishes_from_git_waits_for_a_person(demo: Demo) -> None:
    instance = demo.git.get(*INSTANCE)
    asks = {"argocd.argoproj.io/sync-options": "Prune=confirm,Delete=confirm"}
    kept = instance | {"metadata": instance["metadata"] | {"annotations": asks}}
    demo.app.synced(demo.git.put(kept))
    demo.git.remove(INSTANCE)
    until("Argo CD asks", lambda: "Waiting for pruning confirmation of" in demo.app.told())
    demo.app.until_looked()
    revision = demo.git.put(kept)
    demo.app.until_looked(3)
    assert (
        "Waiting for pruning confirmation of" in demo.app.told()
    )  # as long as nobody ends it: `argocd app terminate-op`
    demo.app.home.merge("Application", demo.app.name, {"status": {"operationState": {"phase": "Terminating"}}})
    demo.app.synced(revision)
    assert "deletionTimestamp" not in demo.api.get(*INSTANCE)["metadata"]


def test_an_instance_with_links_up_is_not_pruned_and_the_sync_says_why(demo: Demo) -> None:
    instance = demo.git.get(*INSTANCE)
    demo.agent.connect("acme")
    demo.api.wait_condition(*ACME, "Connected", "True")
    with deletion_protection(demo.api):
        demo.git.remove(INSTANCE)
        until("the sync fails", lambda: "1 TVoxLink is up" in demo.app.failure(), 60)
        assert "deletionTimestamp" not in demo.api.get(*INSTANCE)["metadata"]
        demo.app.synced(demo.git.put(instance))
        demo.api.wait_condition(*ACME, "Connected", "True")


# --- the operator itself ---


def test_the_operator_itself_is_installed_by_argo_cd_and_left_alone(
    argocd: Api, operator: Operator, repository: Repository
) -> None:
    """The last one: what it installs is for the whole cluster, deletion protection included."""
    home = argocd.within("mcs-system")
    revision = repository.commit({"operator/install.yaml": MANIFESTS.read_text()})
    with followed(argocd, repository, home, "operator") as app:
        app.synced(revision, "Progressing")
        home.merge_status("Deployment", "mcs-operator", available(home.get("Deployment", "mcs-operator")))
        app.is_("Healthy")
        settled(home)
        audit = Audit.of(home)
        assert audit
        before = of_operator(home), versions(home), app.history()
        time.sleep(5 * EVERY)
        assert app.looks(audit) > 1
        assert (of_operator(home), versions(home), app.history()) == before
        assert audit.writes("mcs-system") == []
