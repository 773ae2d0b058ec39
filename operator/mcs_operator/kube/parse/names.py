"""What an object of ours is, by its exact name. A label is what anybody can copy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from mcs_operator.kube.resources import CONFIG_MAPS, SECRETS, Resource
from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER


class Role(Enum):
    """What a Secret or ConfigMap of ours is for."""

    AUTHORITY = auto()
    AGENT = auto()
    METRICS = auto()
    SLOT = auto()
    PROFILE = auto()
    SHARD = auto()
    ACCOUNT = auto()
    CERTIFICATE = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """A name taken apart. ``owner`` is the link's name for a profile, else the instance's; ``number`` a slot's."""

    role: Role
    owner: str
    number: int = 0


_SLOT = re.compile(r"(?P<owner>.+)-link-(?P<number>\d{3})", re.ASCII)
_POD = re.compile(r"(?P<owner>.+)-(0|(?P<pull>pull-[0-9a-f]{8}))", re.ASCII)
_SHARD = re.compile(r"(?P<owner>.+)-(users-\d{2}|certs-\d)", re.ASCII)
_CERTIFICATE = re.compile(r"(?P<owner>.+)-acme-[0-9a-f]{16}", re.ASCII)
_SECRETS = {
    "-profile": Role.PROFILE,
    "-ca": Role.AUTHORITY,
    "-agent": Role.AGENT,
    "-metrics": Role.METRICS,
    "-acme-account": Role.ACCOUNT,
}
_CONFIG_MAPS = {"-links": Role.SHARD, "-manifest": Role.SHARD}


@lru_cache(8192)
def place_of_name(resource: Resource, name: str) -> Place | None:
    """What a Secret or ConfigMap with this name would be of ours; None where we have none of that name."""
    if resource is SECRETS:
        if slot := _SLOT.fullmatch(name):
            number = int(slot["number"])
            return Place(Role.SLOT, slot["owner"], number) if FIRST_NUMBER <= number <= LAST_NUMBER else None
        if shard := _SHARD.fullmatch(name):
            return Place(Role.SHARD, shard["owner"])
        if certificate := _CERTIFICATE.fullmatch(name):
            return Place(Role.CERTIFICATE, certificate["owner"])
    endings = _SECRETS if resource is SECRETS else _CONFIG_MAPS if resource is CONFIG_MAPS else {}
    found = next((ending for ending in endings if name.endswith(ending) and name != ending), None)
    return Place(endings[found], name.removesuffix(found)) if found else None


def instance_of_pod(name: str) -> str:
    """The instance whose media pod, or pod that pulls an image, has this name; empty where none of ours has it."""
    found = _POD.fullmatch(name)
    return found["owner"] if found else ""


def is_pull(name: str) -> bool:
    """Whether a pod of ours with this name only pulls an image."""
    found = _POD.fullmatch(name)
    return bool(found and found["pull"])
