"""Observe: from what is known, and a few GETs for what changed, to one frozen World.

Everything was parsed at the door, by the total functions of `kube.parse`. A Secret of ours that cannot be read is
treated as absent by those who need its content, and is still known to exist, so that nothing is written over it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.domain.facts.keys import AcmeAccount, Authority
from mcs_operator.domain.facts.world import (
    AgentCredentials,
    Damaged,
    DamagedProfile,
    Pod,
    Profile,
    Pull,
    SlotSecret,
    TlsSecret,
    Unreadable,
    World,
)
from mcs_operator.domain.pod.fallback import as_its_kubelet_would_say
from mcs_operator.domain.pod.pulling import pull_secrets
from mcs_operator.kube.beside import beside
from mcs_operator.kube.cache.child import Child
from mcs_operator.kube.cache.fetch import fetch
from mcs_operator.kube.cache.namespace import NamespaceCache, Sighting
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.parse import Parsed
from mcs_operator.kube.parse.metadata import missing_labels, tidy
from mcs_operator.kube.parse.names import place_of_name
from mcs_operator.kube.parse.ours import read
from mcs_operator.kube.parse.secret import STRANGER
from mcs_operator.kube.passwords import read_passwords
from mcs_operator.kube.resources import COMMUNITIES, CONFIG_MAPS, INSTANCES, LINKS, SECRETS, STATEFUL_SETS, Object
from mcs_operator.kube.together import together
from mcs_operator.kube.usersfiles import read_users_files
from mcs_operator.settings import LABEL_INSTANCE, LABEL_LINK, LABEL_MANAGED_BY, OPERATOR

Detail = TypeVar("Detail", Authority, AgentCredentials, AcmeAccount)

_KINDS = {INSTANCES: Kind.INSTANCE, COMMUNITIES: Kind.COMMUNITY, LINKS: Kind.LINK}
_MANY_INLINE = 5_000
_ABOUT_USERS = ("users", "usersFrom", "authentication")
MISSED_SECONDS = 60.0
"""Between looks for a Secret of which no watch tells: one of ours that is missed, whose event comes at once where its
label is put right, and a pull secret. A watch of its own would cost all those who have none."""
_MOST_IGNORED = 32
"""Of what bears our label and is not ours; more would only be counted."""


async def observe(
    api: Api,
    store: Store,
    namespace: str,
    now: datetime,
    report: LinkReport | None,
    pull_secrets_of_the_operator: Collection[str] = (),
) -> World:
    """The World of one namespace, after reading again what changed since the last time."""
    outdated = store.outdated(namespace)
    await asyncio.sleep(0)  # whoever filled a namespace with ten thousand names like ours makes others wait for half
    await together(*(fetch(api, store, child) for child in outdated))
    await read_users_files(api, store, namespace)
    await read_passwords(api, store, namespace)
    known = store.snapshot(namespace)
    world = await beside(_is_long(known), _world, known, namespace, now, report)
    return await _with_unwatched(api, store, world, pull_secrets_of_the_operator)


def known_world(store: Store, namespace: str, now: datetime) -> World:
    """The World of a namespace as far as it is known, without asking anybody; what nobody has read yet is not in it.

    And without users: whoever asks so asks for who has a place and a name, in the midst of somebody else's turn, and to
    read forty thousand users takes a quarter of a second.
    """
    known = store.cache(namespace)
    ours = {key: _without_users(body) if key[0] is COMMUNITIES else body for key, body in known.ours.items()}
    return replace(_world(replace(known, ours=ours), namespace, now, None), users_files={}, passwords={})


def _without_users(body: Object) -> Object:
    return body | {"spec": {key: value for key, value in body["spec"].items() if key not in _ABOUT_USERS}}


def _is_long(cache: NamespaceCache) -> bool:
    """Whether the Communities have so many users inline that to parse them takes more than some milliseconds."""
    listed = (body["spec"].get("users") for (resource, _), body in cache.ours.items() if resource is COMMUNITIES)
    return sum(len(users) for users in listed if isinstance(users, list)) > _MANY_INLINE


def _world(cache: NamespaceCache, namespace: str, now: datetime, report: LinkReport | None) -> World:
    ours: dict[Kind, list[Any]] = {kind: [] for kind in Kind}
    unreadable, conditions = [], {}
    for (resource, name), body in cache.ours.items():
        kind = _KINDS[resource]
        conditions[kind, name] = body["status"].get("conditions", [])
        if body["metadata"].get("deletionTimestamp"):
            continue
        found = read(kind, body)
        if isinstance(found, Unreadable):
            unreadable.append(found)
        else:
            ours[kind].append(found)
    instances = {body["metadata"]["uid"] for (resource, _), body in cache.ours.items() if resource == INSTANCES}
    alive = [child for child in cache.children.values() if not _is_left_behind(child, instances)]
    details: list[Parsed] = [child.detail for child in alive]
    wrong = [d for d in details if isinstance(d, Damaged)]
    strangers = sorted(_strangers(alive), key=lambda damaged: damaged.name) if ours[Kind.INSTANCE] else []
    return World(
        namespace=namespace,
        now=now,
        instances=tuple(ours[Kind.INSTANCE]),
        communities=tuple(ours[Kind.COMMUNITY]),
        links=tuple(ours[Kind.LINK]),
        unreadable=tuple(unreadable),
        authorities=_by_instance(alive, Authority),
        agents=_by_instance(alive, AgentCredentials),
        acme_accounts=_by_instance(alive, AcmeAccount),
        profiles={d.link: d for d in details if isinstance(d, Profile)},
        damaged=tuple(d for d in details if isinstance(d, DamagedProfile)),
        damaged_objects=tuple(damaged for damaged in wrong if not damaged.foreign),
        ignored=(*(damaged for damaged in wrong if damaged.foreign), *strangers[:_MOST_IGNORED]),
        blocked={damaged.slot: damaged.name for damaged in wrong if damaged.slot},
        slots={(d.instance, d.number): d for d in details if isinstance(d, SlotSecret)},
        users_files={(c.resource.kind, c.name): c.users for c in alive if c.users},
        passwords={c.name: c.passwords for c in alive if c.passwords},
        tls_secrets={d.name: d for d in details if isinstance(d, TlsSecret)},
        shards={name: blob for child in alive for name, blob in child.shard.items()},
        pod=_pod_of(ours[Kind.INSTANCE], details),
        pulls=tuple(c.detail for c in alive if isinstance(c.detail, Pull) and _is_controlled(c, instances)),
        noted=_noted(cache, ours[Kind.INSTANCE]),
        report=report,
        conditions=conditions,
    )


def _is_left_behind(child: Child, instances: set[str]) -> bool:
    """Whether its instance is gone and the garbage collector only has to get to it: nothing may build on it."""
    owners = [o for o in child.metadata.get("ownerReferences", []) if o["kind"] == Kind.INSTANCE.value]
    return bool(owners) and all(owner["uid"] not in instances for owner in owners)


def _is_controlled(child: Child, instances: set[str]) -> bool:
    """Whether it was made by one of these instances, and does not only have a name as if it was."""
    return any(o["uid"] in instances and o.get("controller") for o in child.metadata.get("ownerReferences", []))


def _strangers(children: Iterable[Child]) -> Iterator[Damaged]:
    """What bears our label and has the name of nothing of ours: it was never read."""
    for child in children:
        unread = child.resource in (SECRETS, CONFIG_MAPS) and child.is_ours and not child.tls and not child.detail
        if unread and place_of_name(child.resource, child.name) is None:
            yield Damaged(child.resource.kind, child.name, STRANGER, foreign=True)


def _by_instance(children: Iterable[Child], kind: type[Detail]) -> dict[str, Detail]:
    """What there is once for each instance, by the instance's name: by that in its own, as a label may have been taken
    away since it was read."""
    found = ((place_of_name(child.resource, child.name), child.detail) for child in children)
    return {place.owner: detail for place, detail in found if place and isinstance(detail, kind)}


def _pod_of(instances: list[Any], details: list[Parsed]) -> Pod | None:
    """The media pod, number 0: a second replica, made by somebody's `kubectl scale`, is not it."""
    pods = {pod.name: pod for pod in details if isinstance(pod, Pod)}
    pod = next((pods[f"{i.name}-0"] for i in instances if f"{i.name}-0" in pods), None)
    return as_its_kubelet_would_say(pod) if pod else None


def _noted(cache: NamespaceCache, instances: list[Any]) -> Mapping[str, str]:
    """Annotations of the StatefulSet of whichever instance has one: that of a second one is never made."""
    found = (cache.children.get((STATEFUL_SETS, instance.name)) for instance in instances)
    return next((child.metadata.get("annotations", {}) for child in found if child and child.is_ours), {})


# --- what no watch tells of: what is missed, and may be there without its labels; pull secrets ---


async def _with_unwatched(api: Api, store: Store, world: World, of_the_operator: Collection[str]) -> World:
    """Why Secrets that are missed are not found although they are there; and pull secrets that are not there."""
    missed = dict(_missed(store.cache(world.namespace), world))
    pulled = {instance.name: pull_secrets(instance, of_the_operator) for instance in world.instances}
    seen = await _looked_for(api, store, world.namespace, {*missed, *chain.from_iterable(pulled.values())})
    there = {name: look.labels for name, look in seen.items() if look.labels is not None}
    gone = {name for name, look in seen.items() if look.labels is None and not look.failed}
    lacking = {name: missing_labels(there[name], labels) for name, labels in missed.items() if name in there}
    absent = {instance: tuple(name for name in names if name in gone) for instance, names in pulled.items()}
    return replace(
        world,
        unlabelled={name: why for name, why in lacking.items() if why},
        missing_pull_secrets={instance: names for instance, names in absent.items() if names},
    )


async def _looked_for(api: Api, store: Store, namespace: str, wanted: Collection[str]) -> Mapping[str, Sighting]:
    """What came of the last look for each of these Secrets. Only their metadata are asked for."""
    store.forget_missed(namespace, wanted)
    seen = store.cache(namespace).missed
    due = [name for name in wanted if name not in seen or time.monotonic() - seen[name].at > MISSED_SECONDS]
    for name, sighting in zip(due, await together(*(_look(api, namespace, name) for name in due)), strict=True):
        store.note_missed(namespace, name, sighting)
    return dict(store.cache(namespace).missed)


def _missed(cache: NamespaceCache, world: World) -> Iterator[tuple[str, dict[str, str]]]:
    """Names of identities that something else tells of, and the labels that each would have."""
    for instance in world.instances:
        of_it = {LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: instance.name}
        slots = {slot.link for slot in world.slots.values() if slot.instance == instance.name}
        known = slots or any(profile.instance == instance.name for profile in world.profiles.values())
        if known and instance.spec.vpn.ca_secret_ref is None and (SECRETS, f"{instance.name}-ca") not in cache.children:
            yield f"{instance.name}-ca", of_it
        for link in slots & {link.name for link in world.links}:
            if (SECRETS, f"{link}-profile") not in cache.children:
                yield f"{link}-profile", of_it | {LABEL_LINK: link}


async def _look(api: Api, namespace: str, name: str) -> Sighting:
    try:
        found, _ = await api.list(SECRETS, namespace=namespace, fields=f"metadata.name={name}", metadata_only=True)
    except ApiError:
        return Sighting(time.monotonic(), None, failed=True)  # only a message depends on it
    fit = tidy(found[0]) if found else None
    return Sighting(time.monotonic(), fit["metadata"]["labels"] if fit else None, failed=bool(found and not fit))
