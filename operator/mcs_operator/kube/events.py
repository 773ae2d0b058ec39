"""Posts Events, aggregated: the same thing said again about the same object becomes a series on the first Event."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from mcs_operator.domain.status.events import Note
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.resources import EVENTS, Object
from mcs_operator.settings import OPERATOR
from mcs_operator.timestamps import rfc3339_micro

log = logging.getLogger(__name__)

SERIES_SECONDS = 600.0
_REMEMBERED = 1000


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    last: datetime


class Recorder:
    """Posts Events of one operator process; ``identity`` names it. An Event that cannot be posted is only logged."""

    def __init__(self, api: Api, identity: str) -> None:
        self._api, self._identity = api, identity or OPERATOR
        self._recent: OrderedDict[tuple[str, str, str], _Series] = OrderedDict()

    async def post(self, regarding: Object, note: Note, now: datetime) -> None:
        """Post one Event about an object (its apiVersion, kind and metadata)."""
        key = (regarding["metadata"]["uid"], note.reason, note.note)
        series = self._recent.get(key)
        namespace = regarding["metadata"]["namespace"]
        try:
            if series and (now - series.last).total_seconds() < SERIES_SECONDS:
                series.count, series.last = series.count + 1, now
                again = {"series": {"count": series.count, "lastObservedTime": rfc3339_micro(now)}}
                await self._api.merge(EVENTS, namespace, series.name, again)
                return
            event = _event(regarding, note, now, self._identity)
            self._remember(key, _Series(event["metadata"]["name"], 1, now))
            await self._api.create(EVENTS, event)
        except ApiError as error:
            log.warning("event %s about %s: %s", note.reason, regarding["metadata"]["name"], error)
            self._recent.pop(key, None)

    def _remember(self, key: tuple[str, str, str], series: _Series) -> None:
        self._recent[key] = series
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)


def _event(regarding: Object, note: Note, now: datetime, identity: str) -> Object:
    metadata = regarding["metadata"]
    mark = hashlib.sha256(f"{metadata['uid']}{note.reason}{note.note}{now.timestamp()}".encode()).hexdigest()[:16]
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": f"{metadata['name']}.{mark}", "namespace": metadata["namespace"]},
        "eventTime": rfc3339_micro(now),
        "reportingController": f"{OPERATOR}.mcs.tvox.io",
        "reportingInstance": identity,
        "type": "Warning" if note.warning else "Normal",
        "reason": note.reason,
        "action": note.action,
        "note": note.note,
        "regarding": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
    }
