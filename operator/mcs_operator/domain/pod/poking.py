"""When to poke the pod: once for every change, then again with back-off until the agent says that it has arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
"""Seconds; the kubelet looks at a Secret by itself after a minute or so."""


@dataclass(slots=True)
class Poker:
    """One pod's pokes. ``target`` is the state of the mounts that was last poked for."""

    target: str = ""
    attempts: int = 0
    due: datetime | None = None

    def next(self, behind: bool, target: str, annotated: str, now: datetime) -> tuple[str, float | None]:
        """The annotation to set now (empty: none), and after how many seconds to ask again (None: no need).

        ``behind``: the pod has not taken all that is mounted. ``annotated``: the pod's present annotation. The same
        target is poked for with a counter behind it, because only a changed annotation wakes the kubelet.
        """
        if not behind:
            self.target, self.attempts, self.due = target, 0, None
            return "", None
        if target != self.target:
            self.target, self.attempts, self.due = target, 0, now
        if self.due is not None and now < self.due:
            return "", (self.due - now).total_seconds()
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.attempts, 10))  # 2.0**1024 is no number any more
        self.attempts += 1
        self.due = now + timedelta(seconds=pause)
        value = target if annotated != target and self.attempts == 1 else f"{target}-{now.timestamp():.0f}"
        return value, pause
