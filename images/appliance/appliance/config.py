"""WHAT WE ARE TOLD: reads the mounted set and verifies it. No network, no HAProxy: directory in, ConfigSet out.

Two kinds of fault, kept apart because they end differently:

- the *set* is at fault (a file is missing, does not match the manifest, what says who is served is no JSON): SetError
  is raised and the set in force stays. The kubelet shows the volume's sources at different moments, so a normal change
  may pass through it.
- an *entry* is at fault (a link without an address, a certificate that is no PEM), or one file of certificates or users
  as a whole: it is left out and named in ConfigSet.problems; nobody else notices.

Whatever the bytes are, reading them ends in a ConfigSet or a SetError, in bounded time and memory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from appliance import pem, people
from appliance.documents import ContentError, EntryError, SetError, content, dns_name, document, text
from appliance.people import People

MANIFEST = "manifest.json"
FIRST_SLOT, LAST_SLOT = 2, 251
OUT_OF_SERVICE = "OutOfService"
LARGEST_PEM = 30_000
"""Bytes of chain and key together: HAProxy takes them as one command, which must fit its buffer of 32 KiB."""
MOST_FILES = 100

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Solver:
    """Who solves challenges of HTTP-01: all addresses of this name, at this port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Instance:
    """The instance: the host of its own page, how the Internet reaches it, and who answers for its certificates: an
    account, or somebody else's solvers."""

    name: str
    domain: str
    public_address: str = ""
    media_port: int | None = None
    bandwidth_mbps: int | None = None
    portals: Mapping[str, int | None] = field(default_factory=dict)
    community_limits: Mapping[str, int] = field(default_factory=dict)
    acme_thumbprint: str = ""
    http01_solver: Solver | None = None


@dataclass(frozen=True)
class Link:
    """One TVox: requests for `domain` go to `address`, port 80, as long as it is `open`.

    `number` is the slot, 2..251; `open` is false when the link or its community is disabled. `in_service` is false when
    it takes no new requests, and those that are open go on.
    """

    name: str
    number: int
    domain: str
    address: str
    open: bool
    in_service: bool = True
    community: str = ""


@dataclass(frozen=True)
class Certificate:
    """A certificate for one FQDN: chain and key as one PEM text without blank lines. Never printed."""

    domain: str
    pem: str = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.pem.encode()).hexdigest()


@dataclass(frozen=True)
class ConfigSet:
    """A complete, verified set. `config` is the SHA-256 (hex) of manifest.json's bytes; `users` is their number."""

    config: str
    instance: Instance
    links: tuple[Link, ...]
    users: int
    certificates: tuple[Certificate, ...] = field(repr=False)
    spoiled: Mapping[str, str] = field(default_factory=dict)
    """Domains whose certificate is in the set but faulty, and why: what was served for them before stays."""
    problems: tuple[str, ...] = ()
    people: People = field(default_factory=People)


def read_manifest(directory: Path) -> bytes | None:
    """The manifest's bytes, None when there is none (yet). Raises SetError when it cannot be read."""
    try:
        return content(directory / MANIFEST)
    except FileNotFoundError:
        return None


def read_set(directory: Path, manifest: bytes, previous: ConfigSet | None) -> ConfigSet:
    """Reads the set that `manifest` names. What is faulty keeps the state it has in `previous`, if any.

    Raises SetError when a file is missing or differs from the manifest, ContentError when one cannot be understood.
    """
    files = _verified_files(directory, manifest)
    try:
        return understand(files, hashlib.sha256(manifest).hexdigest(), previous)
    except SetError as why:
        raise ContentError(str(why)) from None


def understand(files: dict[str, bytes], config: str, previous: ConfigSet | None) -> ConfigSet:
    """The set that these verified files say; `config` names it. Raises SetError and nothing else."""
    if "instance.json" not in files:
        raise SetError("the manifest names no instance.json")
    problems: list[str] = []
    instance = _instance(document("instance.json", files["instance.json"]))
    communities = list(_entries(files, "communities", "communities", problems))
    closed = {c["name"] for c in communities if c.get("enabled") is False}
    links = _links(_entries(files, "links", "links", problems), instance, closed, previous, problems)
    damaged: list[str] = []
    certificates, spoiled = _certificates(_entries(files, "certs-", "certificates", problems, damaged), problems)
    if damaged and previous:
        # Whose certificate was in there nobody can say: who had one before keeps it.
        before = {certificate.domain for certificate in previous.certificates} | previous.spoiled.keys()
        missing = before - {certificate.domain for certificate in certificates}
        spoiled = dict.fromkeys(sorted(missing), damaged[0]) | spoiled
    taken = [instance.domain, *(link.domain for link in links)]
    known = previous.people if previous else People()
    who = people.understand(files, communities, taken, known, problems, damaged)
    return ConfigSet(config, instance, links, len(who.users()), certificates, spoiled, (*damaged, *problems), who)


def read_certificates(directory: Path) -> tuple[Certificate, ...]:
    """Every readable certificate of the mounted shards, manifest or not: one that fits its key proves itself."""
    files: dict[str, bytes] = {}
    for path in sorted(directory.glob("certs-*.json"))[:MOST_FILES]:
        try:
            files[path.name] = content(path)
        except (OSError, SetError):
            continue
    ignored: list[str] = []
    return _certificates(_entries(files, "certs-", "certificates", ignored, ignored), ignored)[0]


def remember(current: ConfigSet, path: Path) -> None:
    """Writes the set's routing (no key, no certificate, no user) so that a restarted container can start from it."""
    own = current.instance
    instance = {
        "name": own.name,
        "domain": own.domain,
        "publicAddress": own.public_address,
        "mediaPort": own.media_port,
        "acmeThumbprint": own.acme_thumbprint,
        "http01Solver": asdict(own.http01_solver) if own.http01_solver else None,
    }
    kept = {"version": 1, "config": current.config, "users": current.users, "instance": instance}
    kept["links"] = [asdict(link) for link in current.links]
    kept["communities"] = [
        {"name": c.name, "displayName": c.display_name, "enabled": c.open, "portalDomain": c.portal}
        for c in current.people.portals
    ]
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(kept))
    fresh.chmod(0o600)
    fresh.replace(path)


def recall(path: Path, instance: str) -> ConfigSet | None:
    """What remember() wrote for this instance, without certificates; None when there is nothing usable."""
    try:
        kept = document(path.name, content(path))
        config, users, entries = kept["config"], kept["users"], kept["links"]
        named = [entry for entry in entries if text(entry.get("name"))]
        links = [_link(_as_mounted(entry), set()) for entry in named]
        portals = [entry for entry in kept.get("communities", []) if isinstance(entry, dict)]
        who = people.understand({}, portals, [link.domain for link in links], People(), [], [])
        found = ConfigSet(config, _instance(kept["instance"]), tuple(links), users, (), people=who)
    except (OSError, SetError, EntryError, KeyError, TypeError, AttributeError):
        return None
    sound = isinstance(config, str) and type(users) is int and found.instance.name == instance
    return found if sound and len({link.number for link in links}) == len(entries) else None


def _as_mounted(kept: dict[str, Any]) -> dict[str, Any]:
    state = OUT_OF_SERVICE if kept.get("in_service") is False else None
    return {**kept, "enabled": kept.get("open"), "serviceState": state}


def _verified_files(directory: Path, manifest: bytes) -> dict[str, bytes]:
    names = document(MANIFEST, manifest).get("files")
    if not isinstance(names, dict):
        raise SetError(f"{MANIFEST} names no files")
    if len(names) > MOST_FILES:
        raise SetError(f"{MANIFEST} names more than {MOST_FILES} files")
    files: dict[str, bytes] = {}
    for name, expected in names.items():
        if not _FILE_NAME.fullmatch(name):
            raise SetError(f"{MANIFEST} names a file outside of the volume")
        try:
            found = content(directory / name)
        except FileNotFoundError:
            raise SetError(f"{name} is named in the manifest and missing") from None
        if hashlib.sha256(found).hexdigest() != expected:
            raise SetError(f"{name} does not match the manifest")
        files[name] = found
    return files


def _entries(
    files: dict[str, bytes], prefix: str, key: str, problems: list[str], damaged: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The named entries of all files with this prefix; what is no named object is counted and left out.

    A file that is no list of entries is named in ``damaged`` and left out; where nothing is to be left out, SetError.
    """
    for name in sorted(name for name in files if name.startswith(prefix)):
        try:
            entries = document(name, files[name]).get(key)
            if not isinstance(entries, list):
                raise SetError(f"{name} holds no list of {key}")
        except SetError as why:
            if damaged is None:
                raise
            damaged.append(str(why))
            continue
        identity = "domain" if key == "certificates" else "name"
        named = [e for e in entries if isinstance(e, dict) and text(e.get(identity))]
        if len(named) < len(entries):
            problems.append(f"{name}: {len(entries) - len(named)} entries without a {identity} are left out")
        yield from named


def _instance(found: dict[str, Any]) -> Instance:
    name = text(found.get("name"))[:253]
    try:
        domain = dns_name(found.get("domain") if name.isprintable() and name else None)
    except EntryError:
        raise SetError("instance.json needs a name and a domain") from None
    try:
        address = str(IPv4Address(text(found.get("publicAddress"))))
    except ValueError:
        address = ""
    port, bandwidth = _number(found.get("mediaPort"), 65_535), _number(found.get("bandwidthMbps"), 10**6)
    thumbprint, limits = text(found.get("acmeThumbprint")), people.limits(found.get("communityLimits"))
    thumbprint = thumbprint if _THUMBPRINT.fullmatch(thumbprint) else ""  # it becomes a part of a command to HAProxy
    kept, solver = people.kept(found.get("portals")), _solver(found.get("http01Solver"))
    return Instance(name, domain, address, port, bandwidth, kept, limits, thumbprint, solver)


def _solver(found: object) -> Solver | None:
    """None for whatever names no host and port: a challenge then is no question to anybody."""
    said = found if isinstance(found, dict) else {}
    port = _number(said.get("port"), 65_535)
    try:
        return Solver(dns_name(said.get("host")), port) if port else None
    except EntryError:
        return None


def _number(value: object, most: int) -> int | None:
    return value if type(value) is int and 0 < value <= most else None


def _links(
    entries: Iterator[dict[str, Any]],
    instance: Instance,
    closed: set[str],
    previous: ConfigSet | None,
    problems: list[str],
) -> tuple[Link, ...]:
    last_good = {link.name: link for link in previous.links} if previous else {}
    taken: dict[str | int, str] = {instance.domain: "the instance"}
    links: list[Link] = []
    fallbacks: list[Link] = []
    for entry in entries:
        try:
            link = _link(entry, closed)
            _claim(link, taken)
        except EntryError as why:
            problems.append(f"link {entry['name'][:63]!r}: {why}")
            if entry["name"] in last_good:
                fallbacks.append(last_good[entry["name"]])
        else:
            links.append(link)
    # Last, so that what a faulty entry had before never takes a name or number from a sound one.
    for link in fallbacks:
        try:
            _claim(link, taken)
        except EntryError:
            continue
        links.append(link)
    return tuple(sorted(links, key=lambda link: link.number))


def _link(entry: dict[str, Any], closed: set[str]) -> Link:
    number = entry.get("number")
    if type(number) is not int or not FIRST_SLOT <= number <= LAST_SLOT:
        raise EntryError(f"its number is not within {FIRST_SLOT}..{LAST_SLOT}")
    try:
        address = IPv4Address(text(entry.get("address")))
    except ValueError:
        raise EntryError("its address is not an IPv4 address") from None
    if address.is_unspecified or address.is_multicast:
        raise EntryError("its address is not that of a host")
    is_open = entry.get("enabled") is not False and text(entry.get("community")) not in closed
    in_service = entry.get("serviceState") != OUT_OF_SERVICE
    community = text(entry.get("community"))
    return Link(entry["name"], number, dns_name(entry.get("domain")), str(address), is_open, in_service, community)


def _claim(link: Link, taken: dict[str | int, str]) -> None:
    claims: tuple[str | int, ...] = (link.domain, link.number, link.address)
    for claim in claims:
        if claim in taken:
            raise EntryError(f"{claim} belongs to {taken[claim]}")
    taken.update(dict.fromkeys(claims, f"link {link.name}"))


def _certificates(
    entries: Iterator[dict[str, Any]], problems: list[str]
) -> tuple[tuple[Certificate, ...], dict[str, str]]:
    """The sound certificates, one per domain, and the domains that have a faulty one only, with the fault."""
    sound: dict[str, Certificate] = {}
    spoiled: dict[str, str] = {}
    for entry in entries:
        domain = entry["domain"][:253]
        try:
            certificate = _certificate(entry)
            if certificate.domain in sound:
                raise EntryError("there are two for this domain, the first counts")
        except EntryError as why:
            spoiled[domain.lower().rstrip(".")] = str(why)
            problems.append(f"certificate of {domain!r}: {why}")
        else:
            sound[certificate.domain] = certificate
    return tuple(sound.values()), {domain: why for domain, why in spoiled.items() if domain not in sound}


def _certificate(entry: dict[str, Any]) -> Certificate:
    chain = _pem_blocks(entry.get("certificate"), lambda label: label == "CERTIFICATE")
    key = _pem_blocks(entry.get("key"), lambda label: label.endswith("PRIVATE KEY"))
    if not chain:
        raise EntryError("it holds no certificate in PEM")
    if len(key) != 1:
        raise EntryError("it needs exactly one private key in PEM")
    whole = "\n".join([*chain, *key])
    if len(whole) > LARGEST_PEM:
        raise EntryError(f"chain and key are larger than {LARGEST_PEM} bytes")
    if not whole.isascii():
        raise EntryError("it holds what is no character of PEM")
    return Certificate(dns_name(entry.get("domain")), whole)


def _pem_blocks(value: object, wanted: Callable[[str], bool]) -> list[str]:
    return [block for label, block in pem.blocks(text(value)) if wanted(label)]
