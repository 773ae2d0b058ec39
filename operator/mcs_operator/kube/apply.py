"""Apply: bring the cluster to the manifests with as few writes as there are differences, and prune what is left over.

Everything is applied every time, in waves; what already fulfils its manifest costs no request at all. A Secret that
stands for a number or an identity is *claimed*: created, never taken over. What happens to one link's objects is that
link's problem alone.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from mcs_operator.api.quantity import parse_quantity
from mcs_operator.contract.digest import canonical, digest
from mcs_operator.contract.shards import checksum_manifest_instead, digest_of
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.rules import messages
from mcs_operator.kube import quota
from mcs_operator.kube.cache.child import Child, digests
from mcs_operator.kube.cache.fetch import fetch
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.diff import differences
from mcs_operator.kube.labels import lacking, mistaken
from mcs_operator.kube.outcome import note
from mcs_operator.kube.parse.metadata import tidy
from mcs_operator.kube.removal import NEVER_PRUNED, delete_all, drop_slots, prune
from mcs_operator.kube.resources import BY_KIND, CONFIG_MAPS, RESOURCE_QUOTAS, SECRETS, VOLUME_CLAIMS, Object, Resource
from mcs_operator.kube.together import together
from mcs_operator.settings import (
    ANNOTATION_APPLIED,
    API_VERSION,
    LABEL_INSTANCE,
    LABEL_LINK,
    LABEL_MANAGED_BY,
    OPERATOR,
)

__all__ = ["NEVER_PRUNED", "Outcome", "apply_all", "drop_slots", "prune", "set_owners", "set_secret_entry"]

_NOT_COMPARED = ("apiVersion", "kind", "metadata", "status")
_ENDING = "the namespace is being deleted"


async def apply_all(
    api: Api, store: Store, manifests: Sequence[Manifest], held: Collection[str] = (), outcome: Outcome | None = None
) -> Outcome:
    """Apply the manifests: first those that take something away, then the others, wave by wave.

    A link whose identity is not in place, or that is ``held``, gets no slot in a later wave, and without the CA in
    place nothing that it has signed is written: nobody would have its key any more. What fails is noted in the
    ``outcome``, and what does not depend on it is done.
    """
    outcome = Outcome() if outcome is None else outcome
    first = [m for m in manifests if m.takes_away and _child(store, m)]
    later = (m for m in manifests if not (m.takes_away and _child(store, m)))
    await together(*(_guarded(api, store, manifest, outcome) for manifest in first))
    undone, authority = set(held), ""
    for wave, found in groupby(later, key=lambda manifest: manifest.wave):
        if _ENDING in outcome.waiting:
            break
        due = [m for m in found if not (m.link in undone or (authority and m.wave <= Wave.SLOT))]
        if outcome.unwritten and wave is Wave.CHECKSUMS:
            due = _checksums_of_what_is_there(store, due[0], outcome)
        done = await together(*(_guarded(api, store, manifest, outcome) for manifest in due))
        for manifest in (m for m, is_done in zip(due, done, strict=True) if not is_done):
            if manifest.link:
                undone.add(manifest.link)
            elif wave is Wave.SHARD:
                outcome.unwritten.append(manifest)
            elif manifest.claim and not _is_kept(store, manifest):
                authority = f"waits for {manifest.kind} {manifest.name}"
    if authority and _ENDING not in outcome.waiting:
        outcome.errors |= {m.link: authority for m in manifests if m.link}
    return outcome


def _checksums_of_what_is_there(store: Store, manifest: Manifest, outcome: Outcome) -> list[Manifest]:
    """The checksum manifest with the files in place of those that could not be written. The appliance takes a set only
    when it is complete, and one shard that is refused (too large, a quota) must not keep everybody else's changes from
    it.

    None where that is the ConfigMap of all links: no set is complete without it.
    """
    children = store.cache(manifest.body["metadata"]["namespace"]).children
    instead: dict[str, str | None] = {}
    for shard in outcome.unwritten:
        if shard.kind != SECRETS.kind:
            outcome.waiting.append(f"{manifest.kind} {manifest.name}: waits for {shard.kind} {shard.name}")
            return []
        child = children.get((SECRETS, shard.name))
        known = child.shard if child else {}
        instead |= {file: digest_of(known[file]) if file in known else None for file in shard.body["data"]}
    text = checksum_manifest_instead(manifest.body["data"]["manifest.json"], instead)
    outcome.checksums = digest(text)
    return [replace(manifest, body=manifest.body | {"data": {"manifest.json": text}})]


def _child(store: Store, manifest: Manifest) -> Child | None:
    children = store.cache(manifest.body["metadata"]["namespace"]).children
    return children.get((BY_KIND[manifest.kind], manifest.name))


def _is_kept(store: Store, manifest: Manifest) -> bool:
    """Whether the CA is there as it was decided about, though it could not be brought up to date: its key is safe."""
    child, key = _child(store, manifest), (BY_KIND[manifest.kind], manifest.name)
    observed = store.cache(manifest.body["metadata"]["namespace"]).observed.get(key)
    return child is not None and child.version == observed and not child.metadata.get("deletionTimestamp")


async def _guarded(api: Api, store: Store, manifest: Manifest, outcome: Outcome) -> bool:
    """Apply one manifest; whether its object is in place. What went wrong is in the outcome."""
    what = f"{manifest.kind} {manifest.name}"
    try:
        return await _apply(api, store, manifest, outcome)
    except ApiError as error:
        try:
            return await _refused(api, store, manifest, outcome, error)
        except Exception as another:
            note(outcome, what, another, manifest.link)
    except Exception as error:
        note(outcome, what, error, manifest.link)
    return False


async def _refused(api: Api, store: Store, manifest: Manifest, outcome: Outcome, error: ApiError) -> bool:
    """What the API server's no means; whether the object is in place all the same."""
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
    if error.status == 422 and manifest.takes_away:
        outcome.writes += await _stop(api, store, manifest)
    note(outcome, what, error, manifest.link)
    return False


async def _stop(api: Api, store: Store, manifest: Manifest) -> int:
    """Take away a slot's Secret that somebody made immutable: without it the slot stops, and nobody who is revoked is
    let in. The next run makes it anew, from the profile; where that is lost, the Secret is all that is left of it."""
    child, namespace = _child(store, manifest), manifest.body["metadata"]["namespace"]
    profile = (SECRETS, f"{manifest.link}-profile")
    if child is None or profile not in store.cache(namespace).children:
        return 0
    return await delete_all(api, store, namespace, [child])


def _note_foreign(manifest: Manifest, lacks: str, outcome: Outcome) -> None:
    what = f"{manifest.kind} {manifest.name}"
    outcome.foreign[what] = messages.not_ours(what, f"label {lacks}")
    if manifest.link:
        outcome.taken[manifest.link] = manifest.name


async def _apply(api: Api, store: Store, manifest: Manifest, outcome: Outcome) -> bool:
    resource, wanted = BY_KIND[manifest.kind], digest(canonical(manifest.body))
    namespace = manifest.body["metadata"]["namespace"]
    cache, key = store.cache(namespace), (resource, manifest.name)
    child = cache.children.get(key)
    if child is None and manifest.claim and key in cache.observed:
        # Made again, it would bring back keys that somebody has just deleted; what that means is for the next World.
        outcome.waiting.append(f"{manifest.kind} {manifest.name}: went while it was decided about")
        return False
    if child is None:
        await _create(api, store, resource, manifest, wanted, outcome)
        return True
    if child.metadata.get("labels", {}).get(LABEL_MANAGED_BY) != OPERATOR:  # a users file, a certificate
        raise ApiError(409, "AlreadyExists", "exists and is not ours; rename or delete it")
    if child.fulfils(wanted):
        return True
    if lacks := mistaken(child, manifest):  # or an identity that another instance left: not even for a rotation
        _note_foreign(manifest, lacks, outcome)
        return False
    if reason := _doomed(child, manifest):
        outcome.waiting.append(f"{manifest.kind} {manifest.name}: {reason}")
        return False
    if manifest.claim and child.version != cache.observed.get(key):
        outcome.waiting.append(f"{manifest.kind} {manifest.name}: was changed while it was decided about")
        return False
    live = await _live(api, store, child)
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
    store.note_in_sync(resource, namespace, manifest.name, wanted)
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
    store.note_in_sync(resource, body["metadata"]["namespace"], manifest.name, wanted)


async def _write(api: Api, store: Store, resource: Resource, request: Any, outcome: Outcome) -> None:
    store.take(resource, await request)
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
    if child.metadata.get("deletionTimestamp") and not manifest.takes_away:  # a finalizer may keep it for ever
        return "is being deleted"
    labels = child.metadata.get("labels", {})
    if manifest.link is not None and labels.get(LABEL_LINK) != manifest.link:
        return f"is held by TVoxLink {labels.get(LABEL_LINK)!r}"
    wanted = {owner["uid"] for owner in manifest.body["metadata"].get("ownerReferences", [])}
    owners = {owner["uid"] for owner in child.metadata.get("ownerReferences", [])}
    if wanted and owners and not wanted & owners:
        return "belongs to an owner that is gone; the garbage collector removes it"
    return ""


async def _live(api: Api, store: Store, child: Child) -> Object | None:
    """What there is to compare with: digests for Secrets and ConfigMaps, the whole body for others."""
    if child.resource in (SECRETS, CONFIG_MAPS) and not child.stale:
        return {"metadata": child.metadata, "data": child.data}
    body = await fetch(api, store, child)
    if body is not None and child.resource in (SECRETS, CONFIG_MAPS):
        return {"metadata": child.metadata, "data": child.data}
    return body


def _comparable(resource: Resource, body: Object) -> Object:
    """The manifest in the form of `_live`. A Secret's type is immutable and set at its creation: not compared."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "annotations"}
    if resource in (SECRETS, CONFIG_MAPS):
        return {"metadata": metadata, "data": digests(body.get("data") or {})}
    return {"metadata": metadata} | {key: body[key] for key in body if key not in _NOT_COMPARED}


def _stamped(body: Object, wanted: str) -> Object:
    metadata = body["metadata"]
    annotations = metadata.get("annotations", {}) | {ANNOTATION_APPLIED: wanted}
    return body | {"metadata": metadata | {"annotations": annotations}}


async def set_owners(api: Api, store: Store, namespace: str, instance: str, name: str, owners: list[Object]) -> None:
    """Have a Secret of this instance belong to these owners and no others, whatever else is in it."""
    child = store.cache(namespace).children.get((SECRETS, name))
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
        store.take(resource, await api.merge(resource, str(child.metadata["namespace"]), child.name, patch))
    except ApiError as error:
        if error.status not in (404, 409):  # gone, or another one by now: its event brings us back
            raise
    return 1


async def set_secret_entry(api: Api, store: Store, namespace: str, name: str, key: str, text: str) -> None:
    """Change one entry of a Secret of ours and leave the others alone (an identity's released mark).

    One that is gone or was changed by now is well: its event brings us back.
    """
    cache = store.cache(namespace)
    child = cache.children.get((SECRETS, name))
    if child is None:
        return
    encoded = base64.b64encode(text.encode()).decode()
    patch = {
        "metadata": {"uid": child.uid, "resourceVersion": cache.observed.get((SECRETS, name), "")},
        "data": {key: encoded},
    }
    try:
        store.take(SECRETS, await api.merge(SECRETS, namespace, name, patch))
    except ApiError as error:
        if error.status not in (404, 409):
            raise
