"""The operator as users install it: by the chart, in a restricted namespace, two replicas, one of which leads.

The same `mcs` as in the other modules, but served from within the cluster. The tests are a story: install, monitor,
upgrade and roll back, failover, uninstall, install again, remove everything, and come back by the plain manifest.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mcs_operator.settings import WEBHOOK
from support.api import ROOT, Api, Object
from support.chart import CHART, rendered
from support.cluster import MissingError, Node
from support.levels import left_out_if_missing
from support.mcs import COMMUNITY, SLOTS, Mcs, serving
from support.objects import INSTANCE, a_community, an_instance
from support.plugin import write_plugin
from support.prometheus import job_of_pods, prometheus, prometheus_folder
from support.release import DEPLOYMENT, FAILOVER_SECONDS, OURS, Release, audited, installed
from support.scraping import Reader, asked
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FIRST = "acme"
KINDS = "secrets,configmaps,services,persistentvolumeclaims,statefulsets,pods,networkpolicies,resourcequotas,"
KINDS += "poddisruptionbudgets"
WITH_DNS = "      enableServiceLinks: false\n"
WITHOUT_DNS = f"{WITH_DNS}      dnsPolicy: None\n      dnsConfig: {{nameservers: [192.0.2.53]}}\n"
"""In the template of the operator's pods. Nobody answers there."""
LOOK_UP = "import socket; print(socket.getaddrinfo('kubernetes.default.svc.cluster.local', 443))"


@pytest.fixture(scope="module")
def release(server: Api, request: pytest.FixtureRequest) -> Iterator[Release]:
    """The operator, installed by its chart."""
    failed = request.session.testsfailed
    with installed(server) as release:
        yield release
        if request.session.testsfailed > failed:
            print(release.logs())


@pytest.fixture(scope="module")
def operator_process(release: Release) -> Release:
    """What serves the `mcs` of this module."""
    return release


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Release) -> Iterator[Mcs]:
    """A ready instance whose first customer, acme, has a tunnel."""
    with serving(node, server, first=FIRST) as mcs:
        yield mcs


def test_both_replicas_run_where_pod_security_is_restricted(release: Release, server: Api) -> None:
    labels = server.get("Namespace", release.home.namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert release.ready()
    until("one of them leads", lambda: release.leader() in release.pods())


def test_helm_test_finds_the_kinds_served_a_leader_and_a_webhook_that_answers(release: Release) -> None:
    release.check()


def test_an_instance_gets_ready_and_a_customer_connects(mcs: Mcs) -> None:
    assert mcs.api.condition("MCSInstance", INSTANCE, "Ready")[0] == "True"
    assert mcs.api.condition("TVoxLink", FIRST, "Connected")[:2] == ("True", "Established")
    pod = mcs.api.get("Pod", f"{INSTANCE}-0")
    assert {c["image"] for c in pod["spec"]["containers"] if c["name"] == "agent"} == {"localhost/mcs/operator:dev"}


EMPTY_IS_WELL = {
    "Without a tunnel",
    "Not served as declared",
    # Of certificates that a user names; there are none here.
    "mcs_site_certificate_expiry_timestamp_seconds",
    "mcs_link_site_certificate_expiry_timestamp_seconds",
    "mcs_portal_certificate_expiry_timestamp_seconds",
    # Of portals: there is none here, and tests/e2e/test_call.py reads them where there is one.
    "mcs_media_calls",
    "mcs_media_calls_refused_total",
    "mcs_media_call_seconds_total",
    "mcs_media_participants",
    "mcs_media_quota_bytes",
    "mcs_media_retention_seconds",
    "mcs_media_stored_bytes",
    # While a certificate is being exchanged, where sources are limited, and where certificates are ordered.
    "mcs_link_rotation_deadline_timestamp_seconds",
    "mcs_link_source_dropped_total",
    "mcs_operator_certificate_orders_total",
}
"""Panels, and metrics, of which nothing is shown as long as all is well."""


def test_prometheus_is_told_all_that_the_dashboard_and_the_alerts_ask_for(
    mcs: Mcs, release: Release, tmp_path: Path
) -> None:
    """A real one, set up as the chart's monitors say, where it is built (`make alerts`) and pods are within reach."""
    prometheus_folder()
    host = next((pod["status"]["podIP"] for pod in release.pods().values() if is_reached(pod)), "")
    if not host:
        pytest.skip("this cluster's pods cannot be reached from here")
    instance = f"metrics.podMonitors[0].instance={INSTANCE},metrics.podMonitors[0].basePort=21000"
    monitors = rendered(
        "metrics.serviceMonitor.enabled=true", f"metrics.podMonitors[0].namespace={mcs.api.namespace},{instance}"
    )
    (of_pods,) = monitors["PodMonitor", INSTANCE]["spec"]["podMetricsEndpoints"]
    (of_service,) = monitors["ServiceMonitor", DEPLOYMENT]["spec"]["endpoints"]
    port = {"sourceLabels": ["__meta_kubernetes_pod_container_port_name"], "regex": "metrics", "action": "keep"}
    service = monitors["Service", f"{DEPLOYMENT}-metrics"]["spec"]["selector"] | {
        "app.kubernetes.io/instance": DEPLOYMENT
    }
    of_service["tlsConfig"]["serverName"] = f"{WEBHOOK}.{release.home.namespace}.svc"  # rendered for mcs-system
    reader = Reader(release.home, release.home.namespace)
    assert asked(8443, None, host) == (401, "")
    jobs = [
        job_of_pods("operator", of_service | {"relabelings": [port]}, service, release.home, tmp_path, reader.token),
        job_of_pods(
            "agents", of_pods, monitors["PodMonitor", INSTANCE]["spec"]["selector"]["matchLabels"], mcs.api, tmp_path
        ),
    ]
    with prometheus(tmp_path, jobs) as there:
        until("all is scraped", lambda: len(there.query("count_over_time(up[1m]) >= 2 and up == 1")) == 3, 60, pause=1)
        for panel, query in dashboard():
            known = {panel, *re.findall(r"\bmcs_[a-z_]+\b", query)}
            asking = query.replace("$namespace", mcs.api.namespace)
            if not known & EMPTY_IS_WELL:  # a tunnel's round trip is known some seconds after the tunnel
                until(f"{panel}: {query}", lambda asking=asking: there.query(asking), 40, pause=1)
            else:
                there.query(asking)  # one that is no expression is an error
        for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]:
            for rule in group["rules"]:
                there.query(rule["expr"])  # one that is no expression is an error
    reader.remove()


def is_reached(pod: Object) -> bool:
    """Whether the pod itself answers here, and not a gateway that takes every connection."""
    try:
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8080/healthz", timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def dashboard() -> Iterator[tuple[str, str]]:
    """Every panel's title with each of its queries."""
    for panel in json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def test_a_support_bundle_has_the_logs_of_the_operator_and_of_the_slots_in_use(
    mcs: Mcs, release: Release, tmp_path: Path
) -> None:
    target = tmp_path / "bundle.tar.gz"
    write_plugin(tmp_path)
    where = (
        f"--kubeconfig={mcs.api.kubeconfig}",
        "-n",
        mcs.api.namespace,
        "--operator-namespace",
        release.home.namespace,
    )
    subprocess.run([tmp_path / "kubectl-mcs", "support-bundle", *where, "--file", target], check=True, timeout=60)
    with tarfile.open(target) as archive:
        sizes = {member.name.partition("/")[2]: member.size for member in archive}
    logs = {f"logs/{pod}/operator.log" for pod in release.pods()} | {f"logs/{INSTANCE}-0/link-002.log"}
    assert all(sizes[log] > 200 for log in logs), sizes
    assert sizes["missing.txt"] == len("nothing\n")


def test_an_upgrade_and_a_rollback_replace_the_operator_and_nobody_notices(
    mcs: Mcs, release: Release, server: Api, tmp_path: Path
) -> None:
    """To a chart of another version, whose CRDs say something else, and whose pods have no DNS: they serve without."""
    chart = tmp_path / "mcs-operator"
    shutil.copytree(CHART, chart)
    for file, old, new in (
        (chart / "Chart.yaml", "version: ", "version: 9"),
        (
            chart / "templates" / "crds" / "tvoxlinks.mcs.tvox.io.yaml",
            "Transport of the tunnel.",
            "Of another version.",
        ),
        (chart / "templates" / "deployment.yaml", WITH_DNS, WITHOUT_DNS),
    ):
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    before, explained = set(release.pods()), ("explain", "tvoxlink.spec.protocol")
    assert "Transport of the tunnel." in server.kubectl(*explained)
    with mcs.unnoticed(by=FIRST):
        release.upgrade(chart)
        mcs.link("upgraded")
        pods = release.pods()
        newer = set(pods)
        assert {name: restarts(pod) for name, pod in pods.items()} == dict.fromkeys(newer, 0)
        assert not any(has_dns(release, name) for name in newer)
        until("the CRDs are the newer ones", lambda: "Of another version." in server.kubectl(*explained), 20)
        release.roll_back()
        mcs.link("rolled-back")
        until("the CRDs are as before", lambda: "Transport of the tunnel." in server.kubectl(*explained), 20)
    assert not before & newer
    assert not newer & set(release.pods())
    until("one of the new ones leads", lambda: release.leader() in release.pods(), 20)
    for name in ("upgraded", "rolled-back"):
        mcs.remove(name)


def restarts(pod: Object) -> int:
    return sum(status["restartCount"] for status in pod["status"]["containerStatuses"])


def has_dns(release: Release, pod: str) -> bool:
    """Whether the pod finds an address by its name."""
    said = release.home.kubectl("exec", pod, "--", "python3", "-c", LOOK_UP, check=False, merge=True)
    return "gaierror" not in said


def test_a_leader_that_is_evicted_hands_over_at_once(mcs: Mcs, release: Release) -> None:
    took = release.another_leads_after(lambda leader: release.home.delete("Pod", leader))
    mcs.link("after-eviction")
    print(f"another replica led after {took:.1f} s")
    assert took < FAILOVER_SECONDS
    mcs.remove("after-eviction")
    until("two replicas again", release.ready, 60)


@pytest.mark.slow
def test_a_leader_that_hangs_is_succeeded_within_15_seconds_and_does_not_act_when_it_wakes_up(
    mcs: Mcs, release: Release
) -> None:
    hung = release.leader()
    with mcs.unnoticed(by=FIRST):
        try:
            took = release.another_leads_after(lambda leader: signalled(leader, signal.SIGSTOP))
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


def test_an_uninstall_leaves_crds_instance_and_tunnels_as_they_are(mcs: Mcs, release: Release, server: Api) -> None:
    before = at_rest(mcs)
    with mcs.unnoticed(by=FIRST):
        release.uninstall()
        for name in ("mcsinstances", "communities", "tvoxlinks"):
            assert server.find("CustomResourceDefinition", f"{name}.mcs.tvox.io"), name
        assert versions(mcs) == before
        release.install()
        time.sleep(5)
    assert versions(mcs) == before, "the operator that came wrote to what was well"


def at_rest(mcs: Mcs) -> dict[str, str]:
    """The versions when nothing has changed for three seconds: what the tests before did has its consequences."""
    last = versions(mcs)

    def look() -> bool:
        nonlocal last
        time.sleep(3)
        before, last = last, versions(mcs)
        return last == before

    until("the world stands still", look, 60)
    return last


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
    mcs.release(FIRST)
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


def test_the_plain_manifest_brings_the_instance_back_and_its_customer_connects_with_the_profile_that_he_has(
    mcs: Mcs, release: Release, server: Api
) -> None:
    """`kubectl apply -f manifests/install.yaml`, and the same objects again: what was retained is taken up."""
    assert not release.pods()
    bodies = list(yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text()))
    home = server.within(next(body["metadata"]["name"] for body in bodies if body["kind"] == "Namespace"))
    assert server.find("Namespace", home.namespace) is None, f"another operator is in {home.namespace}"
    home.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "manifests" / "install.yaml"))
    try:
        home.kubectl("rollout", "status", "deployment/mcs-operator", "--timeout=90s", timeout=100)
        profile = mcs.api.get("Secret", f"{FIRST}-profile")["data"]
        wanted = an_instance(node=mcs.node.name, address=mcs.node.ip, domain=mcs.node.zone, vpn={"slots": SLOTS})
        mcs.api.apply(wanted, a_community(COMMUNITY, users=("anna",)), mcs.a_link(FIRST))
        mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", timeout=120)
        mcs.programmed(FIRST)
        mcs.connected(FIRST)
        assert mcs.api.get("Secret", f"{FIRST}-profile")["data"] == profile
        remove_instance(mcs)
    finally:
        others = [body for body in bodies if body["kind"] != "CustomResourceDefinition"]  # the other tests' too
        home.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(others), timeout=120)


def remove_instance(mcs: Mcs) -> None:
    """All of it: the node's ports are the next test's."""
    mcs.api.allow_deletion(INSTANCE)
    mcs.api.delete("MCSInstance", INSTANCE, wait=10)
    until("its pod is gone", lambda: mcs.api.find("Pod", f"{INSTANCE}-0") is None, 90)
