"""What can be said about manifests without a cluster: whether they are valid, and what the operator would make of them.

The same code decides here and in the operator; what only a cluster knows (other namespaces, who holds which number,
what is already stored) is left out, and said to be.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcs_operator.api import KINDS, Community, InvalidObjectError, KubernetesObject, MCSInstance, TVoxLink
from mcs_operator.api.schema import Schema, plain_schema
from mcs_operator.cli.files import Document
from mcs_operator.domain.conditions import WAITING, Reason
from mcs_operator.domain.decide import decide
from mcs_operator.domain.usersfile import UsersFile, users_file_of
from mcs_operator.domain.world import TlsSecret, World
from mcs_operator.pki import complete
from mcs_operator.render.render import render
from mcs_operator.settings import LABEL_USERS, Settings

_MAY_COME = {*WAITING, Reason.USERS_NOT_FOUND}
"""Said of what is not in the files and may well be in the cluster."""
_MODELS = {model.kind: model for model in KINDS}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about one object. ``error``: it would not be served; else it is worth a look."""

    source: str
    object: str
    error: bool
    message: str


def validate(documents: Sequence[Document], now: datetime) -> list[Finding]:
    """Everything that is wrong with these objects, each for itself and all together."""
    findings, parsed = _parsed(documents)
    for document in documents:
        if document.is_ours and document.body.get("kind") in _MODELS:
            findings += _unknown(document)
    for world in worlds(documents, parsed, now):
        findings += _decided(world)
    return findings


def worlds(documents: Sequence[Document], parsed: Sequence[KubernetesObject], now: datetime) -> Iterator[World]:
    """One World for each namespace in the files; "" is the one that the files leave to kubectl."""
    for namespace in sorted({subject.namespace for subject in parsed}):
        here = [subject for subject in parsed if subject.namespace == namespace]
        bodies = [d.body for d in documents if (d.body.get("metadata") or {}).get("namespace", "") == namespace]
        yield World(
            namespace=namespace,
            now=now,
            instances=tuple(s for s in here if isinstance(s, MCSInstance)),
            communities=tuple(s for s in here if isinstance(s, Community)),
            links=tuple(s for s in here if isinstance(s, TVoxLink)),
            users_files={(f.kind, f.name): f for f in _users_files(bodies)},
            tls_secrets={s.name: s for s in _tls_secrets(bodies)},
        )


def rendered(documents: Sequence[Document], now: datetime, settings: Settings) -> list[dict[str, Any]]:
    """The objects that the operator would write, secrets blacked out (the keys were made for this moment only)."""
    _, parsed = _parsed(documents)
    found = []
    for world in worlds(documents, parsed, now):
        plan = decide(world)
        found += [_redacted(m.body) for m in render(world, plan, complete(world, plan), settings).manifests]
    return found


def _parsed(documents: Iterable[Document]) -> tuple[list[Finding], list[KubernetesObject]]:
    findings, parsed = [], []
    for document in documents:
        kind = str(document.body.get("kind"))
        if not document.is_ours:
            continue
        if kind not in _MODELS:
            findings.append(Finding(document.source, kind, True, f"kind: {kind}: choose one of {', '.join(_MODELS)}"))
            continue
        try:
            parsed.append(_MODELS[kind].from_object(document.body))
        except InvalidObjectError as error:
            findings.append(Finding(document.source, f"{kind}/{error.name}", True, str(error)))
    return findings, parsed


def _unknown(document: Document) -> Iterator[Finding]:
    """Fields that nobody reads: a typing error, most likely; the API server would drop them with a warning."""
    body = document.body
    schema: Schema = plain_schema(_MODELS[body["kind"]])["properties"]["spec"]
    name = (body.get("metadata") or {}).get("name", "")
    for path in _strange(schema, body.get("spec"), "spec"):
        yield Finding(document.source, f"{body['kind']}/{name}", True, f"{path}: no such field")


def _strange(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and "properties" in schema:
        for name, inner in value.items():
            if name in schema["properties"]:
                yield from _strange(schema["properties"][name], inner, f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(value, list) and "items" in schema:
        for i, inner in enumerate(value):
            yield from _strange(schema["items"], inner, f"{path}[{i}]")


def _decided(world: World) -> Iterator[Finding]:
    """What the operator would refuse. Without an instance in the files only each object by itself can be judged."""
    if not world.instances:
        return
    plan = decide(world)
    for other in plan.occupants:
        yield Finding(
            "",
            f"MCSInstance/{other.name}",
            True,
            f"metadata.namespace: a second MCSInstance beside "
            f"{plan.instance.name if plan.instance else ''!r}: one per namespace",
        )
    for link in plan.links:
        if link.refusal:
            error = link.refusal.reason not in _MAY_COME
            yield Finding("", f"TVoxLink/{link.link.name}", error, link.refusal.message)
    for name, verdict in plan.communities.items():
        users = plan.users.by_community.get(name)
        for problem in (verdict, users.verdict if users else None):
            if problem:
                yield Finding("", f"Community/{name}", problem.reason not in _MAY_COME, problem.message)


def _users_files(bodies: Iterable[dict[str, Any]]) -> Iterator[UsersFile]:
    for body in bodies:
        labels = (body.get("metadata") or {}).get("labels") or {}
        if body.get("kind") in ("ConfigMap", "Secret") and labels.get(LABEL_USERS) == "true":
            yield users_file_of(body["kind"], str(body["metadata"].get("name")), body)


def _tls_secrets(bodies: Iterable[dict[str, Any]]) -> Iterator[TlsSecret]:
    for body in bodies:
        if body.get("kind") == "Secret" and body.get("type") == "kubernetes.io/tls":
            entries = _entries(body)
            yield TlsSecret(str(body["metadata"].get("name")), entries.get("tls.crt", ""), entries.get("tls.key", ""))


def _entries(body: dict[str, Any]) -> dict[str, str]:
    """Text entries of a ConfigMap or a Secret."""
    data = body.get("data") or {}
    if body["kind"] == "ConfigMap":
        return dict(data)
    decoded = {name: base64.b64decode(value).decode(errors="replace") for name, value in data.items()}
    return decoded | (body.get("stringData") or {})


def _redacted(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("kind") != "Secret":
        return body
    return body | {
        field: {name: f"<{len(value)} characters>" for name, value in body[field].items()}
        for field in ("data", "stringData")
        if field in body
    }
