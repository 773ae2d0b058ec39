"""Mint what is missing or near its end: for every served link its client and server keys, for the instance its CA and
its agent's.

What exists is taken as it is. A new client key means a visit to that customer's TVox, so there are exactly two ways to
get one: the link never had a profile, or the user asked for a rotation. Where there is no CA nothing is signed at all,
and what is there goes on.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mcs_operator.api import MCSInstance
from mcs_operator.api.conditions import Reason
from mcs_operator.domain.facts.keys import Authority, KeyPair
from mcs_operator.domain.facts.world import AgentCredentials, Fingerprint, Profile, SlotSecret, World
from mcs_operator.domain.keyring import Keys, LinkKeys
from mcs_operator.domain.plan import LinkPlan, Plan
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.addressing import agent_name, common_name
from mcs_operator.domain.rules.pins import OVERLAP, accepted, rotated
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status.faults import told
from mcs_operator.pki.account import account
from mcs_operator.pki.authority import InvalidAuthorityError, load_authority
from mcs_operator.pki.foreign import ForeignError
from mcs_operator.pki.inspect import fingerprint, has_dates, is_certificate, is_for, is_pair, issued_by, not_after
from mcs_operator.pki.mint import mint_agent, mint_ca, mint_client, mint_server, mint_tls_crypt
from mcs_operator.pki.renewal import choose, is_due
from mcs_operator.pki.serving import serving
from mcs_operator.settings import ANNOTATION_ROTATE, link_name


@dataclass(frozen=True, slots=True)
class _Issuer:
    """What keys of one instance are made from. ``authority`` is None where nothing can be signed; ``ca`` is the
    certificate that is then left to go by."""

    authority: Authority | None
    ca: str | None
    now: datetime


def complete(world: World, plan: Plan) -> Keys:
    """Existing keys, and new ones where something is missing or ends soon, and may be made."""
    instance = plan.instance
    if instance is None:
        return Keys()
    slots = _slots(world, plan, instance)
    profiles = {name: profile for name, profile in world.profiles.items() if profile.instance == instance.name}
    authority, problem = _authority(world, plan, instance, slots)
    ca = authority.cert_pem if authority else _ca_of(slots.values())
    issuer = _Issuer(authority, ca, world.now)
    servers = {p.link.name: _server(issuer, p, slots.get(p.link.name)) for p in plan.served}
    renewed, due = _renewals(issuer, servers)
    links, problems, defects = {}, {}, {}
    for link_plan in plan.served:
        name = link_plan.link.name
        kept = None if name in renewed else servers[name]
        try:
            keys = _link_keys(issuer, link_plan, profiles.get(name), slots.get(name), kept)
        except ForeignError as error:  # one link's keys that cannot be made must not keep 249 others from theirs
            problems[name] = f"its keys cannot be made: {error}"
            continue
        except Exception as error:  # nor must what nobody thought of
            defects[name] = f"the link's keys: {told(error)}"
            continue
        if keys:
            links[name] = keys
        elif authority:
            problems[name] = _NOTHING_LEFT.format(name, f"{instance.name}-{link_name(link_plan.number or 0)}")
    ordered_by, no_account = account(world, instance)
    moments = [moment for moment in (due, *(p.pins.due for p in plan.served)) if moment]
    return Keys(
        authority=_kept(authority, world, instance),
        ca=ca,
        agent=_agent(world, instance.name, authority),
        links=links,
        damaged=problems,
        serving=serving(world, plan),
        problem=problem,
        due=min(moments, default=None),
        defects=defects,
        account=ordered_by,
        account_problem=no_account,
    )


def _slots(world: World, plan: Plan, instance: MCSInstance) -> dict[str, SlotSecret]:
    """The slots by link. Of several, which backups of two moments may leave, the one at the link's number: by another
    one its server would get a new certificate at each run, and restart, for as long as that other cannot be removed."""
    slots = {slot.link: slot for slot in world.slots.values() if slot.instance == instance.name}
    own = (world.slots.get((instance.name, p.number)) for p in plan.served if p.number is not None)
    return slots | {slot.link: slot for slot in own if slot}


_NOTHING_LEFT = (
    "Secret {}-profile is gone, and Secret {} lacks what would be left of it (tls-crypt.key, a fingerprint); restore "
    f"one of them from the backup, or ask for a new profile by annotation {ANNOTATION_ROTATE}"
)


def _kept(authority: Authority | None, world: World, instance: MCSInstance) -> Authority | None:
    """What our own CA's Secret is to have: the text that it has, as links get the certificates in it and nothing else
    that somebody wrote between them."""
    if authority is None or instance.spec.vpn.ca_secret_ref is not None:
        return None
    return world.authorities.get(instance.name, authority)


def _ca_of(slots: Iterable[SlotSecret]) -> str | None:
    """Where nothing can be signed: the CA's certificate that a slot has, for those who verify by it."""
    return next((slot.ca for slot in slots if slot.ca and is_certificate(slot.ca)), None)


# --- the CA ---


def _authority(
    world: World, plan: Plan, instance: MCSInstance, slots: Mapping[str, SlotSecret]
) -> tuple[Authority | None, Verdict | None]:
    """The CA that signs, the instance's own or the user's; or why there is none."""
    reference = instance.spec.vpn.ca_secret_ref
    name = reference.name if reference else f"{instance.name}-ca"
    where = f"spec.vpn.caSecretRef: Secret {name!r}" if reference else f"Secret {name!r}"
    if reference:
        secret = world.tls_secrets.get(name)
        if secret is None:
            return None, Verdict(Reason.CA_NOT_FOUND, messages.no_tls_secret("spec.vpn.caSecretRef", name))
        found = Authority(secret.chain, secret.key)
    elif instance.name in world.authorities:
        found = world.authorities[instance.name]
    else:
        return (None if plan.identity_lost else mint_ca(instance.name, world.now)), None
    try:
        checked = load_authority(found.cert_pem, found.key_pem, world.now)
    except InvalidAuthorityError as error:
        return None, Verdict(Reason.CA_INVALID, f"{where}: {error}; nothing is signed until it is put right")
    if not _is_theirs(checked, world, instance.name, slots):
        message = f"{where} is another CA than the one that signed the existing profiles; put that one back"
        return None, Verdict(Reason.CA_INVALID, message)
    return checked, None


def _is_theirs(authority: Authority, world: World, instance: str, slots: Mapping[str, SlotSecret]) -> bool:
    """Whether the customers who are there have their certificates from this CA: another one would cut them all off.

    A CA certificate that was renewed with the same key is the same CA.
    """
    if any(slot.ca == authority.cert_pem for slot in slots.values()):
        return True
    known = [p.client.cert_pem for p in world.profiles.values() if p.instance == instance]
    known += [slot.server.cert_pem for slot in slots.values() if slot.server]
    return not known or any(issued_by(certificate, authority.cert_pem) for certificate in known)


def _agent(world: World, instance: str, authority: Authority | None) -> AgentCredentials | None:
    known = world.agents.get(instance)
    if authority is None:
        return known
    ca, name = authority.cert_pem, agent_name(instance, world.namespace)
    # One that was restored from another namespace's backup is for a name there, and no answer of the agent would count.
    is_ours = known is not None and _is_good(known.tls, ca) and is_for(known.tls.cert_pem, name)
    if known and is_ours and not is_due(known.tls.cert_pem, instance, not_after(ca), world.now):
        return known
    token = known.token if known else secrets.token_urlsafe(32)
    return AgentCredentials(mint_agent(authority, [name], world.now), token)


# --- the links ---


def _server(issuer: _Issuer, plan: LinkPlan, slot: SlotSecret | None) -> KeyPair | None:
    """The server's certificate that a slot has, if it is any good: a damaged one is replaced like a missing one, as no
    TVox knows it by anything but its CA and its name, which has the number in it."""
    server = slot.server if slot and slot.number == plan.number else None
    if server is None or issuer.authority is None:
        return server
    return server if _is_good(server, issuer.authority.cert_pem) else None


def _is_good(pair: KeyPair, ca: str) -> bool:
    """Whether this is a certificate of that CA with its key, and with dates that can be reckoned with."""
    return is_pair(pair.cert_pem, pair.key_pem) and issued_by(pair.cert_pem, ca) and has_dates(pair.cert_pem)


def _renewals(issuer: _Issuer, servers: Mapping[str, KeyPair | None]) -> tuple[frozenset[str], datetime | None]:
    if issuer.authority is None:
        return frozenset(), None
    certificates = {name: pair.cert_pem for name, pair in servers.items() if pair}
    return choose(certificates, not_after(issuer.authority.cert_pem), issuer.now)


def _link_keys(
    issuer: _Issuer, plan: LinkPlan, profile: Profile | None, slot: SlotSecret | None, server: KeyPair | None
) -> LinkKeys | None:
    """Keys of one link; None where they cannot be had: a part would have to be signed, and nothing can be."""
    name = common_name(plan.number or 0, plan.link.spec.instance_ref.name)
    ca = _ca_beside(issuer, slot, server)
    if server is None and issuer.authority is not None:
        server = mint_server(issuer.authority, name, issuer.now)
    profile = _profile(issuer, plan, profile, slot, name)
    if server is None or ca is None:
        return None
    if profile is not None:
        return LinkKeys(server, profile.tls_crypt, profile.fingerprints, profile, ca)
    if plan.profile_lost and slot and plan.pins.known:
        # The customer stays connected on what his slot has. Nothing else of him is known any more. Of one who is
        # revoked not even that is needed: his process has to stop, whatever is missing.
        tls_crypt = slot.tls_crypt or ("" if accepted(plan.pins.known) else mint_tls_crypt())
        return LinkKeys(server, tls_crypt, plan.pins.known, None, ca) if tls_crypt else None
    return None


def _ca_beside(issuer: _Issuer, slot: SlotSecret | None, server: KeyPair | None) -> str | None:
    """The CA's certificate for a slot: the one that it has, as long as it keeps the server's certificate with it."""
    if server is None or slot is None or not slot.ca:
        return issuer.ca
    fits = is_certificate(slot.ca) if issuer.authority is None else issued_by(server.cert_pem, slot.ca)
    return slot.ca if fits else issuer.ca


def _profile(
    issuer: _Issuer, plan: LinkPlan, profile: Profile | None, slot: SlotSecret | None, name: str
) -> Profile | None:
    """The identity as it is to be from now on: as it was, with a new certificate, or made anew."""
    known = _as_known(profile, plan) if profile else None
    wanted = plan.pins.rotate or (profile is None and not plan.profile_lost)
    if not wanted or issuer.authority is None:
        return known
    client, now = mint_client(issuer.authority, name, issuer.now), issuer.now.replace(microsecond=0)
    deadline = now + OVERLAP if plan.pins.rotate else None
    pin = Fingerprint(fingerprint(client.cert_pem), not_after(client.cert_pem), created=now, deadline=deadline)
    pins = rotated(plan.pins.known, pin)
    if known:
        return replace(known, client=client, fingerprints=pins, named=True, previous=_in_use(known))
    # Also where the profile was lost, the link keeps its key of the outer layer: the old profile is still in use.
    tls_crypt = (slot.tls_crypt if slot else None) or mint_tls_crypt()
    owner = plan.link.spec.instance_ref.name
    return Profile(plan.link.name, owner, plan.number or 0, now, None, pins, client, tls_crypt)


def _in_use(profile: Profile) -> KeyPair | None:
    """The pair of the oldest certificate that is accepted: what the TVox has. None where its key is not known."""
    oldest = accepted(profile.fingerprints)[:1]
    pairs = [pair for pair in (profile.previous, profile.client) if pair]
    return next((pair for pair in pairs for pin in oldest if fingerprint(pair.cert_pem) == pin.sha256), None)


def _with_what_is_accepted(profile: Profile) -> Profile:
    """The profile of the certificate that is left: the newer one, or the older where the rotation was taken back."""
    if profile.previous is None or len(accepted(profile.fingerprints)) > 1:
        return profile
    return replace(profile, client=_in_use(profile) or profile.client, previous=None, named=True)


def _as_known(profile: Profile, plan: LinkPlan) -> Profile:
    """The identity of a link that is here. Where it is written anyway, it is written with its names."""
    changed = profile.released is not None or profile.fingerprints != plan.pins.known
    known = replace(profile, fingerprints=plan.pins.known, released=None, named=profile.named or changed)
    return _with_what_is_accepted(known)
