"""Namespaces whose reconciliation fails, or is not settled: counted, tried again, and told in their own conditions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from mcs_operator.domain.status.faults import GOES_ON, told
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.report import Reporter
from mcs_operator.settings import LONGEST_RETRY_SECONDS, RETRY_SECONDS

log = logging.getLogger(__name__)

T = TypeVar("T")

_TWICE, _LASTING = 2, 5
"""So many failures in a row are told: of any kind, and of the API server's."""


@dataclass(slots=True)
class Failures:
    """Reconciliations that failed in a row, by namespace."""

    reporter: Reporter
    counts: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.counts)

    def add(self, namespace: str) -> None:
        """It failed."""
        self.counts[namespace] += 1

    def count(self, namespace: str, *, has_defects: bool, is_well: bool) -> None:
        """It came to its end: with defects, which is a failure; or well, which ends a row of them."""
        if has_defects:
            self.add(namespace)
        elif is_well:
            self.clear(namespace)

    def clear(self, namespace: str | None = None) -> None:
        """It went well; or, of no namespace, somebody else reconciles from now on."""
        if namespace is None:
            self.counts.clear()
        else:
            self.counts.pop(namespace, None)

    async def tell(self, namespace: str, error: Exception, now: datetime) -> int:
        """Have the namespace say itself that its reconciliation fails; the number of writes.

        Not for the first time that something fails, which may be chance; and of the API server's errors when they
        last, for they are everybody's. Written only where it says something else.
        """
        self.add(namespace)
        if self.counts[namespace] < (_LASTING if isinstance(error, ApiError) else _TWICE):
            return 0
        what = f"API server: {error.status} {error.reason}" if isinstance(error, ApiError) else told(error)
        text = f"the operator fails at this namespace, and tries again ({what}). {GOES_ON}"
        try:
            return (await self.reporter.write_failure(namespace, text, now)).writes
        except Exception:
            log.exception("%s: its failure could not be told", namespace)
            return 0


@dataclass(slots=True)
class Backoff:
    """Seconds until the next try of what is not settled, by namespace: longer each time, for most of it waits for a
    person."""

    tries: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.tries)

    def pause(self, namespace: str, open_ends: Sequence[str]) -> float | None:
        """Seconds until the next try; None where nothing is open any more."""
        if not open_ends:
            self.tries.pop(namespace, None)
            return None
        log.info("%s: not settled: %s", namespace, list(open_ends))
        self.tries[namespace] += 1
        return min(LONGEST_RETRY_SECONDS, RETRY_SECONDS * 2.0 ** min(self.tries[namespace] - 1, 10))


async def tried(step: Awaitable[T], errors: list[Exception]) -> T | None:
    """What came of a step; one that fails keeps those after it from nothing."""
    try:
        return await step
    except Exception as error:
        errors.append(error)
        return None
