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

from mcs_operator.pki.inspect import not_after, signed_at

PER_MINUTE = 10
"""Renewals; so 250 links that are all due take 25 minutes."""
PACE = timedelta(minutes=1)


def renew_at(cert_pem: str, name: str) -> datetime:
    """When to renew this certificate; ``name`` places it within the spread."""
    begin, end = signed_at(cert_pem), not_after(cert_pem)
    share = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
    return begin + (end - begin) * (2 / 3 + share / 6)


def is_due(cert_pem: str, name: str, ca_end: datetime, now: datetime) -> bool:
    """Whether to renew it now. Never where the new one would end no later, because the CA does: it would be due again
    after a third of what is left, and again, ever faster. One from the future was signed by a wrong clock."""
    if signed_at(cert_pem) > now + PACE:
        return True
    return not_after(cert_pem) < ca_end and renew_at(cert_pem, name) <= now


def choose(certificates: Mapping[str, str], ca_end: datetime, now: datetime) -> tuple[frozenset[str], datetime | None]:
    """Which of these servers, by link, get a new certificate now: those that end first. And when to look again.

    How many were renewed lately is told by the certificates themselves, so that a restarted operator, or one that is
    woken ten times a second, keeps the same pace.
    """
    due = [name for name, cert in certificates.items() if is_due(cert, name, ca_end, now)]
    lately = sum(1 for cert in certificates.values() if now - PACE < signed_at(cert) <= now)
    due.sort(key=lambda name: (not_after(certificates[name]), name))
    chosen = due[: max(0, PER_MINUTE - lately)]
    if len(chosen) < len(due):
        return frozenset(chosen), now + PACE
    later = [renew_at(cert, name) for name, cert in certificates.items() if not_after(cert) < ca_end]
    return frozenset(chosen), min((moment for moment in later if moment > now), default=None)
