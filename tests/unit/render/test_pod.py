"""The media pod's template: it knows no customer, fits where it has to, and gives a slot no more than it needs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from mcs_operator.contract.digest import canonical
from mcs_operator.domain.decide import decide
from mcs_operator.render.hashes import restart_hash, template_hash
from mcs_operator.render.render import Desired, render
from mcs_operator.settings import ContainerResources, Settings
from support.worlds import community, given, identity, instance, keys_for, link, links, users_file

STATEFUL_SET_LIMIT = 400_000
"""Bytes: the stored pod has to stay under half of etcd's 1.5 MiB."""


def desired(*things: Any, settings: Settings | None = None) -> Desired:
    world = given(*things)
    plan = decide(world)
    return render(world, plan, keys_for(plan), settings or Settings())


def stateful_set(*things: Any, settings: Settings | None = None) -> dict[str, Any]:
    (found,) = [m.body for m in desired(*things, settings=settings).manifests if m.kind == "StatefulSet"]
    return found


def pod(*things: Any) -> dict[str, Any]:
    spec: dict[str, Any] = stateful_set(*things)["spec"]["template"]["spec"]
    return spec


def containers(**spec: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pod(instance(**spec))["containers"]
    return found


EMPTY = [instance()]
CROWDS = [
    pytest.param([instance(), community(users=("a",)), link("a")], id="1 link"),
    pytest.param([instance(), community(users=[f"u{n}" for n in range(1000)]), links(249)], id="249 links"),
    pytest.param([instance(), community(users=[f"u{n}" for n in range(1000)]), links(250)], id="250 links"),
    pytest.param([instance(), community(), links(251)], id="251 links"),
    pytest.param([instance(), community(), link("a", protocol="TCP"), identity("a", 99)], id="a link at another place"),
    pytest.param([instance(), community(), link("a", enabled=False, allowedSources=["203.0.113.0/24"])], id="options"),
    pytest.param(
        [instance(), community(usersFrom=[{"configMapRef": {"name": "f"}}]), users_file("f", "[{name: z}]")], id="files"
    ),
    pytest.param([instance(domain="other.test", publicAddress="203.0.113.99")], id="hot fields of the instance"),
]


@pytest.mark.parametrize("crowd", CROWDS)
def test_the_template_is_byte_equal_whoever_is_served(crowd: list[Any]) -> None:
    assert canonical(stateful_set(*crowd)) == canonical(stateful_set(*EMPTY))


@pytest.mark.parametrize("mode", ["HostPort", "HostNetwork", "LoadBalancer"])
def test_a_stateful_set_with_250_slots_fits(mode: str) -> None:
    body = stateful_set(instance(network={"mode": mode}, resources=None), community(), links(250))
    assert len(body["spec"]["template"]["spec"]["containers"]) == 252
    assert len(json.dumps(body)) < STATEFUL_SET_LIMIT


@pytest.mark.parametrize("slots", [1, 249, 250])
def test_the_pod_has_as_many_slots_as_the_instance_says(slots: int) -> None:
    names = [c["name"] for c in containers(vpn={"slots": slots})]
    assert names == ["media", "agent", *(f"link-{number:03d}" for number in range(2, 2 + slots))]


def test_there_is_one_replica_that_only_the_operator_replaces() -> None:
    spec = stateful_set(instance())["spec"]
    assert (spec["replicas"], spec["updateStrategy"]) == (1, {"type": "OnDelete"})
    assert "volumeClaimTemplates" not in spec


@pytest.mark.parametrize("number", [2, 17, 251])
def test_one_number_names_container_ports_secret_and_directory(number: int) -> None:
    spec = pod(instance())
    slot = next(c for c in spec["containers"] if c["name"] == f"link-{number:03d}")
    assert {"name": "SLOT", "value": str(number)} in slot["env"]
    assert {(p["containerPort"], p["hostPort"], p["protocol"]) for p in slot["ports"]} == {
        (21000 + number, 21000 + number, "UDP"),
        (21000 + number, 21000 + number, "TCP"),
    }
    mounts = {m["mountPath"]: m for m in slot["volumeMounts"]}
    assert set(mounts) == {"/etc/link", "/run/link", "/run/stop", "/dev/net/tun"}
    assert mounts["/run/link"] == {"name": "run", "mountPath": "/run/link", "subPath": f"link-{number:03d}"}
    assert mounts["/run/stop"] == {"name": "stop", "mountPath": "/run/stop", "readOnly": True}, "no mount of its own"
    assert mounts["/etc/link"]["readOnly"] is True
    secret = next(v["secret"] for v in spec["volumes"] if v["name"] == mounts["/etc/link"]["name"])
    assert secret["secretName"] == f"mcs-link-{number:03d}"
    assert secret["optional"] is True


def test_no_slot_can_read_another_ones_keys() -> None:
    spec = pod(instance())
    secrets = {v["name"] for v in spec["volumes"] if "secret" in v}
    for slot in spec["containers"][2:]:
        assert {m["name"] for m in slot["volumeMounts"]} & secrets == {slot["name"]}
    for other in spec["containers"][:2]:
        assert not [m for m in other["volumeMounts"] if m["name"].startswith("link-")]


def test_ports_and_their_names_are_unique() -> None:
    """The API server refuses a port's name twice in one container only; a host port twice is never scheduled."""
    ports = [p for c in containers() for p in c.get("ports", [])]
    taken = [(p["hostPort"], p["protocol"]) for p in ports]
    assert len(taken) == len(set(taken)) == 505
    assert all(len(p["name"]) <= 15 for p in ports)
    for container in containers():
        names = [p["name"] for p in container.get("ports", [])]
        assert len(names) == len(set(names))


def test_contract_and_agent_are_never_published() -> None:
    published = {p["containerPort"] for c in containers() for p in c.get("ports", [])}
    assert not published & {21000, 21001}


def test_with_a_load_balancer_no_port_of_the_node_is_taken() -> None:
    ports = [p for c in containers(network={"mode": "LoadBalancer"}) for p in c.get("ports", [])]
    assert ports
    assert not any("hostPort" in p for p in ports)


def test_on_the_nodes_network_names_are_still_the_clusters() -> None:
    spec = pod(instance(network={"mode": "HostNetwork"}))
    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert "sysctls" not in spec["securityContext"]
    for container in spec["containers"]:
        for port in container.get("ports", []):
            assert port["hostPort"] == port["containerPort"]


def test_on_the_nodes_network_what_a_killed_pod_left_there_is_swept_before_anything_starts() -> None:
    (sweep,) = pod(instance(network={"mode": "HostNetwork"}))["initContainers"]
    assert sweep["command"] == ["/usr/local/bin/sweep"]
    assert sweep["env"] == [{"name": "VPN_CIDR", "value": "198.18.254.0/24"}]
    assert sweep["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    for mode in ("HostPort", "LoadBalancer"):
        assert "initContainers" not in pod(instance(network={"mode": mode})), "a network of its own ends with the pod"


@pytest.mark.parametrize(("mode", "guards"), [("HostPort", []), ("LoadBalancer", []), ("HostNetwork", ["link-002"])])
def test_on_the_nodes_network_the_first_slot_guards_the_contract_port(mode: str, guards: list[str]) -> None:
    told = {
        c["name"]: {e["name"]: e["value"] for e in c.get("env", [])} for c in containers(network={"mode": mode})[2:]
    }
    assert [name for name, env in told.items() if env.get("CONTRACT_PORT") == "21000"] == guards


def test_only_slots_have_net_admin_and_nothing_is_privileged() -> None:
    for container in containers():
        security = container["securityContext"]
        assert security["capabilities"]["drop"] == ["ALL"]
        added = security["capabilities"].get("add", [])
        assert added == (["NET_ADMIN"] if container["name"].startswith("link-") else [])
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert "privileged" not in security


def test_the_pod_has_no_token_no_service_links_and_the_default_seccomp() -> None:
    spec = pod(instance())
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize(
    ("slots", "first", "last"),
    [(1, 2.02, 2.02), (64, 3.28, 7.06), (65, 3.3, 13.54), (249, 6.98, 46.66), (250, 7, 46.84)],
)
def test_slots_exit_one_after_the_other_and_none_before_all_were_asked(slots: int, first: float, last: float) -> None:
    """Over a hundred exits at once, or while others are asked, would jam the container runtime."""
    spec = pod(instance(vpn={"slots": slots}))
    turns = [float(e["value"]) for c in spec["containers"][2:] for e in c["env"] if e["name"] == "TURN"]
    assert (turns[0], turns[-1]) == (first, last)
    assert turns == sorted(turns) and len(turns) == slots
    assert spec["terminationGracePeriodSeconds"] == round(last) + 60


def test_no_container_has_a_hook_that_would_run_when_it_alone_is_replaced() -> None:
    assert not any("lifecycle" in container for container in containers())


def test_the_agent_tells_the_slots_and_they_only_read_it() -> None:
    _, agent, *_ = containers()
    assert {"name": "MCS_STOP_DIR", "value": "/run/stop"} in agent["env"]
    assert {"name": "stop", "mountPath": "/run/stop"} in agent["volumeMounts"]


def test_the_agent_reads_what_the_slots_write_and_writes_into_a_folder_of_its_own() -> None:
    """A set that it could plant in an idle slot would run there as root."""
    _, agent, *slots = containers()
    of_run = [m for m in agent["volumeMounts"] if m["name"] == "run"]
    assert of_run == [
        {"name": "run", "mountPath": "/run/links", "readOnly": True},
        {"name": "run", "mountPath": "/run/agent", "subPath": "agent"},
    ]
    assert {"name": "MCS_MEMORY_DIR", "value": "/run/agent"} in agent["env"]
    assert "agent" not in {m.get("subPath") for slot in slots for m in slot["volumeMounts"]}


@pytest.mark.parametrize("number", [2, 17, 251])
def test_a_slots_keys_are_its_own_users_to_read_and_nobody_elses(number: int) -> None:
    """The slot runs as root without the capability to read what is another's; 0400 keeps the pod's group out."""
    (secret,) = [v["secret"] for v in pod(instance())["volumes"] if v["name"] == f"link-{number:03d}"]
    assert secret["defaultMode"] == 0o400


def test_copies_of_keys_never_reach_a_disk() -> None:
    volumes = {v["name"]: v["emptyDir"] for v in pod(instance())["volumes"] if "emptyDir" in v}
    assert volumes == {
        "scratch": {"medium": "Memory", "sizeLimit": "64Mi"},
        "run": {"medium": "Memory", "sizeLimit": "64Mi"},
        "stop": {"medium": "Memory", "sizeLimit": "1Mi"},
    }


def test_a_silent_node_evicts_nobody() -> None:
    tolerations = pod(instance())["tolerations"]
    for taint in ("not-ready", "unreachable"):
        (found,) = [t for t in tolerations if t["key"] == f"node.kubernetes.io/{taint}"]
        assert "tolerationSeconds" not in found


def test_the_users_tolerations_are_taken_over_word_for_word_and_as_plain_data() -> None:
    """A field with null, or a type that YAML does not know, would be none of a pod's."""
    wanted = [
        {"key": "media", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ]
    tolerations = pod(instance(tolerations=wanted))["tolerations"]
    assert yaml.safe_load(yaml.safe_dump(tolerations)) == [
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
        *wanted,
    ]


def test_the_pod_is_pinned_to_its_node() -> None:
    assert pod(instance())["nodeSelector"] == {"kubernetes.io/hostname": "mcs-node"}


def test_all_shards_there_will_ever_be_are_mounted_from_the_start() -> None:
    volumes = {v["name"]: v for v in pod(instance())["volumes"]}
    sources = volumes["config"]["projected"]["sources"]
    names = [next(iter(s.values()))["name"] for s in sources]
    assert names == [
        *(f"mcs-users-{n:02d}" for n in range(16)),
        *(f"mcs-certs-{n}" for n in range(8)),
        "mcs-links",
        "mcs-manifest",
    ]
    assert all(next(iter(s.values()))["optional"] is True for s in sources)


@pytest.mark.parametrize("slots", [1, 250])
def test_every_mount_has_its_volume_and_every_volume_its_mount(slots: int) -> None:
    spec = pod(instance(vpn={"slots": slots}))
    volumes = [v["name"] for v in spec["volumes"]]
    mounted = {m["name"] for c in spec["containers"] for m in c["volumeMounts"]}
    assert set(volumes) == mounted
    assert len(volumes) == len(set(volumes))


def test_with_a_device_plugin_no_path_of_the_node_is_mounted() -> None:
    spec = pod(instance(vpn={"slots": 2, "tunDevice": {"resourceName": "example.com/tun"}}))
    assert not [v for v in spec["volumes"] if "hostPath" in v]
    for slot in spec["containers"][2:]:
        assert slot["resources"]["limits"]["example.com/tun"] == "1"
        assert not [m for m in slot["volumeMounts"] if m["mountPath"] == "/dev/net/tun"]


def test_the_nodes_device_is_where_the_user_says_and_must_be_a_character_device() -> None:
    volumes = pod(instance(vpn={"slots": 2, "tunDevice": {"hostPath": "/dev/tun7"}}))["volumes"]
    assert [v for v in volumes if v["name"] == "tun"] == [
        {"name": "tun", "hostPath": {"path": "/dev/tun7", "type": "CharDevice"}}
    ]


# --- what restarts ---


@pytest.mark.parametrize(
    "change",
    [
        {"nodeSelector": {"kubernetes.io/hostname": "other"}},
        {"vpn": {"slots": 249}},
        {"network": {"mode": "LoadBalancer"}},
        {"network": {"mediaPort": 10002}},
        {"tolerations": [{"key": "x", "operator": "Exists"}]},
    ],
    ids=str,
)
def test_a_field_that_is_in_the_template_changes_the_restart_hash(change: dict[str, Any]) -> None:
    assert restart_hash(instance(**change)) != restart_hash(instance())
    assert canonical(stateful_set(instance(**change))) != canonical(stateful_set(instance()))


@pytest.mark.parametrize(
    "change",
    [{"image": "localhost/mcs/appliance:next"}, {"tier": "UpTo10000"}, {"resources": {"limits": {"cpu": "2"}}}],
    ids=str,
)
def test_what_changes_in_place_is_in_the_template_and_only_the_hash_of_earlier_releases_tells(change: Any) -> None:
    before, after = (stateful_set(instance(**spec))["spec"]["template"] for spec in ({}, change))
    noted = [one["metadata"]["annotations"] for one in (before, after)]
    of_earlier_releases = {f"mcs.tvox.io/{name}" for name in ("restart-hash", "parts", "media-image")}
    assert {name for name in noted[0] if noted[0][name] != noted[1][name]} <= of_earlier_releases
    assert restart_hash(instance(**change)) == restart_hash(instance())
    assert template_hash(instance(**change)) != template_hash(instance())


@pytest.mark.parametrize(
    "change",
    [
        {"domain": "other.test"},
        {"publicAddress": "203.0.113.9"},
        {"storage": {"size": "2Gi"}},
        {"retain": {"links": "1h"}},
        {"drainSeconds": 99},
        {"tls": {"secretRef": {"name": "x"}}},
        {"bandwidth": "200M"},
        {"portals": {"retention": {"chat": "1h"}, "quota": "2Gi"}},
        {"resources": {"requests": {"cpu": "0.05", "memory": "64Mi"}, "limits": {"cpu": "1000m", "memory": "512Mi"}}},
    ],
    ids=str,
)
def test_a_hot_field_or_another_spelling_changes_neither_hash_nor_template(change: dict[str, Any]) -> None:
    assert restart_hash(instance(**change)) == restart_hash(instance())
    assert canonical(stateful_set(instance(**change))) == canonical(stateful_set(instance()))


def test_images_of_a_newer_operator_change_the_template_and_not_the_restart_hash() -> None:
    newer = stateful_set(instance(), settings=Settings(link_image="localhost/mcs/link:next"))
    before = stateful_set(instance())
    noted = [body["spec"]["template"]["metadata"]["annotations"] for body in (newer, before)]
    for key in ("restart-hash", "pod-hash", "pod-parts"):
        assert noted[0][f"mcs.tvox.io/{key}"] == noted[1][f"mcs.tvox.io/{key}"]
    assert canonical(newer) != canonical(before)


def pulled_with(*names: str, of_the_operator: tuple[str, ...] = ()) -> list[dict[str, str]] | None:
    declared = instance(imagePullSecrets=[{"name": name} for name in names])
    body = stateful_set(declared, settings=Settings(image_pull_secrets=of_the_operator))
    found: list[dict[str, str]] | None = body["spec"]["template"]["spec"].get("imagePullSecrets")
    return found


def test_without_pull_secrets_the_template_is_as_it_was_before_there_were_any() -> None:
    """To the byte: the hash of its parts would tell every pod that it is outdated."""
    assert pulled_with() is None


def test_the_pull_secrets_of_the_instance_and_of_the_operator_are_one_list_each_name_once() -> None:
    merged = [{"name": "chart"}, {"name": "media"}, {"name": "shared"}]
    assert pulled_with("shared", "media", of_the_operator=("shared", "chart")) == merged
    assert pulled_with("media", "shared", of_the_operator=("chart", "shared")) == merged, "in whatever order"
    assert pulled_with(of_the_operator=("chart",)) == [{"name": "chart"}]


def test_pull_secrets_of_the_operator_wait_for_a_restart_and_those_of_the_instance_are_one() -> None:
    def hashes(*names: str, **settings: Any) -> tuple[str, str]:
        declared = instance(imagePullSecrets=[{"name": name} for name in names])
        found = stateful_set(declared, settings=Settings(**settings))["spec"]["template"]["metadata"]["annotations"]
        return found["mcs.tvox.io/restart-hash"], found["mcs.tvox.io/parts"]

    plain, operators, own = hashes(), hashes(image_pull_secrets=("chart",)), hashes("media")
    assert operators[0] == plain[0] and operators[1] != plain[1]
    assert own[0] != plain[0]


LIMITED = ContainerResources.from_json('{"requests": {"cpu": "5m"}, "limits": {"cpu": 0.5, "memory": "96Mi"}}')


def test_a_quota_that_wants_a_cpu_limit_of_every_container_gets_one() -> None:
    """Such a quota, or LimitRange, would otherwise refuse the whole pod."""
    network = instance(network={"mode": "HostNetwork"})
    settings = Settings(slot_resources=LIMITED, agent_resources=LIMITED)
    spec = stateful_set(network, settings=settings)["spec"]["template"]["spec"]
    for container in (*spec["containers"], *spec["initContainers"]):
        assert {"cpu", "memory"} <= set(container["resources"]["limits"]), container["name"]


def test_what_is_set_for_slots_is_no_other_containers() -> None:
    (before, after) = (
        stateful_set(instance(), settings=settings)["spec"]["template"]["spec"]["containers"]
        for settings in (Settings(), Settings(slot_resources=LIMITED))
    )
    assert after[:2] == before[:2]
    assert after[2]["resources"] == {
        "requests": {"cpu": "5m", "memory": str(4 * 2**20)},
        "limits": {"cpu": "0.5", "memory": "96Mi"},
    }


@pytest.mark.parametrize("text", ["", "{}", '{"limits": null}', '{"limits": {}, "requests": {}}'])
def test_where_nothing_is_set_the_template_is_the_same_to_the_byte(text: str) -> None:
    none = ContainerResources.from_json(text)
    settings = Settings(slot_resources=none, agent_resources=none)
    assert canonical(stateful_set(*EMPTY, settings=settings)) == canonical(stateful_set(*EMPTY))


def test_a_device_of_the_cluster_stays_beside_what_is_set() -> None:
    device = instance(vpn={"tunDevice": {"resourceName": "example.com/tun"}})
    *_, slot = stateful_set(device, settings=Settings(slot_resources=LIMITED))["spec"]["template"]["spec"]["containers"]
    assert slot["resources"]["limits"] == {"cpu": "0.5", "memory": "96Mi", "example.com/tun": "1"}
