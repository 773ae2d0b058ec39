"""What the operator may do, as data: each verb that the code of this package sends, and why.

The chart's roles are generated from here, and the tests run the operator with exactly these rights. A verb that is
missing is a 403 in the log of the first reconciliation that needs it; one too many is what a stolen token may do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mcs_operator.kube.networks import SERVICE_CIDRS
from mcs_operator.kube.resources import (
    COMMUNITIES,
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    EVENTS,
    INSTANCES,
    LEASES,
    LINKS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    SUBJECT_ACCESS_REVIEWS,
    TOKEN_REVIEWS,
    VOLUME_CLAIMS,
    VOLUMES,
    WEBHOOK_CONFIGURATIONS,
    Object,
    Resource,
)
from mcs_operator.settings import WEBHOOK

NAMESPACES = Resource("v1", "namespaces", "Namespace")
DEFINITIONS = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition")


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one kind, or on its subresource ``sub``, and what each is for."""

    resource: Resource
    verbs: tuple[str, ...]
    reason: str
    sub: str = ""
    names: tuple[str, ...] = ()
    """Only of these objects; empty: of all."""

    @property
    def rule(self) -> Object:
        """The rule of a Role or ClusterRole."""
        group, _, _ = self.resource.api_version.rpartition("/")
        plural = self.resource.plural
        rule: Object = {
            "apiGroups": [group],
            "resources": [f"{plural}/{self.sub}" if self.sub else plural],
            "verbs": list(self.verbs),
        }
        return rule | ({"resourceNames": list(self.names)} if self.names else {})


_FOUND = ("get", "list", "watch")
# A server-side apply of what is not there yet needs both.
_APPLIED = ("create", "patch")

IN_ALL_NAMESPACES = (
    Right(INSTANCES, ("list", "watch"), "Listed and watched; what users write is never changed."),
    Right(COMMUNITIES, ("list", "watch"), "The same."),
    Right(LINKS, ("list", "watch"), "The same."),
    Right(INSTANCES, ("patch",), "Status, by server-side apply.", sub="status"),
    Right(COMMUNITIES, ("patch",), "The same.", sub="status"),
    Right(LINKS, ("patch",), "The same.", sub="status"),
    Right(
        SECRETS,
        (*_FOUND, *_APPLIED, "delete"),
        "CA, agent, slots, profiles, shards, and certificates that were ordered. A slot is claimed by creating its "
        "Secret and freed by deleting it. Read: ours, and the users files, passwords and certificates that users name; "
        "of pull secrets, whether they are there.",
    ),
    Right(
        CONFIG_MAPS,
        (*_FOUND, *_APPLIED, "delete"),
        "Shards that are no secret, and the checksum manifest of all shards; users files are read.",
    ),
    Right(SERVICES, (*_FOUND, *_APPLIED, "delete"), "Another network mode leaves one behind, which is deleted."),
    Right(NETWORK_POLICIES, (*_FOUND, *_APPLIED, "delete"), "The same."),
    Right(STATEFUL_SETS, (*_FOUND, *_APPLIED), "Never deleted by the operator: it goes with its instance."),
    Right(VOLUME_CLAIMS, (*_FOUND, *_APPLIED), "Never deleted by the operator: data is the user's."),
    Right(
        PODS,
        (*_FOUND, *_APPLIED, "delete"),
        "An annotation wakes the kubelet; the media's image is changed in place, and the media pod is deleted when a "
        "restart was asked for. Created is a pod that pulls that image before; it is deleted then.",
    ),
    Right(PODS, ("patch",), "The media's size is changed while it runs.", sub="resize"),
    Right(
        RESOURCE_QUOTAS,
        (*_FOUND, *_APPLIED),
        "The limit of 250, which the API server keeps also while the operator is down; it goes with its instance.",
    ),
    Right(
        RESOURCE_QUOTAS, ("patch",), "Its count, where the quota controller does not know our kinds yet.", sub="status"
    ),
    Right(
        DISRUPTION_BUDGETS, (*_FOUND, *_APPLIED), "No eviction of a media pod; it goes with its instance, and only so."
    ),
    Right(EVENTS, ("create", "patch"), "What a person must know; a repetition is counted on the first one."),
)
"""Or in the namespaces that the operator serves, where these are listed."""

IN_NO_NAMESPACE = (
    Right(TOKEN_REVIEWS, ("create",), "Who asks for the metrics. Nothing is stored."),
    Right(SUBJECT_ACCESS_REVIEWS, ("create",), "Whether he may read them. Nothing is stored."),
    Right(
        WEBHOOK_CONFIGURATIONS,
        ("get", "patch"),
        "Its own one: the API server is told to trust the certificate that it serves with.",
        names=(WEBHOOK,),
    ),
    Right(DEFINITIONS, ("list", "watch"), "Kopf sees by them when our kinds come, also after the operator."),
    Right(
        NODES,
        ("list", "watch"),
        "Their podCIDRs, every ten minutes: spec.vpn.cidr must not meet them. Watched are the cordoned ones, by name: "
        "their media pods are drained, and go where another node takes them.",
    ),
    Right(VOLUMES, ("get",), "On which nodes the volume of a media pod can be mounted, whose node is cordoned."),
    Right(SERVICE_CIDRS, ("list",), "The same of Services, where the cluster has such objects."),
)
"""What is in no namespace and so needs a ClusterRole always."""

WHERE_NAMESPACES_ARE_LISTED = (
    Right(NAMESPACES, ("list", "watch"), "Kopf sees by them when a listed namespace comes or goes."),
)

IN_OWN_NAMESPACE = (
    Right(LEASES, ("get", "create", "update"), "The Lease by which one replica leads."),
    Right(SECRETS, ("get", "patch"), "The webhook's certificate.", names=(WEBHOOK,)),
    Right(SECRETS, ("create",), "The same: a name cannot be asked for before there is one."),
)


def rules(rights: Iterable[Right]) -> list[Object]:
    """The rules of a role that gives these rights and no other."""
    return [right.rule for right in rights]
