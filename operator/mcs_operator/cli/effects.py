"""What a change would do, and to whom: the impact of every field that differs, in terms of customers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from mcs_operator.api import Impact, KubernetesObject, MCSInstance, TVoxLink
from mcs_operator.api.changes import Change, changes
from mcs_operator.render.pod import restart_hash


class Severity(IntEnum):
    """From nothing to everybody; the worst one is the exit code of ``plan``, see there."""

    NONE = 0
    HOT = 1
    THIS_LINK = 2
    RESTART = 3


_OF = {Impact.HOT: Severity.HOT, Impact.THIS_LINK: Severity.THIS_LINK, Impact.RESTART: Severity.RESTART}
_WORDS = {
    Severity.NONE: "nothing changes",
    Severity.HOT: "nobody is interrupted",
    Severity.THIS_LINK: "this customer's tunnel reconnects once",
    Severity.RESTART: "the media pod restarts after draining: every customer is interrupted",
}


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one object. ``customers``: names of the TVoxLinks that are interrupted."""

    kind: str
    name: str
    action: str
    severity: Severity
    fields: tuple[Change, ...] = ()
    customers: tuple[str, ...] = ()
    refused: str = ""

    def as_data(self) -> dict[str, Any]:
        """Plain data, for scripts."""
        return {
            "kind": self.kind,
            "name": self.name,
            "action": self.action,
            "effect": self.refused or _WORDS[self.severity],
            "refused": bool(self.refused),
            "fields": [
                {"path": f.path, "impact": str(f.impact), "before": f.before, "after": f.after} for f in self.fields
            ],
            "customers": list(self.customers),
        }

    def lines(self) -> list[str]:
        """For a person."""
        head = f"{self.kind}/{self.name}: {self.action}"
        if self.refused:
            return [f"{head}, refused: {self.refused}"]
        lines = [f"{head}: {_WORDS[self.severity]}"]
        lines += [f"  {f.path} ({f.impact}): {_short(f.before)} -> {_short(f.after)}" for f in self.fields]
        if self.customers:
            lines.append(f"  interrupted: {len(self.customers)} ({', '.join(self.customers)})")
        return lines


def effect(before: KubernetesObject | None, after: KubernetesObject, links: Sequence[str]) -> Effect:
    """Of creating or changing one object. ``links``: the TVoxLinks that its instance serves now."""
    if before is None:
        return Effect(after.kind, after.name, "created", Severity.HOT)
    differing = changes(before, after)
    severity = max((_OF[change.impact] for change in differing), default=Severity.NONE)
    if isinstance(before, MCSInstance) and isinstance(after, MCSInstance):
        restarts = restart_hash(before) != restart_hash(after)  # what the operator itself goes by
        severity = Severity.RESTART if restarts else Severity.HOT if severity is Severity.RESTART else severity
    if severity is Severity.THIS_LINK and isinstance(before, TVoxLink) and not before.spec.enabled:
        severity = Severity.HOT  # its tunnel does not run
    interrupted: tuple[str, ...] = ()
    if severity is Severity.RESTART and isinstance(after, MCSInstance):
        interrupted = tuple(links)
    elif severity is Severity.THIS_LINK and isinstance(after, TVoxLink):
        interrupted = (after.name,)
    action = "changed" if differing else "unchanged"
    return Effect(after.kind, after.name, action, severity, differing, interrupted)


def _short(value: Any) -> str:
    text = "(not set)" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
