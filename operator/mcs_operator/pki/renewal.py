"""When a server's certificate is renewed: well ahead of its end, each link at a moment of its own, never all at once.

A renewal restarts one link's process, about a second without a tunnel. It is due after two thirds of the
certificate's life, plus a part of the next sixth that follows from the link's name: of 397 days, between day 265 and
day 331. So links that were made on one day do not meet again, and an operator that was away for two months comes back
in time. Whatever is due by then is renewed a few per minute: also when the clock is wrong, and everything looks
expired, most customers keep their tunnel until somebody has looked at the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache

from mcs_operator.pki.inspect import life

Life = tuple[datetime, datetime]
"""When a certificate was signed, and when it ends."""
PER_MINUTE = 10
"""Renewals; so 250 links that are all due take 25 minutes."""
PACE = timedelta(minutes=1)


def renew_at(cert_pem: str, name: str) -> datetime:
    """When to renew this certificate; ``name`` places it within the spread."""
    return _renew_at(life(cert_pem), name)


def is_due(cert_pem: str, name: str, ca_end: datetime, now: datetime) -> bool:
    """Whether to renew it now. Never where the new one would end no later, because the CA does: it would be due again
    after a third of what is left, and again, ever faster. One from the future was signed by a wrong clock."""
    return _is_due(life(cert_pem), name, ca_end, now)


def choose(certificates: Mapping[str, str], ca_end: datetime, now: datetime) -> tuple[frozenset[str], datetime | None]:
    """Which of these servers, by link, get a new certificate now: those that end first. And when to look again.

    How many were renewed lately is told by the certificates themselves, so that a restarted operator, or one that is
    woken ten times a second, keeps the same pace.
    """
    lives = {name: life(cert) for name, cert in certificates.items()}
    due = [name for name, known in lives.items() if _is_due(known, name, ca_end, now)]
    lately = sum(1 for begin, _ in lives.values() if now - PACE < begin <= now)
    due.sort(key=lambda name: (lives[name][1], name))
    chosen = due[: max(0, PER_MINUTE - lately)]
    if len(chosen) < len(due):
        return frozenset(chosen), now + PACE
    later = [_renew_at(known, name) for name, known in lives.items() if known[1] < ca_end]
    return frozenset(chosen), min((moment for moment in later if moment > now), default=None)


def _renew_at(known: Life, name: str) -> datetime:
    begin, end = known
    return begin + (end - begin) * (2 / 3 + _share(name) / 6)


def _is_due(known: Life, name: str, ca_end: datetime, now: datetime) -> bool:
    begin, end = known
    return begin > now + PACE or (end < ca_end and _renew_at(known, name) <= now)


@lru_cache(1024)
def _share(name: str) -> float:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
