"""The rules about several objects, in words: field, value, rule, remedy. One rule, two doors.

Admission refuses by them before an object is stored, the reconciler by the same ones whatever got in otherwise; so
what `kubectl apply` says and what a condition says later is the same sentence.

No sentence names another customer: tenants may share a namespace, a review may be forged, and who has a name or an
address is nobody's business but the platform team's, who can list all objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcs_operator.api.conditions import Reason
from mcs_operator.domain.rules.addressing import address_of, last_number
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER, MAX_LINKS


def too_many_links(instance: str, count: int) -> Verdict:
    """An instance has at most 250 TVoxLinks; ``count`` are there already."""
    return Verdict(
        Reason.CAPACITY_EXCEEDED,
        f"spec.instanceRef.name: {instance}: the instance has {count} of at most {MAX_LINKS} TVoxLinks; "
        "delete one, or use another instance",
    )


def no_free_slot(instance: str, slots: int) -> Verdict:
    """A TVoxLink gets a number for which the pod has a slot, or none."""
    return Verdict(
        Reason.NO_FREE_SLOT,
        f"spec.instanceRef.name: {instance}: none of the instance's {slots} slots (spec.vpn.slots) is free; delete a "
        "TVoxLink, have slots added (this restarts the pod), or use another instance",
    )


def address_without_slot(address: str, slots: int, cidr: str) -> Verdict:
    """An address is one for which the instance's pod has a slot."""
    return Verdict(
        Reason.ADDRESS_OUT_OF_RANGE,
        f"spec.vpnAddress: {address} is not between {address_of(FIRST_NUMBER, cidr)} and "
        f"{address_of(last_number(slots), cidr)}, for which the instance has slots ({slots}, spec.vpn.slots)",
    )


def too_many_links_of_community(community: str, limit: int) -> Verdict:
    """The platform team may limit the TVoxLinks of each Community; who is served stays."""
    return Verdict(
        Reason.COMMUNITY_LIMIT_EXCEEDED,
        f"spec.communityRef.name: {community}: the Community has the {limit} TVoxLinks that spec.communityLimits.links "
        "of the instance allows; delete one, or have the limit raised",
    )


def users_beyond_limit(limit: int, inline: int, total: int) -> str:
    """The platform team may limit the enabled users of each Community; who is served stays."""
    return (
        f"spec.users: {inline}: {total} enabled users would be more than the {limit} that spec.communityLimits.users "
        "of the instance allows a Community; remove or disable some, or have the limit raised"
    )


def domain_taken(domain: str, field: str = "spec.domain") -> Verdict:
    """A public name belongs to one object of the whole cluster. Not whose it is: not even in which namespace."""
    return Verdict(
        Reason.DOMAIN_TAKEN,
        f"{field}: {domain} is in use, and a public name belongs to one object of the cluster; choose another",
    )


def address_out_of_range(address: str, cidr: str) -> Verdict:
    """An address is .2 to .251 of the instance's network."""
    return Verdict(
        Reason.ADDRESS_OUT_OF_RANGE,
        f"spec.vpnAddress: {address} is not between {address_of(FIRST_NUMBER, cidr)} and "
        f"{address_of(LAST_NUMBER, cidr)} (spec.vpn.cidr of the instance is {cidr})",
    )


def address_taken(address: str, taken: str) -> Verdict:
    """An address belongs to one TVoxLink; ``taken``: by what, in words, see the texts below."""
    return Verdict(Reason.ADDRESS_TAKEN, f"spec.vpnAddress: {address} {taken}; choose another")


def address_immutable(address: str, held: str) -> Verdict:
    """A TVoxLink keeps its address for life; deleted and created again it has the one of its identity."""
    return Verdict(
        Reason.ADDRESS_IMMUTABLE,
        f"spec.vpnAddress: {address} is asked for, but the link has {held}, which is in its TVox's profile; set it "
        "back, or delete the link and create it under another name",
    )


USED = "is used by another TVoxLink of this instance"
KEPT = "is kept for a TVoxLink that was deleted (spec.retain.links of the instance)"


def identity_of_another(link: str, instance: str) -> Verdict:
    """A TVoxLink does not take over the identity that a namesake of another instance left."""
    return Verdict(
        Reason.NAME_TAKEN,
        f"metadata.name: {link}: Secret {link}-profile is the identity of a TVoxLink of instance {instance!r}; choose "
        "another name, or delete the Secret: no TVox can use its profile any more then",
    )


def identity_unreadable(link: str, why: str = "cannot be read") -> Verdict:
    """Nothing is written over an identity that cannot be read: a backup may put it right."""
    return Verdict(
        Reason.NAME_TAKEN,
        f"metadata.name: {link}: Secret {link}-profile {why}; restore it from the backup, or delete it: a new "
        "profile is made then",
    )


def not_ours(what: str, labels: str) -> str:
    """A name that the operator needs is taken by what does not bear its labels: perhaps its own, restored without."""
    return (
        f"metadata.labels: {what} exists without {labels}, and is left alone. If it is the operator's (restored from a "
        "backup, labelled by a tool), set that; else rename or delete it"
    )


def namespace_occupied(namespace: str, occupant: str = "") -> Verdict:
    """A namespace has one MCSInstance. ``occupant`` is named in a condition, which only that namespace can read, and
    not to whoever sends a review."""
    has = f"MCSInstance {occupant!r}" if occupant else "another MCSInstance"
    return Verdict(
        Reason.NAMESPACE_OCCUPIED,
        f"metadata.namespace: {namespace} has {has} already, one per namespace; create this one in a namespace of its "
        "own",
    )


def no_tls_secret(field: str, name: str) -> str:
    """A Secret with a certificate is of type kubernetes.io/tls. Of another type it would not be seen at all."""
    return (
        f"{field}: there is no Secret {name!r} of type kubernetes.io/tls in this namespace; `kubectl create secret tls "
        f"{name}` makes one (a Secret of that name and another type has to be deleted first)"
    )


def no_pull_secret(field: str, names: Sequence[str]) -> str:
    """A pull secret is in the namespace of the pod."""
    return (
        f"{field}: {', '.join(names)}: no such Secret in this namespace; create it (`kubectl create secret "
        "docker-registry`): the media pod may not get its images at its next start"
    )


def network_taken(cidr: str, other: str, what: str) -> Verdict:
    """A VPN network is nobody else's: its routes would take the others' away."""
    return Verdict(
        Reason.NETWORK_TAKEN,
        f"spec.vpn.cidr: {cidr} meets {other}, which has {what}; choose a /24 that nothing else uses, such as "
        "198.18.254.0/24",
    )


def users_beyond_tier(tier: str, capacity: int, inline: int, total: int) -> str:
    """Enabled users of all Communities of an instance are no more than its tier has."""
    return (
        f"spec.users: {inline}: {total} enabled users would be more than the {capacity} of tier {tier}; "
        "remove or disable some, or raise spec.tier of the instance"
    )


def community_in_use(instance: str, before: str, using: int) -> str:
    """A Community that TVoxLinks use keeps its instance."""
    return (
        f"spec.instanceRef.name: {instance}: {using} TVoxLinks of this Community belong to instance {before!r}; "
        "delete them first, or set it back"
    )


def domain_in_profiles(domain: str, before: str, links: int) -> str:
    """An instance's domain stays while TVoxLinks exist."""
    return (
        f"spec.domain: {domain}: cannot be changed while {links} TVoxLinks exist, every TVox's profile dials {before}; "
        "set it back"
    )


def profiles_differ(field: str, declared: str, there: str, count: int) -> str:
    """An instance that is created again has the port, network and domain of the profiles that its TVoxes have."""
    return (
        f"{field}: {declared}: {count} profiles of this instance's TVoxes have {there}, and are served so; set it to "
        f"{there}, or delete their TVoxLinks and Secrets first (each TVox needs a new profile then)"
    )


def tier_below_users(tier: str, before: str, capacity: int, users: int) -> str:
    """A tier is not lowered below the users that are there."""
    return (
        f"spec.tier: {tier}: has {capacity} users, and {users} are there; remove or disable some first, "
        f"or keep {before}"
    )


def slots_below_numbers(slots: int, number: int, cidr: str) -> str:
    """Slots are not lowered below the highest number in use."""
    return (
        f"spec.vpn.slots: {slots}: a TVoxLink has number {number} ({address_of(number, cidr)}), which needs "
        f"{number - 1} slots; delete that link first (`kubectl get tvl` tells which), or keep {number - 1} or more"
    )


def node_taken(label: str, value: str) -> str:
    """Two instances with host ports do not share a node."""
    return (
        f"spec.nodeSelector: {label}={value}: that node's ports 80, 443 and 3478 are used by another MCSInstance; "
        "choose another node, or network mode LoadBalancer"
    )


def no_instance(namespace: str, name: str, there: bool) -> Verdict:
    """A Community or TVoxLink names the MCSInstance that has its namespace. ``there``: one of that name exists, and is
    not the one that is served."""
    why = (
        "exists, and is not accepted: it says why; name the one that is"
        if there
        else f"does not exist in namespace {namespace}; create it, or name the one that is there"
    )
    return Verdict(Reason.INSTANCE_NOT_FOUND, f"spec.instanceRef.name: MCSInstance {name!r} {why}")


def no_community(namespace: str, name: str, there: bool) -> Verdict:
    """A TVoxLink names a Community. ``there``: one of that name exists, and cannot be read by this operator."""
    why = (
        "exists, and cannot be read by this version of the operator: its condition Accepted says why; correct it"
        if there
        else f"does not exist in namespace {namespace}; create it, or name one that does"
    )
    return Verdict(Reason.COMMUNITY_NOT_FOUND, f"spec.communityRef.name: Community {name!r} {why}")


def community_of_another(community: str, instance: str) -> Verdict:
    """A TVoxLink and its Community name the same MCSInstance."""
    return Verdict(
        Reason.INSTANCE_MISMATCH,
        f"spec.communityRef.name: Community {community!r} has another spec.instanceRef than this link, which has "
        f"{instance!r}; name a Community of that instance, or set its instanceRef",
    )


EXAMPLES: dict[Callable[..., Verdict | str], Verdict | str] = {
    too_many_links: too_many_links("mcs", MAX_LINKS),
    no_free_slot: no_free_slot("mcs", 8),
    too_many_links_of_community: too_many_links_of_community("acme", 10),
    users_beyond_limit: users_beyond_limit(100, 30, 101),
    domain_taken: domain_taken("acme.example.com"),
    address_out_of_range: address_out_of_range("198.18.254.252", "198.18.254.0/24"),
    address_without_slot: address_without_slot("198.18.254.17", 8, "198.18.254.0/24"),
    address_taken: address_taken("198.18.254.17", USED),
    address_immutable: address_immutable("198.18.254.18", "198.18.254.17"),
    identity_of_another: identity_of_another("acme", "former"),
    identity_unreadable: identity_unreadable("acme"),
    not_ours: not_ours("Secret acme-profile", "label app.kubernetes.io/managed-by=mcs-operator"),
    namespace_occupied: namespace_occupied("mcs-demo"),
    network_taken: network_taken("10.244.0.0/24", "10.244.0.0/16", "Pods of this cluster"),
    no_tls_secret: no_tls_secret("spec.tls.secretRef", "acme-tls"),
    no_pull_secret: no_pull_secret("spec.imagePullSecrets", ["registry"]),
    users_beyond_tier: users_beyond_tier("UpTo1000", 1000, 300, 1001),
    community_in_use: community_in_use("other", "mcs", 3),
    domain_in_profiles: domain_in_profiles("new.example.com", "mcs.example.com", 12),
    profiles_differ: profiles_differ("spec.vpn.basePort", "21000", "23000", 12),
    tier_below_users: tier_below_users("UpTo1000", "UpTo10000", 1000, 1001),
    slots_below_numbers: slots_below_numbers(15, 17, "198.18.254.0/24"),
    node_taken: node_taken("kubernetes.io/hostname", "dmz-1"),
    no_instance: no_instance("mcs-demo", "mcs", there=False),
    no_community: no_community("mcs-demo", "acme", there=False),
    community_of_another: community_of_another("acme", "mcs"),
}
"""Every rule, with a message as a user sees it; docs/errors.md is made of it."""
