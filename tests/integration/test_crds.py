"""The CRDs on a real API server: one test per rule, what it accepts and what it refuses, with the message.

The API server is the first door, and the only one that stands when the operator is down.
"""

from __future__ import annotations

import copy
import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from mcs_operator.api import KINDS
from mcs_operator.api.crd import build_crd
from mcs_operator.settings import API_VERSION, GROUP, VERSION
from support.operator import Operator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PLURALS = {"MCSInstance": "mcsinstances", "Community": "communities", "TVoxLink": "tvoxlinks"}
Object = dict[str, Any]


class RefusedError(Exception):
    """The API server's message for a refused object."""


class Server:
    """Our three kinds in one namespace."""

    def __init__(self, api_client: client.ApiClient, namespace: str) -> None:
        self.client = api_client
        self.namespace = namespace

    def create(self, body: Object) -> Object:
        return self._call("POST", self._path(body), body)

    def replace(self, body: Object) -> Object:
        return self._call("PUT", f"{self._path(body)}/{body['metadata']['name']}", body)

    def update(self, body: Object, **spec: Any) -> Object:
        """Replace with some spec fields changed; None removes one."""
        changed = copy.deepcopy(body)
        changed["spec"] = {key: value for key, value in (changed["spec"] | spec).items() if value is not None}
        return self.replace(changed)

    def report(self, body: Object, **status: Any) -> Object:
        """Write status fields as the operator does, through the subresource."""
        changed = copy.deepcopy(body)
        changed["status"] = changed["status"] | status
        return self._call("PUT", f"{self._path(body)}/{body['metadata']['name']}/status", changed)

    def get(self, path: str, accept: str = "application/json") -> Object:
        return self._call("GET", path, None, accept)

    def clear(self) -> None:
        """Delete all that is ours."""
        for kind in PLURALS:
            self._call("DELETE", self._path({"kind": kind}), None)

    def _path(self, body: Object) -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{PLURALS[body['kind']]}"

    def _call(self, method: str, path: str, body: Object | None, accept: str = "application/json") -> Object:
        headers = {"Accept": accept, "Content-Type": "application/json"}
        response = self.client.call_api(method, self.client.configuration.host + path, header_params=headers, body=body)
        answer: Object = json.loads(response.read())
        if response.status >= 400:
            raise RefusedError(answer["message"])
        return answer


@pytest.fixture(scope="module", autouse=True)
def no_operator() -> None:
    """Objects stay as their test wrote them: the operator of a module before this one would write between."""
    if Operator.latest:
        Operator.latest.stop()


@pytest.fixture(scope="session")
def api_client(request: pytest.FixtureRequest) -> client.ApiClient:
    """A client of the API server under test, with our CRDs installed and served."""
    try:
        path = request.getfixturevalue("kubeconfig")
    except pytest.FixtureLookupError:
        path = os.environ["KUBECONFIG"]
    api_client = config.new_client_from_config(config_file=str(path))
    for kind in KINDS:  # not from crds/: a fault in a model would be seen by nothing but the comparison with the files
        _install(client.ApiextensionsV1Api(api_client), build_crd(kind))
    return api_client


def _install(extensions: client.ApiextensionsV1Api, crd: Object) -> None:
    name = crd["metadata"]["name"]
    try:
        extensions.create_custom_resource_definition(crd)
    except ApiException as error:
        assert error.status == 409, error.body
        stored = extensions.read_custom_resource_definition(name)
        crd["metadata"]["resourceVersion"] = stored.metadata.resource_version
        extensions.replace_custom_resource_definition(name, crd)
    for _ in range(100):
        conditions = extensions.read_custom_resource_definition(name).status.conditions or []
        if any(c.type == "Established" and c.status == "True" for c in conditions):
            return
        time.sleep(0.1)
    pytest.fail(f"CRD {name} is not established after 10 s")


@pytest.fixture
def server(api_client: client.ApiClient) -> Iterator[Server]:
    """The three kinds in a namespace of this test's own."""
    core = client.CoreV1Api(api_client)
    name = f"crds-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    server = Server(api_client, name)
    yield server
    # Before the namespace, which takes its time: a public name is one object's in the whole cluster, and for the
    # operator of the next module it would be taken.
    server.clear()
    core.delete_namespace(name)


@pytest.fixture(scope="session", autouse=True)
def _schemas_are_served(api_client: client.ApiClient) -> None:
    """A replaced CRD is enforced a moment after it is stored: wait until a rule of ours answers."""
    core = client.CoreV1Api(api_client)
    name = f"crds-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    probe = Server(api_client, name)
    try:
        for _ in range(50):
            try:
                probe.create(instance("x" * 41))
            except RefusedError as refused:
                if "more than 40 characters" in str(refused):
                    return
            time.sleep(0.2)
        pytest.fail("the CRDs are not enforced after 10 s")
    finally:
        core.delete_namespace(name)


def instance(name: str = "mcs", **spec: Any) -> Object:
    required = {
        "domain": "mcs.example.com",
        "tier": "UpTo1000",
        "image": "registry.example.com/mcs:1.4.2",
        "publicAddress": "203.0.113.10",
        "nodeSelector": {"kubernetes.io/hostname": "media-1"},
    }
    kept = {key: value for key, value in (required | spec).items() if value is not None}
    return {"apiVersion": API_VERSION, "kind": "MCSInstance", "metadata": {"name": name}, "spec": kept}


def community(name: str = "acme", **spec: Any) -> Object:
    body = {"instanceRef": {"name": "mcs"}} | spec
    return {"apiVersion": API_VERSION, "kind": "Community", "metadata": {"name": name}, "spec": body}


def link(name: str = "acme", **spec: Any) -> Object:
    required = {"instanceRef": {"name": "mcs"}, "communityRef": {"name": "acme"}, "domain": "acme.mcs.example.com"}
    kept = {key: value for key, value in (required | spec).items() if value is not None}
    return {"apiVersion": API_VERSION, "kind": "TVoxLink", "metadata": {"name": name}, "spec": kept}


def refusal(server: Server, body: Object) -> str:
    """The message with which a creation is refused."""
    with pytest.raises(RefusedError) as caught:
        server.create(body)
    return str(caught.value)


def change_refusal(server: Server, stored: Object, **spec: Any) -> str:
    """The message with which a change is refused."""
    with pytest.raises(RefusedError) as caught:
        server.update(stored, **spec)
    return str(caught.value)


class TestEveryKind:
    @pytest.mark.parametrize("build", [instance, community, link])
    def test_a_new_object_says_ready_unknown_pending_before_any_operator_has_seen_it(
        self, server: Server, build: Any
    ) -> None:
        (condition,) = server.create(build())["status"]["conditions"]
        assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "Unknown", "Pending")
        assert condition["message"] == "Waiting for the MCS operator."

    @pytest.mark.parametrize("build", [instance, community, link])
    def test_the_api_server_adds_nothing_to_a_spec_so_gitops_tools_see_no_drift(
        self, server: Server, build: Any
    ) -> None:
        body = build()
        assert server.create(body)["spec"] == body["spec"]

    @pytest.mark.parametrize("build", [instance, community, link])
    def test_a_name_has_at_most_40_characters(self, server: Server, build: Any) -> None:
        assert server.create(build("a" * 40))
        message = refusal(server, build("a" * 41))
        assert "metadata.name: Invalid value" in message
        assert f"{'a' * 41} has more than 40 characters; choose a shorter name" in message

    @pytest.mark.parametrize("build", [community, link])
    def test_a_name_has_no_dots(self, server: Server, build: Any) -> None:
        assert server.create(build("4ever-2"))
        assert "lower case letters, digits and - only, no dots" in refusal(server, build("acme.milano"))

    def test_an_instances_name_begins_with_a_letter_because_its_service_must(self, server: Server) -> None:
        assert server.create(instance("mcs-2"))
        assert "with a letter first" in refusal(server, instance("2-mcs"))

    @pytest.mark.parametrize("build", [instance, community, link])
    def test_a_user_cannot_write_status_through_the_object(self, server: Server, build: Any) -> None:
        body = build() | {"status": {"observedGeneration": 7}}
        assert "observedGeneration" not in server.create(body)["status"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (instance(domain=None), "spec.domain: Required value"),
            (instance(tier=None), "spec.tier: Required value"),
            (instance(image=None), "spec.image: Required value"),
            (instance(publicAddress=None), "spec.publicAddress: Required value"),
            (instance(tier="Huge"), 'spec.tier: Unsupported value: "Huge": supported values: "UpTo1000", "UpTo10000"'),
            (instance(domain="MCS.example.com"), 'spec.domain: Invalid value: "MCS.example.com"'),
            (instance(domain="localhost"), 'spec.domain: Invalid value: "localhost"'),
            (instance(publicAddress="203.0.113.256"), 'spec.publicAddress: Invalid value: "203.0.113.256"'),
            (instance(vpn={"cidr": "198.18.0.0/16"}), 'spec.vpn.cidr: Invalid value: "198.18.0.0/16"'),
            (instance(vpn={"cidr": "127.0.0.0/24"}), "addresses lead to no customer"),
            (instance(vpn={"cidr": "239.1.2.0/24"}), "addresses lead to no customer"),
            (instance(vpn={"slots": 0}), "spec.vpn.slots: Invalid value: 0"),
            (instance(vpn={"slots": 251}), "spec.vpn.slots: Invalid value: 251"),
            (instance(network={"mediaPort": 9999}), "spec.network.mediaPort: Invalid value: 9999"),
            (instance(retain={"links": "30d"}), 'spec.retain.links: Invalid value: "30d"'),
            (instance(bandwidth="fast"), 'spec.bandwidth: Invalid value: "fast"'),
            (instance(drainSeconds=86401), "spec.drainSeconds: Invalid value: 86401"),
            (community(defaultFunctions=["Fly"]), 'spec.defaultFunctions[0]: Unsupported value: "Fly"'),
            (community(users=[{"name": "Anna"}]), 'spec.users[0].name: Invalid value: "Anna"'),
            (
                community(users=[{"name": f"u{n}"} for n in range(1001)]),
                "spec.users: Too many: 1001: must have at most",
            ),
            (link(domain="acme"), 'spec.domain: Invalid value: "acme"'),
            (link(protocol="SCTP"), 'spec.protocol: Unsupported value: "SCTP": supported values: "UDP", "TCP"'),
            (link(allowedSources=["203.0.113.7"]), 'spec.allowedSources[0]: Invalid value: "203.0.113.7"'),
            (link(communityRef={}), "spec.communityRef.name: Required value"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_schema_refusals_name_field_and_value(self, server: Server, body: Object, field: str) -> None:
        refused = refusal(server, body)
        # Where a rule is broken, an older API server, such as that of 1.30, has the type in the place of the value.
        older = re.sub(r'Invalid value: ".+"', 'Invalid value: "string"', field)
        assert field in refused or older in refused

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (instance(domain="MCS.example.com"), "must be a full domain name in lower case"),
            (instance(publicAddress="2001:db8::1"), "must be an IPv4 address"),
            (instance(publicAddress="203.0.113.256"), "must be an IPv4 address"),
            (instance(vpn={"cidr": "198.18.0.0/16"}), "it ends with .0/24"),
            (instance(retain={"links": "30d"}), "a day is 24h"),
            (instance(bandwidth="100Mbit"), "such as 500M or 1G"),
            (instance(portals={"retention": {"chat": "30d"}}), "a day is 24h"),
            (instance(portals={"retention": {"chat": "30m"}}), "must be from 1h to 87600h, which is ten years"),
            (instance(portals={"retention": {"files": "87601h"}}), "must be from 1h to 87600h, which is ten years"),
            (instance(portals={"quota": "1 GB"}), "such as 8Gi, 512Mi or 150G"),
            (instance(portals={"quota": "1023Ki"}), "must be from 1Mi to 1Ti"),
            (instance(portals={"quota": "1025Gi"}), "must be from 1Mi to 1Ti"),
            (instance(tls={"http01": {"serviceRef": {"name": "solver.other"}}}), "must be the name of a Service"),
            (
                instance(
                    tls={"http01": {"serviceRef": {"name": "solver"}}, "acme": {"server": "https://a.example.com"}}
                ),
                "cannot be set beside acme, whose challenges the appliance answers itself",
            ),
            (instance(storage={"size": "150 GB"}), "such as 8Gi, 512Mi or 150G"),
            (
                instance(resources={"limits": {"memory": "8 GB"}, "requests": {"memory": "4Gi"}}),
                "such as 8Gi, 512Mi or 150G",
            ),
            (instance(resources={"limits": {"cpu": "2 cores"}}), 'such as 4, "1.5" or 500m'),
            (instance(resources={"requests": {"cpu": "0"}}), 'such as 4, "1.5" or 500m'),
            (instance(nodeSelector={"zone": "a b"}), "must be a label's value"),
            (community(displayName="a\u202eb"), "must be"),
            (community(users=[{"name": "Anna Bo"}]), "must be"),
            (link(allowedSources=["203.0.113.7"]), "203.0.113.7/32 for one address"),
            (link(communityRef={"name": "Acme Ltd"}), "must be the name of an object"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_has_not_the_form_of_its_field_is_told_by_a_sentence(
        self, server: Server, body: Object, sentence: str
    ) -> None:
        message = refusal(server, body)
        assert sentence in message
        assert not [sign for sign in ("should match", "^", "no such overload", "conversion error") if sign in message]


class TestInstance:
    def test_a_node_is_required_unless_a_load_balancer_is_in_front(self, server: Server) -> None:
        assert server.create(instance("on-a-node"))
        assert server.create(instance("balanced", nodeSelector=None, network={"mode": "LoadBalancer"}))
        for body in (instance(nodeSelector=None), instance(nodeSelector={}, network={"mode": "HostNetwork"})):
            message = refusal(server, body)
            assert "spec.nodeSelector: Required value: required unless spec.network.mode is LoadBalancer" in message
            assert "set for example kubernetes.io/hostname" in message

    def test_what_portals_keep_may_be_declared_in_part(self, server: Server) -> None:
        bounds = {"retention": {"chat": "1h", "files": "87600h"}, "quota": "1Ti"}
        for n, portals in enumerate([{}, {"quota": "1Mi"}, {"retention": {"files": "90m"}}, bounds]):
            assert server.create(instance(f"portals-{n}", portals=portals))

    def test_who_solves_challenges_is_a_service_with_or_without_a_port(self, server: Server) -> None:
        for n, service in enumerate([{"name": "acme-solver"}, {"name": "0", "port": 65535}]):
            assert server.create(instance(f"solved-{n}", tls={"http01": {"serviceRef": service}}))

    def test_keys_of_the_node_selector_are_label_names(self, server: Server) -> None:
        assert server.create(instance(nodeSelector={"example.com/media": "", "zone": "a"}))
        message = refusal(server, instance("other", nodeSelector={"-bad-": "x"}))
        assert "spec.nodeSelector: Invalid value" in message
        assert "a key is no label name, such as kubernetes.io/hostname" in message

    def test_the_image_names_its_version(self, server: Server) -> None:
        digest = "mcs@sha256:" + "0" * 64
        for n, image in enumerate(["localhost/mcs/appliance:dev", digest, "localhost:5000/mcs:1.0_rc-1"]):
            assert server.create(instance(f"pinned-{n}", image=image))
        for image in ["mcs", "mcs:latest", "localhost:5000/mcs"]:
            message = refusal(server, instance(image=image))
            assert f"{image} must name a version, by tag (not latest) or by digest" in message
            assert "spec.image: Invalid value" in message

    @pytest.mark.parametrize("base", [1024, 3226, 3479, 9748, 20001, 21000, 65284])
    def test_link_ports_may_be_anywhere_that_is_free(self, server: Server, base: int) -> None:
        assert server.create(instance(vpn={"basePort": base}))

    @pytest.mark.parametrize("base", [3227, 3478, 9749, 10000, 20000])
    def test_link_ports_never_meet_stun_or_rtp(self, server: Server, base: int) -> None:
        message = refusal(server, instance(vpn={"basePort": base}))
        assert "spec.vpn.basePort: Invalid value" in message
        assert "must not meet 3478 (STUN/TURN) or 10000-20000 (RTP); choose for example 21000" in message

    @pytest.mark.parametrize("base", [1023, 65285])
    def test_link_ports_are_ports(self, server: Server, base: int) -> None:
        assert f"spec.vpn.basePort: Invalid value: {base}" in refusal(server, instance(vpn={"basePort": base}))

    def test_the_base_port_is_immutable(self, server: Server) -> None:
        stored = server.create(instance())
        stored = server.update(stored, vpn={"basePort": 21000})  # spelling out the default is no change
        stored = server.update(stored, vpn=None)
        message = change_refusal(server, stored, vpn={"basePort": 22000})
        assert "spec.vpn.basePort: Invalid value" in message
        assert "immutable, every TVox's profile contains it; set it back" in message
        chosen = server.create(instance("chosen", vpn={"basePort": 22000}))
        assert "immutable" in change_refusal(server, chosen, vpn=None)
        assert "immutable" in change_refusal(server, chosen, vpn={"slots": 8})

    def test_the_vpn_network_is_immutable(self, server: Server) -> None:
        stored = server.create(instance())
        stored = server.update(stored, vpn={"cidr": "198.18.254.0/24"})
        message = change_refusal(server, stored, vpn={"cidr": "10.9.8.0/24"})
        assert "spec.vpn.cidr: Invalid value" in message
        assert "immutable, every TVox's profile contains it; set it back to 198.18.254.0/24" in message
        chosen = server.create(instance("chosen", vpn={"cidr": "10.9.8.0/24"}))
        assert "set it back to 10.9.8.0/24" in change_refusal(server, chosen, vpn=None)

    def test_the_ca_is_immutable(self, server: Server) -> None:
        own = server.create(instance("own", vpn={"caSecretRef": {"name": "ca"}}))
        own = server.update(own, vpn={"caSecretRef": {"name": "ca"}, "slots": 8})
        for vpn in ({"caSecretRef": {"name": "other"}}, {"slots": 8}, None):
            message = change_refusal(server, own, vpn=vpn)
            assert "spec.vpn.caSecretRef: Invalid value" in message
            assert "every TVox's profile trusts the CA that the instance began with; set it back" in message
        made = server.create(instance("made"))
        assert "immutable" in change_refusal(server, made, vpn={"caSecretRef": {"name": "ca"}})

    def test_the_domain_cannot_change_while_links_exist(self, server: Server) -> None:
        stored = server.create(instance())
        stored = server.update(stored, domain="other.example.com")
        stored = server.report(stored, links={"accepted": 1, "up": 0, "rejected": 0, "capacity": 250})
        message = change_refusal(server, stored, domain="mcs.example.com")
        assert "spec.domain: Invalid value" in message
        assert "cannot be changed while TVoxLinks exist, every TVox's profile dials it" in message
        assert "set it back to other.example.com" in message
        stored = server.update(stored, bandwidth="1G")
        stored = server.report(stored, links={"accepted": 0, "up": 0, "rejected": 0, "capacity": 250})
        assert server.update(stored, domain="mcs.example.com")

    def test_the_tun_device_comes_from_exactly_one_place(self, server: Server) -> None:
        assert server.create(instance("path", vpn={"tunDevice": {"hostPath": "/dev/net/tun"}}))
        assert server.create(instance("plugin", vpn={"tunDevice": {"resourceName": "example.com/tun"}}))
        both = {"hostPath": "/dev/net/tun", "resourceName": "example.com/tun"}
        for device in ({}, both):
            message = refusal(server, instance(vpn={"tunDevice": device}))
            assert "spec.vpn.tunDevice: Invalid value" in message
            assert "exactly one of hostPath and resourceName is needed" in message

    def test_storage_grows_and_never_shrinks(self, server: Server) -> None:
        stored = server.create(instance(storage={"size": "150G"}))
        stored = server.update(stored, storage={"size": "150Gi"})  # 161 GB
        message = change_refusal(server, stored, storage={"size": "160G"})
        assert "spec.storage.size: Invalid value" in message
        assert "a volume never shrinks: 160G is less than 150Gi; set it back, or larger" in message
        assert "no size is less than 150Gi" in change_refusal(server, stored, storage={"className": "fast"})
        assert "cannot be removed once its size is set" in change_refusal(server, stored, storage=None)

    def test_storage_without_a_size_may_get_one(self, server: Server) -> None:
        assert server.update(server.create(instance()), storage={"size": "1Gi"})

    def test_storage_stays_in_its_class_once_it_is_set(self, server: Server) -> None:
        stored = server.create(instance())
        stored = server.update(stored, storage={"className": "fast"})
        for storage in ({"className": "slow"}, {"size": "1Gi"}, None):
            message = change_refusal(server, stored, storage=storage)
            assert "spec.storage.className: Invalid value" in message
            assert "a volume does not move between classes; set it back to fast" in message

    def test_requests_stay_within_limits(self, server: Server) -> None:
        fitting = {"requests": {"cpu": "500m", "memory": "1024Mi"}, "limits": {"cpu": 1, "memory": "1Gi"}}
        assert server.create(instance("fitting", resources=fitting))
        assert server.create(instance("limits-only", resources={"limits": {"cpu": 1}}))
        message = refusal(server, instance(resources={"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}))
        assert "spec.resources.requests.cpu: Invalid value" in message
        assert "2 is more than spec.resources.limits.cpu, 1500m" in message
        message = refusal(server, instance(resources={"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}}))
        assert "1Gi is more than spec.resources.limits.memory, 1G" in message

    @pytest.mark.parametrize(
        ("toleration", "message"),
        [
            ({"key": "a", "operator": "Exists", "value": "x"}, "operator Exists matches any value; remove value"),
            ({"value": "x"}, "without a key (any taint), operator must be Exists"),
            ({"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}, "tolerationSeconds needs effect NoExecute"),
        ],
    )
    def test_tolerations_are_such_as_a_pod_takes(self, server: Server, toleration: Object, message: str) -> None:
        refused = refusal(server, instance(tolerations=[toleration]))
        assert "spec.tolerations[0]" in refused
        assert message in refused

    def test_tolerations_that_a_pod_takes_are_taken(self, server: Server) -> None:
        taken = [
            {"operator": "Exists"},
            {"key": "a", "value": "x", "effect": "NoSchedule"},
            {"key": "b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        ]
        assert server.create(instance(tolerations=taken))


class TestCommunity:
    def test_users_come_from_exactly_one_place_each(self, server: Server) -> None:
        sources = [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]
        assert server.create(community(usersFrom=sources))
        for source in ({}, {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}):
            message = refusal(server, community("other", usersFrom=[*sources, source]))
            assert "spec.usersFrom[2]: Invalid value" in message
            assert "exactly one of configMapRef and secretRef is needed in each entry" in message

    def test_a_users_name_is_there_once(self, server: Server) -> None:
        message = refusal(server, community(users=[{"name": "anna"}, {"name": "anna", "enabled": False}]))
        assert "spec.users[1]: Duplicate value: " in message
        assert '{"name":"anna"}' in message  # and, where the server is older than 1.35, its type before it

    def test_a_function_is_there_once(self, server: Server) -> None:
        message = refusal(server, community(defaultFunctions=["Audio", "Audio"]))
        assert 'spec.defaultFunctions[1]: Duplicate value: "Audio"' in message

    def test_a_portal_and_its_passwords_may_come_and_go(self, server: Server) -> None:
        sources = [{"secretRef": {"name": f"p{n}"}} for n in range(16)]
        stored = server.create(community(portalDomain="meet.acme.test", authentication={"passwordsFrom": sources}))
        stored = server.update(stored, portalDomain="meet.test", authentication={"passwordsFrom": sources[:1]})
        assert "portalDomain" not in server.update(stored, portalDomain=None, authentication=None)["spec"]

    def test_a_portals_name_is_a_name_and_passwords_come_from_sixteen_secrets_at_most(self, server: Server) -> None:
        message = refusal(server, community(portalDomain="meet acme"))
        assert "spec.portalDomain" in message
        assert "must be a full domain name in lower case" in message
        sources = [{"secretRef": {"name": f"p{n}"}} for n in range(17)]
        message = refusal(server, community(authentication={"passwordsFrom": sources}))
        assert "spec.authentication.passwordsFrom: Too many: 17: must have at most 16 items" in message
        assert "secretRef" in refusal(server, community(authentication={"passwordsFrom": [{}]}))

    def test_a_thousand_full_users_fit_inline(self, server: Server) -> None:
        users = [
            {
                "name": f"user-{n:04d}@example.com",
                "displayName": f"User Number {n}",
                "enabled": True,
                "functions": ["Audio", "Video", "Chat", "DesktopSharing", "FileSharing"],
            }
            for n in range(1000)
        ]
        assert len(server.create(community(users=users))["spec"]["users"]) == 1000


class TestLink:
    def test_the_instance_is_immutable(self, server: Server) -> None:
        stored = server.create(link())
        stored = server.update(stored, communityRef={"name": "other"}, domain="new.mcs.example.com", enabled=False)
        message = change_refusal(server, stored, instanceRef={"name": "other"})
        assert "spec.instanceRef: Invalid value" in message
        assert "immutable, the TVox's profile is for instance mcs; delete the link, and create it for" in message

    @pytest.mark.parametrize("number", [2, 10, 99, 100, 249, 250, 251])
    def test_an_address_of_a_link_may_be_wished_for(self, server: Server, number: int) -> None:
        assert server.create(link(vpnAddress=f"198.18.254.{number}"))

    @pytest.mark.parametrize("number", [0, 1, 252, 255])
    def test_an_address_that_is_no_links_is_refused(self, server: Server, number: int) -> None:
        message = refusal(server, link(vpnAddress=f"198.18.254.{number}"))
        assert "spec.vpnAddress: Invalid value" in message
        assert f"198.18.254.{number} must end in .2 to .251 (.1 is MCS itself)" in message

    def test_a_wish_may_change_until_it_is_granted(self, server: Server) -> None:
        stored = server.create(link(vpnAddress="198.18.254.17"))
        stored = server.update(stored, vpnAddress="198.18.254.18")
        assert server.update(stored, vpnAddress=None)

    def test_an_allocated_address_stays(self, server: Server) -> None:
        stored = server.report(server.create(link()), slot=17, vpnAddress="198.18.254.17")
        message = change_refusal(server, stored, vpnAddress="198.18.254.18")
        assert "spec.vpnAddress: Invalid value" in message
        assert "cannot be changed once allocated, 198.18.254.17 is in the TVox's profile; set it back" in message
        stored = server.update(stored, vpnAddress="198.18.254.17")
        assert "cannot be changed" in change_refusal(server, stored, vpnAddress="198.18.254.18")
        stored = server.update(stored, enabled=False)
        stored = server.report(stored, observedGeneration=stored["metadata"]["generation"])
        assert server.update(stored, vpnAddress=None)["status"]["vpnAddress"] == "198.18.254.17"

    def test_a_source_is_there_once(self, server: Server) -> None:
        message = refusal(server, link(allowedSources=["203.0.113.0/24", "203.0.113.0/24"]))
        assert 'spec.allowedSources[1]: Duplicate value: "203.0.113.0/24"' in message


class TestWhatPeopleSee:
    @pytest.mark.parametrize(
        ("build", "columns"),
        [
            (instance, ["Name", "Ready", "Reason", "Up", "Links", "Max", "Users", "Tier", "Node", "Age"]),
            (community, ["Name", "Ready", "Reason", "Users", "Login", "Instance", "Age"]),
            (link, ["Name", "Slot", "Ready", "Reason", "Stalled", "Tunnel", "Since", "Age"]),
        ],
    )
    def test_kubectl_get_tells_the_story(self, server: Server, build: Any, columns: list[str]) -> None:
        body = server.create(build())
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{server.namespace}/{PLURALS[body['kind']]}"
        table = server.get(path, accept="application/json;as=Table;g=meta.k8s.io;v=v1")
        assert [c["name"] for c in table["columnDefinitions"] if c["priority"] == 0] == columns
        shown = dict(zip([c["name"] for c in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))
        assert (shown["Ready"], shown["Reason"]) == ("Unknown", "Pending")

    def test_short_names_and_the_category_are_served(self, server: Server) -> None:
        resources = {r["name"]: r for r in server.get(f"/apis/{GROUP}/{VERSION}")["resources"]}
        assert resources["mcsinstances"]["shortNames"] == ["mcs"]
        assert resources["tvoxlinks"]["shortNames"] == ["tvl"]
        assert resources["communities"]["categories"] == ["tvox"]
        assert "mcsinstances/scale" not in resources

    def test_kubectl_explain_says_unit_default_and_cost(self, server: Server) -> None:
        for _ in range(50):  # the API server publishes a CRD's schema a moment after the CRD itself
            schemas = server.get(f"/openapi/v3/apis/{GROUP}/{VERSION}")["components"]["schemas"]
            if "io.tvox.mcs.v1alpha1.MCSInstance" in schemas:
                break
            time.sleep(0.2)
        spec = schemas["io.tvox.mcs.v1alpha1.MCSInstance"]["properties"]["spec"]["properties"]
        assert "in seconds" in spec["drainSeconds"]["description"]
        assert "Default: 300. Changing it: hot, nothing is interrupted." in spec["drainSeconds"]["description"]
        assert "ends every call" in spec["image"]["description"]


def test_the_samples_are_accepted_as_they_are(server: Server) -> None:
    for path in sorted((ROOT / "manifests" / "samples").rglob("*.yaml")):
        for body in yaml.safe_load_all(path.read_text()):
            if body["kind"] in PLURALS:
                body["metadata"]["namespace"] = server.namespace
                if path.parent.name == "production":
                    body["metadata"]["name"] += "-production"
                assert server.create(body)["spec"] == body["spec"], path
