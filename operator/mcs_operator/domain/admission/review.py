"""One request on its way into the store, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mcs_operator.api import Community, InvalidObjectError, KubernetesObject, MCSInstance, TVoxLink
from mcs_operator.api.conditions import Kind
from mcs_operator.domain.admission import community, instance, link, missing
from mcs_operator.domain.admission.known import Cluster, Object, at

WARNING_LIMIT = 256
"""Characters: the API server cuts off, or drops, what is longer."""
_UNWATCHED = (("spec", "tls"), ("spec", "imagePullSecrets"))
"""Where an instance names what nobody watches."""


class Operation(StrEnum):
    """What is reviewed; nobody is kept from deleting anything."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"


@dataclass(frozen=True, slots=True)
class Request:
    """One object on its way into the store. ``old`` is None where it is created."""

    kind: Kind
    operation: Operation
    namespace: str
    name: str
    new: Object
    old: Object | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Refused where there is a refusal; warnings are shown either way."""

    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def review(request: Request, cluster: Cluster, now: datetime) -> Answer:
    """The answer to one request."""
    model, check = _CHECKS[request.kind]
    try:
        new = model.from_object(request.new)
    except InvalidObjectError:
        return Answer()  # the schema's to refuse, in its own words
    try:
        old = model.from_object(request.old) if request.old else None
    except InvalidObjectError:
        old = None  # stored by a schema before ours: whatever it is now, it is new
    refusals: list[str] = []
    warnings: list[str] = []
    if old is None or old.model_dump()["spec"] != new.model_dump()["spec"]:
        for finding in check(cluster, request.namespace, new, old, now):
            (refusals if finding.refused else warnings).append(finding.message)
    shown = (text if len(text) <= WARNING_LIMIT else text[: WARNING_LIMIT - 1] + "…" for text in warnings)
    return Answer(tuple(refusals), tuple(shown))


def unwatched(request: Request) -> frozenset[tuple[str, str]]:
    """Kind and name of what somebody has to look for before the review, as no watch tells whether it is there."""
    parts = [(at(request.new, *path), at(request.old or {}, *path)) for path in _UNWATCHED]
    if request.kind is not Kind.INSTANCE or all(new is None or new == old for new, old in parts):
        return frozenset()  # the usual case: nothing is parsed twice for it
    try:
        new = MCSInstance.from_object(request.new)
        return missing.unwatched(new, MCSInstance.from_object(request.old) if request.old else None)
    except InvalidObjectError:
        return frozenset()


_CHECKS: Mapping[Kind, tuple[type[KubernetesObject], Any]] = {
    Kind.INSTANCE: (MCSInstance, instance.check),
    Kind.COMMUNITY: (Community, community.check),
    Kind.LINK: (TVoxLink, link.check),
}
