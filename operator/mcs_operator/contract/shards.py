"""The appliance's configuration files in both directions (docs/appliance-contract.md).

Written from the plan, and read back where something declared is broken: the last good state of a user list or of a
certificate is what the appliance was given last.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Any, NamedTuple, TypeVar

from mcs_operator.api import Function, ServiceState
from mcs_operator.api.passwords import wrong_hash
from mcs_operator.contract.digest import canonical
from mcs_operator.settings import CERTIFICATE_SHARDS, USER_SHARDS

T = TypeVar("T")

LARGEST_SHARD = 1_040_000
"""Bytes of entries: a Secret holds 1 MiB. 33 of the largest certificates fit, so 8 shards hold those of 251 domains."""
LARGEST_PEM = 30_000
"""Bytes of a chain and its key together that the appliance takes (docs/appliance-contract.md)."""


class ServedUser(NamedTuple):
    """One user as the appliance gets him. There may be ten thousand: a tuple takes a third of the time to make."""

    community: str
    name: str
    display_name: str
    functions: tuple[Function, ...]


class ServedLogin(NamedTuple):
    """The hash of one user's password as the appliance gets it."""

    community: str
    name: str
    hash: str

    def __repr__(self) -> str:
        return "ServedLogin(…)"


class ServedErasure(NamedTuple):
    """The request to erase what is kept of one user, whether he is served or not."""

    community: str
    name: str
    id: str

    def __repr__(self) -> str:
        return f"ServedErasure(…, {self.id})"


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """One domain's certificate chain and key, PEM, as the appliance gets them."""

    domain: str
    chain: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServedLink:
    """One link as the appliance gets it: its public name, and where its TVox is."""

    name: str
    number: int
    domain: str
    address: str
    community: str
    enabled: bool
    service_state: ServiceState = ServiceState.IN_SERVICE


@dataclass(frozen=True, slots=True)
class ServedCommunity:
    """One community as the appliance gets it; ``portal``: the host of its portal, where it has one."""

    name: str
    display_name: str
    enabled: bool
    portal: str | None = None


OfUser = TypeVar("OfUser", ServedLogin, ServedErasure)


def links_file(links: Iterable[ServedLink]) -> dict[str, str]:
    """File ``links.json``, in the order of the numbers."""
    listed = [_entry(link) for link in sorted(links, key=lambda link: link.number)]
    return {"links.json": canonical({"version": 1, "links": listed})}


def _entry(link: ServedLink) -> dict[str, Any]:
    """InService is not written: whoever upgrades the operator would get a new file, and 250 links would be taken anew
    to say what has always been so."""
    entry = {
        "name": link.name,
        "number": link.number,
        "domain": link.domain,
        "address": link.address,
        "community": link.community,
        "enabled": link.enabled,
    }
    state = link.service_state
    return entry if state is ServiceState.IN_SERVICE else entry | {"serviceState": state.value}


def communities_file(communities: Iterable[ServedCommunity]) -> dict[str, str]:
    """File ``communities.json``, by name. One without a portal has no such field: an upgrade writes no new file."""
    listed = [
        {"name": c.name, "displayName": c.display_name, "enabled": c.enabled}
        | ({"portalDomain": c.portal} if c.portal else {})
        for c in sorted(communities, key=lambda c: c.name)
    ]
    return {"communities.json": canonical({"version": 1, "communities": listed})}


def users_files(
    users: Iterable[ServedUser], logins: Iterable[ServedLogin] = (), erasures: Iterable[ServedErasure] = ()
) -> dict[str, str]:
    """Files ``users-00.json``… and ``logins-00.json``…, two of one number in one Secret, by the hash of the user's
    name, so that a changed user costs one small write.

    Only shards that have a user: an appliance without users costs no Secret. Users come first: where they are, and
    whether there is room for them, no password changes. Beside logins is whose data is to be erased, if anybody's.
    """
    known: dict[tuple[Function, ...], str] = {}
    entries = []
    for community, name, display_name, functions in sorted(users):
        if functions not in known:
            known[functions] = canonical(sorted(function.value for function in functions))
        entry = (  # as `canonical` would write it, ten thousand times in a third of its time
            f'{{"community":{quoted(community)},"displayName":{quoted(display_name)},'
            f'"functions":{known[functions]},"name":{quoted(name)}}}'
        )
        entries.append((f"{community}/{name}", entry))
    sizes = [0] * USER_SHARDS
    files = {
        f"users-{shard:02d}.json": f'{{"users":[{",".join(listed)}],"version":1}}'
        for shard, listed in _spread(entries, sizes).items()
    }
    hashes, erased = _spread(_of_users(logins), sizes), _spread(_of_users(erasures), sizes)
    return files | {
        f"logins-{shard:02d}.json": f"{{{_listed('erasures', erased.get(shard))}"
        f'"logins":[{",".join(hashes.get(shard, ()))}],"version":1}}'
        for shard in sorted(hashes.keys() | erased.keys())
    }


def _of_users(entries: Iterable[OfUser]) -> Iterator[tuple[str, str]]:
    return ((f"{entry.community}/{entry.name}", canonical(entry._asdict())) for entry in sorted(entries))


def _listed(key: str, entries: list[str] | None) -> str:
    return f'"{key}":[{",".join(entries)}],' if entries else ""


def certificates_files(
    certificates: Iterable[ServedCertificate], portals: Iterable[ServedCertificate] = ()
) -> dict[str, str]:
    """Files ``certs-0.json``… by the hash of the domain. What is larger than the appliance takes is left out. Those of
    ``portals`` get what room the others leave."""
    sizes = [0] * CERTIFICATE_SHARDS
    found = _spread(_certificates(certificates), sizes)
    for shard, listed in _spread(_certificates(portals), sizes).items():
        found.setdefault(shard, []).extend(listed)
    return {
        f"certs-{shard}.json": f'{{"certificates":[{",".join(listed)}],"version":1}}' for shard, listed in found.items()
    }


def _certificates(certificates: Iterable[ServedCertificate]) -> list[tuple[str, str]]:
    return [
        (c.domain, canonical({"domain": c.domain, "certificate": c.chain, "key": c.key}))
        for c in sorted(certificates, key=lambda c: c.domain)
        if len(c.chain) + len(c.key) <= LARGEST_PEM
    ]


def _spread(entries: Iterable[tuple[str, str]], sizes: list[int]) -> dict[int, list[str]]:
    """Entries by the hash of their key, in shards that each fit a Secret: what does not fit goes to the next one.
    ``sizes``: what is in each Secret already; what is added here is counted there.

    The pod mounts a fixed number of Secrets by their names. Whoever chooses keys that all meet one shard, or fills it,
    must not keep it from being written: the checksum manifest lists it, and everybody would have to wait.
    """
    found: dict[int, list[str]] = {}
    shards = len(sizes)
    for key, text in entries:
        size = (len(text) if text.isascii() else len(text.encode())) + 1
        first = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])
        there = (shard for n in range(shards) if sizes[shard := (first + n) % shards] + size <= LARGEST_SHARD)
        if (chosen := next(there, None)) is not None:
            sizes[chosen] += size
            found.setdefault(chosen, []).append(text)
    return found


def served_certificate(domain: str, chain: str, key: str) -> ServedCertificate:
    """As the appliance gets it: the certificates and the key alone, in lines of 64, without what is around them."""
    keys = _blocks(key, "PRIVATE KEY")
    return ServedCertificate(domain, "".join(_blocks(chain, "CERTIFICATE")), "".join(keys[:1]))


def too_large(chain: str, key: str) -> str:
    """Why the appliance would not take a certificate, in words; empty where it does."""
    if len(chain) + len(key) <= LARGEST_PEM:
        return ""
    reduced = served_certificate("", chain, key)
    size = len(reduced.chain) + len(reduced.key)
    if size <= LARGEST_PEM:
        return ""
    return (
        f"chain and key have {size} bytes, and may have {LARGEST_PEM}; leave out what no browser needs, the root first"
    )


def _blocks(pem: str, kind: str) -> list[str]:
    """PEM blocks whose type ends with ``kind``, line by line: a text of 1 MiB is gone through once."""
    blocks: list[str] = []
    label, body = "", list[str]()
    for line in map(str.strip, pem.splitlines()):
        if line.startswith("-----BEGIN ") and line.endswith("-----"):
            label, body = line[11:-5], []
        elif label and line == f"-----END {label}-----":
            text = "".join(body)
            if label.endswith(kind):
                lines = (text[n : n + 64] for n in range(0, len(text), 64))
                blocks.append("\n".join((f"-----BEGIN {label}-----", *lines, line, "")))
            label = ""
        elif label:
            body.append(line)
    return blocks


def checksum_manifest(files: Mapping[str, str]) -> str:
    """The checksum manifest, file ``manifest.json``: the SHA-256 of each other file."""
    return canonical({"version": 1, "files": dict(sorted(files.items()))})


def checksum_manifest_instead(checksums: str, instead: Mapping[str, str | None]) -> str:
    """The same checksum manifest with another SHA-256 for some files, and without those for which there is none."""
    files = json.loads(checksums)["files"] | instead
    return checksum_manifest({name: sha for name, sha in files.items() if sha})


def digest_of(blob: bytes) -> str | None:
    """SHA-256 of a packed file; None where it is damaged."""
    try:
        return hashlib.sha256(zlib.decompress(blob)).hexdigest()
    except zlib.error:
        return None


def packed(files: Mapping[str, str]) -> dict[str, bytes]:
    """Files as they are kept in memory between reconciliations: small, and read by almost nobody."""
    return {name: zlib.compress(text.encode(), zlib.Z_BEST_SPEED) for name, text in files.items()}


def users_in(files: Mapping[str, bytes]) -> list[ServedUser]:
    """Users in packed files, each once. They may be damaged: what cannot be read is left out."""
    return list({(user.community, user.name): user for user in _readable(files, "users", _user)}.values())


def logins_in(files: Mapping[str, bytes]) -> dict[tuple[str, str], str]:
    """Hashes in packed files, by community and user; what cannot be read, or is no hash that we would take, is left
    out."""
    return {(found.community, found.name): found.hash for found in _readable(files, "logins", _login)}


def certificates_in(files: Mapping[str, bytes]) -> dict[str, ServedCertificate]:
    """Certificates in packed files, by domain; what cannot be read is left out."""
    return {found.domain: found for found in _readable(files, "certificates", _certificate)}


def links_in(files: Mapping[str, bytes]) -> list[ServedLink]:
    """Links in packed files; what cannot be read is left out."""
    return list(_readable(files, "links", _link))


def communities_in(files: Mapping[str, bytes]) -> list[ServedCommunity]:
    """Communities in packed files; what cannot be read is left out."""
    return list(_readable(files, "communities", _community))


def _link(entry: Any) -> ServedLink:
    name, domain, address, community = (_text(entry[key]) for key in ("name", "domain", "address", "community"))
    is_out = entry.get("serviceState") == ServiceState.OUT_OF_SERVICE
    state = ServiceState.OUT_OF_SERVICE if is_out else ServiceState.IN_SERVICE
    return ServedLink(name, int(entry["number"]), domain, address, community, bool(entry["enabled"]), state)


def _community(entry: Any) -> ServedCommunity:
    portal = entry.get("portalDomain")
    domain = portal if isinstance(portal, str) else None
    return ServedCommunity(_text(entry["name"]), _text(entry["displayName"]), bool(entry["enabled"]), domain)


def _login(entry: Any) -> ServedLogin:
    login = ServedLogin(_text(entry["community"]), _text(entry["name"]), _text(entry["hash"]))
    if wrong_hash(login.hash):
        raise ValueError
    return login


def _user(entry: Any) -> ServedUser:
    functions = tuple(f for f in Function if f.value in entry["functions"])
    return ServedUser(_text(entry["community"]), _text(entry["name"]), _text(entry["displayName"]), functions)


def _certificate(entry: Any) -> ServedCertificate:
    return ServedCertificate(_text(entry["domain"]), _text(entry["certificate"]), _text(entry["key"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _readable(files: Mapping[str, bytes], kind: str, read: Callable[[Any], T]) -> Iterator[T]:
    """Entries of all files that can be read. Anybody may have edited the Secret they were in."""
    for blob in files.values():
        try:
            entries = json.loads(zlib.decompress(blob)).get(kind) or []
            yield from [read(entry) for entry in entries]
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError, OverflowError, zlib.error):
            continue
