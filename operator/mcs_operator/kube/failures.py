"""Namespaces whose reconciliation fails: counted, and told in their own conditions."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.domain.faults import GOES_ON, told
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.report import Reporter

log = logging.getLogger(__name__)

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
