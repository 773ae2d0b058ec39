"""The kinds that we read and write, as the API server names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mcs_operator.settings import API_VERSION

Object = dict[str, Any]
"""One object of the API, or another JSON object of its."""


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One kind as the API server serves it. There is one object of each, below: compared by identity, as key of every
    object that is known, it would otherwise be hashed and compared by its texts, a million times in a start."""

    api_version: str
    plural: str
    kind: str

    def path(self, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
        """URL path of the collection, of one object or of its subresource."""
        parts = ["/api" if "/" not in self.api_version else "/apis", self.api_version]
        if namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if sub is not None:
            parts.append(sub)
        return "/".join(parts)


INSTANCES = Resource(API_VERSION, "mcsinstances", "MCSInstance")
COMMUNITIES = Resource(API_VERSION, "communities", "Community")
LINKS = Resource(API_VERSION, "tvoxlinks", "TVoxLink")
SECRETS = Resource("v1", "secrets", "Secret")
CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
SERVICES = Resource("v1", "services", "Service")
VOLUME_CLAIMS = Resource("v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PODS = Resource("v1", "pods", "Pod")
STATEFUL_SETS = Resource("apps/v1", "statefulsets", "StatefulSet")
RESOURCE_QUOTAS = Resource("v1", "resourcequotas", "ResourceQuota")
NETWORK_POLICIES = Resource("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")
DISRUPTION_BUDGETS = Resource("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget")
NODES = Resource("v1", "nodes", "Node")
VOLUMES = Resource("v1", "persistentvolumes", "PersistentVolume")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")
WEBHOOK_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration"
)
EVENTS = Resource("events.k8s.io/v1", "events", "Event")
TOKEN_REVIEWS = Resource("authentication.k8s.io/v1", "tokenreviews", "TokenReview")
SUBJECT_ACCESS_REVIEWS = Resource("authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview")

OURS = (INSTANCES, COMMUNITIES, LINKS)
CHILDREN = (
    SECRETS,
    CONFIG_MAPS,
    SERVICES,
    VOLUME_CLAIMS,
    STATEFUL_SETS,
    PODS,
    NETWORK_POLICIES,
    RESOURCE_QUOTAS,
    DISRUPTION_BUDGETS,
)
BY_KIND = {resource.kind: resource for resource in (*OURS, *CHILDREN)}
