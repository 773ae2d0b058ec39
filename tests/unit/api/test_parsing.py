"""Objects are parsed once, at the door: what is missing gets its default, what is wrong is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from mcs_operator.api import (
    Community,
    Function,
    InvalidObjectError,
    MCSInstance,
    NetworkMode,
    Protocol,
    RetentionPolicy,
    Tier,
    TVoxLink,
)
from mcs_operator.api.fields import canonical_bytes, canonical_cpu, megabits, seconds


def instance(**spec: Any) -> dict[str, Any]:
    required = {
        "domain": "mcs.example.com",
        "tier": "UpTo1000",
        "image": "registry.example.com/mcs:1.4.2",
        "publicAddress": "203.0.113.10",
        "nodeSelector": {"kubernetes.io/hostname": "media-1"},
    }
    return {"metadata": {"name": "mcs", "namespace": "demo"}, "spec": required | spec}


def community(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "acme"}, "spec": {"instanceRef": {"name": "mcs"}} | spec}


def link(**spec: Any) -> dict[str, Any]:
    required = {"instanceRef": {"name": "mcs"}, "communityRef": {"name": "acme"}, "domain": "acme.mcs.example.com"}
    return {"metadata": {"name": "acme"}, "spec": required | spec}


class TestDefaults:
    def test_an_instance_with_the_required_fields_only_is_complete(self) -> None:
        spec = MCSInstance.from_object(instance()).spec
        assert spec.tier is Tier.UP_TO_1000
        assert (spec.network.mode, spec.network.media_port) == (NetworkMode.HOST_PORT, 10000)
        assert (spec.vpn.slots, spec.vpn.base_port, spec.vpn.cidr) == (250, 21000, "198.18.254.0/24")
        assert spec.vpn.tun_device.host_path == "/dev/net/tun"
        assert spec.vpn.ca_secret_ref is None
        assert (spec.retain.storage, spec.retain.pki) == (RetentionPolicy.RETAIN, RetentionPolicy.RETAIN)
        assert spec.retain.links_seconds == timedelta(days=30).total_seconds()
        assert spec.resources is None
        assert spec.bandwidth_megabits is None

    def test_part_of_a_sub_object_leaves_the_rest_of_it_at_the_defaults(self) -> None:
        spec = MCSInstance.from_object(instance(vpn={"slots": 8}, network={"mediaPort": 12000})).spec
        assert (spec.vpn.slots, spec.vpn.base_port) == (8, 21000)
        assert (spec.network.media_port, spec.network.mode) == (12000, NetworkMode.HOST_PORT)

    def test_a_link_is_enabled_and_udp_and_open_to_any_source(self) -> None:
        spec = TVoxLink.from_object(link()).spec
        assert (spec.enabled, spec.protocol, spec.allowed_sources, spec.vpn_address) == (True, Protocol.UDP, (), None)

    def test_a_user_without_functions_takes_the_communitys_and_an_empty_list_takes_none(self) -> None:
        spec = Community.from_object(
            community(defaultFunctions=["Audio"], users=[{"name": "anna"}, {"name": "bruno", "functions": []}])
        ).spec
        assert spec.default_functions == (Function.AUDIO,)
        assert [user.functions for user in spec.users] == [None, ()]


class TestMetadata:
    def test_metadata_of_a_live_object_is_read(self) -> None:
        body = link()
        body["metadata"] |= {
            "namespace": "demo",
            "uid": "1-2-3",
            "generation": 4,
            "resourceVersion": "99",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "deletionTimestamp": "2026-01-02T04:00:00Z",
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "managedFields": [{"manager": "kubectl"}],
        }
        parsed = TVoxLink.from_object(body)
        assert (parsed.name, parsed.namespace, parsed.uid, parsed.generation) == ("acme", "demo", "1-2-3", 4)
        assert parsed.metadata.resource_version == "99"
        assert parsed.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert parsed.deleting
        assert (parsed.labels, parsed.annotations) == ({"a": "b"}, {"c": "d"})

    def test_an_object_that_is_not_stored_yet_sorts_after_all_that_are(self) -> None:
        stored = link()
        stored["metadata"]["creationTimestamp"] = "2099-01-01T00:00:00Z"
        assert TVoxLink.from_object(stored).created < TVoxLink.from_object(link()).created

    def test_times_are_whole_seconds_of_utc(self) -> None:
        body = link()
        body["metadata"]["creationTimestamp"] = datetime(2026, 1, 2, 4, 4, 5, 999, tzinfo=timezone(timedelta(hours=1)))
        assert TVoxLink.from_object(body).created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def test_null_labels_are_no_labels(self) -> None:
        body = link()
        body["metadata"]["labels"] = None
        assert TVoxLink.from_object(body).labels == {}


class TestTolerance:
    def test_fields_of_a_newer_schema_are_ignored(self) -> None:
        body = instance(somethingNew={"a": 1}, vpn={"slots": 3, "cipher": "new"}) | {"status": {"slot": "broken"}}
        assert MCSInstance.from_object(body).spec.vpn.slots == 3

    def test_parsed_objects_are_frozen(self) -> None:
        parsed = MCSInstance.from_object(instance())
        with pytest.raises(ValidationError, match="frozen"):
            parsed.spec.vpn.slots = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(instance(tier="Huge"), "spec.tier: 'Huge': choose UpTo1000 or UpTo10000", id="unknown tier"),
        pytest.param(instance(vpn={"slots": 0}), "spec.vpn.slots: 0: must be at least 1", id="no slot"),
        pytest.param(instance(vpn={"slots": 251}), "spec.vpn.slots: 251: must be at most 250", id="251 slots"),
        pytest.param(instance(vpn={"cidr": "10.0.0.0/16"}), "spec.vpn.cidr: '10.0.0.0/16'", id="network of 65,536"),
        pytest.param(instance(vpn={"tunDevice": {}}), "spec.vpn.tunDevice: exactly one of", id="no tun device"),
        pytest.param(instance(vpn={"basePort": 9900}), "spec.vpn.basePort: basePort to", id="ports meet RTP"),
        pytest.param(instance(nodeSelector={}), "spec.nodeSelector: required unless", id="no node"),
        pytest.param(instance(nodeSelector={"-x": ""}), "spec.nodeSelector: a key is no label", id="bad node label"),
        pytest.param(instance(image="mcs:latest"), "spec.image: must name a version", id="image not pinned"),
        pytest.param(instance(publicAddress="203.0.113.256"), "spec.publicAddress: '203.0.113.256'", id="bad IPv4"),
        pytest.param(instance(domain="*.example.com"), "spec.domain: '*.example.com'", id="wildcard domain"),
        pytest.param(instance(retain={"links": "30d"}), "spec.retain.links: '30d'", id="days are no unit"),
        pytest.param(instance(bandwidth="100"), "spec.bandwidth: '100'", id="bandwidth without unit"),
        pytest.param(instance(portals={"quota": "1"}), "spec.portals.quota: '1'", id="a quota without unit"),
        pytest.param(
            instance(portals={"quota": "999k"}), "spec.portals.quota: must be from 1Mi", id="too small a quota"
        ),
        pytest.param(
            instance(portals={"quota": "2Ti"}), "spec.portals.quota: must be from 1Mi", id="too large a quota"
        ),
        pytest.param(
            instance(portals={"retention": {"chat": "59m"}}),
            "spec.portals.retention.chat: must be from 1h to 87600h",
            id="messages that nobody can read in time",
        ),
        pytest.param(
            instance(portals={"retention": {"files": "87600h1s"}}),
            "spec.portals.retention.files: must be from 1h to 87600h",
            id="files for more than ten years",
        ),
        pytest.param(
            instance(portals={"retention": {"files": "7d"}}), "spec.portals.retention.files: '7d'", id="days of files"
        ),
        pytest.param(
            instance(tls={"http01": {"serviceRef": {"name": "solver.other"}}}),
            "spec.tls.http01.serviceRef.name: 'solver.other': must be the name of a Service",
            id="a Service of another namespace",
        ),
        pytest.param(
            instance(
                tls={"http01": {"serviceRef": {"name": "solver"}}, "acme": {"server": "https://acme.example.com"}}
            ),
            "spec.tls.http01: cannot be set beside acme",
            id="two who answer challenges",
        ),
        pytest.param(instance(drainSeconds=-1), "spec.drainSeconds: -1", id="negative drain"),
        pytest.param(
            instance(tolerations=[{"key": "a"}, {"value": "x"}]),
            "spec.tolerations[1].operator: without a key",
            id="toleration without key",
        ),
        pytest.param(
            instance(tolerations=[{"key": "a", "operator": "Exists", "value": "x"}]),
            "spec.tolerations[0].value: operator Exists",
            id="toleration of any value with a value",
        ),
        pytest.param(
            instance(tolerations=[{"key": "a", "tolerationSeconds": 1}]),
            "spec.tolerations[0].tolerationSeconds: tolerationSeconds needs effect",
            id="toleration with time but without eviction",
        ),
        pytest.param(community(usersFrom=[{}]), "spec.usersFrom[0]: exactly one of", id="users from nowhere"),
        pytest.param(
            community(usersFrom=[{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]),
            "spec.usersFrom[0]: exactly one of",
            id="users from two places",
        ),
        pytest.param(
            community(users=[{"name": "anna"}, {"name": "Bruno"}]),
            "spec.users[1].name: must be a login name",
            id="upper case user",
        ),
        pytest.param(
            community(users=[{"name": "anna", "functions": ["Fly"]}]),
            "spec.users[0].functions[0]: 'Fly'",
            id="unknown function",
        ),
        pytest.param(
            community(users=[{"name": f"user{n}"} for n in range(1001)]),
            "spec.users: has 1001 entries, and may have at most 1000",
            id="1,001 users inline",
        ),
        pytest.param(link(vpnAddress="198.18.254.1"), "spec.vpnAddress: must end in .2", id="the address of MCS"),
        pytest.param(link(vpnAddress="198.18.254.252"), "spec.vpnAddress: must end in .2", id="number 252"),
        pytest.param(link(allowedSources=["203.0.113.7"]), "spec.allowedSources[0]", id="source without prefix"),
        pytest.param(link(instanceRef={}), "spec.instanceRef.name: is missing", id="nameless reference"),
        pytest.param({"metadata": {"name": "acme"}}, "spec: is missing", id="no spec"),
    ],
)
def test_what_is_wrong_is_named_by_field_value_and_rule(body: dict[str, Any], expected: str) -> None:
    spec = body.get("spec", {})
    kind = MCSInstance if "tier" in spec else TVoxLink if "communityRef" in spec or not spec else Community
    with pytest.raises(InvalidObjectError) as caught:
        kind.from_object(body)
    assert expected in str(caught.value)
    assert caught.value.name == body["metadata"]["name"]


@pytest.mark.parametrize("number", [2, 9, 10, 99, 100, 199, 200, 249, 250, 251])
def test_every_number_from_2_to_251_may_be_wished_for(number: int) -> None:
    assert TVoxLink.from_object(link(vpnAddress=f"198.18.254.{number}")).spec.vpn_address == f"198.18.254.{number}"


@pytest.mark.parametrize("number", [0, 1, 252, 255])
def test_no_other_number_may_be_wished_for(number: int) -> None:
    with pytest.raises(InvalidObjectError, match=r"must end in \.2 to \.251"):
        TVoxLink.from_object(link(vpnAddress=f"198.18.254.{number}"))


@pytest.mark.parametrize(
    ("base", "free"),
    [
        (1024, True),
        (3226, True),
        (3227, False),
        (3478, False),
        (3479, True),
        (9748, True),
        (9749, False),
        (20000, False),
        (20001, True),
        (65284, True),
    ],
)
def test_link_ports_keep_clear_of_stun_and_rtp(base: int, free: bool) -> None:
    if free:
        assert MCSInstance.from_object(instance(vpn={"basePort": base})).spec.vpn.base_port == base
    else:
        with pytest.raises(InvalidObjectError, match=r"spec\.vpn\.basePort"):
            MCSInstance.from_object(instance(vpn={"basePort": base}))


def test_a_load_balancer_needs_no_node() -> None:
    assert MCSInstance.from_object(instance(nodeSelector={}, network={"mode": "LoadBalancer"})).spec.node_selector == {}


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("localhost/mcs/appliance:dev", True),
        ("mcs@sha256:" + "0" * 64, True),
        ("mcs:latest@sha256:" + "0" * 64, True),
        ("mcs", False),
        ("mcs:latest", False),
        ("localhost:5000/mcs", False),
    ],
)
def test_an_image_names_its_version(image: str, pinned: bool) -> None:
    try:
        MCSInstance.from_object(instance(image=image))
    except InvalidObjectError as error:
        assert not pinned, str(error)
    else:
        assert pinned


def test_many_problems_are_told_shortly() -> None:
    with pytest.raises(InvalidObjectError) as caught:
        Community.from_object(community(users=[{"name": "X" * 100_000}] * 100))
    assert len(caught.value.problems) == 100
    assert str(caught.value).endswith("; and 95 more")
    assert len(str(caught.value)) < 1500


def test_what_is_no_object_at_all_is_refused_in_words() -> None:
    with pytest.raises(InvalidObjectError, match="the object"):
        TVoxLink.from_object([])  # type: ignore[arg-type]


class TestQuantities:
    @pytest.mark.parametrize(
        ("written", "canonical"),
        [("1", "1"), ("1000m", "1"), ("1.5", "1500m"), ("0.25", "250m"), ("2.0", "2"), ("1m", "1m")],
    )
    def test_cpu_has_one_spelling(self, written: str, canonical: str) -> None:
        assert canonical_cpu(written) == canonical

    @pytest.mark.parametrize(
        ("written", "canonical"),
        [
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("8000M", "8G"),
            ("150G", "150G"),
            ("1000Ki", "1024k"),
            ("0.5Gi", "512Mi"),
        ],
    )
    def test_bytes_have_one_spelling(self, written: str, canonical: str) -> None:
        assert canonical_bytes(written) == canonical

    def test_what_is_no_amount_of_bytes_is_refused(self) -> None:
        with pytest.raises(ValueError, match="8Gi"):
            canonical_bytes("1")

    def test_cpu_may_be_a_bare_number_and_memory_may_not(self) -> None:
        resources = MCSInstance.from_object(
            instance(resources={"limits": {"cpu": 2, "memory": "2048Mi"}})
        ).spec.resources
        assert resources is not None
        assert resources.limits is not None
        assert resources.limits.as_quantities() == {"cpu": "2", "memory": "2Gi"}
        with pytest.raises(InvalidObjectError, match=r"limits\.memory"):
            MCSInstance.from_object(instance(resources={"limits": {"memory": 1073741824}}))

    @pytest.mark.parametrize("cpu", [0, "0", "0m", "0.0", True, "-1", "1e3", "1Gi"])
    def test_what_is_no_amount_of_cpu_is_refused(self, cpu: object) -> None:
        with pytest.raises(InvalidObjectError, match=r"limits\.cpu"):
            MCSInstance.from_object(instance(resources={"limits": {"cpu": cpu}}))

    def test_durations_and_bands_are_read(self) -> None:
        assert [seconds(text) for text in ("720h", "1h30m", "0s", "90s")] == [2_592_000, 5400, 0, 90]
        assert [megabits(text) for text in ("100M", "1G")] == [100, 1000]
