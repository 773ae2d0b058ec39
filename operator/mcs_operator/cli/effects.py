"""What a change would do, and to whom: the impact of every field that differs, in terms of customers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcs_operator.api import Impact, KubernetesObject, MCSInstance, TVoxLink
from mcs_operator.api.changes import Change, changes
from mcs_operator.api.impact import dearest
from mcs_operator.domain.pod.gate import foretold
from mcs_operator.domain.pod.prediction import ANY_SIZE, Resizing, has_pod, predicted
from mcs_operator.domain.rules.costs import (
    LOADED_ANEW,
    RECONNECTS,
    cut_off,
    erased,
    has_profile,
    is_about_sources_alone,
    may_run,
    refused,
    stopped,
)

_PREDICTED: Mapping[Impact, tuple[str, int]] = {
    Impact.HOT: ("nobody is interrupted", 0),
    Impact.IN_PLACE: ("the media's size changes while it runs: nobody is interrupted", 0),
    Impact.THIS_LINK: (RECONNECTS, 3),
    Impact.NEW_PROFILE: ("this customer is cut off until a new profile is uploaded to his TVox", 3),
    Impact.MEDIA_RESTART: ("the media restarts after draining: every customer's calls end, tunnels stay up", 4),
    Impact.RESTART: ("the media pod restarts after draining: every customer is interrupted", 4),
}
"""In words, and as the exit code of ``plan``."""
_OF_EVERYBODY = (Impact.NEW_PROFILE, Impact.MEDIA_RESTART, Impact.RESTART)
"""What a field of an instance costs all customers of it."""
_GATED = (Impact.MEDIA_RESTART, Impact.RESTART)
"""What waits for its hour, see spec.disruptions."""


_ACTIONS = ("created", "changed", "changed or created", "unknown", "unchanged", "deleted", "refused")
"""What becomes of an object, in the order of the summary."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one object. ``impact`` is None where nothing changes, or nothing is known.

    ``customers``: names of the TVoxLinks that are interrupted. ``cut_off``: why a TVox does not come back by itself.
    ``planned``: for what it waits, where it is not done at once. ``noticed``: what interrupts nobody, and is noticed.
    ``milder``: what happens in a pod of today, where the impact is that in an older one.
    """

    kind: str
    name: str
    action: str
    impact: Impact | None
    fields: tuple[Change, ...] = ()
    customers: tuple[str, ...] = ()
    cut_off: str = ""
    refused: str = ""
    planned: str = ""
    noticed: tuple[str, ...] = ()
    milder: str = ""

    @property
    def words(self) -> str:
        """What becomes of it, for a person."""
        predicted = _PREDICTED[self.impact][0] if self.impact else "nothing changes"
        told = self.refused or self.cut_off or self.milder or predicted
        return "; ".join(filter(None, (told, self.planned, *self.noticed)))

    def as_data(self) -> dict[str, Any]:
        """Plain data, for scripts."""
        return {
            "kind": self.kind,
            "name": self.name,
            "action": self.action,
            "effect": self.words,
            "refused": bool(self.refused),
            "fields": [
                {"path": f.path, "impact": str(f.impact), "before": f.before, "after": f.after} for f in self.fields
            ],
            "customers": list(self.customers),
        }

    def lines(self) -> list[str]:
        """For a person."""
        lines = [f"{self.kind}/{self.name}: {self.action}{', refused' if self.refused else ''}: {self.words}"]
        lines += [f"  {f.path} ({f.impact}): {_short(f.before)} -> {_short(f.after)}" for f in self.fields]
        if self.customers:
            lines.append(f"  interrupted: {len(self.customers)} ({', '.join(self.customers)})")
        return lines


def summary(effects: Sequence[Effect]) -> str:
    """All of them in one line."""
    actions = Counter("refused" if one.refused else one.action for one in effects)
    told = ", ".join(f"{actions[action]} {action}" for action in sorted(actions, key=_ACTIONS.index))
    interrupted = len({name for one in effects if not one.refused for name in one.customers})
    whom = {0: "nobody is interrupted", 1: "1 customer is interrupted"}.get(
        interrupted, f"{interrupted} customers are interrupted"
    )
    return f"{told or 'no object of ours in these files'}; {whom}"


def deletion(body: Mapping[str, Any], links: Iterable[Mapping[str, Any]]) -> Effect:
    """Of deleting an object as it is stored. ``links``: the TVoxLinks of its namespace."""
    kind, name, spec = body["kind"], body["metadata"]["name"], body.get("spec") or {}
    if kind == TVoxLink.kind:
        runs = spec.get("enabled", True) and may_run(body.get("status"))
        kept = "number, keys and profile are kept for spec.retain.links of the MCSInstance, and come back with the link"
        words = f"the tunnel ends, and the customer's names are not served; {kept}"
        return Effect(kind, name, "deleted", Impact.THIS_LINK if runs else Impact.HOT, (), (name,) * runs, words)
    reference = "instanceRef" if kind == MCSInstance.kind else "communityRef"
    names = sorted(
        str(link["metadata"]["name"])
        for link in links
        if (link["spec"].get(reference) or {}).get("name") == name
        and link["spec"].get("enabled", True)
        and may_run(link.get("status"))
    )
    if kind == MCSInstance.kind:
        words = "the MCS ends, with all calls and tunnels; its Communities and TVoxLinks stay, and wait for another one"
        impact = Impact.RESTART if names or has_pod(body.get("status")) else Impact.HOT
        return Effect(kind, name, "deleted", impact, (), tuple(names), words)
    words = "its users are not served any more; the tunnels stay"
    return Effect(kind, name, "deleted", Impact.THIS_LINK, (), tuple(names), words)


def exit_code(effects: Iterable[Effect]) -> int:
    """The worst of them; 1 where something is refused, as what it would do is not known."""
    effects = list(effects)
    if any(one.refused for one in effects):
        return 1
    worst = dearest(one.impact for one in effects if one.impact)
    return _PREDICTED[worst][1] if worst else 0


def effect(
    before: KubernetesObject | None,
    after: KubernetesObject,
    links: Sequence[str],
    *,
    now: datetime,
    resizing: Resizing = ANY_SIZE,
    status: object = None,
) -> Effect:
    """Of creating or changing one object. ``links``: the TVoxLinks that its instance serves now. ``resizing``: what
    the cluster can do. ``status``: the one that is stored."""
    if before is None:
        return Effect(after.kind, after.name, "created", Impact.HOT)
    differing = changes(before, after)
    impact = dearest(change.impact for change in differing)
    interrupted: tuple[str, ...] = ()
    lost = planned = milder = ""
    noticed: tuple[str, ...] = ()
    if isinstance(before, MCSInstance) and isinstance(after, MCSInstance):
        differing = predicted(before, after, resizing, status)
        impact = dearest(change.impact for change in differing)
        interrupted = tuple(links) if impact in _OF_EVERYBODY else ()
        if impact in _GATED:
            planned = foretold(after, now)
        noticed = (*refused(before, after, "every customer"), *erased(before, after))
    elif isinstance(before, TVoxLink) and isinstance(after, TVoxLink):
        runs = before.spec.enabled and may_run(status)
        spared = (impact is Impact.THIS_LINK and not runs) or (impact is Impact.NEW_PROFILE and not has_profile(status))
        impact = Impact.HOT if spared else impact
        interrupted = (after.name,) if runs and impact not in (None, Impact.HOT) else ()
        lost = "; ".join((*cut_off(before, after, status), *stopped(before, after, status)))
        noticed = tuple(refused(before, after, "this customer"))
        milder = LOADED_ANEW if is_about_sources_alone(before, after) and runs else ""
    action = "changed" if differing else "unchanged"
    return Effect(
        *(after.kind, after.name, action, impact, differing, interrupted, lost),
        planned=planned,
        noticed=noticed,
        milder=milder,
    )


def _short(value: Any) -> str:
    text = "(not set)" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
