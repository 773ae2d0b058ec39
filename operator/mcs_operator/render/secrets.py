"""Secrets: the CA, the agent's credentials, and each link's two: its slot's, and its profile (the identity)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from mcs_operator.api import MCSInstance, NetworkMode
from mcs_operator.contract.digest import canonical
from mcs_operator.contract.linkstate import metrics_token
from mcs_operator.contract.slotfiles import FINGERPRINTS, PREVIOUS, slot_revision
from mcs_operator.domain.facts.world import Fingerprint
from mcs_operator.domain.facts.world import Profile as KnownProfile
from mcs_operator.domain.keyring import Keys, LinkKeys
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.domain.plan import LinkPlan
from mcs_operator.domain.rules.addressing import common_name
from mcs_operator.render.objects import build_object, encoded, identity_owners
from mcs_operator.render.openvpn import ClientConfig, Firewall, Identity, LinkNet, Server, build_profile, slot_files
from mcs_operator.settings import LABEL_SLOT, link_name
from mcs_operator.timestamps import rfc3339


def build_authority(instance: MCSInstance, keys: Keys) -> list[Manifest]:
    """`<instance>-ca`: it outlives the instance unless the user wants it to go, and then every TVox needs a visit."""
    if keys.authority is None:
        return []
    data = encoded({"ca.crt": keys.authority.cert_pem, "ca.key": keys.authority.key_pem})
    owners = identity_owners(instance)
    body = build_object("v1", "Secret", f"{instance.name}-ca", instance, owners=owners, type="Opaque", data=data)
    return [Manifest(body, Wave.AUTHORITY, claim=True)]


def build_agent(instance: MCSInstance, keys: Keys) -> list[Manifest]:
    """`<instance>-agent`: certificate and bearer token of the link agent; and what reads its metrics."""
    if keys.agent is None:
        return []
    files = {"tls.crt": keys.agent.tls.cert_pem, "tls.key": keys.agent.tls.key_pem, "token": keys.agent.token}
    body = build_object(
        "v1", "Secret", f"{instance.name}-agent", instance, owner=instance, type="Opaque", data=encoded(files)
    )
    return [Manifest(body, Wave.IDENTITY), _metrics(instance, keys, keys.agent.token)]


def _metrics(instance: MCSInstance, keys: Keys, token: str) -> Manifest:
    """`<instance>-metrics`: what Prometheus needs to read the agent, and nothing that can do more."""
    files = {"token": metrics_token(token)} | ({"ca.crt": keys.ca} if keys.ca else {})
    body = build_object(
        "v1", "Secret", f"{instance.name}-metrics", instance, owner=instance, type="Opaque", data=encoded(files)
    )
    return Manifest(body, Wave.IDENTITY)


def build_slot(
    instance: MCSInstance, plan: LinkPlan, keys: LinkKeys, in_force: Collection[str] = ()
) -> tuple[Manifest, str]:
    """`<instance>-link-017` and its revision. Raises ValueError where a part must not reach a slot.

    ``in_force``: the revision that a slot of an older pod has now, in so many words as there are of it. For any other
    one it would restart its OpenVPN. So where nothing else changed than our own text of the firewall, the older text
    stays until the pod is replaced.
    """
    files = _slot_files(instance, plan, keys)
    if in_force and slot_revision(files) not in in_force:
        older = _slot_files(instance, plan, keys, limited=False)
        files = older if slot_revision(older) in in_force else files
    revision = slot_revision(files)
    number = plan.number or 0
    # Not one of the slot's files, so no reason to restart it: what is left to go by when the profile Secret is lost.
    files |= {"revision": revision, FINGERPRINTS: canonical(_fingerprints(keys.fingerprints))}
    body = build_object(
        "v1",
        "Secret",
        f"{instance.name}-{link_name(number)}",
        instance,
        owner=plan.link,
        link=plan.link.name,
        more_labels={LABEL_SLOT: f"{number:03d}"},
        type="Opaque",
        data=encoded(files),
    )
    return Manifest(body, Wave.SLOT, claim=True, link=plan.link.name), revision


def _slot_files(instance: MCSInstance, plan: LinkPlan, keys: LinkKeys, limited: bool = True) -> dict[str, str]:
    spec, network = plan.link.spec, instance.spec.network
    net = _net(instance, plan.number or 0)
    on_host_network = network.mode is NetworkMode.HOST_NETWORK
    return slot_files(
        Server(net, spec.protocol.value, keys.pins, on_host_network),
        Firewall(net, spec.allowed_sources, network.media_port, on_host_network, limited),
        Identity(keys.ca, keys.server.cert_pem, keys.server.key_pem, keys.tls_crypt),
        enabled=spec.enabled and not keys.revoked,
    )


def build_identity(
    instance: MCSInstance, plan: LinkPlan, profile: KnownProfile, ca: str, *, domain: str = ""
) -> Manifest:
    """`<link>-profile`, not the link's own: the profile to upload, and the identity that outlives the link.

    ``domain``: the one that profiles have, where it is not the instance's.
    """
    number = plan.number or 0
    text = build_profile(
        ClientConfig(
            net=_net(instance, number),
            protocol=plan.link.spec.protocol.value,
            domain=domain or instance.spec.domain,
            identity=Identity(ca, profile.client.cert_pem, profile.client.key_pem, profile.tls_crypt),
            public_address=instance.spec.public_address,
            # A CA that signs for others too: whoever has a server's certificate of it could pose as this MCS.
            server_name=common_name(number, instance.name) if instance.spec.vpn.ca_secret_ref else None,
        )
    )
    files = {
        f"{plan.link.name}.ovpn": text,
        "tls.crt": profile.client.cert_pem,
        "tls.key": profile.client.key_pem,
        "tls-crypt.key": profile.tls_crypt,
        "identity.json": identity_json(profile),
    }
    if profile.previous:
        files |= dict(zip(PREVIOUS, (profile.previous.cert_pem, profile.previous.key_pem), strict=True))
    body = build_object(
        "v1",
        "Secret",
        f"{plan.link.name}-profile",
        instance,
        owners=identity_owners(instance),
        link=plan.link.name,
        type="Opaque",
        data=encoded(files),
    )
    return Manifest(body, Wave.IDENTITY, claim=True, link=plan.link.name)


def identity_json(profile: KnownProfile) -> str:
    """The part of the identity that is neither key nor certificate.

    It tells link and instance, which labels tell as well: those are copied by anybody. Not in what an earlier operator
    wrote, until there is something else to write: 250 writes for nothing, and a restart writes nothing.
    """
    names = {"link": profile.link, "instance": profile.instance} if profile.named else {}
    return canonical(
        names
        | {
            "slot": profile.number,
            "created": _time(profile.created),
            "released": _time(profile.released),
            "fingerprints": _fingerprints(profile.fingerprints),
        }
    )


def _fingerprints(pins: Sequence[Fingerprint]) -> list[dict[str, str | None]]:
    """The TVox's certificates, oldest first, without their keys. A mark of this operator's alone is told where it is
    set: everybody's Secret would be written otherwise."""
    return [
        {
            "sha256": pin.sha256,
            "created": _time(pin.created),
            "notAfter": _time(pin.not_after),
            "deadline": _time(pin.deadline),
            "seen": _time(pin.seen),
            "revoked": _time(pin.revoked),
        }
        | ({"withdrawn": _time(pin.withdrawn)} if pin.withdrawn else {})
        for pin in pins
    ]


def _net(instance: MCSInstance, number: int) -> LinkNet:
    return LinkNet(number, instance.spec.vpn.base_port, instance.spec.vpn.cidr)


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
