"""Observe: from the store, and a few GETs for what changed, to one frozen World.

Everything is parsed here, at the door. A Secret of ours that does not parse is treated as absent by those who need
its content, and is still known to exist, so that nothing is written over it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from mcs_operator.api import Community, InvalidObjectError, MCSInstance, TVoxLink
from mcs_operator.domain.conditions import Kind
from mcs_operator.domain.keys import Authority, KeyPair
from mcs_operator.domain.linkstate import LinkReport
from mcs_operator.domain.quantity import parse_quantity
from mcs_operator.domain.quota import Usage
from mcs_operator.domain.shardfiles import packed
from mcs_operator.domain.slotfiles import FINGERPRINTS, SLOT_FILES, pins_in, slot_revision
from mcs_operator.domain.world import (
    AgentCredentials,
    DamagedProfile,
    Fingerprint,
    Pod,
    Profile,
    SlotSecret,
    TlsSecret,
    Unreadable,
    World,
)
from mcs_operator.kube.beside import beside
from mcs_operator.kube.client import (
    COMMUNITIES,
    CONFIG_MAPS,
    INSTANCES,
    LINKS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    Api,
    Object,
    Resource,
)
from mcs_operator.kube.known import domains_elsewhere
from mcs_operator.kube.store import Child, Shelf, Store, digests
from mcs_operator.kube.usersfiles import read_users_files
from mcs_operator.settings import (
    FIRST_NUMBER,
    LABEL_INSTANCE,
    LABEL_LINK,
    LABEL_MANAGED_BY,
    LABEL_SLOT,
    LAST_NUMBER,
    MEDIA_CONTAINER,
    OPERATOR,
)

Detail = TypeVar("Detail", Authority, AgentCredentials)
Parsed = AgentCredentials | Authority | DamagedProfile | Pod | Profile | SlotSecret | TlsSecret | Usage | None

_READERS = {
    INSTANCES: (Kind.INSTANCE, MCSInstance),
    COMMUNITIES: (Kind.COMMUNITY, Community),
    LINKS: (Kind.LINK, TVoxLink),
}
_MANY_INLINE = 5_000
_PARSED_BODIES = (SECRETS, CONFIG_MAPS, PODS, RESOURCE_QUOTAS)


async def observe(api: Api, store: Store, namespace: str, now: datetime, report: LinkReport | None) -> World:
    """The World of one namespace, after reading again what changed since the last time."""
    shelf = store.shelf(namespace)
    named = shelf.named_tls_secrets()
    stale = [c for c in shelf.children.values() if c.stale and c.resource in _PARSED_BODIES and _is_parsed(c, named)]
    await asyncio.gather(*(_refresh(api, store, child) for child in stale))
    await read_users_files(api, store, shelf)
    shelf.observed = {key: child.parsed for key, child in shelf.children.items()}
    world = await beside(_is_long(shelf), _world, shelf.copy(), namespace, now, report)
    return replace(world, elsewhere=domains_elsewhere(store, namespace))


def _is_long(shelf: Shelf) -> bool:
    """Whether the Communities have so many users inline that to parse them takes more than some milliseconds."""
    specs = (body.get("spec") or {} for (resource, _), body in shelf.ours.items() if resource == COMMUNITIES)
    return sum(len(spec.get("users") or ()) for spec in specs) > _MANY_INLINE


def _is_parsed(child: Child, tls_secrets: set[str]) -> bool:
    """Whether this child's body is read here: what is a users file and nothing else is not."""
    ours = child.metadata.get("labels", {}).get(LABEL_MANAGED_BY) == OPERATOR
    return ours or (child.resource == SECRETS and child.name in tls_secrets)


async def _refresh(api: Api, store: Store, child: Child) -> None:
    body = await api.get(child.resource, str(child.metadata["namespace"]), child.name)
    if body is None:
        store.drop(child.resource, str(child.metadata["namespace"]), child.name, child.uid)
        return
    take_body(store, child.resource, body)


def take_body(store: Store, resource: Resource, body: Object) -> None:
    """Put a full object into the store: from a list, a GET, or the answer to our own write."""
    store.put(resource, body)
    metadata = body["metadata"]
    child = store.shelf(metadata["namespace"]).children.get((resource, metadata["name"]))
    if child is None or child.version != metadata["resourceVersion"]:
        return  # a newer one is known already, or that it is gone
    child.parsed = child.version
    if resource in (SECRETS, CONFIG_MAPS):
        child.data = digests(body.get("data") or {})
        child.shard = _shard(body)
    child.detail = parse_body(resource, body)


def _shard(body: Object) -> dict[str, bytes]:
    """The appliance's files in a Secret or ConfigMap of ours, kept for when what they came from is broken."""
    if body["metadata"].get("labels", {}).get(LABEL_MANAGED_BY) != OPERATOR:
        return {}
    data = body.get("data") or {}
    secret = {name: text for name, text in data.items() if name.startswith(("users-", "certs-"))}
    public = {name: text for name, text in data.items() if name in ("links.json", "communities.json")}
    decoded = {name: base64.b64decode(text).decode(errors="replace") for name, text in secret.items()}
    return packed(decoded | public)


def _world(shelf: Shelf, namespace: str, now: datetime, report: LinkReport | None) -> World:
    ours: dict[Kind, list[Any]] = {kind: [] for kind in Kind}
    unreadable, conditions = [], {}
    for (resource, name), body in shelf.ours.items():
        kind, model = _READERS[resource]
        conditions[kind, name] = (body.get("status") or {}).get("conditions") or []
        if body["metadata"].get("deletionTimestamp"):
            continue
        try:
            ours[kind].append(model.from_object(body))
        except InvalidObjectError as error:
            unreadable.append(Unreadable(kind, name, body["metadata"].get("generation", 0), str(error)))
    instances = {body["metadata"]["uid"] for (resource, _), body in shelf.ours.items() if resource == INSTANCES}
    alive = [child for child in shelf.children.values() if not _is_left_behind(child, instances)]
    details: list[Parsed] = [child.detail for child in alive]
    return World(
        namespace=namespace,
        now=now,
        instances=tuple(ours[Kind.INSTANCE]),
        communities=tuple(ours[Kind.COMMUNITY]),
        links=tuple(ours[Kind.LINK]),
        unreadable=tuple(unreadable),
        authorities=_by_instance(alive, Authority),
        agents=_by_instance(alive, AgentCredentials),
        profiles={d.link: d for d in details if isinstance(d, Profile)},
        damaged=tuple(d for d in details if isinstance(d, DamagedProfile)),
        slots={(d.instance, d.number): d for d in details if isinstance(d, SlotSecret)},
        users_files={(child.users.kind, child.users.name): child.users for child in alive if child.users},
        tls_secrets={d.name: d for d in details if isinstance(d, TlsSecret)},
        shards={name: blob for child in alive for name, blob in child.shard.items()},
        pod=_pod_of(ours[Kind.INSTANCE], details),
        report=report,
        conditions=conditions,
    )


def _is_left_behind(child: Child, instances: set[str]) -> bool:
    """Whether its instance is gone and the garbage collector only has to get to it: nothing may build on it."""
    owners = [o for o in child.metadata.get("ownerReferences", []) if o["kind"] == Kind.INSTANCE.value]
    return bool(owners) and all(owner["uid"] not in instances for owner in owners)


def _by_instance(children: Iterable[Child], kind: type[Detail]) -> dict[str, Detail]:
    """What there is once for each instance, by the instance's name."""
    return {
        str(child.metadata["labels"][LABEL_INSTANCE]): child.detail
        for child in children
        if isinstance(child.detail, kind)
    }


def _pod_of(instances: list[MCSInstance], details: list[Parsed]) -> Pod | None:
    """The media pod, number 0: a second replica, made by somebody's `kubectl scale`, is not it."""
    pods = {pod.name: pod for pod in details if isinstance(pod, Pod)}
    return next((pods[f"{i.name}-0"] for i in instances if f"{i.name}-0" in pods), None)


def parse_body(resource: Resource, body: Object) -> Parsed:
    """The few fields of a child that decisions need; None for what is only compared, or does not parse."""
    try:
        if resource == PODS:
            return _pod(body)
        if resource == RESOURCE_QUOTAS:
            return usage_of(body)
        if resource == SECRETS:
            return _secret(body)
    except (KeyError, ValueError, TypeError):
        return None
    return None


def usage_of(body: Object) -> Usage:
    """The status of a ResourceQuota."""
    status = body.get("status") or {}
    hard, used = (
        {key: int(parse_quantity(n)) for key, n in (status.get(part) or {}).items()} for part in ("hard", "used")
    )
    return Usage(hard, used)


def _secret(body: Object) -> Parsed:
    name, labels = body["metadata"]["name"], body["metadata"].get("labels", {})
    instance = labels.get(LABEL_INSTANCE, "")
    if body.get("type") == "kubernetes.io/tls":
        return _tls_secret(name, body.get("data") or {})
    if name.endswith("-profile") and LABEL_LINK in labels and LABEL_SLOT not in labels:
        return _profile_or_damaged(body.get("data") or {}, labels)
    files = {key: base64.b64decode(value).decode() for key, value in (body.get("data") or {}).items()}
    if name == f"{instance}-ca":
        return Authority(files["ca.crt"], files["ca.key"])
    if name == f"{instance}-agent":
        return AgentCredentials(KeyPair(files["tls.crt"], files["tls.key"]), files["token"])
    if LABEL_LINK not in labels:
        return None
    return _slot(body, files, labels) if LABEL_SLOT in labels else None


def _tls_secret(name: str, data: dict[str, str]) -> TlsSecret:
    """Whatever is in it: what is wrong with a certificate is said where it is checked."""
    chain, key = (base64.b64decode(data.get(entry, "")).decode(errors="replace") for entry in ("tls.crt", "tls.key"))
    return TlsSecret(name, chain, key)


def _slot(body: Object, files: dict[str, str], labels: dict[str, str]) -> SlotSecret:
    """Never fails for a damaged file: the Secret holds a number, whatever is in it."""
    owners = body["metadata"].get("ownerReferences") or [{}]
    certificate, key = files.get("tls.crt"), files.get("tls.key")
    complete = all(name in files for name in SLOT_FILES)
    return SlotSecret(
        number=int(labels[LABEL_SLOT]),
        instance=labels[LABEL_INSTANCE],
        link=labels[LABEL_LINK],
        owner_uid=owners[0].get("uid", ""),
        revision=files.get("revision", ""),
        content=slot_revision(files) if complete else "",
        server=KeyPair(certificate, key) if certificate and key else None,
        tls_crypt=files.get("tls-crypt.key"),
        ca=files.get("ca.crt"),
        fingerprints=_known_fingerprints(files),
    )


def _known_fingerprints(files: dict[str, str]) -> tuple[Fingerprint, ...]:
    """What the slot Secret tells of its TVox's certificates; where that is damaged, at least what is accepted."""
    try:
        told = _fingerprints(json.loads(files[FINGERPRINTS]))
    except (KeyError, ValueError, TypeError):
        told = ()
    return told or tuple(Fingerprint(pin, None) for pin in pins_in(files.get("server.conf", "")))


def _fingerprints(listed: list[dict[str, str | None]]) -> tuple[Fingerprint, ...]:
    return tuple(
        Fingerprint(
            str(pin["sha256"]),
            _maybe_time(pin.get("notAfter")),
            *(_maybe_time(pin.get(name)) for name in ("created", "deadline", "seen", "revoked")),
        )
        for pin in listed
    )


def _profile_or_damaged(data: dict[str, str], labels: dict[str, str]) -> Profile | DamagedProfile:
    files: dict[str, str] = {}
    try:
        for key, value in sorted(data.items()):
            files[key] = base64.b64decode(value).decode()
        return _profile(files, labels)
    except (KeyError, ValueError, TypeError):
        return DamagedProfile(labels[LABEL_LINK], labels.get(LABEL_INSTANCE, ""), _number_in(files))


def _number_in(files: dict[str, str]) -> int | None:
    try:
        number = json.loads(files["identity.json"])["slot"]
    except (KeyError, ValueError, TypeError):
        return None
    return number if isinstance(number, int) and FIRST_NUMBER <= number <= LAST_NUMBER else None


def _profile(files: dict[str, str], labels: dict[str, str]) -> Profile:
    identity = json.loads(files["identity.json"])
    return Profile(
        link=labels[LABEL_LINK],
        instance=labels[LABEL_INSTANCE],
        number=int(identity["slot"]),
        created=_time(identity["created"]),
        released=_maybe_time(identity.get("released")),
        fingerprints=_fingerprints(identity["fingerprints"]),
        client=KeyPair(files["tls.crt"], files["tls.key"]),
        tls_crypt=files["tls-crypt.key"],
    )


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _maybe_time(text: str | None) -> datetime | None:
    return _time(text) if text else None


def _pod(body: Object) -> Pod:
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    states = {state["name"]: state for state in status.get("containerStatuses") or []}
    media = states.get(MEDIA_CONTAINER, {})
    image = next((c["image"] for c in spec["containers"] if c["name"] == MEDIA_CONTAINER), "")
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        ip=status.get("podIP", ""),
        node=spec.get("nodeName", ""),
        image=image,
        media_ready=bool(media.get("ready")) and not metadata.get("deletionTimestamp"),
        media_problem=_media_problem(metadata, status, media),
        terminating=bool(metadata.get("deletionTimestamp")),
        created=_time(metadata["creationTimestamp"]),
        annotations=metadata.get("annotations") or {},
    )


def _media_problem(metadata: Object, status: Object, media: Object) -> str:
    """Why the media container is not ready, in the kubelet's or the scheduler's words."""
    if metadata.get("deletionTimestamp"):
        return "the pod is being stopped"
    if media.get("ready"):
        return ""
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', 'Unschedulable')}: {condition.get('message', '')}"
    for init in status.get("initContainerStatuses") or []:
        said = "" if init.get("ready") else _kept_by(init)
        if said and said != "PodInitializing":  # which says of any container that another one comes first
            return f"init container {init['name']}: {said}"
    if said := _kept_by(media):
        return said
    if media.get("state"):
        return "the container runs, its readiness probe has not succeeded yet"
    return "the pod is starting"


def _kept_by(container: Object) -> str:
    """Why a container does not run, in the kubelet's words; empty where it does, or where nothing is said."""
    state = container.get("state") or {}
    for phase in ("waiting", "terminated"):
        if phase in state:
            return f"{state[phase].get('reason', phase)}: {state[phase].get('message', '')}".rstrip(": ")
    return ""
