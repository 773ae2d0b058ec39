"""Report: write a status where, and only where, it says something else than the live one, and tell what is news."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mcs_operator.api.conditions import OWNED, Kind, Type, find_condition
from mcs_operator.domain.status.events import Note, notes_for
from mcs_operator.domain.status.faults import failed_status
from mcs_operator.domain.status.patience import patience_ends
from mcs_operator.domain.status.tunnels import Budget, TunnelNote, gathered, tunnel_note
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.resources import BY_KIND, INSTANCES, Object
from mcs_operator.kube.together import together

log = logging.getLogger(__name__)

StatusObject = Mapping[str, Any]


@dataclass(slots=True)
class Told:
    """What came of writing statuses: how many were written, and those that could not be, to be tried again; of them
    ``errors`` that nobody thought of. ``due``: when they are to be written anew, whatever happens until then."""

    writes: int = 0
    unwritten: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    due: datetime | None = None
    tunnels: list[TunnelNote] = field(default_factory=list)


_REMEMBERED = 1000
"""Namespaces whose budget of Events is known."""


@dataclass(slots=True)
class Reporter:
    """Writes statuses and Events of all namespaces."""

    api: Api
    store: Store
    recorder: Recorder
    budgets: OrderedDict[str, Budget] = field(default_factory=OrderedDict)

    async def write(self, namespace: str, statuses: Mapping[tuple[Kind, str], StatusObject], now: datetime) -> Told:
        """Write what differs."""
        told = Told(due=patience_ends(statuses.values()))
        await together(
            *(self._guarded(namespace, kind, name, status, now, told) for (kind, name), status in statuses.items())
        )
        await self._tell_tunnels(namespace, told.tunnels, now)
        return told

    async def _tell_tunnels(self, namespace: str, notes: list[TunnelNote], now: datetime) -> None:
        for kind, name, note in gathered(notes):
            budget = self.budgets.setdefault(namespace, Budget())
            self.budgets.move_to_end(namespace)
            if admitted := budget.admitted(note, now.timestamp()):
                await self.tell(namespace, kind, name, admitted, now)
        while len(self.budgets) > _REMEMBERED:
            self.budgets.popitem(last=False)

    async def write_failure(self, namespace: str, text: str, now: datetime) -> Told:
        """That the namespace's reconciliation fails, on its MCSInstances; on whatever of ours there is without one."""
        ours = self.store.cache(namespace).ours
        chosen = {key: body for key, body in ours.items() if key[0] is INSTANCES} or ours
        statuses = {}
        for (resource, name), body in chosen.items():
            kind, generation = Kind(resource.kind), int(body["metadata"].get("generation") or 0)
            statuses[kind, name] = failed_status(kind, body.get("status") or {}, generation, text, now)
        return await self.write(namespace, statuses, now)

    async def tell(self, namespace: str, kind: Kind, name: str, note: Note, now: datetime) -> None:
        """Post an Event about one of our objects."""
        resource = BY_KIND[kind.value]
        live = self.store.cache(namespace).ours.get((resource, name))
        if live is not None:
            identified = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": live["metadata"]}
            await self.recorder.post(identified, note, now)

    async def _guarded(
        self, namespace: str, kind: Kind, name: str, status: StatusObject, now: datetime, told: Told
    ) -> None:
        """What goes wrong with one status keeps no other from being written."""
        try:
            await self._write(namespace, kind, name, status, now, told)
        except Exception as error:
            told.unwritten.append(f"{kind} {name}")
            told.errors.append(error)

    async def _write(
        self, namespace: str, kind: Kind, name: str, status: StatusObject, now: datetime, told: Told
    ) -> None:
        resource = BY_KIND[kind.value]
        live = self.store.cache(namespace).ours.get((resource, name))
        if live is None or _ours_of(live.get("status") or {}, kind) == status:
            return
        # With the UID, so that a namesake created meanwhile is not told what was decided about the one before it.
        metadata = {"name": name, "namespace": namespace, "uid": live["metadata"]["uid"]}
        body: Object = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            "status": dict(status),
        }
        try:
            answer = await self.api.apply(resource, body, status=True)
        except ApiError as error:
            if error.status not in (404, 409):  # deleted, or deleted and created again: its own event brings us back
                log.warning("status of %s %s/%s: %s", kind, namespace, name, error)
                told.unwritten.append(f"{kind} {name}")
            return
        told.writes += 1
        self.store.take(resource, answer)
        before = live.get("status") or {}
        _log_service(namespace, kind, name, before, status)
        for note in notes_for(kind, before, status):
            await self.tell(namespace, kind, name, note, now)
        if kind is Kind.LINK and (gone_or_back := tunnel_note(before, status)):
            told.tunnels.append(TunnelNote(name, live["spec"]["instanceRef"]["name"], gone_or_back))


def _log_service(namespace: str, kind: Kind, name: str, before: StatusObject, after: StatusObject) -> None:
    """A line for each change of what is served, and no other: what a tunnel does is the link agent's to log."""
    was, now = _ready(before), _ready(after)
    if now != was:
        message = "%s %s/%s: Ready %s, %s; was %s, %s"
        log.info(message, kind.value, namespace, name, *now, *was)


def _ready(status: StatusObject) -> tuple[str, str]:
    ready = find_condition(status.get("conditions"), Type.READY)
    return str(ready.get("status", "Unknown")), str(ready.get("reason", "Pending"))


def _ours_of(status: StatusObject, kind: Kind) -> StatusObject:
    """The live status without the conditions that other controllers have put beside ours."""
    known = [c for c in status.get("conditions") or [] if c.get("type") in OWNED[kind]]
    return {**status, "conditions": known}
