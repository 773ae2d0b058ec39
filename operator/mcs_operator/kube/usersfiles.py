"""The users files that Communities name: fetched one after the other, and read beside the event loop.

Whoever may write a ConfigMap may write many, and change them all day. So a file is fetched when a Community names it
and its version is new, read when its content is new, and only its users are kept: of one namespace not more than a
stated number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mcs_operator.api.usersfile import UsersFile, UsersFileError, content_of, take_users_file
from mcs_operator.kube.beside import beside
from mcs_operator.kube.cache.child import Child
from mcs_operator.kube.cache.fetch import fetch
from mcs_operator.kube.cache.namespace import NamespaceCache
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.parse.metadata import tidy
from mcs_operator.kube.resources import COMMUNITIES, CONFIG_MAPS, INSTANCES, SECRETS, Object, Resource

MOST_LISTED = 20_000
"""Users in all files of a namespace, those who are switched off included: twice the largest tier."""
_TOO_MANY = (
    f"it is set aside: the users files of this namespace would list more than {MOST_LISTED} users together; remove some"
)
_SHORT = 16 * 1024
"""Bytes that are read within milliseconds, at once. Anything longer is read beside the event loop."""


async def read_users_files(api: Api, store: Store, namespace: str) -> None:
    """Bring up to date what is known of the files that are named, and forget what was in others."""
    cache = store.cache(namespace)
    named = dict.fromkeys(_named(cache))
    for key, other in cache.children.items():
        if key not in named:
            store.take_users(other, None)
    left = MOST_LISTED
    for key in named:
        child = cache.children.get(key)
        if child is None or not child.lists_users:
            continue
        held = child.users
        if held is None or held.version != child.version or (held.problem == _TOO_MANY and held.count <= left):
            await _read(api, store, child)
        if child.users and child.users.count > left:
            store.take_users(child, replace(child.users, users=None, problem=_TOO_MANY))
        left -= len((child.users and child.users.users) or ())


async def _read(api: Api, store: Store, child: Child) -> None:
    resource, held = child.resource, child.users
    body = await fetch(api, store, child)
    fit = tidy(body)
    if body is None or fit is None:
        return
    version = str(fit["metadata"]["resourceVersion"])
    try:
        content = content_of(resource.kind, body)
    except UsersFileError as error:
        store.take_users(child, UsersFile(resource.kind, child.name, problem=str(error), version=version))
        return
    digest = hashlib.sha256(content or b"").digest()
    if held and held.digest == digest and held.problem != _TOO_MANY:
        store.take_users(child, replace(held, version=version))
        return
    is_long = content is not None and len(content) > _SHORT
    found = await beside(is_long, take_users_file, resource.kind, child.name, content)
    store.take_users(child, replace(found, version=version, digest=digest))


def _named(cache: NamespaceCache) -> Iterator[tuple[Resource, str]]:
    """By Communities that are served, in the order in which their users are, so that whoever came first is not set
    aside for a newcomer."""
    instances = {name for resource, name in cache.ours if resource == INSTANCES}
    communities = (body for (resource, _), body in cache.ours.items() if resource == COMMUNITIES)
    for body in sorted(communities, key=by_age):
        spec = _mapping(body.get("spec"))
        sources = spec.get("usersFrom")
        if _mapping(spec.get("instanceRef")).get("name") not in instances or spec.get("enabled") is False:
            continue
        for source in sources if isinstance(sources, list) else ():
            for field, resource in (("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)):
                name = _mapping(_mapping(source).get(field)).get("name")
                if isinstance(name, str):
                    yield resource, name


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def by_age(body: Object) -> tuple[str, str]:
    """To sort by: the oldest first."""
    metadata = body["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])
