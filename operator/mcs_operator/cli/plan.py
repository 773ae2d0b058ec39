"""What applying files would do: each object is sent in a dry run, and compared with the one that is there; then all are
judged together, beside what is there, as the operator will."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from mcs_operator.api import KINDS, Impact, InvalidObjectError, KubernetesObject, MCSInstance, Problem
from mcs_operator.api.base import shown
from mcs_operator.api.changes import changes
from mcs_operator.api.wording import choices
from mcs_operator.cli.access import Cluster, resource_of
from mcs_operator.cli.batch import refused_together
from mcs_operator.cli.effects import Effect, deletion, effect
from mcs_operator.cli.files import Document
from mcs_operator.cli.schemacheck import check, parsed
from mcs_operator.domain.pod.prediction import ANY_SIZE, Resizing
from mcs_operator.domain.rules.costs import may_run
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.discovery import resizing_of
from mcs_operator.kube.resources import BY_KIND, COMMUNITIES, INSTANCES, LINKS, Object, Resource
from mcs_operator.settings import API_VERSION

FORBIDDEN = 403
_MODELS = {model.kind: model for model in KINDS}


async def effects_of(cluster: Cluster, documents: Sequence[Document]) -> list[Effect]:
    """The effect of each, in the order of the files, by itself."""
    return [await _effect(cluster, document) for document in documents]


async def plan_of(cluster: Cluster, documents: Sequence[Document], prune: bool = False) -> list[Effect]:
    """The effect of all of them together. ``prune``: what is in their namespaces, and not in the files, goes.

    Documents that are not ours are taken for what ours name: a file of users, a certificate.
    """
    ours = [document for document in documents if document.is_of_our_group]
    effects = await effects_of(cluster, ours)
    deleted: list[Effect] = []
    for place, here in _by_namespace(cluster, documents):
        try:
            stored = await stored_in(place)
        except ApiError as error:
            if prune or error.status != FORBIDDEN:
                raise
            click.echo(f"not judged together: {error.message}", err=True)
            continue
        titles = {document.title for document in here}
        gone = [body for body in stored if prune and _title(body) not in titles]
        deleted += [await _deletion(place, body, stored) for body in gone]
        as_sent = [Document(document.source, _body(document, place.namespace)) for document in here]
        refused = refused_together(as_sent, [body for body in stored if body not in gone])
        effects = [
            _refused(one, refused) if document in here else one for document, one in zip(ours, effects, strict=True)
        ]
    return [*effects, *deleted]


def _by_namespace(cluster: Cluster, documents: Sequence[Document]) -> Iterator[tuple[Cluster, list[Document]]]:
    """Namespaces that objects of ours go to, with all that goes there."""
    found: dict[str, list[Document]] = {}
    for document in documents:
        namespace = document.namespace or cluster.namespace
        if not cluster.chosen or namespace == cluster.namespace:  # kubectl refuses the others
            found.setdefault(namespace, []).append(document)
    for namespace, here in found.items():
        if any(document.is_of_our_group for document in here):
            yield replace(cluster, namespace=namespace), here


async def stored_in(place: Cluster) -> list[Object]:
    """All objects of ours in a namespace, as a file would have them."""
    found = []
    for resource in (INSTANCES, COMMUNITIES, LINKS):
        typed = {"apiVersion": resource.api_version, "kind": resource.kind}  # a list's items do not say it
        found += [typed | body for body in await place.list(resource)]
    return found


def _title(body: Object) -> str:
    return Document("", body).title


def _refused(one: Effect, refused: Mapping[str, list[str]]) -> Effect:
    """What changes nothing is not refused: whatever is wrong with it is so already, and its status says it."""
    why = refused.get(f"{one.kind}/{one.name}")
    return replace(one, refused="; ".join(why)) if why and not one.refused and one.action != "unchanged" else one


async def _deletion(place: Cluster, body: Object, stored: Sequence[Object]) -> Effect:
    """Of one object that is not in the files; whether it may be deleted is the API server's to say."""
    one = deletion(body, [other for other in stored if other["kind"] == "TVoxLink"])
    try:
        await place.api.try_deletion(BY_KIND[body["kind"]], place.namespace, body["metadata"]["name"])
    except ApiError as error:
        if not error.status:
            raise
        return replace(one, refused=error.message or str(error))
    return one


async def _effect(cluster: Cluster, document: Document) -> Effect:
    if wrong := _unusable(cluster, document):
        return Effect(document.kind or "object", document.name, "unknown", None, refused=wrong)
    model, resource = _MODELS[document.kind], resource_of(document.body)
    assert resource is not None  # noqa: S101 - it is one of the models' kinds
    namespace = document.namespace or cluster.namespace
    action = "changed or created"
    try:
        live = await cluster.api.get(resource, namespace, document.name)
        action = "changed" if live else "created"
        before, after = await _before_and_after(cluster, resource, model, live, _body(document, namespace))
    except ApiError as error:
        if not error.status:  # nobody refused it: no answer came
            raise
        return Effect(document.kind, document.name, action, None, refused=error.message or str(error))
    except InvalidObjectError as error:
        return Effect(document.kind, document.name, action, None, refused=str(error))
    links, resizing = await _served(cluster, namespace, after), await _resizing(cluster, before, after)
    status = (live or {}).get("status")
    return effect(before, after, links, now=datetime.now(UTC), resizing=resizing, status=status)


async def _resizing(cluster: Cluster, before: KubernetesObject | None, after: KubernetesObject) -> Resizing:
    """Which sizes the cluster gives a container that runs; asked where one changes."""
    if before is None or all(change.impact is not Impact.IN_PLACE for change in changes(before, after)):
        return ANY_SIZE
    return await resizing_of(cluster.api)


def _unusable(cluster: Cluster, document: Document) -> str:
    """Why an object cannot even be asked about, in words; "" where it can."""
    if not document.is_ours:
        return str(Problem("apiVersion", shown(document.body.get("apiVersion")), f"must be {API_VERSION}"))
    if document.kind not in _MODELS:
        return str(Problem("kind", shown(document.body.get("kind")), choices(list(_MODELS))))
    if cluster.chosen and document.namespace not in ("", cluster.namespace):
        return (
            f"metadata.namespace: {document.namespace}: the command line says --namespace={cluster.namespace}; "
            "kubectl refuses that, leave one of them away"
        )
    if document.name and isinstance(document.body.get("spec"), dict) and _is_whole(document.metadata):
        return ""
    return "; ".join(str(problem) for problem in check(_MODELS[document.kind], document.body)[:5])


def _is_whole(metadata: dict[str, Any]) -> bool:
    """Whether it has what a path to the object is made of."""
    return isinstance(metadata.get("namespace", ""), str | None)


def _body(document: Document, namespace: str) -> Object:
    """As it is sent: without a status, which is the operator's, and in its namespace."""
    body = {key: value for key, value in document.body.items() if key != "status"}
    return body | {"metadata": document.metadata | {"namespace": namespace}}


async def _before_and_after(
    cluster: Cluster, resource: Resource, model: type[KubernetesObject], live: Object | None, body: Object
) -> tuple[KubernetesObject | None, KubernetesObject]:
    stored = await cluster.api.apply(resource, body, dry_run=True)
    after = parsed(model, body | {"metadata": stored["metadata"]})
    return (model.from_object(live) if live else None), after


async def _served(cluster: Cluster, namespace: str, after: KubernetesObject) -> list[str]:
    """Names of the customers that an instance serves now, in its own namespace; a tunnel that is switched off is not
    interrupted."""
    if not isinstance(after, MCSInstance):
        return []
    links, _ = await cluster.api.list(LINKS, namespace=namespace)
    return sorted(
        str(link["metadata"]["name"])
        for link in links
        if link["spec"]["instanceRef"]["name"] == after.name
        and link["spec"].get("enabled", True)
        and (link.get("status") or {}).get("slot")
        and may_run(link["status"])
    )
