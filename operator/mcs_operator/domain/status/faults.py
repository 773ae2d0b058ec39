"""A defect of ours, or a case that nobody thought of, in words that may stand in a status: what and where, and nothing
of what it was about, which may be a key or somebody's name.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mcs_operator.api.conditions import MESSAGE_LIMIT, OWNED, ConditionStatus, Kind, Reason, Type, find_condition
from mcs_operator.timestamps import rfc3339

_OURS = "mcs_operator/"
GOES_ON = "What runs goes on, and what does not depend on it is done; please report this with the operator's log"


def told(error: BaseException) -> str:
    """The kind of error, and the last place of ours that it went through: ``KeyError in kube/diff.py:7, found``."""
    kind = type(error).__name__
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if _OURS in frame.filename]
    if not ours:
        return kind
    return f"{kind} in {ours[-1].filename.rpartition(_OURS)[2]}:{ours[-1].lineno}, {ours[-1].name}"


def failed_status(kind: Kind, live: Mapping[str, Any], generation: int, message: str, now: datetime) -> dict[str, Any]:
    """The live status, with Stalled=True, ReconcileFailed: all else that it says was true when it was last written.

    Of an object that nobody has told anything yet, that is seen now: else a pipeline would wait for its time-out.
    """
    conditions = [dict(c) for c in live.get("conditions") or [] if c.get("type") in OWNED[kind]]
    before = find_condition(conditions, Type.STALLED)
    since = before.get("lastTransitionTime") if before.get("status") == ConditionStatus.TRUE else None
    stalled = {
        "type": str(Type.STALLED),
        "status": str(ConditionStatus.TRUE),
        "reason": str(Reason.RECONCILE_FAILED),
        "message": message[:MESSAGE_LIMIT],
        "observedGeneration": generation,
        "lastTransitionTime": since or rfc3339(now),
    }
    return {"observedGeneration": generation, **live, "conditions": _with(conditions, stalled)}


def _with(conditions: Sequence[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """In its place, so that a status that says the same is the same."""
    if any(c["type"] == new["type"] for c in conditions):
        return [new if c["type"] == new["type"] else c for c in conditions]
    return [*conditions, new]
