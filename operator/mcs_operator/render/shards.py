"""The appliance's configuration as files: who is served, by which name and address (docs/appliance-contract.md).

The checksum manifest comes last: the appliance takes a set only when every file is there and has the SHA-256 in it.
"""

from __future__ import annotations

from mcs_operator.api import MCSInstance
from mcs_operator.api.conditions import Reason
from mcs_operator.contract.digest import canonical, digest
from mcs_operator.contract.shards import (
    ServedCommunity,
    ServedLink,
    certificates_files,
    checksum_manifest,
    communities_file,
    links_file,
    users_files,
)
from mcs_operator.domain.facts.world import Size, World
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.addressing import address_of
from mcs_operator.domain.rules.capacity import capacity_of
from mcs_operator.render.objects import build_object, encoded


def build_shards(world: World, plan: Plan, keys: Keys, instance: MCSInstance, size: Size) -> list[Manifest]:
    """Secrets `<instance>-users-NN` and `-certs-N`, ConfigMaps `<instance>-links` and, last, `<instance>-manifest`.
    ``size``: the media's."""
    users = users_files(plan.users.users, plan.logins.logins, plan.logins.erasures)
    secret = users | certificates_files(keys.serving.certificates, keys.serving.portals)
    thumbprint = keys.account.thumbprint if keys.account else ""
    config = _config_files(world, plan, instance, size, thumbprint)
    checksums = checksum_manifest({name: digest(text) for name, text in (secret | config).items()})
    return [
        *(_secret(instance, part, files) for part, files in sorted(_by_secret(secret).items())),
        _config_map(instance, "links", config, Wave.SHARD),
        _config_map(instance, "manifest", {"manifest.json": checksums}, Wave.CHECKSUMS),
    ]


def _by_secret(files: dict[str, str]) -> dict[str, dict[str, str]]:
    """Files by the Secret that they are in: passwords in that of the users of their number, which every pod has
    mounted. One of their own would be another pod template, and so a restart."""
    found: dict[str, dict[str, str]] = {}
    for file, text in files.items():
        found.setdefault(file.removesuffix(".json").replace("logins-", "users-"), {})[file] = text
    return found


def _secret(instance: MCSInstance, part: str, files: dict[str, str]) -> Manifest:
    body = build_object("v1", "Secret", f"{instance.name}-{part}", instance, owner=instance, data=encoded(files))
    return Manifest(body, Wave.SHARD)


def _config_map(instance: MCSInstance, name: str, files: dict[str, str], wave: Wave) -> Manifest:
    body = build_object("v1", "ConfigMap", f"{instance.name}-{name}", instance, owner=instance, data=files)
    return Manifest(body, wave)


def _config_files(world: World, plan: Plan, instance: MCSInstance, size: Size, thumbprint: str) -> dict[str, str]:
    spec = instance.spec
    links = [
        ServedLink(
            name=p.link.name,
            number=p.number,
            domain=p.link.spec.domain,
            address=address_of(p.number, spec.vpn.cidr),
            community=p.link.spec.community_ref.name,
            enabled=p.link.spec.enabled,
            service_state=p.link.spec.service_state,
        )
        for p in plan.served
        if p.number is not None and not (p.refusal and p.refusal.reason is Reason.DOMAIN_TAKEN)  # one site per name
    ]
    portals = plan.portals_served
    communities = [
        ServedCommunity(c.name, c.spec.display_name or c.name, c.spec.enabled, portals.get(c.name))
        for c in plan.communities_served(world.communities)
    ]
    facts = {
        "version": 1,
        "name": instance.name,
        "domain": spec.domain,
        "publicAddress": spec.public_address,
        "mediaPort": spec.network.media_port,
        "bandwidthMbps": capacity_of(instance, 0, 0).megabits,
        "size": size.as_numbers(),
        "users": {"served": len(plan.users.users), "capacity": plan.users.capacity},
    }
    if kept := spec.portals.as_numbers():
        facts["portals"] = kept
    if limits := spec.community_limits.as_numbers():
        facts["communityLimits"] = limits
    if thumbprint:
        facts["acmeThumbprint"] = thumbprint
    if spec.tls.http01:
        service = spec.tls.http01.service_ref
        # Without the cluster's own domain, which nobody tells: the pod's resolver completes it.
        facts["http01Solver"] = {"host": f"{service.name}.{instance.namespace}.svc", "port": service.port}
    return {
        "instance.json": canonical(facts),
        **links_file([*links, *plan.kept.links]),
        **communities_file([*communities, *plan.kept.communities]),
    }
