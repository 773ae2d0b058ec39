"""Which identities are believed: those whose certificates say what their Secrets say.

A label is copied by anybody, and a name with it. A certificate has the number and the instance in its common name, and
the signature of the instance's CA; nobody without the CA's key makes another one. Never by UID or namespace: a restore
changes both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.domain.facts.world import Damaged, DamagedProfile, Profile, SlotSecret, World
from mcs_operator.domain.rules.addressing import common_name as name_in_certificate
from mcs_operator.pki.inspect import common_name, fingerprint, issued_by


@dataclass(slots=True)
class _Answers:
    """What a certificate was asked, and said. ``signed``: by which CA, and whether it did."""

    name: str | None = None
    fingerprint: str | None = None
    signed: tuple[str, bool] | None = None


_answers: WeakKeyDictionary[KeyPair, _Answers] = WeakKeyDictionary()
"""They go with the Secret that was read: kept by number they would be those of what has gone long since, and too few
for all that is there."""


def believed(world: World) -> World:
    """The world without the profiles and slots that are copies of others', or nobody's.

    A profile that is not believed is treated as one that cannot be read: nothing is written over it, and the customer
    stays connected on what his slot has. Of a slot that is a copy only the number is taken.
    """
    profiles, damaged = _profiles(world)
    slots, copies = _slots(world)
    nobodys = [_told(d) for d in (*world.damaged, *damaged) if not d.instance]
    ignored = (*nobodys, *copies, *world.ignored)
    return replace(
        world,
        profiles=profiles,
        damaged=(*world.damaged, *damaged),
        slots=slots,
        ignored=ignored,
        blocked={**world.blocked, **{copy.slot: copy.name for copy in copies if copy.slot}},
    )


def _profiles(world: World) -> tuple[dict[str, Profile], list[DamagedProfile]]:
    """Those that are believed, by link, and what is wrong with the others."""
    signers = {p.instance: _signer(world, p.instance) for p in world.profiles.values()}
    originals = dict(_originals(world))
    wrong: dict[str, DamagedProfile] = {}
    for link, profile in world.profiles.items():
        original = originals.get(profile.client.cert_pem, link)
        if original != link:
            wrong[link] = DamagedProfile(link, "", None, f"is a copy of Secret {original}-profile")
        elif problem := _problem_of(profile):
            wrong[link] = DamagedProfile(link, profile.instance, None, problem)
        elif not _is_signed(profile.client, signers[profile.instance]):
            why = f"has a certificate that the CA of MCSInstance {profile.instance!r} did not sign"
            wrong[link] = DamagedProfile(link, profile.instance, profile.number, why)
    kept = {link: _with_previous(p, signers[p.instance]) for link, p in world.profiles.items() if link not in wrong}
    return kept, list(wrong.values())


def _with_previous(profile: Profile, signer: str | None) -> Profile:
    """What the TVox had before a rotation is believed by the same rules; where it is not, nothing is taken back."""
    if profile.previous is None:
        return profile
    before = replace(profile, client=profile.previous)
    is_good = not _problem_of(before) and _is_signed(profile.previous, signer)
    return profile if is_good else replace(profile, previous=None)


def _signer(world: World, instance: str) -> str | None:
    """The CA's certificate that profiles of an instance are measured by.

    None where there is none, or where it has signed none of them: then it is the CA that is wrong, which is told
    where it is checked, and 250 customers are not to be doubted for it.
    """
    reference = next((i.spec.vpn.ca_secret_ref for i in world.instances if i.name == instance), None)
    if reference:
        secret = world.tls_secrets.get(reference.name)
        signer = secret.chain if secret else None
    else:
        authority = world.authorities.get(instance)
        signer = authority.cert_pem if authority else None
    known = [p.client for p in world.profiles.values() if p.instance == instance]
    return signer if signer and any(_is_signed(pair, signer) for pair in known) else None


def _originals(world: World) -> Iterator[tuple[str, str]]:
    """By certificate, the link whose it is, also where several have it: who is named in it, or holds its slot."""
    groups: defaultdict[str, list[Profile]] = defaultdict(list)
    for profile in world.profiles.values():
        groups[profile.client.cert_pem].append(profile)
    for certificate, group in groups.items():
        holders = [p.link for p in group if p.named or _holder(world.slots, p) == p.link]
        if len(holders) == 1:
            yield certificate, holders[0]


def _holder(slots: Mapping[tuple[str, int], SlotSecret], profile: Profile) -> str:
    slot = slots.get((profile.instance, profile.number))
    return slot.link if slot else ""


def _slots(world: World) -> tuple[dict[tuple[str, int], SlotSecret], list[Damaged]]:
    """Slots that are no copies of others, and the copies. One whose certificate is damaged holds its number."""
    kept, copies = {}, []
    for key, slot in world.slots.items():
        named = _name_in(slot.server) if slot.server else ""
        wanted = name_in_certificate(slot.number, slot.instance)
        if named and named != wanted:
            secret = f"{slot.instance}-{wanted.removesuffix('.' + slot.instance)}"
            why = f"has the certificate of {named}: it is a copy of another slot's"
            copies.append(Damaged("Secret", secret, why, foreign=True, slot=key))
        else:
            kept[key] = slot
    return kept, copies


def _told(damaged: DamagedProfile) -> Damaged:
    return Damaged("Secret", f"{damaged.link}-profile", damaged.why, foreign=True)


# --- one certificate ---


def _problem_of(profile: Profile) -> str:
    """What its certificate says against a profile; empty where nothing does."""
    named, wanted = _name_in(profile.client), name_in_certificate(profile.number, profile.instance)
    if not named:
        return "cannot be read: tls.crt is not a certificate"
    if named != wanted:
        return f"has the certificate of {named}, and its identity.json is about {wanted}"
    listed = _fingerprint_of(profile.client) in {pin.sha256 for pin in profile.fingerprints}
    return "" if listed else "has a certificate that its identity.json does not list"


def _is_signed(pair: KeyPair, signer: str | None) -> bool:
    if signer is None:
        return True
    answers = _about(pair)
    if answers.signed is None or answers.signed[0] != signer:
        answers.signed = signer, issued_by(pair.cert_pem, signer)
    return answers.signed[1]


def _name_in(pair: KeyPair) -> str:
    answers = _about(pair)
    if answers.name is None:
        answers.name = _or_empty(common_name, pair.cert_pem)
    return answers.name


def _fingerprint_of(pair: KeyPair) -> str:
    answers = _about(pair)
    if answers.fingerprint is None:
        answers.fingerprint = _or_empty(fingerprint, pair.cert_pem)
    return answers.fingerprint


def _or_empty(ask: Callable[[str], str], certificate: str) -> str:
    try:
        return ask(certificate)
    except ValueError:
        return ""


def _about(pair: KeyPair) -> _Answers:
    """Threads may ask at once: then one of them asks for nothing."""
    answers = _answers.get(pair)
    if answers is None:
        answers = _answers[pair] = _Answers()
    return answers
