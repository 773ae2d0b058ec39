"""Secrets of ours: an instance's CA and agent, each link's profile and slot; and the certificates that ours name.

Each is believed by its exact name, its type and its content. A copy has another name, or another's content.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from mcs_operator.contract.openvpn import where_of_profile, where_of_slot
from mcs_operator.contract.slotfiles import FINGERPRINTS, PREVIOUS, SLOT_FILES, pins_in, slot_revision
from mcs_operator.domain.facts.keys import AcmeAccount, Authority, KeyPair
from mcs_operator.domain.facts.world import (
    AgentCredentials,
    Damaged,
    DamagedProfile,
    Fingerprint,
    Profile,
    SlotSecret,
    TlsSecret,
)
from mcs_operator.kube.parse.bounds import (
    LONGEST_TEXT,
    UnreadableError,
    count,
    entry,
    files_in,
    load_json,
    mapping,
    mappings,
    maybe_moment,
    moment,
    text,
)
from mcs_operator.kube.parse.names import Place, Role, place_of_name
from mcs_operator.kube.resources import SECRETS, Object
from mcs_operator.settings import (
    ANNOTATION_DOMAIN,
    FIRST_NUMBER,
    LABEL_INSTANCE,
    LABEL_LINK,
    LABEL_MANAGED_BY,
    LABEL_SLOT,
    LAST_NUMBER,
    OPERATOR,
)

Labels = Mapping[str, str]
Found = AcmeAccount | AgentCredentials | Authority | Damaged | DamagedProfile | Profile | SlotSecret | TlsSecret | None

MOST_FINGERPRINTS = 32
"""A link has three at most: two that are accepted, and the one that was revoked last."""
STRANGER = "has the operator's label and is not the operator's"
OPAQUE = ("Opaque", "")
_TLS = "kubernetes.io/tls"
_PIN = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){31}", re.ASCII)
_TIMES = ("notAfter", "created", "deadline", "seen", "revoked", "withdrawn")
_LONGEST_DOMAIN = 253
_PROFILE_FILES = ("identity.json", "tls.crt", "tls.key", "tls-crypt.key")


def read_secret(name: str, kind: str, labels: Labels, body: Object) -> Found:
    """What a Secret is to us, or what is wrong with it; None for one of ours that nobody reads."""
    data = mapping(body.get("data"))
    if kind == _TLS:
        return _tls_secret(name, data, mapping(body.get("metadata")))
    place = place_of_name(SECRETS, name)
    if labels.get(LABEL_MANAGED_BY) != OPERATOR:
        return None  # a users file, or one that is named where a certificate should be
    if place is None:
        return Damaged("Secret", name, STRANGER, foreign=True)
    if place.role is Role.PROFILE:
        return _profile_or_damaged(place.owner, kind, labels, data)
    if place.role in (Role.METRICS, Role.SHARD):
        return None
    if place.role is Role.CERTIFICATE:
        return Damaged("Secret", name, f"has type {kind[:64]}, and certificates that are ordered are of type {_TLS}")
    number = f"{place.number:03d}" if place.role is Role.SLOT else None
    if why := _wrong_labels(labels, {LABEL_INSTANCE: place.owner, LABEL_SLOT: number}) or _wrong_type(kind):
        slot = (place.owner, place.number) if place.role is Role.SLOT else None
        return Damaged("Secret", name, why, foreign=True, slot=slot)
    if place.role is Role.SLOT:
        return _slot(name, place, labels, mappings(mapping(body.get("metadata")).get("ownerReferences")), data)
    return _of_the_instance(name, place.role, data)


_FILES = {Role.AUTHORITY: ("ca.crt", "ca.key"), Role.ACCOUNT: ("tls.key",), Role.AGENT: ("tls.crt", "tls.key", "token")}


def _of_the_instance(name: str, role: Role, data: Object) -> AcmeAccount | Authority | AgentCredentials | Damaged:
    wanted = _FILES[role]
    files = files_in(data, wanted)
    if missing := [file for file in wanted if not files.get(file)]:
        return Damaged("Secret", name, f"cannot be read: {' and '.join(missing)} missing, too long or no text")
    if role is Role.AUTHORITY:
        return Authority(files["ca.crt"], files["ca.key"])
    if role is Role.ACCOUNT:
        return AcmeAccount(files["tls.key"])
    return AgentCredentials(KeyPair(files["tls.crt"], files["tls.key"]), files["token"])


def _tls_secret(name: str, data: Object, metadata: Object) -> TlsSecret:
    """Whatever is in it, cut where it is too long: what is wrong with a certificate is said where it is checked."""
    chain, key = (_as_text(data.get(file)) for file in ("tls.crt", "tls.key"))
    domain = text(mapping(metadata.get("annotations")).get(ANNOTATION_DOMAIN), _LONGEST_DOMAIN)
    try:
        return TlsSecret(name, chain, key, maybe_moment(metadata.get("creationTimestamp")), domain)
    except UnreadableError:
        return TlsSecret(name, chain, key, domain=domain)


def _as_text(value: object) -> str:
    """The beginning of an entry of a Secret, whatever bytes it has."""
    try:
        return base64.b64decode(text(value, LONGEST_TEXT // 3 * 4)).decode(errors="replace")
    except ValueError:
        return ""


# --- slots ---


def _slot(name: str, place: Place, labels: Labels, owners: list[Object], data: Object) -> SlotSecret | Damaged:
    """Never refused for a damaged file: the Secret holds a number, whatever is in it."""
    link = labels.get(LABEL_LINK)
    if not link:
        named = f"lacks label {LABEL_LINK}; if it is the operator's, set it to the name of its TVoxLink"
        return Damaged("Secret", name, named, foreign=True, slot=(place.owner, place.number))
    files = files_in(data, (*SLOT_FILES, "revision", FINGERPRINTS))
    certificate, key = files.get("tls.crt"), files.get("tls.key")
    complete = all(file in files for file in SLOT_FILES)
    return SlotSecret(
        number=place.number,
        instance=place.owner,
        link=link,
        owner_uid=text(owners[0].get("uid")) if owners else "",
        revision=files.get("revision", ""),
        content=slot_revision(files) if complete else "",
        server=KeyPair(certificate, key) if certificate and key else None,
        tls_crypt=files.get("tls-crypt.key"),
        ca=files.get("ca.crt"),
        fingerprints=_known_fingerprints(files),
        where=where_of_slot(files.get("server.conf", ""), place.number),
    )


def _known_fingerprints(files: Mapping[str, str]) -> tuple[Fingerprint, ...]:
    """What the slot Secret tells of its TVox's certificates; where that is damaged, at least what is accepted."""
    try:
        told = _fingerprints(load_json(entry(files, FINGERPRINTS)))
    except UnreadableError:
        told = ()
    pins = [pin for pin in pins_in(files.get("server.conf", "")) if _PIN.fullmatch(pin)]
    return told or tuple(Fingerprint(pin, None) for pin in pins[:MOST_FINGERPRINTS])


def _fingerprints(listed: object) -> tuple[Fingerprint, ...]:
    if not isinstance(listed, list) or len(listed) > MOST_FINGERPRINTS or len(mappings(listed)) < len(listed):
        raise UnreadableError(f"lists no fingerprints, or more than {MOST_FINGERPRINTS}")
    return tuple(map(_fingerprint, listed))


def _fingerprint(told: Object) -> Fingerprint:
    if not _PIN.fullmatch(text(told.get("sha256"))):
        raise UnreadableError("has a fingerprint that is none")
    times = [maybe_moment(told.get(name)) for name in _TIMES]
    return Fingerprint(told["sha256"], *times)


# --- profiles ---


def _profile_or_damaged(link: str, kind: str, labels: Labels, data: Object) -> Profile | DamagedProfile:
    """The identity at the name of ``link``; nothing is written over what is there and is not that."""
    files = files_in(data, (*_PROFILE_FILES, *PREVIOUS, f"{link}.ovpn"))
    told, unreadable = _identity(files)
    owner = _whose(told, data)
    instance = labels.get(LABEL_INSTANCE, "")
    if owner and owner != link:
        return DamagedProfile(link, "", None, f"is a copy of Secret {owner}-profile")
    if not owner and labels.get(LABEL_LINK, link) != link:
        return DamagedProfile(link, "", None, f"is labelled as TVoxLink {labels[LABEL_LINK]}'s and is not named so")
    wanted = {LABEL_LINK: link, LABEL_INSTANCE: text(told.get("instance")) or instance or "<the instance's name>"}
    number = _number(told)
    if why := _wrong_labels(labels, wanted) or _wrong_type(kind) or unreadable:
        return DamagedProfile(link, text(told.get("instance")) or instance, number, why)
    try:
        return _profile(link, instance, told, files)
    except UnreadableError as error:
        return DamagedProfile(link, instance, number, f"cannot be read: identity.json {error}")


def _identity(files: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """What identity.json tells, and why the Secret cannot be an identity; the first also where the second is said."""
    missing = [file for file in _PROFILE_FILES if not files.get(file)]
    why = f"cannot be read: {' and '.join(missing)} missing, too long or no text" if missing else ""
    try:
        told = load_json(files.get("identity.json", ""))
    except UnreadableError as error:
        return {}, why or f"cannot be read: identity.json {error}"
    return mapping(told), why


def _whose(told: Mapping[str, Any], data: Object) -> str:
    """The link that the content is about: by identity.json, or, as earlier operators wrote it, by the profile's file
    name; empty where neither tells."""
    profiles = [name.removesuffix(".ovpn") for name in data if isinstance(name, str) and name.endswith(".ovpn")]
    return text(told.get("link")) or (profiles[0] if len(profiles) == 1 else "")


def _number(told: Mapping[str, Any]) -> int | None:
    number = count(told.get("slot"))
    return number if FIRST_NUMBER <= number <= LAST_NUMBER else None


def _profile(link: str, instance: str, told: Mapping[str, Any], files: Mapping[str, str]) -> Profile:
    number = _number(told)
    if number is None:
        raise UnreadableError(f"has a slot that is not {FIRST_NUMBER} to {LAST_NUMBER}")
    previous = [files[name] for name in PREVIOUS if files.get(name)]
    return Profile(
        link=link,
        instance=instance,
        number=number,
        created=moment(entry(told, "created")),
        released=maybe_moment(told.get("released")),
        fingerprints=_fingerprints(entry(told, "fingerprints")),
        client=KeyPair(files["tls.crt"], files["tls.key"]),
        tls_crypt=files["tls-crypt.key"],
        named=bool(text(told.get("link")) and text(told.get("instance"))),
        where=where_of_profile(files.get(f"{link}.ovpn", ""), number),
        previous=KeyPair(*previous) if len(previous) == len(PREVIOUS) else None,
    )


# --- both ---


def _wrong_labels(labels: Labels, wanted: Mapping[str, str | None]) -> str:
    """Which label keeps a Secret from being what its name says; empty where none does."""
    for label, value in wanted.items():
        if value is not None and labels.get(label) != value:
            has = f"has label {label}={labels[label]}" if label in labels else f"lacks label {label}"
            return f"{has}; if it is the operator's, set {label}={value}"
    return ""


def _wrong_type(kind: str) -> str:
    return "" if kind in OPAQUE else f"has type {kind[:64]}, and the operator's are of type Opaque"
