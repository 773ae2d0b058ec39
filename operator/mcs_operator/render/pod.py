"""The media pod: one StatefulSet whose template knows nothing of any customer.

Everything about a customer comes by Secrets and ConfigMaps that are mounted from the start and may appear later.
A name, a number or a count of links in here would change the template and, sooner or later, restart everybody.
"""

from __future__ import annotations

from typing import Any

from mcs_operator.api import MCSInstance, NetworkMode
from mcs_operator.contract.digest import canonical
from mcs_operator.domain.manifest import Manifest, Object, Wave
from mcs_operator.domain.pod import sizing
from mcs_operator.domain.pod.fallback import Fallback
from mcs_operator.domain.pod.pulling import pull_secrets
from mcs_operator.domain.rules.addressing import last_number
from mcs_operator.render.hashes import parts_of, restart_hash, template_hash
from mcs_operator.render.objects import build_object, labels
from mcs_operator.settings import (
    AGENT_CONTAINER,
    AGENT_PORT_OFFSET,
    ANNOTATION_AGENT_IMAGE,
    ANNOTATION_LINK_IMAGE,
    ANNOTATION_MEDIA_IMAGE,
    ANNOTATION_PARTS,
    ANNOTATION_POD_HASH,
    ANNOTATION_POD_PARTS,
    ANNOTATION_RESTART_HASH,
    CERTIFICATE_SHARDS,
    CONTRACT_PORT_OFFSET,
    FIRST_NUMBER,
    MEDIA_CONTAINER,
    USER_SHARDS,
    Settings,
    link_name,
)

ALL_ASKED_SECONDS, ALL_ASKED_SLOTS = 2, 50
"""A pod that stops asks all containers to exit in one moment. The kubelet has asked all slots within 2 s, and another
one for every 50 of them; none exits before."""
PACE, QUICK_PACE, FEW_SLOTS = 0.16, 0.06, 64
"""Seconds from one slot's exit to the next. Each costs containerd five processes, so that two cores digest about ten a
second, and a shim that falls behind jams for minutes: 250 of them did at 16 a second, 64 of them did not."""
TERMINATION_MARGIN_SECONDS = 60
AGENT_USER = 65532


def build_stateful_set(
    instance: MCSInstance, settings: Settings, instead: Fallback | None = None, *, suspended: bool = False
) -> Manifest:
    """The StatefulSet `<instance>`: one replica, replaced only by our own delete (OnDelete). ``instead``: from what the
    media is made where that may not be what is declared. ``suspended``: no replica, as its pod was drained and deleted,
    or was not there; else the controller would make the next one."""
    selector = labels(instance.name)
    pod = _pod_spec(instance, settings, build_media(instance, settings, instead))
    parts, pod_parts = parts_of(pod)
    annotations = {
        ANNOTATION_RESTART_HASH: template_hash(instance),
        ANNOTATION_PARTS: canonical(parts),
        ANNOTATION_POD_HASH: restart_hash(instance),
        ANNOTATION_POD_PARTS: canonical(pod_parts),
        ANNOTATION_MEDIA_IMAGE: pod["containers"][0]["image"],
        ANNOTATION_AGENT_IMAGE: settings.agent_image,
        ANNOTATION_LINK_IMAGE: settings.link_image,
    }
    body = build_object(
        "apps/v1",
        "StatefulSet",
        instance.name,
        instance,
        owner=instance,
        spec={
            "replicas": 0 if suspended else 1,
            "serviceName": instance.name,
            "selector": {"matchLabels": selector},
            "updateStrategy": {"type": "OnDelete"},
            "podManagementPolicy": "Parallel",
            "template": {"metadata": {"labels": selector, "annotations": annotations}, "spec": pod},
        },
    )
    if instead and instead.notes:
        body["metadata"]["annotations"] = dict(instead.notes)
    return Manifest(body, Wave.WORKLOAD)


def seconds_to_exit(slots: int, number: int) -> float:
    """How long this one of so many slots waits until it exits, once it is asked to (images/link/supervisor).

    There is no preStop that waits: it would also be run for a container that alone is replaced, and what it waits for
    holds up all else that is done to the pod."""
    pace = PACE if slots > FEW_SLOTS else QUICK_PACE
    return ALL_ASKED_SECONDS + slots / ALL_ASKED_SLOTS + (number - FIRST_NUMBER) * pace


def seconds_to_stop(slots: int) -> int:
    """What the kubelet gives a pod with so many slots, before it kills what is left."""
    return round(seconds_to_exit(slots, last_number(slots))) + TERMINATION_MARGIN_SECONDS


def _pod_spec(instance: MCSInstance, settings: Settings, media: Object) -> Object:
    spec, slots = instance.spec, range(FIRST_NUMBER, FIRST_NUMBER + instance.spec.vpn.slots)
    on_host_network = spec.network.mode is NetworkMode.HOST_NETWORK
    pod: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": seconds_to_stop(spec.vpn.slots),
        "nodeSelector": dict(spec.node_selector or {}),
        "tolerations": _tolerations(instance),
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            "fsGroup": AGENT_USER,
            "fsGroupChangePolicy": "OnRootMismatch",
        },
        "containers": [
            media,
            _agent(instance, settings),
            *(_slot(instance, settings, number) for number in slots),
        ],
        "volumes": [*_volumes(instance), *(_slot_volume(instance, number) for number in slots)],
    }
    if secrets := pull_secrets(instance, settings.image_pull_secrets):
        pod["imagePullSecrets"] = [{"name": name} for name in secrets]
    if on_host_network:
        host = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
        return pod | host | {"initContainers": [_sweep(instance, settings)]}
    # The appliance listens on 80 and 443 without being root: a safe sysctl of the pod's own network namespace.
    pod["securityContext"]["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return pod


def _tolerations(instance: MCSInstance) -> list[Object]:
    """Not redundant: an eviction because the node was silent for five minutes costs more than it can mend."""
    stay = [
        {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute"}
        for taint in ("not-ready", "unreachable")
    ]
    return stay + [toleration.model_dump(mode="json", exclude_none=True) for toleration in instance.spec.tolerations]


def _restricted(**more: Any) -> Object:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } | more


def build_media(instance: MCSInstance, settings: Settings, instead: Fallback | None = None) -> Object:
    """The appliance's container."""
    network, vpn = instance.spec.network, instance.spec.vpn
    size = instead.size if instead else sizing.size(instance)
    contract = vpn.base_port + CONTRACT_PORT_OFFSET
    security = _restricted()
    if network.mode is NetworkMode.HOST_NETWORK:  # no sysctl of a namespace of its own there
        security = _restricted(runAsUser=0, capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})
    return {
        "name": MEDIA_CONTAINER,
        "image": instead.image if instead else instance.spec.image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": [
            {"name": "MCS_INSTANCE", "value": instance.name},
            {"name": "MCS_CONFIG_DIR", "value": "/etc/mcs"},
            {"name": "MCS_DATA_DIR", "value": "/var/lib/mcs"},
            {"name": "MCS_CONTRACT_PORT", "value": str(contract)},
            {"name": "MCS_MEDIA_PORT", "value": str(network.media_port)},
        ],
        "ports": [
            _port(instance, "http", 80, "TCP"),
            _port(instance, "https", 443, "TCP"),
            _port(instance, "turn-tcp", 3478, "TCP"),
            _port(instance, "turn-udp", 3478, "UDP"),
            _port(instance, "media", network.media_port, "UDP"),
        ],
        "startupProbe": _probe("/healthz", contract, period=2, failures=90),
        "livenessProbe": _probe("/healthz", contract, period=10, failures=6),
        "readinessProbe": _probe("/readyz", contract, period=2, failures=3),
        "resources": {"requests": dict(size.requests), "limits": dict(size.limits)},
        "securityContext": security,
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/mcs", "readOnly": True},
            {"name": "data", "mountPath": "/var/lib/mcs"},
            {"name": "scratch", "mountPath": "/run/appliance", "subPath": "run"},
            {"name": "scratch", "mountPath": "/tmp", "subPath": "tmp"},  # noqa: S108 - a mount in the container
        ],
    }


def _probe(path: str, port: int, *, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }


def _port(instance: MCSInstance, name: str, number: int, protocol: str) -> Object:
    """A port at the node: by portmap with HostPort, by itself with HostNetwork, by the Service else."""
    port: Object = {"name": name, "containerPort": number, "protocol": protocol}
    return port if instance.spec.network.mode is NetworkMode.LOAD_BALANCER else port | {"hostPort": number}


def _agent(instance: MCSInstance, settings: Settings) -> Object:
    vpn = instance.spec.vpn
    port = vpn.base_port + AGENT_PORT_OFFSET
    return {
        "name": AGENT_CONTAINER,
        "image": settings.agent_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python3", "-m", "mcs_operator.agent"],
        "env": [
            {"name": "MCS_INSTANCE", "value": instance.name},
            {"name": "MCS_NAMESPACE", "value": instance.namespace},
            {"name": "MCS_BASE_PORT", "value": str(vpn.base_port)},
            {"name": "MCS_AGENT_PORT", "value": str(port)},
            {"name": "MCS_VPN_CIDR", "value": vpn.cidr},
            {"name": "MCS_CONTRACT_URL", "value": f"http://127.0.0.1:{vpn.base_port + CONTRACT_PORT_OFFSET}"},
            {"name": "MCS_MEMORY_DIR", "value": "/run/agent"},
            {"name": "MCS_STOP_DIR", "value": "/run/stop"},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": port, "scheme": "HTTPS"},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
        },
        "resources": settings.agent_resources.over(
            requests={"cpu": f"{sizing.AGENT_CPU_MILLICORES}m", "memory": str(sizing.AGENT_MEMORY)},
            limits={"memory": str(sizing.AGENT_MEMORY_LIMIT)},
        ),
        "securityContext": _restricted(runAsNonRoot=True, runAsUser=AGENT_USER),
        "volumeMounts": [
            # What is in a slot's folder decides what runs there as root: the agent reads all of them, and writes into
            # none. To connect to a socket is no write.
            {"name": "run", "mountPath": "/run/links", "readOnly": True},
            {"name": "run", "mountPath": "/run/agent", "subPath": "agent"},
            {"name": "stop", "mountPath": "/run/stop"},
            {"name": "agent", "mountPath": "/etc/agent", "readOnly": True},
        ],
    }


def _slot(instance: MCSInstance, settings: Settings, number: int) -> Object:
    name, port = link_name(number), instance.spec.vpn.base_port + number
    device = instance.spec.vpn.tun_device
    limits = {"memory": str(sizing.SLOT_MEMORY_LIMIT)}
    mounts = [
        {"name": name, "mountPath": "/etc/link", "readOnly": True},
        {"name": "run", "mountPath": "/run/link", "subPath": name},
        {"name": "stop", "mountPath": "/run/stop", "readOnly": True},
    ]
    if device.resource_name:
        limits[device.resource_name] = "1"
    else:
        mounts.append({"name": "tun", "mountPath": "/dev/net/tun"})
    return {
        "name": name,
        "image": settings.link_image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": _slot_env(instance, number),
        "ports": [_port(instance, f"udp-{number:03d}", port, "UDP"), _port(instance, f"tcp-{number:03d}", port, "TCP")],
        "resources": settings.slot_resources.over(
            requests={"cpu": f"{sizing.SLOT_CPU_MILLICORES}m", "memory": str(sizing.SLOT_MEMORY)}, limits=limits
        ),
        # Root with the one capability: Kubernetes has no ambient capabilities for other users.
        "securityContext": _restricted(runAsUser=0, capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}),
        "volumeMounts": mounts,
    }


def _slot_env(instance: MCSInstance, number: int) -> list[Object]:
    vpn = instance.spec.vpn
    # The device's name also tells these slots from those of older templates, whose supervisor restarts OpenVPN for a
    # new firewall: their part of the template has another hash, whatever image they run.
    env = [
        {"name": "SLOT", "value": str(number)},
        {"name": "TURN", "value": f"{seconds_to_exit(vpn.slots, number):.2f}"},
        {"name": "VPN_CIDR", "value": vpn.cidr},
        {"name": "TUN_DEVICE", "value": "/dev/net/tun"},
    ]
    # The first slot guards for all what is nobody's own; elsewhere the contract port is the pod's alone.
    if number == FIRST_NUMBER and instance.spec.network.mode is NetworkMode.HOST_NETWORK:
        env.append({"name": "CONTRACT_PORT", "value": str(vpn.base_port + CONTRACT_PORT_OFFSET)})
    return env


def _sweep(instance: MCSInstance, settings: Settings) -> Object:
    """The node's network outlives the pod: what one that was killed has left there would be in force for the next."""
    return {
        "name": "sweep",
        "image": settings.link_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["/usr/local/bin/sweep"],
        "env": [{"name": "VPN_CIDR", "value": instance.spec.vpn.cidr}],
        "resources": settings.slot_resources.over(
            requests={"cpu": "1m", "memory": "8Mi"}, limits={"memory": str(sizing.SLOT_MEMORY_LIMIT)}
        ),
        "securityContext": _restricted(runAsUser=0, capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}),
    }


def _slot_volume(instance: MCSInstance, number: int) -> Object:
    """Each slot mounts its own Secret and no other, whole and optional: it is there long before any customer."""
    name = link_name(number)
    return {"name": name, "secret": {"secretName": f"{instance.name}-{name}", "optional": True, "defaultMode": 0o400}}


def _volumes(instance: MCSInstance) -> list[Object]:
    name, device = instance.name, instance.spec.vpn.tun_device
    volumes: list[Object] = [
        {"name": "config", "projected": {"sources": _shard_sources(name)}},
        {"name": "data", "persistentVolumeClaim": {"claimName": f"{name}-data"}},
        {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        # Of its own: as a folder of `run` it would be a mount of the node for every slot, and each container that
        # starts copies all of the node's mounts.
        {"name": "stop", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "agent", "secret": {"secretName": f"{name}-agent"}},
    ]
    if device.host_path:
        volumes.append({"name": "tun", "hostPath": {"path": device.host_path, "type": "CharDevice"}})
    return volumes


def _shard_sources(name: str) -> list[Object]:
    """All shards there will ever be, so that none has to be added to the template later."""
    secrets = [f"{name}-users-{n:02d}" for n in range(USER_SHARDS)]
    secrets += [f"{name}-certs-{n}" for n in range(CERTIFICATE_SHARDS)]
    return [{"secret": {"name": secret, "optional": True}} for secret in secrets] + [
        {"configMap": {"name": f"{name}-{part}", "optional": True}} for part in ("links", "manifest")
    ]
