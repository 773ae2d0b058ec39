"""Volume, Services and NetworkPolicy as an API server takes them, and what outlives an instance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.api import Api, Object, Refused
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import create_once_counted
from support.snapshots import files, identities, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration

CLAIM = "PersistentVolumeClaim"


def served(api: Api, *objects: Object) -> dict[str, str]:
    """Create these, and wait until all is quiet; the versions then."""
    for body in objects:
        create_once_counted(api, body)
    api.wait_condition("MCSInstance", "mcs", "Accepted", "True")
    return settled(api)


def requested(api: Api) -> str:
    return str(api.get(CLAIM, "mcs-data")["spec"]["resources"]["requests"]["storage"])


def owners(api: Api, kind: str, name: str) -> list[str]:
    return [o["kind"] for o in api.get(kind, name)["metadata"].get("ownerReferences", [])]


def nothing_failed(api: Api) -> None:
    """The API server took everything: else the instance says what it did not take."""
    status, reason, message = api.condition("MCSInstance", "mcs", "Reconciling")
    assert "not written" not in message, (status, reason, message)


# --- with what its images are pulled ---


def test_the_pod_is_pulled_with_the_instances_secrets_and_one_that_is_missing_is_named(
    api: Api, operator: Operator
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there"}, "type": "kubernetes.io/dockercfg"}
    api.create(secret | {"stringData": {".dockercfg": "{}"}})
    names = [{"name": "there"}, {"name": "gone"}]
    before = served(api, an_instance(domain="pulled.example.com", imagePullSecrets=names))
    nothing_failed(api)
    template = api.get("StatefulSet", "mcs")["spec"]["template"]["spec"]
    assert template["imagePullSecrets"] == [{"name": "gone"}, {"name": "there"}]
    message = api.wait_condition("MCSInstance", "mcs", "Reconciling", "True", "PullSecretNotFound")
    assert "spec.imagePullSecrets: gone: no such Secret" in message
    assert api.condition("MCSInstance", "mcs", "Stalled")[:2] == ("False", "NotStalled"), "it may still come"
    api.change("MCSInstance", "mcs", imagePullSecrets=None)
    api.wait_condition("MCSInstance", "mcs", "Reconciling", "True", "Progressing")
    assert "imagePullSecrets" not in api.get("StatefulSet", "mcs")["spec"]["template"]["spec"]
    assert before["Secret/there"] == versions(api)["Secret/there"], "only looked for"


# --- the volume ---


@pytest.mark.parametrize("tier", ["UpTo1000", "UpTo10000"])
def test_without_a_size_the_volume_is_the_tiers_150_gb(api: Api, operator: Operator, tier: str) -> None:
    served(api, an_instance(tier=tier, storage={}))
    claim = api.get(CLAIM, "mcs-data")
    assert claim["spec"]["resources"]["requests"]["storage"] == "150G"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert "storageClassName" not in claim["spec"]


def test_the_pod_mounts_it_by_name_and_no_template_makes_one(api: Api, operator: Operator) -> None:
    served(api, an_instance())
    spec = api.get("StatefulSet", "mcs")["spec"]
    assert "volumeClaimTemplates" not in spec
    volumes = {volume["name"]: volume for volume in spec["template"]["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "mcs-data"


@pytest.fixture
def growing(api: Api) -> Iterator[str]:
    """A StorageClass whose volumes may grow."""
    name = f"growing-{api.namespace}"
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    api.create(kind | {"provisioner": "test/none", "allowVolumeExpansion": True})
    yield name
    api.delete("StorageClass", name)


def bound(api: Api) -> None:
    """Have the claim look as after a provisioner's work: only such a one may grow."""
    api.merge_status(CLAIM, "mcs-data", {"phase": "Bound", "capacity": {"storage": requested(api)}})


def test_a_larger_size_grows_the_volume_in_place_and_restarts_nothing(
    api: Api, operator: Operator, growing: str
) -> None:
    served(api, an_instance(storage={"className": growing, "size": "1Gi"}))
    bound(api)
    before, uid = settled(api), api.get(CLAIM, "mcs-data")["metadata"]["uid"]
    api.change("MCSInstance", "mcs", storage={"size": "2Gi"})
    until("the volume grows", lambda: requested(api) == "2Gi", 15)
    now = settled(api)
    assert api.get(CLAIM, "mcs-data")["metadata"]["uid"] == uid
    assert now["StatefulSet/mcs"] == before["StatefulSet/mcs"]
    nothing_failed(api)


def test_a_volume_that_may_not_grow_says_so_and_everything_else_goes_on(api: Api, operator: Operator) -> None:
    served(api, an_instance(), a_community())
    bound(api)
    api.change("MCSInstance", "mcs", storage={"size": "2Gi"})

    def told() -> bool:
        message = api.condition("MCSInstance", "mcs", "Reconciling")[2]
        assert "PersistentVolumeClaim mcs-data" in message, message
        return True

    until("it is said", told, 15)
    assert requested(api) == "1Gi"
    api.create(a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    until("the link has its slot", lambda: api.find("Secret", "mcs-link-002"), 10)


def test_a_smaller_size_is_refused_at_the_door(api: Api, operator: Operator) -> None:
    served(api, an_instance(storage={"size": "2Gi"}))
    with pytest.raises(Refused, match="never shrinks"):
        api.change("MCSInstance", "mcs", storage={"size": "1Gi"})


def test_a_volume_that_is_larger_already_stays_as_it_is(api: Api, operator: Operator, growing: str) -> None:
    """It was kept from an instance before, or somebody made it grow by hand."""
    keeping = {"retain": {"storage": "Retain"}, "storage": {"className": growing, "size": "4Gi"}}
    served(api, an_instance(**keeping))
    bound(api)
    api.delete("MCSInstance", "mcs", wait=10)
    until("the rest is gone", lambda: api.find("StatefulSet", "mcs") is None, 20)
    uid = api.get(CLAIM, "mcs-data")["metadata"]["uid"]
    served(api, an_instance(**keeping | {"storage": {"className": growing, "size": "1Gi"}}))
    claim = api.get(CLAIM, "mcs-data")
    assert (claim["metadata"]["uid"], requested(api)) == (uid, "4Gi")
    nothing_failed(api)


def test_a_kept_volume_of_another_class_is_taken_up_as_it_is(api: Api, operator: Operator, growing: str) -> None:
    """A volume does not move between classes; the data on it is what counts."""
    keeping = {"retain": {"storage": "Retain"}}
    served(api, an_instance(**keeping, storage={"className": growing, "size": "1Gi"}))
    api.delete("MCSInstance", "mcs", wait=10)
    until("the rest is gone", lambda: api.find("StatefulSet", "mcs") is None, 20)
    served(api, an_instance(**keeping, storage={"className": "another", "size": "1Gi"}))
    assert api.get(CLAIM, "mcs-data")["spec"]["storageClassName"] == growing
    nothing_failed(api)


@pytest.mark.parametrize(("policy", "kinds"), [("Retain", []), ("Delete", ["MCSInstance"])])
def test_the_volume_outlives_its_instance_only_where_that_is_wanted(
    api: Api, operator: Operator, policy: str, kinds: list[str]
) -> None:
    served(api, an_instance(retain={"storage": policy}))
    assert owners(api, CLAIM, "mcs-data") == kinds
    operator.stop()  # nobody but the garbage collector is needed
    api.delete("MCSInstance", "mcs", wait=10)
    until("the StatefulSet is gone", lambda: api.find("StatefulSet", "mcs") is None, 20)
    if policy == "Retain":
        assert api.find(CLAIM, "mcs-data")
    else:
        until("the volume goes", lambda: _gone_or_going(api, CLAIM, "mcs-data"), 20)


def _gone_or_going(api: Api, kind: str, name: str) -> bool:
    body = api.find(kind, name)
    return body is None or "deletionTimestamp" in body["metadata"]


def test_the_volumes_fate_can_be_changed_at_any_time(api: Api, operator: Operator) -> None:
    served(api, an_instance(retain={"storage": "Retain"}))
    for policy, kinds in (("Delete", ["MCSInstance"]), ("Retain", []), ("Delete", ["MCSInstance"])):
        api.change("MCSInstance", "mcs", retain={"storage": policy})
        until(f"{policy}", lambda kinds=kinds: owners(api, CLAIM, "mcs-data") == kinds, 10)


# --- the identities ---


IDENTITIES = ("mcs-ca", "acme-profile", "gone-profile")


def two_customers(api: Api, policy: str) -> None:
    """One who is there, and one who has left and whose identity is kept for him."""
    instance = an_instance(retain={"storage": "Delete", "pki": policy})
    served(api, instance, a_community(), a_link("acme"), a_link("gone"))
    until("both have their identities", lambda: len(identities(api)) == 2, 15)
    api.delete("TVoxLink", "gone", wait=5)
    until("his slot is free", lambda: len([n for n in versions(api) if n.startswith("Secret/mcs-link-")]) == 1, 15)
    settled(api)


@pytest.mark.parametrize(("policy", "kinds"), [("Retain", []), ("Delete", ["MCSInstance"])])
def test_identities_go_with_their_instance_only_where_that_is_wanted(
    api: Api, operator: Operator, policy: str, kinds: list[str]
) -> None:
    two_customers(api, policy)
    assert [owners(api, "Secret", name) for name in IDENTITIES] == [kinds] * 3
    operator.stop()
    api.delete("MCSInstance", "mcs", wait=10)
    until("the agent's Secret is gone", lambda: api.find("Secret", "mcs-agent") is None, 20)
    if policy == "Retain":
        assert all(api.find("Secret", name) for name in IDENTITIES)
    else:
        until("all are gone", lambda: not any(api.find("Secret", name) for name in IDENTITIES), 20)


def test_the_identities_fate_can_be_changed_at_any_time(api: Api, operator: Operator) -> None:
    """Also of those who have left: else "Retain" would come too late for them."""
    two_customers(api, "Delete")
    before = identities(api)
    for policy, kinds in (("Retain", []), ("Delete", ["MCSInstance"]), ("Retain", [])):
        api.change("MCSInstance", "mcs", retain={"pki": policy})
        until(policy, lambda kinds=kinds: [owners(api, "Secret", n) for n in IDENTITIES] == [kinds] * 3, 15)
    assert identities(api) == before
    api.delete("MCSInstance", "mcs", wait=10)
    until("the agent's Secret is gone", lambda: api.find("Secret", "mcs-agent") is None, 20)
    assert identities(api) == before


@pytest.mark.parametrize("down", [True, False], ids=["operator down meanwhile", "operator up"])
def test_after_identities_that_went_everybody_gets_a_new_one_and_nothing_is_said_to_be_lost(
    api: Api, operator: Operator, down: bool
) -> None:
    two_customers(api, "Delete")
    before, slot = identities(api), versions(api)["Secret/mcs-link-002"]
    if down:
        operator.stop()
    api.delete("MCSInstance", "mcs", wait=10)
    if down:
        until("they are gone", lambda: not identities(api), 20)
        assert versions(api)["Secret/mcs-link-002"] == slot  # it stays with its link
        operator.start()
    create_once_counted(api, an_instance(retain={"storage": "Delete", "pki": "Delete"}))

    def has_a_new_one() -> bool:
        now = identities(api)
        return set(now) == {"acme"} and now["acme"].certificate != before["acme"].certificate

    until("acme has a new identity, and those of before are gone", has_a_new_one, 60)
    settled(api)
    api.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")
    api.wait_condition("TVoxLink", "acme", "Stalled", "False", "NotStalled")
    assert has_a_new_one()
    told = {event["reason"] for event in api.list("Event")}
    assert not told & {"IdentityLost", "ProfileLost", "CAInvalid"}


def test_a_ca_deleted_by_hand_is_a_loss_also_where_it_would_go_with_its_instance(api: Api, operator: Operator) -> None:
    two_customers(api, "Delete")
    before = settled(api)
    api.delete("Secret", "mcs-ca", wait=5)
    api.wait_condition("MCSInstance", "mcs", "Stalled", "True", "IdentityLost")
    now = settled(api)
    assert "Secret/mcs-ca" not in now
    assert now["Secret/mcs-link-002"] == before["Secret/mcs-link-002"]


# --- the ways in ---


@pytest.mark.timeout(120)
@pytest.mark.parametrize("slots", [1, 250])
@pytest.mark.parametrize("mode", ["HostPort", "HostNetwork", "LoadBalancer"])
def test_an_api_server_takes_every_network_mode(api: Api, operator: Operator, mode: str, slots: int) -> None:
    spec: Object = {"network": {"mode": mode}, "vpn": {"slots": slots}}
    if mode == "LoadBalancer":
        spec["nodeSelector"] = {}
    served(api, an_instance(**spec))
    nothing_failed(api)
    pod = api.get("StatefulSet", "mcs")["spec"]["template"]["spec"]
    ports = [port for container in pod["containers"] for port in container.get("ports", [])]
    published = {(port["hostPort"], port["protocol"]) for port in ports if "hostPort" in port}
    links = {(21000 + n, protocol) for n in range(2, 2 + slots) for protocol in ("UDP", "TCP")}
    everybody = {(80, "TCP"), (443, "TCP"), (3478, "TCP"), (3478, "UDP"), (10000, "UDP")} | links
    services = {service["metadata"]["name"]: service["spec"] for service in api.list("Service")}
    policies = [policy["metadata"]["name"] for policy in api.list("NetworkPolicy")]

    assert services["mcs"]["clusterIP"] == "None"
    assert services["mcs"]["publishNotReadyAddresses"] is True
    if mode == "LoadBalancer":
        public = services["mcs-public"]
        assert (public["type"], public["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
        assert {(port["port"], port["protocol"]) for port in public["ports"]} == everybody
        assert published == set()
    else:
        assert set(services) == {"mcs"}
        assert published == everybody
    assert policies == ([] if mode == "HostNetwork" else ["mcs"])
    assert pod.get("hostNetwork", False) is (mode == "HostNetwork")
    for spec in services.values():
        assert spec["selector"]["statefulset.kubernetes.io/pod-name"] == "mcs-0"
    never = {21000, 21001}
    assert not never & {port for port, _ in published}
    assert not never & {p["port"] for s in services.values() for p in s["ports"]}


@pytest.mark.parametrize("mode", ["HostPort", "HostNetwork", "LoadBalancer"])
def test_behind_nat_the_profile_has_the_public_address_and_a_new_one_restarts_no_tunnel(
    api: Api, operator: Operator, mode: str
) -> None:
    """NAT 1:1: what the TVox dials is not what the node has."""
    public = {"nodeSelector": {}} if mode == "LoadBalancer" else {}
    served(api, an_instance(address="203.0.113.10", network={"mode": mode}, **public), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")

    def remotes() -> list[str]:
        profile = files(api.get("Secret", "acme-profile"))["acme.ovpn"]
        return [line for line in profile.splitlines() if line.startswith("remote ")]

    until("the profile is there", lambda: api.find("Secret", "acme-profile"), 15)
    assert remotes() == ["remote mcs.test 21002", "remote 203.0.113.10 21002"]
    before = settled(api)

    api.change("MCSInstance", "mcs", publicAddress="203.0.113.77")

    until("the profile follows", lambda: remotes() == ["remote mcs.test 21002", "remote 203.0.113.77 21002"], 15)
    now = settled(api)
    assert now["Secret/mcs-link-002"] == before["Secret/mcs-link-002"]
    assert now["StatefulSet/mcs"] == before["StatefulSet/mcs"]


@pytest.mark.parametrize(
    ("device", "path"),
    [
        pytest.param({"resourceName": "example.com/tun"}, None, id="a device plugin's resource"),
        pytest.param({"hostPath": "/dev/net/tun"}, "/dev/net/tun", id="the usual path"),
        pytest.param({"hostPath": "/run/devices/tun"}, "/run/devices/tun", id="another path of the node"),
    ],
)
def test_the_tun_device_comes_from_where_the_instance_says(
    api: Api, operator: Operator, device: dict[str, str], path: str | None
) -> None:
    """No device plugin runs here: what an API server takes is what is shown."""
    served(api, an_instance(vpn={"slots": 2, "tunDevice": device}))
    nothing_failed(api)
    spec = api.get("StatefulSet", "mcs")["spec"]["template"]["spec"]
    assert [v["hostPath"] for v in spec["volumes"] if "hostPath" in v] == (
        [{"path": path, "type": "CharDevice"}] if path else []
    )
    for slot in spec["containers"][2:]:
        mounts = [m for m in slot["volumeMounts"] if m["mountPath"] == "/dev/net/tun"]
        assert len(mounts) == (1 if path else 0)
        assert slot["resources"]["limits"].get("example.com/tun") == (None if path else "1")


def test_a_change_of_the_mode_takes_away_what_the_one_before_needed(api: Api, operator: Operator) -> None:
    served(api, an_instance())
    api.change("MCSInstance", "mcs", network={"mode": "LoadBalancer"})
    until("the public Service is there", lambda: api.find("Service", "mcs-public"), 15)
    api.change("MCSInstance", "mcs", network={"mode": "HostNetwork"})
    until("the public Service is gone", lambda: api.find("Service", "mcs-public") is None, 15)
    until("the NetworkPolicy is gone", lambda: api.find("NetworkPolicy", "mcs") is None, 15)
    api.change("MCSInstance", "mcs", network={"mode": "HostPort"})
    until("the NetworkPolicy is back", lambda: api.find("NetworkPolicy", "mcs"), 15)
    nothing_failed(api)


def test_the_policy_lets_in_what_is_public_and_out_to_no_private_network(api: Api, operator: Operator) -> None:
    served(api, an_instance())
    spec = api.get("NetworkPolicy", "mcs")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    public = spec["ingress"][0]["ports"]
    ranges = {(p["port"], p.get("endPort", p["port"]), p["protocol"]) for p in public}
    assert ranges == {
        (80, 80, "TCP"),
        (443, 443, "TCP"),
        (3478, 3478, "TCP"),
        (3478, 3478, "UDP"),
        (10000, 10000, "UDP"),
        (21002, 21007, "UDP"),
        (21002, 21007, "TCP"),
    }
    dns = [rule for rule in spec["egress"] if {port["port"] for port in rule.get("ports", [])} == {53, 5353}]
    assert [to["ipBlock"]["cidr"] for rule in dns for to in rule["to"] if "ipBlock" in to] == ["169.254.20.10/32"]
    blocks = [to["ipBlock"] for r in spec["egress"] if r not in dns for to in r.get("to", []) if "ipBlock" in to]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0"]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} <= set(blocks[0]["except"])
