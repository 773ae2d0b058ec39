"""The appliance's configuration files in both directions (docs/appliance-contract.md).

Written from the plan, and read back where something declared is broken: the last good state of a user list or of a
certificate is what the appliance was given last.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from mcs_operator.api import Function
from mcs_operator.domain.manifest import canonical
from mcs_operator.settings import CERTIFICATE_SHARDS, USER_SHARDS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServedUser:
    """One user as the appliance gets him."""

    community: str
    name: str
    display_name: str
    functions: tuple[Function, ...]


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


@dataclass(frozen=True, slots=True)
class ServedCommunity:
    """One community as the appliance gets it."""

    name: str
    display_name: str
    enabled: bool


def links_file(links: Iterable[ServedLink]) -> dict[str, str]:
    """File ``links.json``, in the order of the numbers."""
    listed = [asdict(link) for link in sorted(links, key=lambda link: link.number)]
    return {"links.json": canonical({"version": 1, "links": listed})}


def communities_file(communities: Iterable[ServedCommunity]) -> dict[str, str]:
    """File ``communities.json``, by name."""
    listed = [
        {"name": c.name, "displayName": c.display_name, "enabled": c.enabled}
        for c in sorted(communities, key=lambda c: c.name)
    ]
    return {"communities.json": canonical({"version": 1, "communities": listed})}


def users_files(users: Iterable[ServedUser]) -> dict[str, str]:
    """Files ``users-00.json``… by the hash of the user's name, so that a changed user costs one small write.

    Only shards that have a user: an appliance without users costs no Secret.
    """
    shards: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for user in users:
        shards[f"users-{_shard(f'{user.community}/{user.name}', USER_SHARDS):02d}.json"].append(
            {
                "community": user.community,
                "name": user.name,
                "displayName": user.display_name,
                "functions": sorted(function.value for function in user.functions),
            }
        )
    return {
        file: canonical({"version": 1, "users": sorted(listed, key=lambda u: (u["community"], u["name"]))})
        for file, listed in shards.items()
    }


def certificates_files(certificates: Iterable[ServedCertificate]) -> dict[str, str]:
    """Files ``certs-0.json``… by the hash of the domain."""
    shards: dict[str, list[dict[str, str]]] = defaultdict(list)
    for certificate in certificates:
        shards[f"certs-{_shard(certificate.domain, CERTIFICATE_SHARDS)}.json"].append(
            {"domain": certificate.domain, "certificate": certificate.chain, "key": certificate.key}
        )
    return {
        file: canonical({"version": 1, "certificates": sorted(listed, key=lambda c: c["domain"])})
        for file, listed in shards.items()
    }


def _shard(text: str, shards: int) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % shards


def packed(files: Mapping[str, str]) -> dict[str, bytes]:
    """Files as they are kept in memory between reconciliations: small, and read by almost nobody."""
    return {name: zlib.compress(text.encode(), 1) for name, text in files.items()}


def users_in(files: Mapping[str, bytes]) -> list[ServedUser]:
    """Users in packed files, which may be damaged: what cannot be read is left out."""
    return list(_readable(files, "users", _user))


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
    return ServedLink(name, int(entry["number"]), domain, address, community, bool(entry["enabled"]))


def _community(entry: Any) -> ServedCommunity:
    return ServedCommunity(_text(entry["name"]), _text(entry["displayName"]), bool(entry["enabled"]))


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
        except (ValueError, AttributeError, KeyError, TypeError, zlib.error):
            continue
