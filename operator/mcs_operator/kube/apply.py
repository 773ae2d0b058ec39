"""Apply: bring the cluster to the manifests with as few writes as there are differences, and prune what is left over.

Everything is applied every time, in waves; what already fulfils its manifest costs no request at all. A Secret that
stands for a number or an identity is *claimed*: created, never taken over. What happens to one link's objects is that
link's problem alone.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from mcs_operator.domain import rules
from mcs_operator.domain.manifest import Manifest, Wave, canonical, digest
from mcs_operator.domain.quantity import parse_quantity
from mcs_operator.kube import quota
from mcs_operator.kube.client import (
    BY_KIND,
    CONFIG_MAPS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    STATEFUL_SETS,
    VOLUME_CLAIMS,
    Api,
    ApiError,
    Object,
    Resource,
)
from mcs_operator.kube.diff import differences
from mcs_operator.kube.labels import lacking, mistaken
from mcs_operator.kube.observe import take_body
from mcs_operator.kube.parse.metadata import tidy
from mcs_operator.kube.store import Child, Store, digests
from mcs_operator.settings import (
    ANNOTATION_APPLIED,
    API_VERSION,
    LABEL_INSTANCE,
    LABEL_LINK,
    LABEL_MANAGED_BY,
    OPERATOR,
)

NEVER_PRUNED = (PODS, VOLUME_CLAIMS, STATEFUL_SETS, RESOURCE_QUOTAS)
"""Calls, data and the law hang on these: they go with their owner or by a step of their own, never because nobody
wants them."""

_ENDING = "the namespace is being deleted"


@dataclass(slots=True)
class Outcome:
    """What came of it.

    ``taken``: by link, the Secret that it needs, that exists and is not ours. ``foreign``: by object, why one that we
    need is not taken for ours. ``waiting``: what has to go or settle
    first (an object of a dead owner that the garbage collector removes). ``errors`` by link, ``failures`` by object
    that is no link's in particular. ``writes`` counts requests that changed something.
    """

    taken: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    writes: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing has to be tried again."""
        return not (self.waiting or self.errors or self.failures)

    def is_written(self, what: str) -> bool:
        """Whether an object that is no link's (``Secret mcs-ca``) is there as it should be."""
        return what not in self.failures and not any(text.startswith(f"{what}: ") for text in self.waiting)


async def apply_all(api: Api, store: Store, manifests: Sequence[Manifest]) -> Outcome:
    """Apply the manifests wave by wave.

    A link whose identity is not in place gets no slot in a later wave, and without the CA in place nothing that it
    has signed is written: nobody would have its key any more.
    """
    outcome = Outcome()
    undone: set[str] = set()
    authority = ""
    for _, wave in groupby(manifests, key=lambda manifest: manifest.wave):
        if _ENDING in outcome.waiting:
            break
        due = [m for m in wave if not (m.link in undone or (authority and m.wave <= Wave.SLOT))]
        done = await asyncio.gather(*(_guarded(api, store, manifest, outcome) for manifest in due))
        for manifest, is_done in zip(due, done, strict=True):
            if is_done:
                continue
            if manifest.link:
                undone.add(manifest.link)
            elif manifest.claim:
                authority = f"waits for {manifest.kind} {manifest.name}"
    if authority and _ENDING not in outcome.waiting:
        outcome.errors |= {m.link: authority for m in manifests if m.link}
    return outcome


async def _guarded(api: Api, store: Store, manifest: Manifest, outcome: Outcome) -> bool:
    """Apply one manifest; whether its object is in place. What went wrong is in the outcome."""
    try:
        return await _apply(api, store, manifest, outcome)
    except ApiError as error:
        what = f"{manifest.kind} {manifest.name}"
        if error.namespace_ends:
            if _ENDING not in outcome.waiting:
                outcome.waiting.append(_ENDING)
            return False
        if error.status == 409:
            lacks = await lacking(api, store, manifest)
            if not lacks:
                outcome.waiting.append(f"{what}: is there already, and is looked at again")
                return False
            _note_foreign(manifest, lacks, outcome)
        text = f"{what}: {error.reason or error.status}: {error.message}"
        if manifest.link:
            outcome.errors[manifest.link] = text
        else:
            outcome.failures[what] = text
        return False


def _note_foreign(manifest: Manifest, lacks: str, outcome: Outcome) -> None:
    what = f"{manifest.kind} {manifest.name}"
    outcome.foreign[what] = rules.not_ours(what, f"label {lacks}")
    if manifest.link:
        outcome.taken[manifest.link] = manifest.name


async def _apply(api: Api, store: Store, manifest: Manifest, outcome: Outcome) -> bool:
    resource, wanted = BY_KIND[manifest.kind], digest(canonical(manifest.body))
    namespace = manifest.body["metadata"]["namespace"]
    shelf, key = store.shelf(namespace), (resource, manifest.name)
    child = shelf.children.get(key)
    if child is None and manifest.claim and key in shelf.observed:
        # Made again, it would bring back keys that somebody has just deleted; what that means is for the next World.
        outcome.waiting.append(f"{manifest.kind} {manifest.name}: went while it was decided about")
        return False
    if child is None:
        await _create(api, store, resource, manifest, wanted, outcome)
        return True
    if child.metadata.get("labels", {}).get(LABEL_MANAGED_BY) != OPERATOR:  # a users file, a certificate
        raise ApiError(409, "AlreadyExists", "exists and is not ours; rename or delete it")
    if child.in_sync == _mark(wanted, child):
        return True
    if lacks := mistaken(child, manifest):  # or an identity that another instance left: not even for a rotation
        _note_foreign(manifest, lacks, outcome)
        return False
    if reason := _doomed(child, manifest):
        outcome.waiting.append(f"{manifest.kind} {manifest.name}: {reason}")
        return False
    if manifest.claim and child.version != shelf.observed.get(key):
        outcome.waiting.append(f"{manifest.kind} {manifest.name}: was changed while it was decided about")
        return False
    live = await _live(api, store, resource, namespace, child)
    if live is None:
        outcome.waiting.append(f"{manifest.kind} {manifest.name}: went while it was looked at")
        return False
    known_hash = child.metadata.get("annotations", {}).get(ANNOTATION_APPLIED)
    body = _as_volumes_can(manifest.body, live) if resource == VOLUME_CLAIMS else manifest.body
    if known_hash != wanted or differences(_comparable(resource, body), live):
        stamped = _stamped(body, wanted)
        if manifest.claim:  # what is in it decided what is written: a restore that was quicker must not be undone
            stamped["metadata"]["resourceVersion"] = child.version
        request = quota.put(api, stamped, live) if resource == RESOURCE_QUOTAS else api.apply(resource, stamped)
        await _write(api, store, resource, request, outcome)
    if manifest.claim:  # made by a plain create, whose owner no apply can take away again
        outcome.writes += await _put_owners(api, store, resource, child, body["metadata"].get("ownerReferences", []))
    _note_in_sync(store, resource, manifest, wanted)
    return True


async def _create(
    api: Api, store: Store, resource: Resource, manifest: Manifest, wanted: str, outcome: Outcome
) -> None:
    body = _stamped(manifest.body, wanted)
    if resource in (SECRETS, CONFIG_MAPS):  # 409 tells that it is there without our label, so not ours to touch
        await _write(api, store, resource, api.create(resource, body), outcome)
    else:
        foreign = tidy(await api.get(resource, body["metadata"]["namespace"], manifest.name))
        if foreign is not None and foreign["metadata"]["labels"].get(LABEL_MANAGED_BY) != OPERATOR:
            raise ApiError(409, "AlreadyExists", "exists and is not ours; rename or delete it")
        # By server-side apply from the start: fields that a plain create owns could never be removed by a later apply.
        request = quota.put(api, body, foreign) if resource == RESOURCE_QUOTAS else api.apply(resource, body)
        await _write(api, store, resource, request, outcome)
    _note_in_sync(store, resource, manifest, wanted)


def _mark(wanted: str, child: Child) -> str:
    """With the version: whatever somebody else writes makes it worth another look."""
    return f"{wanted} {child.version}"


def _note_in_sync(store: Store, resource: Resource, manifest: Manifest, wanted: str) -> None:
    child = store.shelf(manifest.body["metadata"]["namespace"]).children.get((resource, manifest.name))
    if child is not None:  # deleted by somebody while our write was on its way: its event brings us back
        child.in_sync = _mark(wanted, child)


async def _write(api: Api, store: Store, resource: Resource, request: Any, outcome: Outcome) -> None:
    take_body(store, resource, await request)
    outcome.writes += 1


def _as_volumes_can(body: Object, live: Object) -> Object:
    """The claim with the live size where that is larger, and the class that it has: volumes grow, by us or by hand,
    and never shrink nor move, also where the one that was kept differs from what the next instance asks for."""
    spec, has = dict(body["spec"]), live["spec"]
    size = has.get("resources", {}).get("requests", {}).get("storage", "0")
    if parse_quantity(size) > parse_quantity(spec["resources"]["requests"]["storage"]):
        spec["resources"] = {"requests": {"storage": size}}
    if has.get("storageClassName") and "storageClassName" in spec:
        spec["storageClassName"] = has["storageClassName"]
    return body | {"spec": spec}


def _doomed(child: Child, manifest: Manifest) -> str:
    """Why the live object has to go before ours can be there; empty where it may be brought up to date."""
    if child.metadata.get("deletionTimestamp"):
        return "is being deleted"
    labels = child.metadata.get("labels", {})
    if manifest.link is not None and labels.get(LABEL_LINK) != manifest.link:
        return f"is held by TVoxLink {labels.get(LABEL_LINK)!r}"
    wanted = {owner["uid"] for owner in manifest.body["metadata"].get("ownerReferences", [])}
    owners = {owner["uid"] for owner in child.metadata.get("ownerReferences", [])}
    if wanted and owners and not wanted & owners:
        return "belongs to an owner that is gone; the garbage collector removes it"
    return ""


async def _live(api: Api, store: Store, resource: Resource, namespace: str, child: Child) -> Object | None:
    """What there is to compare with: digests for Secrets and ConfigMaps, the whole body for others."""
    if resource in (SECRETS, CONFIG_MAPS) and not child.stale:
        return {"metadata": child.metadata, "data": child.data}
    body = await api.get(resource, namespace, child.name)
    if body is None:
        store.drop(resource, namespace, child.name, child.uid)
        return None
    take_body(store, resource, body)
    if resource in (SECRETS, CONFIG_MAPS):
        return {"metadata": child.metadata, "data": child.data}
    return body


def _comparable(resource: Resource, body: Object) -> Object:
    """The manifest in the form of `_live`. A Secret's type is immutable and set at its creation: not compared."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "annotations"}
    if resource in (SECRETS, CONFIG_MAPS):
        return {"metadata": metadata, "data": digests(body["data"])}
    return {"metadata": metadata, "spec": body["spec"]}


def _stamped(body: Object, wanted: str) -> Object:
    metadata = body["metadata"]
    annotations = metadata.get("annotations", {}) | {ANNOTATION_APPLIED: wanted}
    return body | {"metadata": metadata | {"annotations": annotations}}


async def prune(
    api: Api, store: Store, namespace: str, instance: str, owner_uid: str, manifests: Iterable[Manifest]
) -> int:
    """Delete what this instance owns and nobody wants any more; the number of objects deleted.

    Only what its own UID controls: what is retained has no owner, what belongs to a link goes with the link.
    """
    wanted = {(BY_KIND[manifest.kind], manifest.name) for manifest in manifests}
    doomed = [
        child
        for key, child in store.shelf(namespace).children.items()
        if key not in wanted
        and child.resource not in NEVER_PRUNED
        and child.metadata.get("labels", {}).get(LABEL_INSTANCE) == instance
        and any(o["uid"] == owner_uid and o.get("controller") for o in child.metadata.get("ownerReferences", []))
    ]
    return await _delete_all(api, store, namespace, doomed)


async def drop_slots(api: Api, store: Store, namespace: str, names: Iterable[str]) -> int:
    """Delete Secrets of links that have no place any more, as they were observed; how many are gone now."""
    children = store.shelf(namespace).children
    doomed = [child for name in names if (child := children.get((SECRETS, name)))]
    return await _delete_all(api, store, namespace, doomed, as_observed=True)


async def _delete_all(api: Api, store: Store, namespace: str, doomed: list[Child], *, as_observed: bool = False) -> int:
    """``as_observed``: only in the version that was decided about; of another one its event brings us back."""
    deleted, observed = 0, store.shelf(namespace).observed
    for child in doomed:
        key = child.resource, child.name
        version = observed.get(key, "") if as_observed else ""
        if await api.delete(child.resource, namespace, child.name, uid=child.uid, version=version):
            store.drop(child.resource, namespace, child.name, child.uid)
            observed.pop(key, None)
            deleted += 1
    return deleted


async def set_owners(api: Api, store: Store, namespace: str, instance: str, name: str, owners: list[Object]) -> None:
    """Have a Secret of this instance belong to these owners and no others, whatever else is in it."""
    child = store.shelf(namespace).children.get((SECRETS, name))
    labels = child.metadata.get("labels", {}) if child else {}
    if child and labels.get(LABEL_MANAGED_BY) == OPERATOR and labels.get(LABEL_INSTANCE) == instance:
        await _put_owners(api, store, SECRETS, child, owners)


async def _put_owners(api: Api, store: Store, resource: Resource, child: Child, owners: list[Object]) -> int:
    """Owners as wanted, with those of other people's making left alone; the number of writes."""
    known = child.metadata.get("ownerReferences", [])
    wanted = [o for o in known if o["apiVersion"] != API_VERSION] + owners
    if {o["uid"] for o in known} == {o["uid"] for o in wanted} or child.metadata.get("deletionTimestamp"):
        return 0
    patch = {"metadata": {"ownerReferences": wanted or None, "uid": child.uid}}
    try:
        take_body(store, resource, await api.merge(resource, str(child.metadata["namespace"]), child.name, patch))
    except ApiError as error:
        if error.status not in (404, 409):  # gone, or another one by now: its event brings us back
            raise
    return 1


async def set_secret_entry(api: Api, store: Store, namespace: str, name: str, key: str, text: str) -> None:
    """Change one entry of a Secret of ours and leave the others alone (an identity's released mark).

    One that is gone or was changed by now is well: its event brings us back.
    """
    shelf = store.shelf(namespace)
    child = shelf.children.get((SECRETS, name))
    if child is None:
        return
    encoded = base64.b64encode(text.encode()).decode()
    patch = {
        "metadata": {"uid": child.uid, "resourceVersion": shelf.observed.get((SECRETS, name), "")},
        "data": {key: encoded},
    }
    try:
        take_body(store, SECRETS, await api.merge(SECRETS, namespace, name, patch))
    except ApiError as error:
        if error.status not in (404, 409):
            raise
