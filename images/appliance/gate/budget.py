"""HOW MUCH ONE MAY ASK FOR: so many at once, and they come back with time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """`rate` come back in a second, up to `burst`."""

    rate: float
    burst: float
    left: float = field(init=False)
    _since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.left = self.burst

    def spend(self, now: float) -> bool:
        """Whether there was one left."""
        self.left = min(self.burst, self.left + (now - self._since) * self.rate) - 1
        self._since = now
        return self.left >= 0
