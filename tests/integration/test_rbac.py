"""The operator does all of its work with exactly the rights that the chart gives it, and needs each of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from conftest import fresh_namespace
from mcs_operator.settings import WEBHOOK
from support.api import ROOT, Api, Object, Refused
from support.objects import INSTANCE, a_community, a_link, an_instance
from support.operator import Operator
from support.pods import NODE, its_node, media_runs, place_pod, pull_ends, pull_of
from support.ports import free_port
from support.rights import ACCOUNT, Account, confined, granted
from support.scraping import Reader, asked
from support.waiting import best_of_three, until

pytestmark = pytest.mark.integration

POD = f"{INSTANCE}-0"


@pytest.fixture
def home(server: Api) -> Iterator[str]:
    """The namespace that the operator itself is in."""
    yield from fresh_namespace(server)


@pytest.fixture
def account(server: Api, home: str, operator_process: Operator, tmp_path: Path) -> Iterator[Account]:
    """The operator's account. The session's own operator, which leads without a Lease, is stopped meanwhile."""
    operator_process.stop()
    with confined(server, home, tmp_path) as account:
        yield account


@pytest.fixture
def registered(server: Api) -> Iterator[None]:
    """The chart's webhook, which nobody answers here: that is ignored."""
    rendered = yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text())
    server.apply(next(body for body in rendered if body and body["kind"] == "ValidatingWebhookConfiguration"))
    yield
    server.delete("ValidatingWebhookConfiguration", WEBHOOK)


@pytest.fixture
def held(server: Api, home: str, account: Account) -> Iterator[None]:
    """The chart's policy for what the operator's account writes, in force."""
    rendered = list(yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text()))
    policies = [body for body in rendered if body and body["metadata"]["name"] == f"{ACCOUNT}-writes"]
    assert len(policies) == 2
    text = yaml.safe_dump_all(policies).replace("mcs-system", home)
    server.kubectl("apply", "-f", "-", stdin=text)
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign"}}
    as_operator = ("--as", f"system:serviceaccount:{home}:{ACCOUNT}")
    wanted = ("create", "--dry-run=server", "-f", "-", *as_operator)
    place = server.within(home)
    until(
        "the policy is in force",
        lambda: "its own labels only" in place.kubectl(*wanted, stdin=yaml.safe_dump(foreign), check=False, merge=True),
        30,
    )
    yield
    server.kubectl("delete", "-f", "-", stdin=text)


@pytest.fixture
def metrics_port() -> int:
    return free_port()


@pytest.fixture
def operator(account: Account, registered: None, held: None, metrics_port: int, tmp_path: Path) -> Iterator[Operator]:
    """An operator that has this account, and knows itself to be in a pod."""
    place = {"POD_NAMESPACE": account.namespace, "POD_NAME": "mcs-operator-0"}
    options = ["--issue-webhook-certificate", f"--metrics-port={metrics_port}"]
    process = Operator(account.kubeconfig, tmp_path / "operator.log", options, **place)
    process.start()
    yield process
    process.stop()


def test_it_can_do_all_its_work_and_nothing_else(
    api: Api, server: Api, account: Account, operator: Operator, metrics_port: int
) -> None:
    metrics_are_read(server, account.namespace, metrics_port)
    a_customer_comes(api)
    users_change(api)
    somebody_meddles(api)
    a_customer_is_refused_twice(api)
    the_network_mode_changes_back_and_forth(api)
    the_pod_is_woken_and_replaced(api)
    the_media_changes_in_place(api)
    its_node_is_maintained(api)
    what_an_older_operator_left_goes(api)
    everybody_leaves(api)
    operator.stop()

    assert "Forbidden" not in operator.since(0)
    if account.audit_log is None:
        return
    assert account.refused() == []
    newer = set() if api.resizes_in_place() else {("", "pods/resize", "patch")}
    assert granted() - account.used() == newer, "granted and not needed"
    assert account.used() - granted() == set(), "used without being granted: by another role?"


def test_where_namespaces_are_listed_it_serves_these_with_rights_in_no_other(
    server: Api, api: Api, home: str, operator_process: Operator, tmp_path: Path
) -> None:
    operator_process.stop()
    elsewhere = fresh_namespace(server)
    other = server.within(next(elsewhere))
    with confined(server, home, tmp_path, served=[api.namespace]) as account:
        place = {"POD_NAMESPACE": home, "POD_NAME": "mcs-operator-0", "MCS_NAMESPACES": api.namespace}
        operator = Operator(account.kubeconfig, tmp_path / "operator.log", **place)
        operator.start()
        other.create(an_instance(), a_community(), a_link("elsewhere"))
        a_customer_comes(api)
        users_change(api)
        somebody_meddles(api)
        everybody_leaves(api, others=())
        link = other.get("TVoxLink", "elsewhere")
        assert link["status"]["conditions"][0]["reason"] == "Pending", "not this operator's"
        assert other.find("Secret", "elsewhere-profile") is None
        operator.stop()
        assert "Forbidden" not in operator.since(0)
        if account.audit_log:
            assert account.refused() == []
            assert {entry["objectRef"].get("namespace") for entry in account.requests()} <= {home, api.namespace, None}
    next(elsewhere, None)


def test_it_ends_at_once_and_gives_the_lease_up(server: Api, account: Account, operator: Operator) -> None:
    home = server.within(account.namespace)

    def stopped() -> float:
        operator.ensure()
        until("it leads", lambda: holder(home) == "mcs-operator-0")
        begun = time.monotonic()
        operator.stop()
        return time.monotonic() - begun

    assert min(best_of_three(stopped, 5)) < 5, "something was waited for, and 5 s is how long Kopf waits"
    assert holder(home) == ""


def holder(home: Api) -> str:
    return home.kubectl("get", "lease", ACCOUNT, "--output=jsonpath={.spec.holderIdentity}", check=False)


def metrics_are_read(server: Api, home: str, port: int) -> None:
    """By whoever may, and by nobody else."""
    reader, other = Reader(server, home), server.within(home)
    other.kubectl("create", "serviceaccount", "other")
    token = other.kubectl("create", "token", "other").strip()
    try:
        until("who may is told", lambda: "mcs_operator_leader" in reader.read(port), 20, pause=1)
        assert asked(port, token) == (403, "this account may not get /metrics\n")
        for stranger in (None, "", "forged", reader.token[:-2], "x" * 8000):
            assert asked(port, stranger) == (401, ""), stranger
    finally:
        reader.remove()


# ------------------------------------------------------------------------------- what a stolen token of it cannot write


LABELS = {"app.kubernetes.io/managed-by": ACCOUNT, "mcs.tvox.io/instance": INSTANCE}


def an_object(kind: str, name: str = f"{INSTANCE}-x", labels: Object = LABELS, **content: object) -> Object:
    groups = {"StatefulSet": "apps/v1", "NetworkPolicy": "networking.k8s.io/v1", "PodDisruptionBudget": "policy/v1"}
    metadata = {"name": name, "labels": labels, "annotations": {"kubernetes.io/service-account.name": "default"}}
    return {"apiVersion": groups.get(kind, "v1"), "kind": kind, "metadata": metadata, **content}


def a_stateful_set(container: Object | None = None, volumes: Sequence[Object] = (), **spec: object) -> Object:
    """As the operator makes it, in what the policy looks at."""
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}
    containers = [{"name": "x", "image": "x", "securityContext": safe | (container or {})}]
    pod = {"automountServiceAccountToken": False, "containers": containers, "volumes": list(volumes), **spec}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    whole = {"replicas": 1, "serviceName": "x", "selector": {"matchLabels": {"a": "b"}}, "template": template}
    return an_object("StatefulSet", INSTANCE, spec=whole)


def a_volume(**source: object) -> Object:
    return {"name": "v", **source}


def a_pull(container: Object | None = None, name: str = f"{INSTANCE}-pull-1", **spec: object) -> Object:
    """A pod such as the operator makes to have an image pulled."""
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    one = {"name": "pull", "image": "x", "command": ["/bin/true"], "securityContext": safe}
    whole = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [one | (container or {})]}
    return an_object("Pod", name, spec=whole | spec)


OF_ANOTHER = LABELS | {"mcs.tvox.io/instance": "globex"}
STOLEN: dict[str, tuple[Object, str]] = {
    "an object without its labels": (an_object("Secret", labels={}), "its own labels"),
    "an object of another tool": (
        an_object("ConfigMap", labels=LABELS | {"app.kubernetes.io/managed-by": "Helm"}),
        "its own labels",
    ),
    "a name that is none of its own": (an_object("Secret", "database"), "names of an instance"),
    "another link's profile": (
        an_object("Secret", "globex-profile", labels=LABELS | {"mcs.tvox.io/link": "acme"}),
        "names of an instance",
    ),
    "a token of another account": (
        an_object("Secret", type="kubernetes.io/service-account-token", stringData={"x": "y"}),
        "type Opaque",
    ),
    "a certificate where none that was ordered is kept": (
        an_object("Secret", type="kubernetes.io/tls", stringData={"tls.crt": "", "tls.key": ""}),
        "type Opaque",
    ),
    "a Service at an address of somebody else": (
        an_object("Service", spec={"ports": [{"port": 443}], "externalIPs": ["203.0.113.7"]}),
        "external addresses",
    ),
    "a Service that leads elsewhere": (
        an_object("Service", spec={"type": "ExternalName", "externalName": "x.example.com"}),
        "external addresses",
    ),
    "a pod with a media pod's name": (a_pull(name=f"{INSTANCE}-0"), "pull an image"),
    "a pod that runs something": (a_pull({"command": ["/bin/sh"]}), "pull an image"),
    "a pod that runs what its image says": (a_pull({"command": []}), "pull an image"),
    "a pull in the node's network": (a_pull(hostNetwork=True), "pull an image"),
    "a pull with a token": (a_pull(automountServiceAccountToken=True), "pull an image"),
    "a pull with a volume": (a_pull(volumes=[a_volume(emptyDir={})]), "pull an image"),
    "a pull with a capability": (
        a_pull({"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"add": ["NET_ADMIN"]}}}),
        "pull an image",
    ),
    "a pull with all that a runtime gives by default": (
        a_pull({"securityContext": {"allowPrivilegeEscalation": False}}),
        "pull an image",
    ),
    "a pull that runs something beside": (
        a_pull({"lifecycle": {"postStart": {"exec": {"command": ["/bin/sh"]}}}}),
        "pull an image",
    ),
    "a pull that runs something again and again": (
        a_pull({"livenessProbe": {"exec": {"command": ["/bin/sh"]}}}),
        "pull an image",
    ),
    "a pull with somebody's keys": (a_pull({"envFrom": [{"secretRef": {"name": "database"}}]}), "pull an image"),
    "a pull with one of them": (
        a_pull({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "database", "key": "x"}}}]}),
        "pull an image",
    ),
    "a pull at a port of the node": (a_pull({"ports": [{"containerPort": 443, "hostPort": 443}]}), "pull an image"),
    "a pull before which all others go": (a_pull(priorityClassName="system-node-critical"), "pull an image"),
    "a budget that holds everybody's pods": (
        an_object("PodDisruptionBudget", spec={"maxUnavailable": 0, "selector": {}}),
        "its own pods only",
    ),
    "a budget that holds another instance's pods": (
        an_object("PodDisruptionBudget", spec={"maxUnavailable": 0, "selector": {"matchLabels": OF_ANOTHER}}),
        "its own pods only",
    ),
    "two replicas": (
        a_stateful_set() | {"spec": a_stateful_set()["spec"] | {"replicas": 2}},
        "one replica",
    ),
    "a pod with an account": (a_stateful_set(serviceAccountName="admin"), "service account's token"),
    "a pod with a token": (a_stateful_set(automountServiceAccountToken=True), "service account's token"),
    "a pod that sees the node's processes": (a_stateful_set(hostPID=True), "process of its node"),
    "a privileged pod": (a_stateful_set({"privileged": True, "allowPrivilegeEscalation": True}), "privileged"),
    "a pod with all capabilities": (a_stateful_set({"capabilities": {"add": ["SYS_ADMIN"]}}), "capability"),
    "a pod with a privileged beginning": (
        a_stateful_set(
            initContainers=[{"name": "i", "image": "x", "securityContext": {"privileged": True}}],
        ),
        "privileged",
    ),
    "a pod with the node's files": (
        a_stateful_set(volumes=[a_volume(hostPath={"path": "/"})]),
        "character device",
    ),
    "a pod with another instance's keys": (
        a_stateful_set(volumes=[a_volume(secret={"secretName": "globex-ca"})]),
        "its own instance",
    ),
    "a pod with keys by another door": (
        a_stateful_set(volumes=[a_volume(projected={"sources": [{"secret": {"name": "database"}}]})]),
        "its own instance",
    ),
    "a pod with a token by another door": (
        a_stateful_set(volumes=[a_volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]})]),
        "its own instance",
    ),
}


def test_a_stolen_token_of_it_writes_nothing_but_what_it_writes_itself(
    server: Api, api: Api, account: Account, held: None
) -> None:
    thief = Api(account.kubeconfig, api.namespace)
    allowed = a_stateful_set(volumes=[a_volume(hostPath={"path": "/dev/net/tun", "type": "CharDevice"})])
    for body in (
        allowed,
        an_object("Secret"),
        an_object("Secret", "acme-profile", LABELS | {"mcs.tvox.io/link": "acme"}),
        a_pull(),
        an_object("PodDisruptionBudget", spec={"maxUnavailable": 0, "selector": {"matchLabels": LABELS}}),
    ):
        thief.create(body, dry_run=True)
    for what, (body, why) in STOLEN.items():
        with pytest.raises(Refused) as refused:
            thief.create(body, dry_run=True)
        assert why in refused.value.message, f"{what}: {refused.value.message}"


def test_a_stolen_token_of_it_changes_and_deletes_nothing_of_others(
    server: Api, api: Api, account: Account, held: None
) -> None:
    api.create(an_object("Secret", "database", labels={}), an_object("ConfigMap", f"{INSTANCE}-theirs", labels={}))
    thief = Api(account.kubeconfig, api.namespace)
    for kind, name in (("Secret", "database"), ("ConfigMap", f"{INSTANCE}-theirs")):
        with pytest.raises(Refused) as refused:
            thief.merge(kind, name, {"metadata": {"labels": LABELS}})
        assert "takes over no object" in refused.value.message
        with pytest.raises(Refused) as refused:
            thief.delete(kind, name)
        assert "its own labels" in refused.value.message
        assert api.get(kind, name)


# ------------------------------------------------------------------------------------------------------- its whole work


def a_customer_comes(api: Api) -> None:
    users = {"users.yaml": "- {name: dora}\n"}
    labels = {"mcs.tvox.io/users": "true"}
    api.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "staff", "labels": labels}, "data": users},
        an_instance(),
        a_community(users=("carl",), usersFrom=[{"configMapRef": {"name": "staff"}}]),
        a_link("acme"),
    )
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    until("a profile", lambda: api.find("Secret", "acme-profile"))
    until("a StatefulSet", lambda: api.find("StatefulSet", INSTANCE))
    until("both users", lambda: served(api) == 2)


def users_change(api: Api) -> None:
    api.merge("ConfigMap", "staff", {"data": {"users.yaml": "- {name: dora}\n- {name: emil}\n"}})
    until("the third user", lambda: served(api) == 3)


def somebody_meddles(api: Api) -> None:
    slot = f"{INSTANCE}-link-002"
    api.merge("Secret", slot, {"data": {"enabled": None}})
    until("the slot is whole again", lambda: "enabled" in api.get("Secret", slot)["data"])


def served(api: Api) -> int:
    return int(api.get("MCSInstance", INSTANCE).get("status", {}).get("users", {}).get("served", 0))


def a_customer_is_refused_twice(api: Api) -> None:
    """The second time the same Event counts on."""
    api.create(a_link("beta", domain="acme.mcs.test"))
    api.wait_condition("TVoxLink", "beta", "Accepted", "False", "DomainTaken")
    api.change("TVoxLink", "beta", domain="beta.mcs.test")
    api.wait_condition("TVoxLink", "beta", "Accepted", "True")
    api.change("TVoxLink", "beta", domain="acme.mcs.test")
    api.wait_condition("TVoxLink", "beta", "Accepted", "False", "DomainTaken")
    until("an Event that counts on", lambda: api.kubectl("get", "events", "--output=jsonpath={.items[*].series.count}"))
    api.change("TVoxLink", "beta", domain="beta.mcs.test")
    api.wait_condition("TVoxLink", "beta", "Accepted", "True")


def the_network_mode_changes_back_and_forth(api: Api) -> None:
    before = template(api)
    api.change("MCSInstance", INSTANCE, network={"mode": "LoadBalancer"})
    until("a public Service", lambda: api.find("Service", f"{INSTANCE}-public"))
    api.change("MCSInstance", INSTANCE, network={"mode": "HostNetwork"})
    until("no public Service", lambda: api.find("Service", f"{INSTANCE}-public") is None)
    until("no NetworkPolicy", lambda: not policies(api))
    api.change("MCSInstance", INSTANCE, network=None)
    until("a NetworkPolicy", lambda: policies(api))
    until("the first template again", lambda: template(api) == before)


def template(api: Api) -> Object:
    metadata: Object = api.get("StatefulSet", INSTANCE)["spec"]["template"]["metadata"]
    return metadata


def slots(api: Api) -> list[str]:
    return api.kubectl("get", "secrets", "--selector=mcs.tvox.io/slot", "--output=name").split()


def policies(api: Api) -> str:
    return api.kubectl("get", "networkpolicies", "--output=name").strip()


def the_pod_is_woken_and_replaced(api: Api) -> None:
    """Where no StatefulSet controller runs, the test makes what it would make."""
    stateful_set = api.get("StatefulSet", INSTANCE)
    if not stateful_set.get("status", {}).get("observedGeneration"):
        status = '{"status": {"replicas": 1, "observedGeneration": 1000}}'  # also of a template that comes yet
        api.kubectl("patch", "statefulset", INSTANCE, "--subresource=status", "--type=merge", f"--patch={status}")
        place_pod(api, INSTANCE, nodeSelector={"mcs.tvox.io/nowhere": "true"})
    first = api.get("Pod", POD)["metadata"]["uid"]
    api.create(a_link("gamma"))
    until("a poke", lambda: "mcs.tvox.io/poke" in (api.get("Pod", POD)["metadata"].get("annotations") or {}))
    api.merge("MCSInstance", INSTANCE, {"metadata": {"annotations": {"mcs.tvox.io/restart-requested-at": now()}}})
    until("the pod is deleted", lambda: uid_of_pod(api) != first, 60)


def the_media_changes_in_place(api: Api) -> None:
    """The API server alone knows no kubelet: a pod and a node of its own."""
    if api.find("Node", NODE):
        another_size_and_image(api)
        return
    with its_node(api):
        until("the pod is gone", lambda: api.find("Pod", POD) is None)
        place_pod(api, INSTANCE, nodeName=NODE)
        media_runs(api, INSTANCE)
        another_size_and_image(api)
        pull_ends(api, pull_of(api, INSTANCE), terminated={"exitCode": 0, "reason": "Completed"})
        until("another image", lambda: media_of(api)["image"] == "localhost/mcs/appliance:next", 60)


def another_size_and_image(api: Api) -> None:
    if api.resizes_in_place():
        api.change("MCSInstance", INSTANCE, resources={"limits": {"cpu": "750m", "memory": "512Mi"}})
        until("another size", lambda: media_of(api)["resources"]["limits"]["cpu"] == "750m", 60)
    api.change("MCSInstance", INSTANCE, image="localhost/mcs/appliance:next")
    pull_of(api, INSTANCE)


def its_node_is_maintained(api: Api) -> None:
    """Where the node is not there it is made, and the volume is one of that node alone."""
    if api.find("Node", "mcs-node"):
        return
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["mcs-node"]}
    volume = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/nowhere"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    api.create(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": api.namespace}, "spec": volume},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "mcs-node"}},
    )
    try:
        api.merge_status("Node", "mcs-node", {"conditions": [{"type": "Ready", "status": "True"}]})
        api.change("PersistentVolumeClaim", f"{INSTANCE}-data", volumeName=api.namespace)
        api.change("Node", "mcs-node", unschedulable=True)
        api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "NoNodeFits")
    finally:
        api.delete("Node", "mcs-node")
        api.delete("PersistentVolume", api.namespace)


def media_of(api: Api) -> Object:
    found: Object = api.get("Pod", POD)["spec"]["containers"][0]
    return found


def uid_of_pod(api: Api) -> str:
    pod = api.find("Pod", POD)
    return "" if pod is None or pod["metadata"].get("deletionTimestamp") else str(pod["metadata"]["uid"])


def now() -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")


def what_an_older_operator_left_goes(api: Api) -> None:
    """Children of the instance that nobody wants any more."""
    instance = api.get("MCSInstance", INSTANCE)
    owner = {
        "apiVersion": instance["apiVersion"],
        "kind": "MCSInstance",
        "name": INSTANCE,
        "uid": instance["metadata"]["uid"],
        "controller": True,
    }
    labels = {"app.kubernetes.io/managed-by": ACCOUNT, "mcs.tvox.io/instance": INSTANCE}
    for kind in ("Secret", "ConfigMap"):
        metadata = {"name": f"{INSTANCE}-of-yore", "labels": labels, "ownerReferences": [owner]}
        api.create({"apiVersion": "v1", "kind": kind, "metadata": metadata})
        until(f"no {kind} of yore", lambda kind=kind: api.find(kind, f"{INSTANCE}-of-yore") is None)


def everybody_leaves(api: Api, others: Sequence[str] = ("beta", "gamma")) -> None:
    for name in others:
        api.delete("TVoxLink", name, wait=10)
    until("their slots are free", lambda: slots(api) == ["secret/mcs-link-002"])
    api.delete("MCSInstance", INSTANCE, wait=10)
    api.wait_condition("TVoxLink", "acme", "Accepted", "False", "InstanceNotFound")
