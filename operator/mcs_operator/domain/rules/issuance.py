"""When certificates are ordered by ACME (RFC 8555), for which public names and in which order. Pure.

A name has an order at once when it has none, if the server's weekly limit for its registered domain leaves room, and
else on the day on which there will be room; again at two thirds of the certificate's life; and after a failure ever
later, by itself, so that one bad name delays nobody. What failed is read back from the condition that tells it: an
operator that starts anew neither asks at once nor writes.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.orders import Attempt, Issuable, Suggestion
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.timestamps import rfc3339

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=10), timedelta(hours=24)
"""Between two orders for a name that fail: doubled from the first to the longest. Public servers take five failures an
hour for one name."""
RATE_LIMITED_PAUSE, LONGEST_ASKED = timedelta(hours=1), timedelta(days=8)
"""Where the server's limit is met and it does not say until when; and the longest that it may ask to wait."""
WEEK = timedelta(days=7)
UNASKED, SPREAD = timedelta(days=1), timedelta(hours=1)
"""How old a certificate is before its server is asked when it would have it renewed: one that always says "now" costs
an order a day. And over what time the questions about many are spread, which a new process begins with."""
OFTENEST, RAREST = timedelta(hours=6), timedelta(hours=24)
"""Between two questions about one certificate; in between, the server says."""
NAMES_A_WEEK = 5
"""New names of one object that are ordered for in a week. Who may change the name of his portal, or of his link, uses
up the limits of all others otherwise: the server counts also what nobody needs any more."""
RATE_LIMITED = "rateLimited:"
"""How a problem begins that a server names so. Further on are its words, in which it quotes what it found at a name:
whoever has the site there writes what he likes."""
SHORT_SUFFIX = 3
"""Letters of the label before a country's, such as co in co.uk: below it names are registered."""
MOST_TRIES = 9999
MOST_WORDS = 400


Begun = Mapping[tuple[Kind, str], Mapping[str, datetime]]
"""By kind and name of an object: the new names for which orders were begun, and when last."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The names for which nobody brings a certificate, by domain, and what is known of their orders: those that failed,
    when the next is due, and why none is begun yet."""

    names: Mapping[str, Issuable] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    dates: Mapping[str, datetime] = field(default_factory=dict)
    held: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def ready(self) -> tuple[Issuable, ...]:
        """Names that may be ordered for."""
        return tuple(one for domain, one in self.names.items() if domain not in self.held)


# --- dates ---


def dates(
    names: Iterable[Issuable],
    attempts: Mapping[str, Attempt],
    per_week: int,
    now: datetime,
    issued: Mapping[str, datetime],
    begun: Begun,
    suggested: Mapping[str, Suggestion] | None = None,
) -> dict[str, datetime]:
    """When an order for each name is due, those that come first at the front; many may be due now.

    ``per_week``: so many names of a registered domain get their first certificate in seven days. A name whose orders
    fail waits like the others, and takes none of these places from them. ``issued``: when names got their first one,
    also those that are not listed any more. ``begun``: for which new names of an object orders were begun.
    ``suggested``: when the server would have certificates renewed.
    """
    listed, given, limited = list(names), defaultdict(list), dict[str, datetime]()
    for domain, at in issued.items():
        if at > now - WEEK:
            given[registered(domain)].append(at)
    for domain, attempt in attempts.items():
        if attempt.problem.startswith(RATE_LIMITED):
            limited[registered(domain)] = max(attempt.due, limited.get(registered(domain), now))
    renewals: dict[str, datetime] = {}
    first: dict[str, datetime] = {}
    for one in listed:
        known, area = attempts.get(one.domain), registered(one.domain)
        earliest = max(now, known.due) if known else now
        if one.begins and one.expires:
            due = _brought_forward(one, renewal(one.domain, one.begins, one.expires), suggested or {})
            renewals[one.domain] = max(due, known.due) if known else due
            continue
        earliest = max(earliest, limited.get(area, now), renamed_until(one, begun, now) or now)
        first[one.domain] = place = _place(given[area], per_week, earliest)
        if known is None:
            given[area].append(place)
    return dict(sorted(renewals.items(), key=lambda item: item[1])) | first


def _place(given: list[datetime], per_week: int, earliest: datetime) -> datetime:
    """The first moment from ``earliest`` on at which fewer than so many were given in the week before."""
    latest = sorted(given, reverse=True)
    if len(latest) < per_week:
        return earliest
    return max(earliest, latest[per_week - 1] + WEEK)


def renamed_until(one: Issuable, begun: Begun, now: datetime) -> datetime | None:
    """Until when a name is not ordered for because its object has had so many new ones; None where it may be. One that
    was ordered for already waits for nothing but its own failures."""
    known = begun.get((one.kind, one.name), {})
    others = sorted((at for at in known.values() if at > now - WEEK), reverse=True)
    if one.domain in known or len(others) < NAMES_A_WEEK:
        return None
    return others[NAMES_A_WEEK - 1] + WEEK


def renewal(domain: str, begins: datetime, expires: datetime) -> datetime:
    """At two thirds of its life, plus up to a thirtieth that follows from the name: those that were issued in one hour
    do not meet again."""
    return begins + (expires - begins) * (2 / 3 + _share(domain) / 30)


def _brought_forward(one: Issuable, due: datetime, suggested: Mapping[str, Suggestion]) -> datetime:
    """A server may want a renewal sooner, such as before it revokes what it has issued. Later is its matter alone."""
    said = suggested.get(one.domain)
    return min(due, said.at) if said and said.at and said.begins == one.begins else due


def question(one: Issuable, suggested: Mapping[str, Suggestion], since: datetime, now: datetime) -> datetime | None:
    """When its server is asked next when it would have a certificate renewed; None where there is none. ``since``: when
    this process began to order."""
    if one.begins is None:
        return None
    if (said := suggested.get(one.domain)) and said.begins == one.begins:
        return said.again
    return max(min(one.begins, now) + UNASKED, since) + SPREAD * _share(one.domain)


def suggestion(
    begins: datetime, before: Suggestion | None, at: datetime | None, again: datetime | None, now: datetime
) -> Suggestion:
    """What a server said last; where it said nothing, what it said ``before`` of the same certificate holds."""
    if at is None and before and before.begins == begins:
        at = before.at
    return Suggestion(begins, at, min(max(again or now, now + OFTENEST), now + RAREST))


def failed(domain: str, before: Attempt | None, problem: str, now: datetime, asked: datetime | None = None) -> Attempt:
    """One more order that failed; ``asked``: the server's word when to come again."""
    tries = min((before.tries if before else 0) + 1, MOST_TRIES)
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries - 1, 10))
    if problem.startswith(RATE_LIMITED):
        pause = max(pause, RATE_LIMITED_PAUSE)
    due = now + pause * (1 + _share(f"{domain} {tries}") / 10)
    if asked is not None:
        due = max(due, min(asked, now + LONGEST_ASKED))
    return Attempt(tries, due.replace(microsecond=0), words(problem))


def registered(domain: str) -> str:
    """The registered domain, by which servers count: the last two labels, or three where the second is as short as in
    co.uk. The list of public suffixes is the server's: where it knows better, it says so."""
    labels = domain.split(".")
    is_short = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= SHORT_SUFFIX
    return ".".join(labels[-3 if is_short else -2 :])


@lru_cache(4096)
def _share(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


# --- what failed, as its condition tells it, and back ---

_TOLD = re.compile(
    r"(?P<domain>[a-z0-9.-]{1,253}): (?P<tries>[0-9]{1,4}) orders? failed, the next is due at "
    r"(?P<due>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z): (?P<problem>.*)",
    re.ASCII,
)


def words(text: str) -> str:
    """Somebody's words on one line, printable and cut."""
    plain = "".join(c if c.isprintable() else " " for c in text[: 4 * MOST_WORDS])
    line = " ".join(plain.split())
    return line if len(line) <= MOST_WORDS else f"{line[: MOST_WORDS - 1]}…"


def told(domain: str, attempt: Attempt) -> str:
    """What failed, and when the next order is due."""
    orders = "order" if attempt.tries == 1 else "orders"
    when = rfc3339(attempt.due)
    return f"{domain}: {attempt.tries} {orders} failed, the next is due at {when}: {attempt.problem}"


def read_back(domain: str, text: str, now: datetime) -> Attempt | None:
    """What failed for this name by such a text; None where it says nothing of the kind."""
    found = _TOLD.fullmatch(text)
    if found is None or found["domain"] != domain:
        return None
    try:
        due = datetime.strptime(found["due"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Attempt(int(found["tries"]), min(due, now + LONGEST_ASKED), found["problem"])
