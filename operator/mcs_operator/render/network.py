"""Services and NetworkPolicy: by which ways the pod is reached, and which ways it may take itself."""

from __future__ import annotations

from ipaddress import ip_network

from mcs_operator.api import MCSInstance, NetworkMode
from mcs_operator.domain.manifest import Manifest, Object, Wave
from mcs_operator.render.objects import build_object, labels, media_pod
from mcs_operator.settings import AGENT_PORT_OFFSET, FIRST_NUMBER, Settings

PRIVATE_NETWORKS = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""MCS stands in a DMZ without view of any LAN; the cluster's own networks are among these too."""

CLUSTER_DNS: tuple[Object, ...] = (
    {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    },
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
)
"""The pods of CoreDNS, whoever installed them, and the address of a NodeLocal DNSCache."""
DNS_PORTS = (53, 5353)
"""5353: where OpenShift's resolvers listen behind their Service; policies are about pods."""


def build_services(instance: MCSInstance) -> list[Manifest]:
    """The headless Service `<instance>`, and `<instance>-public` where a load balancer is asked for."""
    services = [_headless(instance)]
    if instance.spec.network.mode is NetworkMode.LOAD_BALANCER:
        services.append(_public(instance))
    return services


def _headless(instance: MCSInstance) -> Manifest:
    ports = [
        {"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"},
        {"name": "https", "port": 443, "targetPort": 443, "protocol": "TCP"},
    ]
    spec = {
        "clusterIP": "None",
        # One slot in back-off makes the whole pod unready; the 249 others and the media must stay reachable.
        "publishNotReadyAddresses": True,
        "selector": media_pod(instance),
        "ports": ports,
    }
    return Manifest(build_object("v1", "Service", instance.name, instance, owner=instance, spec=spec), Wave.WORKLOAD)


def _public(instance: MCSInstance) -> Manifest:
    network, vpn = instance.spec.network, instance.spec.vpn
    numbers = range(FIRST_NUMBER, FIRST_NUMBER + vpn.slots)
    ports = [
        _port("http", 80, "TCP"),
        _port("https", 443, "TCP"),
        _port("turn-tcp", 3478, "TCP"),
        _port("turn-udp", 3478, "UDP"),
        _port("media", network.media_port, "UDP"),
        *(_port(f"udp-{n:03d}", vpn.base_port + n, "UDP") for n in numbers),
        *(_port(f"tcp-{n:03d}", vpn.base_port + n, "TCP") for n in numbers),
    ]
    spec = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",  # keeps the TVox's address, which allowedSources is about
        "publishNotReadyAddresses": True,
        "selector": media_pod(instance),
        "ports": ports,
    }
    name = f"{instance.name}-public"
    return Manifest(build_object("v1", "Service", name, instance, owner=instance, spec=spec), Wave.WORKLOAD)


def _port(name: str, number: int, protocol: str) -> Object:
    return {"name": name, "port": number, "targetPort": number, "protocol": protocol}


def build_network_policy(instance: MCSInstance, settings: Settings) -> list[Manifest]:
    """`<instance>`: who may come in at which port, and out to where. The node's own network has none."""
    if instance.spec.network.mode is NetworkMode.HOST_NETWORK:
        return []
    spec = {
        "podSelector": {"matchLabels": labels(instance.name)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": _public_ports(instance)}, _to_agent(instance, settings)],
        "egress": [
            _to_resolvers(settings),
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE_NETWORKS)}}]},
            *_to_solvers(instance),
        ],
    }
    body = build_object("networking.k8s.io/v1", "NetworkPolicy", instance.name, instance, owner=instance, spec=spec)
    return [Manifest(body, Wave.WORKLOAD)]


def _to_solvers(instance: MCSInstance) -> list[Object]:
    """Pods of this namespace, at the port at which solvers of challenges listen. A Service has no selector that we
    know of, and its own address is none to a policy."""
    http01 = instance.spec.tls.http01
    if http01 is None:
        return []
    return [{"to": [{"podSelector": {}}], "ports": [{"port": http01.service_ref.port, "protocol": "TCP"}]}]


def _to_resolvers(settings: Settings) -> Object:
    """Names, and to nobody who could be anything else behind port 53."""
    ports = [{"port": port, "protocol": protocol} for port in DNS_PORTS for protocol in ("UDP", "TCP")]
    return {"to": [_resolver(known) for known in settings.dns] or list(CLUSTER_DNS), "ports": ports}


def _resolver(known: str) -> Object:
    """An address, a network, or all pods of a namespace."""
    try:
        return {"ipBlock": {"cidr": str(ip_network(known, strict=False))}}
    except ValueError:
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": known}}}


def _public_ports(instance: MCSInstance) -> list[Object]:
    vpn = instance.spec.vpn
    first, last = vpn.base_port + FIRST_NUMBER, vpn.base_port + FIRST_NUMBER + vpn.slots - 1
    ranges = [{"port": first, "endPort": last, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return [
        *({"port": port, "protocol": "TCP"} for port in (80, 443, 3478)),
        *({"port": port, "protocol": "UDP"} for port in (3478, instance.spec.network.media_port)),
        *ranges,
    ]


def _to_agent(instance: MCSInstance, settings: Settings) -> Object:
    """The link agent's port: for the namespaces of the operator and of Prometheus; for all where the operator runs
    outside of the cluster."""
    rule: Object = {"ports": [{"port": instance.spec.vpn.base_port + AGENT_PORT_OFFSET, "protocol": "TCP"}]}
    if settings.namespace:
        homes = filter(None, (settings.namespace, settings.metrics_namespace))
        names = [{"matchLabels": {"kubernetes.io/metadata.name": home}} for home in homes]
        rule["from"] = [{"namespaceSelector": name} for name in names]
    return rule
