"""The appliance's files in a Secret or ConfigMap of ours, kept for when what they came from is broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mcs_operator.contract.shards import packed
from mcs_operator.kube.parse.bounds import UnreadableError, decoded, has_half_characters, is_too_deep, mapping
from mcs_operator.kube.parse.names import Role, place_of_name
from mcs_operator.kube.resources import SECRETS, Object, Resource
from mcs_operator.settings import LABEL_INSTANCE, LABEL_MANAGED_BY, OPERATOR

_LONGEST_FILE = 1024 * 1024
"""An object of Kubernetes holds no more."""
_PUBLIC = ("links.json", "communities.json")


def read_shard(resource: Resource, name: str, labels: Mapping[str, str], body: Object) -> dict[str, bytes]:
    """The files, packed; what cannot be read is left out, as is all of what only bears our label."""
    place = place_of_name(resource, name)
    if place is None or place.role is not Role.SHARD:
        return {}
    if labels.get(LABEL_MANAGED_BY) != OPERATOR or labels.get(LABEL_INSTANCE) != place.owner:
        return {}
    return packed(dict(_files(resource, name.removeprefix(f"{place.owner}-"), mapping(body.get("data")))))


def _in_secret(part: str) -> tuple[str, ...]:
    """Beside users are their passwords."""
    beside = (f"{part.replace('users-', 'logins-')}.json",) if part.startswith("users-") else ()
    return (f"{part}.json", *beside)


def _files(resource: Resource, part: str, data: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for file in _in_secret(part) if resource is SECRETS else _PUBLIC:
        content = data.get(file)
        if resource is SECRETS:
            try:
                content = decoded(content, _LONGEST_FILE)
            except UnreadableError:
                continue
        fits = isinstance(content, str) and len(content) <= _LONGEST_FILE
        if isinstance(content, str) and fits and not (has_half_characters(content) or is_too_deep(content)):
            yield file, content
