"""The law of 250, in one place: who is first, and who is one too many.

Holders of a slot come first, so that nobody is displaced by a newcomer, not even after a restore gave every
object a new creation time. Then creation time, then name. The same order decides who gets a domain or an address.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mcs_operator.api import TVoxLink
from mcs_operator.settings import MAX_LINKS


def precedence(links: Iterable[TVoxLink], holders: Collection[str]) -> list[TVoxLink]:
    """Links in the order in which they are served; ``holders`` are names of links that hold a slot."""
    return sorted(links, key=lambda link: (link.name not in holders, link.created, link.name))


def fits(accepted: int, capacity: int = MAX_LINKS) -> bool:
    """Whether one more link may be accepted beside ``accepted`` others: the 250th may, the 251st may not."""
    return accepted < capacity
