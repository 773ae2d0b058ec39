"""Fields that no test of `make test` changes, on a real node: what `kubectl mcs plan` foretells is what happens.

In the order in which they stand here, as one instance has them all: before there is a customer, what nobody notices,
what waits for its hour, and then two restarts that bring into force all of what waited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.test_provided import KUBELET, RESOURCE, SLOTS, devices
from mcs_operator.api.quantity import parse_quantity
from support.api import Api, Object
from support.cluster import Node
from support.lab import sh
from support.mcs import POD, Mcs, standing
from support.objects import INSTANCE, a_community
from support.operator import Operator
from support.plugin import planned, write_plugin
from support.waiting import until

__all__ = ["devices"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator_process")]

FIRST, SPARE = "acme", "spare"
DEVICE = "/dev/mcs-test-tun"
TOLERATION = {
    "key": "mcs.test/media",
    "operator": "Equal",
    "value": "a",
    "effect": "NoExecute",
    "tolerationSeconds": 60,
}
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}}
"""And the limits of the tier."""

HOT: dict[str, tuple[str, str, Object, Object]] = {
    "spec.tls.secretRef.name": ("MCSInstance", INSTANCE, {"tls": {"secretRef": {"name": "nothing"}}}, {"tls": None}),
    "spec.instanceRef.name": (
        "Community",
        SPARE,
        {"instanceRef": {"name": "elsewhere"}},
        {"instanceRef": {"name": INSTANCE}},
    ),
    "spec.communityRef.name": (
        "TVoxLink",
        FIRST,
        {"communityRef": {"name": SPARE}},
        {"communityRef": {"name": "acme"}},
    ),
    "spec.storage.size": ("MCSInstance", INSTANCE, {"storage": {"size": "2Gi"}}, {}),
}
"""Kind, name, the change, and what undoes it; a volume does not get smaller."""
IN_PLACE: dict[str, Object] = {
    "spec.resources.requests.cpu": {"resources": {"requests": {"cpu": "60m"}}},
    "spec.resources.requests.memory": {"resources": {"requests": {"memory": "80Mi"}}},
    "spec.tier": {"tier": "UpTo10000"},
}
RESTART: dict[str, Object] = {
    "nodeSelector": {"nodeSelector": {"kubernetes.io/os": "linux"}},
    "imagePullSecrets": {"imagePullSecrets": [{"name": "registry"}]},
    "tolerations, value": {"tolerations": [TOLERATION | {"value": "b"}]},
    "tolerations, tolerationSeconds": {"tolerations": [TOLERATION | {"tolerationSeconds": 90}]},
    "tolerations, effect": {
        "tolerations": [{"key": "mcs.test/media", "operator": "Equal", "value": "a", "effect": "NoSchedule"}]
    },
    "network.mode": {"network": {"mode": "HostNetwork"}},
    "network.mediaPort": {"network": {"mediaPort": 10002}},
    "vpn.tunDevice.hostPath": {"vpn": {"tunDevice": {"hostPath": DEVICE}}},
    "vpn.tunDevice.resourceName": {"vpn": {"tunDevice": {"resourceName": RESOURCE}}},
}
"""By what is foretold, and of a list by what changes in it."""
UNDO: Object = {
    "nodeSelector": {"kubernetes.io/os": None},
    "imagePullSecrets": None,
    "tolerations": [TOLERATION],
    "network": None,
    "vpn": {"tunDevice": None},
}


def windows(begins: datetime) -> Object:
    """One, of an hour, that begins then."""
    schedule = f"{begins.minute} {begins.hour} {begins.day} {begins.month} *"
    return {"windows": [{"schedule": schedule, "duration": "1h"}]}


@pytest.fixture(scope="module")
def device() -> Iterator[None]:
    """The tun device under another name."""
    if not KUBELET.exists():
        pytest.skip(f"no {KUBELET}: the node is not this machine")
    Path(DEVICE).unlink(missing_ok=True)
    sh("mknod", DEVICE, "c", "10", "200")
    yield
    Path(DEVICE).unlink()


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator, device: None, devices: str) -> Iterator[Mcs]:
    """An instance whose window is a month away, and nobody's yet."""
    spec = {"vpn": {"slots": SLOTS}, "tolerations": [TOLERATION], "resources": SMALL, "drainSeconds": 5}
    with standing(node, server, disruptions=windows(datetime.now(UTC) + timedelta(days=40)), **spec) as mcs:
        mcs.api.create(a_community(SPARE))
        mcs.api.kubectl("create", "secret", "docker-registry", "registry", "--docker-username=a", "--docker-password=b")
        yield mcs


@pytest.fixture(scope="module")
def customer(mcs: Mcs) -> str:
    """He is connected, and the witness of what nobody notices."""
    mcs.link(FIRST)
    mcs.connect(FIRST)
    return FIRST


@pytest.fixture
def plan(mcs: Mcs, tmp_path: Path) -> Callable[..., Object]:
    """What the plugin says of a change."""
    write_plugin(tmp_path)

    def plan(kind: str, name: str, change: Object) -> Object:
        live = mcs.api.get(kind, name)
        body = {"apiVersion": live["apiVersion"], "kind": kind, "metadata": {"name": name}}
        return planned(mcs.api, tmp_path, body | {"spec": merged(live["spec"], change)})

    return plan


def merged(spec: Object, change: Object) -> Object:
    """As the API server merges a patch."""
    new = dict(spec)
    for key, value in change.items():
        new[key] = merged(new.get(key) or {}, value) if isinstance(value, dict) else value
    return {key: value for key, value in new.items() if value is not None}


def foretold(told: Object) -> tuple[dict[str, str], list[str]]:
    """Each field with its impact, and who is interrupted."""
    return {field["path"]: field["impact"] for field in told["fields"]}, told["customers"]


def observed(mcs: Mcs, kind: str, name: str) -> None:
    """Wait until the operator has told of the present spec."""

    def look() -> bool:
        body = mcs.api.get(kind, name)
        return bool(body["status"].get("observedGeneration") == body["metadata"]["generation"])

    until(f"{kind}/{name} is told", look, 30)


def test_another_domain_before_there_are_links_is_served_and_restarts_nothing(
    mcs: Mcs, plan: Callable[..., Object]
) -> None:
    before, was = mcs.identity(), mcs.node.zone
    assert mcs.answers_outside(was, 200)
    for domain in (f"other.{was}", was):
        assert foretold(plan("MCSInstance", INSTANCE, {"domain": domain})) == ({"spec.domain": "Hot"}, [])
        mcs.api.change("MCSInstance", INSTANCE, domain=domain)
        assert mcs.answers_outside(domain, 200)
    assert mcs.identity() == before


def test_fields_that_are_hot_are_changed_and_undone_and_no_tunnel_notices(
    mcs: Mcs, customer: str, plan: Callable[..., Object]
) -> None:
    since = mcs.status(customer)["tunnel"]["since"]
    with mcs.unnoticed(by=customer):
        for path, (kind, name, change, undo) in HOT.items():
            assert foretold(plan(kind, name, change)) == ({path: "Hot"}, [])
            for spec in filter(None, (change, undo)):
                mcs.api.change(kind, name, **spec)
                observed(mcs, kind, name)
        until("the volume has grown", lambda: volume(mcs) == "2Gi", 60)
    assert mcs.status(customer)["tunnel"]["since"] == since


def volume(mcs: Mcs) -> str:
    claim = mcs.api.get("PersistentVolumeClaim", f"{INSTANCE}-data")
    return str(claim["status"]["capacity"]["storage"])


def test_a_size_is_in_force_and_nobody_notices(mcs: Mcs, customer: str, plan: Callable[..., Object]) -> None:
    """Memory only grows: a kubelet that cannot tell what a container uses, as with cgroup v1, takes none away."""
    with mcs.unnoticed(by=customer):
        for path, change in IN_PLACE.items():
            assert foretold(plan("MCSInstance", INSTANCE, change)) == ({path: "InPlace"}, [])
            before = wanted(mcs)
            mcs.api.change("MCSInstance", INSTANCE, **change)
            until(f"{path} is in the pod", lambda before=before: wanted(mcs) != before, 30)
            until(f"{path} is in force", lambda: in_force(mcs) == wanted(mcs), 300)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")


def wanted(mcs: Mcs) -> Any:
    """The media's size, as it is to be."""
    return amounts(mcs.api.get("Pod", POD)["spec"]["containers"][0]["resources"])


def in_force(mcs: Mcs) -> Any:
    """And as the kubelet says that it is."""
    told = mcs.api.get("Pod", POD)["status"]["containerStatuses"]
    return amounts(next(one["resources"] for one in told if one["name"] == "media"))


def amounts(resources: Object) -> Any:
    """In numbers: the kubelet has a spelling of its own."""
    return {side: {name: parse_quantity(text) for name, text in of.items()} for side, of in resources.items()}


def test_each_field_of_the_template_waits_for_its_hour_by_itself_and_nobody_notices(
    mcs: Mcs, customer: str, plan: Callable[..., Object]
) -> None:
    with mcs.unnoticed(by=customer):
        for name, change in RESTART.items():
            told = plan("MCSInstance", INSTANCE, change)
            fields, customers = foretold(told)
            assert (fields[f"spec.{name.partition(',')[0]}"], customers) == ("Restart", [customer]), name
            mcs.api.change("MCSInstance", INSTANCE, **change)
            mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "Waiting")
            (waits,) = mcs.api.get("MCSInstance", INSTANCE)["status"]["disruptions"]
            assert (waits["cause"], waits["impact"]) == ("SpecChanged", "Restart"), name
            assert waits["plannedFor"] in told["effect"], "the hour that was foretold"
            mcs.api.change("MCSInstance", INSTANCE, **{field: UNDO[field] for field in change})
            mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False", "UpToDate")


@contextmanager
def restarting_once(mcs: Mcs, customer: str) -> Iterator[None]:
    """What happens in the block replaces the pod, once, cuts the customer off, and lets him come back by himself."""
    mcs.release(customer)
    before, since = mcs.identity().uid, up_since(mcs, customer)
    done = [one["number"] for one in mcs.api.get("MCSInstance", INSTANCE)["status"].get("interruptions", [])]
    yield

    def another() -> str:
        pod = mcs.api.find("Pod", POD)
        assert pod is not None and pod["metadata"]["uid"] != before, "the old pod is still there"
        return str(pod["metadata"]["uid"])

    after = until("another pod is there", another, 120)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", "Serving", timeout=120)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False", "UpToDate")
    until("he is back", lambda: up_since(mcs, customer) > since, 60)
    mcs.connected(customer)
    assert mcs.identity().uid == after, "it was replaced once"
    made = mcs.api.get("MCSInstance", INSTANCE)["status"]["interruptions"]
    assert [(one["cause"], one["links"]) for one in made if one["number"] not in done] == [("SpecChanged", 1)]


def up_since(mcs: Mcs, customer: str) -> str:
    """Empty while his link has no tunnel that anybody knows of."""
    return str(mcs.status(customer).get("tunnel", {}).get("since", ""))


def test_one_restart_brings_all_of_them_into_force(mcs: Mcs, customer: str, plan: Callable[..., Object]) -> None:
    change: Object = {"disruptions": windows(datetime.now(UTC) - timedelta(minutes=2))}
    for name in RESTART.keys() - {"tolerations, value", "tolerations, tolerationSeconds", "vpn.tunDevice.resourceName"}:
        change = merged(change, RESTART[name])
    assert foretold(plan("MCSInstance", INSTANCE, change))[1] == [customer]
    with restarting_once(mcs, customer):
        mcs.api.change("MCSInstance", INSTANCE, **change)
    pod = mcs.api.get("Pod", POD)["spec"]
    assert pod["hostNetwork"] and pod["nodeSelector"]["kubernetes.io/os"] == "linux"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert {"key": "mcs.test/media", "operator": "Equal", "value": "a", "effect": "NoSchedule"} in pod["tolerations"]
    assert DEVICE in [volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume]


def test_another_one_the_rest(mcs: Mcs, customer: str, plan: Callable[..., Object]) -> None:
    change: Any = {
        "network": {"mode": "HostPort"},
        "tolerations": [TOLERATION | {"value": "b", "tolerationSeconds": 90}],
        "vpn": {"tunDevice": {"hostPath": None, "resourceName": RESOURCE}},
    }
    assert foretold(plan("MCSInstance", INSTANCE, change))[1] == [customer]
    with restarting_once(mcs, customer):
        mcs.api.change("MCSInstance", INSTANCE, **change)
    pod = mcs.api.get("Pod", POD)["spec"]
    ports = [port for container in pod["containers"] for port in container.get("ports", [])]
    assert 10002 in [port.get("hostPort") for port in ports]
    assert TOLERATION | {"value": "b", "tolerationSeconds": 90} in pod["tolerations"]
    slots = [container for container in pod["containers"] if container["name"].startswith("link-")]
    assert [slot["resources"]["requests"][RESOURCE] for slot in slots] == ["1"] * SLOTS
