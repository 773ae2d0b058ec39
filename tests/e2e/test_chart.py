"""The operator as users install it: by the chart, in a restricted namespace, two replicas, one of which leads.

The same `mcs` as in the other modules, but served from within the cluster. The tests are a story: install, upgrade,
failover, uninstall, install again, remove everything.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.api import ROOT, Api, Object, remove_namespaces
from support.cluster import MissingError
from support.levels import left_out_if_missing
from support.mcs import COMMUNITY, Mcs
from support.objects import INSTANCE
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FIRST = "acme"
DEPLOYMENT = LEASE = "mcs-operator"
FAILOVER_SECONDS = 15.0
KINDS = "secrets,configmaps,services,persistentvolumeclaims,statefulsets,pods,networkpolicies,resourcequotas"
OURS = "app.kubernetes.io/managed-by=mcs-operator"


@dataclass(frozen=True)
class Release:
    """The chart, installed in the namespace of ``home``."""

    home: Api

    def install(self, *values: str) -> None:
        """`hack/install`: returns when both replicas are ready."""
        self._run(str(ROOT / "hack" / "install"), *(f"--set={value}" for value in values))

    def uninstall(self) -> None:
        """`helm uninstall`: returns when its pods are gone."""
        self._run(
            str(ROOT / "hack" / "helm"), "uninstall", "mcs-operator", "--namespace", self.home.namespace, "--wait"
        )
        until("the operator's pods are gone", lambda: not self.home.list("Pod"), 60)

    def pods(self) -> dict[str, Object]:
        """The replicas that are not on their way out, by name."""
        pods = self.home.list("Pod", f"app.kubernetes.io/name={DEPLOYMENT}")
        return {pod["metadata"]["name"]: pod for pod in pods if not pod["metadata"].get("deletionTimestamp")}

    def ready(self) -> bool:
        """Whether both replicas are."""
        ready = [
            condition
            for pod in self.pods().values()
            for condition in pod.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]
        return len(ready) == 2

    def leader(self) -> str:
        """The pod that holds the Lease; empty where none does."""
        path = "--output=jsonpath={.spec.holderIdentity}"
        return self.home.kubectl("get", "lease", LEASE, "--ignore-not-found", path)

    def another_leads(self, than: str) -> float:
        """Wait until another pod holds the Lease; the seconds that took."""
        begun = time.monotonic()
        until("another replica leads", lambda: self.leader() not in ("", than), 60, pause=0.3)
        return time.monotonic() - begun

    def logs(self) -> str:
        """What the replicas said."""
        selector = f"--selector=app.kubernetes.io/name={DEPLOYMENT}"
        return self.home.kubectl("logs", selector, "--prefix", "--tail=60", check=False)

    def _run(self, *command: str) -> None:
        environment = os.environ | {
            "KUBECONFIG": str(self.home.kubeconfig),
            "MCS_INSTALL_NAMESPACE": self.home.namespace,
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr[-3000:]}{done.stdout[-1000:]}\n{self.logs()[-6000:]}"


@pytest.fixture(scope="module")
def release(server: Api, request: pytest.FixtureRequest) -> Iterator[Release]:
    """The operator, installed by its chart."""
    others = list(server.everywhere("Pod", OURS))
    assert not others, "another MCS has the node's ports (of the demo? `make demo-clean`)"
    name = f"mcs-chart-{secrets.token_hex(3)}"
    release = Release(server.within(name))
    failed = request.session.testsfailed
    try:
        release.install()
        yield release
    finally:
        if request.session.testsfailed > failed:
            print(release.logs())
        if release.pods():
            release.uninstall()
        remove_namespaces(server, name)


@pytest.fixture(scope="module")
def operator_process(release: Release) -> Release:
    """What serves the `mcs` of this module."""
    return release


def test_both_replicas_run_where_pod_security_is_restricted(release: Release, server: Api) -> None:
    labels = server.get("Namespace", release.home.namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert release.ready()
    assert release.leader() in release.pods()


def test_an_instance_gets_ready_and_a_customer_connects(mcs: Mcs) -> None:
    assert mcs.api.condition("MCSInstance", INSTANCE, "Ready")[0] == "True"
    assert mcs.api.condition("TVoxLink", FIRST, "Connected")[:2] == ("True", "Established")
    pod = mcs.api.get("Pod", f"{INSTANCE}-0")
    assert {c["image"] for c in pod["spec"]["containers"] if c["name"] == "agent"} == {"localhost/mcs/operator:dev"}


def test_an_upgrade_replaces_the_operator_and_nobody_notices(mcs: Mcs, release: Release) -> None:
    before = set(release.pods())
    with mcs.unnoticed(by=FIRST):
        release.install("log.verbose=true")
        mcs.link("upgraded")
    assert not before & set(release.pods())
    assert release.leader() in release.pods()
    mcs.remove("upgraded")


def test_a_leader_that_is_evicted_hands_over_at_once(mcs: Mcs, release: Release) -> None:
    leader = release.leader()
    release.home.delete("Pod", leader)
    took = release.another_leads(leader)
    mcs.link("after-eviction")
    print(f"another replica led after {took:.1f} s")
    assert took < FAILOVER_SECONDS
    mcs.remove("after-eviction")
    until("two replicas again", release.ready, 60)


def test_a_leader_that_hangs_is_succeeded_within_15_seconds_and_does_not_act_when_it_wakes_up(
    mcs: Mcs, release: Release
) -> None:
    hung = release.leader()
    with mcs.unnoticed(by=FIRST):
        signalled(hung, signal.SIGSTOP)
        try:
            took = release.another_leads(hung)
            mcs.link("after-hang")
        finally:
            signalled(hung, signal.SIGCONT)
        leader = release.leader()
        time.sleep(5)
        assert release.leader() == leader, "the one that hung took the Lease back"
    print(f"another replica led after {took:.1f} s")
    assert took < FAILOVER_SECONDS
    mcs.remove("after-hang")
    until("two replicas again", release.ready, 90)


def test_both_replicas_killed_come_back_and_do_what_was_asked_for_meanwhile(mcs: Mcs, release: Release) -> None:
    with mcs.unnoticed(by=FIRST):
        for name in release.pods():
            signalled(name, signal.SIGKILL)
        mcs.api.apply(mcs.a_link("meanwhile"))
        mcs.programmed("meanwhile")
    mcs.remove("meanwhile")
    until("two replicas again", release.ready, 90)


def signalled(pod: str, number: signal.Signals) -> None:
    """Signal the operator's process in a pod, from outside of the container: there, PID 1 is deaf to SIGKILL."""
    found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if _is_operator_of(path, pod)]
    with left_out_if_missing():
        if not found:
            raise MissingError(f"the processes of pod {pod} are not on this machine")
    for process in found:
        os.kill(process, number)


def _is_operator_of(environ: Path, pod: str) -> bool:
    try:
        return f"POD_NAME={pod}".encode() in environ.read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile, or is another user's
        return False


def test_no_request_of_the_operator_was_refused(mcs: Mcs, release: Release) -> None:
    """Before any uninstall, which takes the rights away while the pods still stop."""
    user = f"system:serviceaccount:{release.home.namespace}:{DEPLOYMENT}"
    if mcs.node.audit_log is None:
        assert "Forbidden" not in release.logs()
        return
    entries = [entry for entry in audited(mcs.node.audit_log) if entry["user"].get("username") == user]
    assert entries, "the audit log does not know the operator"
    refused = [entry["requestURI"] for entry in entries if entry.get("responseStatus", {}).get("code") == 403]
    assert refused == []


def audited(log: Path) -> Iterator[Any]:
    with log.open() as lines:
        yield from map(json.loads, lines)


def test_an_uninstall_leaves_crds_instance_and_tunnels_as_they_are(mcs: Mcs, release: Release, server: Api) -> None:
    before = versions(mcs)
    with mcs.unnoticed(by=FIRST):
        release.uninstall()
        for name in ("mcsinstances", "communities", "tvoxlinks"):
            assert server.find("CustomResourceDefinition", f"{name}.mcs.tvox.io"), name
        assert versions(mcs) == before
        release.install()
        time.sleep(5)
    assert versions(mcs) == before, "the operator that came wrote to what was well"


def versions(mcs: Mcs) -> dict[str, str]:
    """What there is of ours and of our own kinds, and which version of it. The pod's changes with its statuses."""
    kinds = f"mcsinstances,communities,tvoxlinks,{KINDS.replace('pods,', '')}"
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for item in json.loads(mcs.api.kubectl("get", kinds, "--output=json"))["items"]
    }


def test_what_is_deleted_without_an_operator_goes_and_only_the_retained_stays(mcs: Mcs, release: Release) -> None:
    # Identities of customers who left lately are kept, too: for `retain.links`.
    profiles = {body["metadata"]["name"] for body in mcs.api.list("Secret", OURS)}
    retained = {f"secret/{name}" for name in profiles if name.endswith("-profile")}
    assert f"secret/{FIRST}-profile" in retained
    retained |= {f"secret/{INSTANCE}-ca", f"persistentvolumeclaim/{INSTANCE}-data"}
    mcs.api.change("MCSInstance", INSTANCE, retain={"storage": "Retain", "pki": "Retain"})
    until("no owner takes them along", lambda: not any(owners(mcs, name) for name in retained))
    release.uninstall()
    begun = time.monotonic()
    for kind, name in (("MCSInstance", INSTANCE), ("TVoxLink", FIRST), ("Community", COMMUNITY)):
        mcs.api.delete(kind, name, wait=10)
    until("what is ours is gone", only(mcs, retained), 90)
    print(f"everything was gone after {time.monotonic() - begun:.1f} s")


def owners(mcs: Mcs, name: str) -> str:
    return mcs.api.kubectl("get", name, "--output=jsonpath={.metadata.ownerReferences[*].kind}")


def only(mcs: Mcs, wanted: set[str]) -> Callable[[], bool]:
    def look() -> bool:
        left = set(mcs.api.kubectl("get", KINDS, f"--selector={OURS}", "--output=name").split())
        assert left == wanted, left
        return True

    return look
