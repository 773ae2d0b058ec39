"""The Secrets with passwords that Communities name, taken in as `usersfiles` takes in users: fetched when a Community
names one that is labelled for it and its version is new, read when its content is new, and of one namespace not more
than a stated number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from mcs_operator.api.erasure import erasures_in
from mcs_operator.api.passwords import PasswordsError, PasswordsFile, passwords_in, take_passwords
from mcs_operator.kube.beside import beside
from mcs_operator.kube.cache.child import Child
from mcs_operator.kube.cache.fetch import fetch
from mcs_operator.kube.cache.namespace import NamespaceCache
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.parse.metadata import tidy
from mcs_operator.kube.parse.ours import named, passwords_sources
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, SECRETS
from mcs_operator.kube.usersfiles import by_age

MOST_LISTED = 20_000
"""Passwords in all Secrets of a namespace: twice the largest tier."""
_TOO_MANY = (
    f"it is set aside: the Secrets of this namespace would have more than {MOST_LISTED} passwords together; remove some"
)
_SHORT = 16 * 1024
"""Bytes that are read within milliseconds, at once. Anything longer is read beside the event loop."""


async def read_passwords(api: Api, store: Store, namespace: str) -> None:
    """Bring up to date what is known of the Secrets that are named, and forget what was in others."""
    cache = store.cache(namespace)
    wanted: dict[str, set[str]] = {}
    for name, community in _named(cache):
        wanted.setdefault(name, set()).add(community)
    for key, other in cache.children.items():
        if other.passwords and (key[0] is not SECRETS or key[1] not in wanted):
            store.take_passwords(other, None)
    left = MOST_LISTED
    for name, communities in wanted.items():
        child = cache.children.get((SECRETS, name))
        if child is None:
            continue
        if child.passwords_of not in communities:  # of nobody, or of somebody else: not even looked at
            store.take_passwords(child, None)
            continue
        held = child.passwords
        if held is None or held.version != child.version or (held.problem == _TOO_MANY and held.count <= left):
            await _read(api, store, child)
        if child.passwords and child.passwords.count > left:
            store.take_passwords(child, replace(child.passwords, logins=None, problem=_TOO_MANY))
        left -= len((child.passwords and child.passwords.logins) or ())


async def _read(api: Api, store: Store, child: Child) -> None:
    held = child.passwords
    body = await fetch(api, store, child)
    fit = tidy(body)
    if body is None or fit is None:
        return
    version, community, erasures = str(fit["metadata"]["resourceVersion"]), child.passwords_of, erasures_in(body)
    try:
        content = passwords_in(body)
    except PasswordsError as error:
        broken = PasswordsFile(child.name, community, problem=str(error), version=version, erasures=erasures)
        store.take_passwords(child, broken)
        return
    digest = hashlib.sha256(content or b"").digest()
    if held and held.digest == digest and held.problem != _TOO_MANY and (held.logins is None) == (content is None):
        store.take_passwords(child, replace(held, version=version, community=community, erasures=erasures))
        return
    is_long = content is not None and len(content) > _SHORT
    found = await beside(is_long, take_passwords, child.name, community, content)
    store.take_passwords(child, replace(found, version=version, digest=digest, erasures=erasures))


def _named(cache: NamespaceCache) -> Iterator[tuple[str, str]]:
    """Secrets, and the Communities with a portal that name them, the oldest first, so that whoever came first is not
    set aside for a newcomer."""
    instances = {name for resource, name in cache.ours if resource == INSTANCES}
    communities = (body for (resource, _), body in cache.ours.items() if resource == COMMUNITIES)
    for body in sorted((body for body in communities if body["spec"].get("portalDomain")), key=by_age):
        spec = body["spec"]
        if named(spec, "instanceRef", "name") in instances and spec.get("enabled") is not False:
            names = sorted(passwords_sources(spec))
            yield from ((name, str(body["metadata"]["name"])) for name in names)
