"""HOW OFTEN: limits of attempts and of requests. Every table has an end, so that strangers cannot fill the memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil

from portal.told import Key

MOST_KEYS = 50_000


class Bucket:
    """`rate` per second, `burst` at once, for each key."""

    def __init__(self, rate: float, burst: float, steady: Callable[[], float]) -> None:
        self._rate, self._burst, self._steady = rate, burst, steady
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> float:
        """0 when it may, else the seconds until it may."""
        now = self._steady()
        level, since = self._levels.pop(key, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        allowed = level >= 1
        self._levels[key] = (level - 1 if allowed else level, now)
        if len(self._levels) > MOST_KEYS:
            self._levels.popitem(last=False)  # the one that is longest unused has most likely a full bucket
        return 0.0 if allowed else (1 - level) / self._rate


@dataclass
class _Window:
    until: float
    count: int = 0


class _Attempts:
    """At most so many per window and key."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._windows: OrderedDict[Hashable, _Window] = OrderedDict()

    def wait(self, key: Hashable, now: float) -> float:
        window = self._windows.get(key)
        return window.until - now if window and window.until > now and window.count >= self._most else 0.0

    def count(self, key: Hashable, now: float) -> None:
        window = self._windows.get(key)
        if window is None or window.until <= now:
            self._windows.pop(key, None)
            window = self._windows[key] = _Window(now + self._seconds)
            if len(self._windows) > MOST_KEYS:
                self._windows.popitem(last=False)
        window.count += 1

    def forgive(self, key: Hashable) -> None:
        if window := self._windows.get(key):
            window.count = max(0, window.count - 1)


class Throttle:
    """Who tries passwords is slowed down, whether the user is there or not.

    (user, source): a few. User: more, for guesses that come from many addresses; an address from which he logged in of
    late is not held up by them, or strangers could keep him out. Source: many, an office is one address.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._both = _Attempts(10, 300)
        self._user = _Attempts(50, 300)
        self._source = _Attempts(500, 300)
        self._at_home: OrderedDict[tuple[Key, str], None] = OrderedDict()

    def begin(self, user: Key, source: str) -> int:
        """Counts one attempt. 0 when it may go on, else the seconds to wait."""
        now, source = self._steady(), network(source)
        waits = [self._both.wait((user, source), now), self._source.wait(source, now)]
        if (user, source) not in self._at_home:
            waits.append(self._user.wait(user, now))
        if max(waits) > 0:
            return ceil(max(waits))
        for attempts, key in self._counted(user, source):
            attempts.count(key, now)
        return 0

    def succeeded(self, user: Key, source: str) -> None:
        """The attempt was none of a stranger."""
        source = network(source)
        for attempts, key in self._counted(user, source):
            attempts.forgive(key)
        self._at_home[user, source] = None
        self._at_home.move_to_end((user, source))
        if len(self._at_home) > MOST_KEYS:
            self._at_home.popitem(last=False)

    def undecided(self, user: Key, source: str) -> None:
        """It was not tried at all."""
        for attempts, key in self._counted(user, network(source)):
            attempts.forgive(key)

    def _counted(self, user: Key, source: str) -> tuple[tuple[_Attempts, Hashable], ...]:
        return (self._both, (user, source)), (self._user, user), (self._source, source)


def network(source: str) -> str:
    """An address, or the /64 of one: whoever has one IPv6 address has as many as he likes."""
    try:
        address = ip_address(source)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(getattr(address, "ipv4_mapped", None) or address)
