"""Who has which public name, over all namespaces: a name leads to one place, whoever asks the DNS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

Holder = tuple[str, str, str]
"""Kind, namespace, name."""


class Domains:
    """An index of spec.domain, and of a Community's spec.portalDomain. Every change tells which namespaces it concerns,
    so that nobody has to ask again."""

    def __init__(self) -> None:
        self._holders: defaultdict[str, set[Holder]] = defaultdict(set)
        self._domains: dict[Holder, str] = {}

    def put(self, holder: Holder, domain: str) -> set[str]:
        """An object has this domain now ("" for none); namespaces of all others that have, or had, it in common."""
        before = self._domains.get(holder, "")
        if before == domain:
            return set()
        concerned = self._leave(holder, before)
        if domain:
            concerned |= {where for _, where, _ in self._holders[domain]}
            self._holders[domain].add(holder)
            self._domains[holder] = domain
        return concerned - {holder[1]}

    def drop(self, holder: Holder) -> set[str]:
        """An object is gone; as `put`."""
        return self.put(holder, "")

    def holders(self, domain: str) -> Collection[Holder]:
        """All objects with this domain."""
        return self._holders.get(domain, ())

    def _leave(self, holder: Holder, domain: str) -> set[str]:
        if not domain:
            return set()
        del self._domains[holder]
        left = self._holders[domain]
        left.discard(holder)
        if not left:
            del self._holders[domain]
        return {where for _, where, _ in left}
