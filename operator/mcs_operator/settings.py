"""Names and numbers that every layer agrees on, and the operator's own settings.

The bottom layer: imports nothing of this package. What is here is part of the product's contract; a changed
name or number would orphan objects that a running operator wrote before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass

GROUP = "mcs.tvox.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
OPERATOR = "mcs-operator"
"""Field manager of every server-side apply, value of the managed-by label, and reporting component."""

MAX_LINKS = 250
"""TVox appliances per MCS instance (the vendor's limit, in either tier)."""
FIRST_NUMBER = 2
LAST_NUMBER = FIRST_NUMBER + MAX_LINKS - 1
"""A link's number is the last octet of its VPN address: 2..251. MCS itself is .1."""

CONTRACT_PORT_OFFSET = 0
AGENT_PORT_OFFSET = 1
"""Added to spec.vpn.basePort: 21000 the appliance's HTTP contract, 21001 the link agent; link N is basePort + N."""

LABEL_NAME = "app.kubernetes.io/name"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_INSTANCE = f"{GROUP}/instance"
LABEL_LINK = f"{GROUP}/link"
LABEL_SLOT = f"{GROUP}/slot"
LABEL_USERS = f"{GROUP}/users"
LABEL_PASSWORDS = f"{GROUP}/passwords"
"""On a Secret: the Community whose users' passwords it has. Without it one customer would read another's hashes."""

ERASURE_ID = re.compile(r"[0-9a-f]{32}")
"""A request to erase what is kept of a user: drawn at random, so that it may stand where no name may."""

ANNOTATION_DOMAIN = f"{GROUP}/domain"
"""On a Secret with a certificate that was issued by ACME: the public name that it is for, for people."""

ANNOTATION_APPLIED = f"{GROUP}/applied"
"""SHA-256 of the manifest as last applied: tells a field that we no longer want from one that is not ours."""
ANNOTATION_POKE = f"{GROUP}/poke"
"""Changed on the pod (never on its template) so that the kubelet syncs its volumes at once."""
ANNOTATION_RESTART_HASH = f"{GROUP}/restart-hash"
"""On the pod template, as operators before changes in place compare it: SHA-256 of the user's fields that restarted the
pod then, the image and the media's size among them. Written so that one of them that comes back restarts nobody."""
ANNOTATION_PARTS = f"{GROUP}/parts"
"""The same: a hash for each part of the pod template."""
ANNOTATION_POD_HASH = f"{GROUP}/pod-hash"
"""SHA-256 of the user's fields of impact Restart, on the pod template."""
ANNOTATION_POD_PARTS = f"{GROUP}/pod-parts"
"""A hash for each part of the pod template, on the template: tells what a newer template would change. Without what
changes in place, which is images and the media's size."""
ANNOTATION_MEDIA_IMAGE = f"{GROUP}/media-image"
"""The image that the media was made from, on the pod template: what is in the pod itself may be the name of a mirror,
put there by the cluster."""
ANNOTATION_AGENT_IMAGE = f"{GROUP}/agent-image"
ANNOTATION_LINK_IMAGE = f"{GROUP}/link-image"
"""The same of the agent, and of the slots once all of them are made from it."""
ANNOTATION_UPDATE = f"{GROUP}/update"
"""On the pod: how far the update of its agent and slots in place has come, as JSON; gone when it is over."""
ANNOTATION_MEDIA_CHANGED = f"{GROUP}/media-changed"
"""On the pod: when its media was given another image, and how often it had been restarted by then, as a JSON object."""
ANNOTATION_LAST_GOOD_IMAGE = f"{GROUP}/last-good-image"
"""On the StatefulSet: the media's image that was ready last."""
ANNOTATION_REFUSED_IMAGE = f"{GROUP}/refused-image"
"""On the StatefulSet: the declared image that did not become ready, and why, as a JSON object."""
ANNOTATION_REFUSED_SIZE = f"{GROUP}/refused-size"
"""On the StatefulSet: the declared size that the node will never have, and the one that runs, as a JSON object."""
ANNOTATION_DISRUPTIONS = f"{GROUP}/disruptions"
"""On the pod: since when each cause of a disruption is known, as a JSON object {cause: RFC 3339}. After the time stands
how many tunnels were up then, if any was."""
ANNOTATION_INTERRUPTION = f"{GROUP}/interruption-"
"""With a number from 0 to 9, on the StatefulSet: one of the last interruptions, as a JSON object."""
ANNOTATION_DRAINING = f"{GROUP}/draining-since"
"""RFC 3339, on the pod: since when it drains. On the object, so that an operator's restart does not begin anew."""
ANNOTATION_DRAINING_FOR = f"{GROUP}/draining-for"
"""The cause that it drains for: what another one waits for must not be carried out by this drain."""
ANNOTATION_REFUSED_RESIZE = f"{GROUP}/refused-resize"
"""On the pod: the size that the API server would not give it while it runs, as JSON. ``never``: its words, where the
node will never have that size."""
ANNOTATION_KEPT_IMAGE = f"{GROUP}/kept-image"
"""On the StatefulSet: the image that the next pod is made from until the declared one is on the node, as JSON."""
ANNOTATION_RESTART = f"{GROUP}/restart-requested-at"
"""RFC 3339, set by the user on an MCSInstance: a pod that is older than that is drained and replaced."""
ANNOTATION_FORCE_DRAIN = f"{GROUP}/force-drain"
"""UID of a pod, set by the user on an MCSInstance: the pod leaves its cordoned node although no other node takes it."""

ANNOTATION_ALLOWED = f"{GROUP}/disruptions-allowed-at"
"""RFC 3339, set by the user on the MCSInstance: for ten minutes from then on spec.disruptions holds nothing back."""
ANNOTATION_ROTATE = f"{GROUP}/rotate-requested-at"
"""RFC 3339, set by the user on a TVoxLink: where its newest client certificate is older, a new profile is made."""
ANNOTATION_UNDO_ROTATE = f"{GROUP}/undo-rotate-requested-at"
"""RFC 3339, set by the user on a TVoxLink: a rotation of before is taken back, if its certificate was not seen yet."""
ANNOTATION_REVOKE = f"{GROUP}/revoke-requested-at"
"""RFC 3339, set by the user on a TVoxLink: its oldest client certificate is refused from now on."""

IMAGE_PULL = "mcs-image-pull"
"""The name label of a pod that only pulls an image: another one than the media pod's, which selectors go by."""

MEDIA_CONTAINER = "media"
AGENT_CONTAINER = "agent"

RETRY_SECONDS = 2.0
"""Until another look where something has to go first, such as an object that the garbage collector removes; doubled
each time, to the longest."""
LONGEST_RETRY_SECONDS = 120.0

LEASE = "mcs-operator"
WEBHOOK = "mcs-operator-webhook"
"""The webhook's Service, its Secret, and the ValidatingWebhookConfiguration."""

USER_SHARDS = 16
CERTIFICATE_SHARDS = 8


@dataclass(frozen=True, slots=True)
class ContainerResources:
    """What a container asks for and may use, beyond the product's own: pairs of a resource and a quantity."""

    requests: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, text: str) -> ContainerResources:
        """As in a pod: ``{"requests": {"cpu": "5m"}, "limits": {"cpu": "500m"}}``; empty: nothing. ValueError for
        anything else."""
        given = json.loads(text or "{}")
        if not isinstance(given, dict) or not all(isinstance(given.get(side) or {}, dict) for side in _SIDES):
            raise ValueError("no object of objects")
        sides = ({name: str(amount) for name, amount in (given.get(side) or {}).items()} for side in _SIDES)
        return cls(*(tuple(sorted(side.items())) for side in sides))

    def over(self, **own: dict[str, str]) -> dict[str, dict[str, str]]:
        """``requests`` and ``limits`` with these over the product's own."""
        return {"requests": own["requests"] | dict(self.requests), "limits": own["limits"] | dict(self.limits)}


_SIDES = ("requests", "limits")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the person who installs the operator decides; read from the environment once, then passed on."""

    link_image: str = "localhost/mcs/link:dev"
    agent_image: str = "localhost/mcs/operator:dev"
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets that every media pod may pull its images with, in the namespace of each."""
    slot_resources: ContainerResources = ContainerResources()
    agent_resources: ContainerResources = ContainerResources()
    """Of a media pod's slots, and of its link agent: what a cluster's LimitRange or quota asks of each container."""
    namespace: str = ""
    """The operator's own namespace, for its Lease; empty outside of a pod: then it leads without one."""
    identity: str = ""
    """The pod's name, unique among the replicas."""
    metrics_namespace: str = ""
    """Where Prometheus runs: from there, too, the link agents may be reached. Empty: from nowhere else."""
    dns: tuple[str, ...] = ()
    """Whom media pods may ask for names: addresses, networks, or namespaces. Empty: the cluster's usual resolvers."""
    namespaces: tuple[str, ...] = ()
    """Served are the instances of these namespaces; empty: of all."""

    @classmethod
    def from_environment(cls) -> Settings:
        """Read MCS_LINK_IMAGE, MCS_AGENT_IMAGE, MCS_IMAGE_PULL_POLICY, MCS_IMAGE_PULL_SECRETS, MCS_SLOT_RESOURCES,
        MCS_AGENT_RESOURCES, MCS_METRICS_NAMESPACE, MCS_DNS, MCS_NAMESPACES, POD_NAMESPACE, POD_NAME. ValueError, which
        names the variable, where one cannot be read."""
        default = cls()
        return cls(
            link_image=os.environ.get("MCS_LINK_IMAGE", default.link_image),
            agent_image=os.environ.get("MCS_AGENT_IMAGE", default.agent_image),
            image_pull_policy=os.environ.get("MCS_IMAGE_PULL_POLICY", default.image_pull_policy),
            image_pull_secrets=tuple(filter(None, os.environ.get("MCS_IMAGE_PULL_SECRETS", "").split(","))),
            slot_resources=_resources("MCS_SLOT_RESOURCES"),
            agent_resources=_resources("MCS_AGENT_RESOURCES"),
            namespace=os.environ.get("POD_NAMESPACE", default.namespace),
            identity=os.environ.get("POD_NAME", default.identity),
            metrics_namespace=os.environ.get("MCS_METRICS_NAMESPACE", default.metrics_namespace),
            dns=tuple(filter(None, os.environ.get("MCS_DNS", "").split(","))),
            namespaces=tuple(filter(None, os.environ.get("MCS_NAMESPACES", "").split(","))),
        )


def _resources(variable: str) -> ContainerResources:
    text = os.environ.get(variable, "")
    try:
        return ContainerResources.from_json(text)
    except ValueError:
        example = '{"requests": {"cpu": "5m"}, "limits": {"cpu": "500m"}}'
        raise ValueError(
            f"{variable} is {text[:100]!r}, which is not resources in JSON; for example {example}"
        ) from None


def certificate_secret(instance: str, domain: str) -> str:
    """The Secret with the certificate that was issued for a public name. By its digest: a name may be longer than a
    Secret's name can be with the instance's before it."""
    return f"{instance}-acme-{hashlib.sha256(domain.encode()).hexdigest()[:16]}"


def link_name(number: int) -> str:
    """The one name of a link in the pod: its container and its tun device, e.g. ``link-017``."""
    return f"link-{number:03d}"
