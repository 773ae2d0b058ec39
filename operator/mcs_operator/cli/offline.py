"""What can be said about manifests without a cluster: whether they are valid, and what the operator would make of them.

The same code decides here and in the operator; what only a cluster knows (other namespaces, who holds which number,
what is already stored) is left out, and said to be.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mcs_operator.api import KINDS, Community, InvalidObjectError, KubernetesObject, MCSInstance, Problem, TVoxLink
from mcs_operator.api.base import shown
from mcs_operator.api.conditions import WAITING, Reason
from mcs_operator.api.passwords import PasswordsFile, passwords_of
from mcs_operator.api.usersfile import UsersFile, users_file_of
from mcs_operator.api.wording import choices
from mcs_operator.cli import door
from mcs_operator.cli.files import Document
from mcs_operator.cli.schemacheck import check, parsed
from mcs_operator.cli.secretsmade import secret_of
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import TlsSecret, World
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.rules.windows import problems
from mcs_operator.pki import complete
from mcs_operator.render.render import render
from mcs_operator.settings import API_VERSION, LABEL_PASSWORDS, LABEL_USERS, Settings

_MAY_COME = {*WAITING, Reason.USERS_NOT_FOUND, Reason.PASSWORDS_NOT_FOUND}
"""Said of what is not in the files and may well be in the cluster."""
_MODELS = {model.kind: model for model in KINDS}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about one object. ``error``: it would not be served; else it is worth a look."""

    source: str
    object: str
    error: bool
    message: str
    namespace: str = ""

    @property
    def about(self) -> tuple[str, str, str]:
        """The object, and its field; of a list the whole."""
        return self.namespace, self.object, self.message.partition(":")[0].partition("[")[0]


def validate(documents: Sequence[Document], now: datetime) -> list[Finding]:
    """Everything that is wrong with these objects, each for itself, all together, and at the door of the cluster."""
    decided = list(together(documents, now))
    refused = {finding.about for finding in decided if finding.error}
    told = {finding.about for finding in decided}
    at_the_door = _at_the_door(documents, now)
    new = [finding for finding in at_the_door if finding.about not in (refused if finding.error else told)]
    each = (finding for document in documents for finding in checked(document))
    return [*each, *_twice(documents), *decided, *new]


def _twice(documents: Iterable[Document]) -> Iterator[Finding]:
    """Objects that are there more than once. The last one is judged: it is what `kubectl apply` leaves."""
    seen: dict[tuple[str, str], Document] = {}
    for document in documents:
        key = document.namespace, document.title
        if document.is_ours and document.name and key in seen:
            message = f"metadata.name: stands in {seen[key].source} too; the last one is what stays, take the other out"
            yield Finding(document.source, document.title, False, message, document.namespace)
        seen[key] = document


def _at_the_door(documents: Sequence[Document], now: datetime) -> Iterator[Finding]:
    """What admission would say; of what is decided as well it says the same."""
    for said in door.reviewed(documents, now):
        document = said.document
        message = _without_nameless(said.message)
        yield Finding(document.source, document.title, said.refused, message, document.namespace)


def _without_nameless(message: str) -> str:
    """Which namespace it is, the files may leave to kubectl."""
    return message.replace(" in namespace ;", ";").replace(" in namespace  ", " ")


def together(documents: Sequence[Document], now: datetime) -> Iterator[Finding]:
    """What the operator would refuse of them, beside each other."""
    for world in worlds(documents, _readable(documents), now):
        for finding in _decided(world):
            yield replace(finding, namespace=world.namespace, message=_without_nameless(finding.message))


def worlds(documents: Sequence[Document], subjects: Sequence[KubernetesObject], now: datetime) -> Iterator[World]:
    """One World for each namespace in the files; "" is the one that the files leave to kubectl."""
    unique = {(subject.kind, subject.namespace, subject.name): subject for subject in subjects}.values()
    for namespace in sorted({subject.namespace for subject in unique}):
        here = [subject for subject in unique if subject.namespace == namespace]
        files = [d for d in documents if d.namespace == namespace]
        yield World(
            namespace=namespace,
            now=now,
            instances=tuple(s for s in here if isinstance(s, MCSInstance)),
            communities=tuple(s for s in here if isinstance(s, Community)),
            links=tuple(s for s in here if isinstance(s, TVoxLink)),
            users_files={(f.kind, f.name): f for f in _users_files(files)},
            passwords={p.name: p for p in _passwords(files)},
            tls_secrets={s.name: s for s in _tls_secrets(files)},
        )


def rendered(documents: Sequence[Document], now: datetime, settings: Settings) -> list[dict[str, Any]]:
    """The objects that the operator would write, secrets blacked out (the keys were made for this moment only)."""
    found = []
    for world in worlds(documents, _readable(documents), now):
        plan = decide(world)
        found += [_redacted(m.body) for m in render(world, plan, complete(world, plan), settings).manifests]
    return found


def checked(document: Document) -> Iterator[Finding]:
    """Whether the API server would take this object at all; of foreign ones no more than that they are objects."""

    def wrong(message: str) -> Finding:
        return Finding(document.source, document.title, True, message)

    body = document.body
    for field in ("apiVersion", "kind"):
        if not isinstance(body.get(field), str) or not body[field]:
            yield wrong(f"{field}: is missing; an object of Kubernetes begins with apiVersion, kind and metadata")
    if not document.is_ours:
        if document.is_of_our_group:
            yield wrong(str(Problem("apiVersion", shown(body["apiVersion"]), f"must be {API_VERSION}")))
    elif document.kind not in _MODELS:
        yield wrong(str(Problem("kind", shown(body.get("kind")), choices(list(_MODELS)))))
    else:
        yield from (wrong(str(problem)) for problem in check(_MODELS[document.kind], body))


def _readable(documents: Iterable[Document]) -> list[KubernetesObject]:
    """What can be read of the three kinds; of the others `_checked` has told why not."""
    found = []
    for document in documents:
        if document.is_ours and document.kind in _MODELS:
            with suppress(InvalidObjectError):
                found.append(parsed(_MODELS[document.kind], document.body))
    return found


def _decided(world: World) -> Iterator[Finding]:
    """What the operator would refuse. Without an instance in the files only each object by itself can be judged."""
    if not world.instances:
        return
    for instance in world.instances:
        for wrong in problems(instance.spec.disruptions.windows):
            yield Finding("", f"MCSInstance/{instance.name}", True, wrong)
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
        for problem in (verdict, *_of_community(plan, name)):
            if problem:
                yield Finding("", f"Community/{name}", problem.reason not in _MAY_COME, problem.message)


def _of_community(plan: Plan, name: str) -> Iterator[Verdict | None]:
    """What is wrong with its users, its portal and their passwords."""
    users, portal, logins = plan.users.by_community, plan.portals.get(name), plan.logins.by_community
    yield users[name].verdict if name in users else None
    yield portal.refusal if portal else None
    yield logins[name].verdict if name in logins else None


def _users_files(documents: Iterable[Document]) -> Iterator[UsersFile]:
    for document in documents:
        labels = document.metadata.get("labels")
        if document.kind in ("ConfigMap", "Secret") and isinstance(labels, dict) and labels.get(LABEL_USERS) == "true":
            yield users_file_of(document.kind, document.name, document.body)
        elif (secret := secret_of(document)) and secret.is_made and secret.labels.get(LABEL_USERS) == "true":
            yield UsersFile("Secret", secret.name, ())


def _passwords(documents: Iterable[Document]) -> Iterator[PasswordsFile]:
    for document in documents:
        labels = document.metadata.get("labels")
        community = labels.get(LABEL_PASSWORDS) if isinstance(labels, dict) else None
        if document.kind == "Secret" and isinstance(community, str):
            yield passwords_of(document.name, community, document.body)
        elif (secret := secret_of(document)) and secret.is_made and secret.labels.get(LABEL_PASSWORDS):
            yield PasswordsFile(secret.name, str(secret.labels[LABEL_PASSWORDS]), ())


def _tls_secrets(documents: Iterable[Document]) -> Iterator[TlsSecret]:
    for document in documents:
        if document.kind == "Secret" and document.body.get("type") == "kubernetes.io/tls":
            entries = _entries(document)
            yield TlsSecret(document.name, entries.get("tls.crt", ""), entries.get("tls.key", ""))


def _entries(document: Document) -> dict[str, str]:
    """Text entries of a ConfigMap or a Secret."""
    plain, data = _texts(document.body.get("stringData")), _texts(document.body.get("data"))
    if document.kind == "ConfigMap":
        return data
    return {name: text for name, value in data.items() if (text := _from_base64(value)) is not None} | plain


def _texts(entries: Any) -> dict[str, str]:
    return {name: text for name, text in entries.items() if isinstance(text, str)} if isinstance(entries, dict) else {}


def _from_base64(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=False).decode(errors="replace")
    except binascii.Error:
        return None


def _redacted(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("kind") != "Secret":
        return body
    return body | {
        field: {name: f"<{len(value)} characters>" for name, value in body[field].items()}
        for field in ("data", "stringData")
        if field in body
    }
