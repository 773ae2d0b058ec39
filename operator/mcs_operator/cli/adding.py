"""New customers, checked as a whole before the first is written: each object by itself, all of them beside those that
are there, and each by the API server in a dry run.

What is there already is left as it is: a command that was interrupted goes on where it stopped, and changes nothing
that somebody else has changed since.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

from mcs_operator.api.conditions import ConditionStatus, Type
from mcs_operator.cli import offline, views
from mcs_operator.cli.access import Cluster, resource_of
from mcs_operator.cli.batch import refused_together
from mcs_operator.cli.customers import Fault, Manifests
from mcs_operator.cli.files import Document
from mcs_operator.cli.plan import effects_of
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import LINKS, Object

Told = Callable[[str], None]
_LOOK_EVERY = 1.0
_LOOKS_AT_REFUSED = 10
"""The operator may see a link before its Community: for so many looks what it refuses may still come true."""


def wrong_by_itself(manifests: Manifests) -> list[Fault]:
    """What the API server would say to each object. A name that two objects have is wrong once."""
    found = [manifests.fault(document, f.message) for document in manifests.all for f in offline.checked(document)]
    names = {fault.place: fault for fault in reversed(found) if fault.is_of_name}
    return [fault for fault in found if not fault.is_of_name or names[fault.place] is fault]


def wrong_beside(manifests: Manifests, new: Sequence[Document], beside: Sequence[Document]) -> list[Fault]:
    """What the operator would refuse of new objects, beside those that are there."""
    refused = refused_together(new, [document.body for document in beside])
    return [manifests.fault(document, message) for document in new for message in refused.get(document.title, ())]


async def check(
    cluster: Cluster, manifests: Manifests, beside: Sequence[Document], told: Told
) -> tuple[list[Document], list[Fault]]:
    """The objects that are missing, and whatever is wrong with any."""
    known = {document.title: document.body for document in beside}
    missing = [document for document in manifests.all if document.title not in known]
    faults = [
        manifests.fault(document, differs)
        for document in manifests.all
        if document.title in known
        for differs in _differences(manifests, document, known[document.title])
    ]
    faults += wrong_beside(manifests, missing, beside)
    if faults or not missing:
        return missing, faults
    told(f"checking {len(missing)} objects by the API server …")
    effects = await effects_of(cluster, missing)
    return missing, [
        manifests.fault(document, effect.refused.rpartition("denied the request: ")[2])
        for document, effect in zip(missing, effects, strict=True)
        if effect.refused
    ]


def _differences(manifests: Manifests, document: Document, body: Object) -> Iterator[str]:
    """Where an object that is there says something else than what was given."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    for name, value in document.body["spec"].items():
        has = spec.get(name) or (status.get(name) if name == "vpnAddress" else None)
        path = f"spec.{name}.name" if name.endswith("Ref") else f"spec.{name}"
        if name == "users":
            listed = {user.get("name") for user in has or []}
            lacks = [] if spec.get("usersFrom") else [u["name"] for u in value if u["name"] not in listed]
            if lacks:
                yield f"{path}: {document.title} is there already, without {', '.join(lacks)}; add them to it"
        elif manifests.is_given(document, path) and _plain(has) != _plain(value):
            yield f"{path}: {document.title} is there already, with {_shown(has)}; change it, or take this one out"


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        return repr(value["name"])
    return "none" if value is None else ", ".join(value) if isinstance(value, list) else repr(value)


async def create(cluster: Cluster, manifests: Manifests, missing: Sequence[Document], told: Told) -> None:
    """Write them, one after the other; where that ends early, it says how far it has come."""
    total = len(missing)
    for number, document in enumerate(missing, 1):
        resource = resource_of(document.body)
        assert resource is not None  # noqa: S101 - it was made here
        body = document.body | {"metadata": document.metadata | {"namespace": cluster.namespace}}
        try:
            await cluster.api.create(resource, body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                fault = manifests.fault(document, error.message or str(error))
                done = f"{number - 1} of {total} objects are written; the same command goes on from there"
                raise click.ClickException(f"{fault}; {done}") from None
        told(f"{number:4} of {total}  {document.title}")


async def accepted(cluster: Cluster, names: Iterable[str], timeout: int, told: Told) -> None:
    """Wait until the operator has accepted these links; an error with its words where it does not."""
    wanted, begun, said, looks = set(names), time.monotonic(), "", 0
    while True:
        links = [body for body in await cluster.list(LINKS) if body["metadata"]["name"] in wanted]
        states = {body["metadata"]["name"]: views.condition(body, Type.ACCEPTED) for body in links}
        done = [name for name, state in states.items() if state.get("status") == ConditionStatus.TRUE]
        refused = {n: str(s.get("message")) for n, s in states.items() if s.get("status") == ConditionStatus.FALSE}
        if (now := f"{len(done)} of {len(wanted)} accepted") != said:
            told(f"{time.monotonic() - begun:5.0f} s  {now}")
            said = now
        if len(done) == len(wanted):
            return
        looks = looks + 1 if len(done) + len(refused) == len(wanted) else 0
        if looks > _LOOKS_AT_REFUSED or time.monotonic() - begun > timeout:
            for name, message in refused.items():
                told(f"TVoxLink/{name}: {message}")
            raise click.ClickException(f"{now}; `kubectl mcs links --namespace={cluster.namespace}` shows all")
        await asyncio.sleep(_LOOK_EVERY)
