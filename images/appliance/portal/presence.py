"""WHO IS THERE: online with a page open, busy in a call. A page is told of the users that it shows, once a second.

Told to everybody, the presence of n users would cost n² messages; so only who looks is told, and only what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from portal.hub import SIGNED_OUT, Hub, Socket
from portal.told import Key

GRACE = 5.0
"""Seconds that one stays online without a socket: a page that is loaded again must not flicker."""


class Presence:
    def __init__(self, hub: Hub, busy: Callable[[Key], bool], steady: Callable[[], float]) -> None:
        self._hub, self._busy, self._steady = hub, busy, steady
        self._watchers: dict[Key, set[Socket]] = {}
        self._changed: set[Key] = set()
        self._leaving: dict[Key, float] = {}

    def of(self, key: Key) -> str:
        if self._busy(key):
            return "busy"
        return "online" if self._hub.of(key) or key in self._leaving else "offline"

    def mark(self, key: Key) -> None:
        """Something happened to this user."""
        if key in self._watchers:
            self._changed.add(key)

    def joined(self, socket: Socket) -> None:
        self._leaving.pop(socket.key, None)
        self.mark(socket.key)

    def left(self, socket: Socket) -> None:
        """Who was signed out has no grace."""
        self._unwatch(socket, socket.watched)
        if not self._hub.of(socket.key) and socket.closing != SIGNED_OUT:
            self._leaving[socket.key] = self._steady() + GRACE
        self.mark(socket.key)

    def watch(self, socket: Socket, users: frozenset[str]) -> None:
        """From now on this page shows these users. What it does not know yet is told at once."""
        self._unwatch(socket, socket.watched - users)
        for user in users - socket.watched:
            self._watchers.setdefault((socket.session.community, user), set()).add(socket)
        socket.watched = users
        socket.shown = {user: shown for user, shown in socket.shown.items() if user in users}
        self._tell(socket, users)

    def flush(self) -> None:
        """Tells what changed since the last time; each page gets one message, if any."""
        now = self._steady()
        for key in [key for key, until in self._leaving.items() if until <= now]:
            del self._leaving[key]
            self.mark(key)
        news: dict[Socket, list[str]] = {}
        for key in self._changed:
            for socket in self._watchers.get(key, ()):
                news.setdefault(socket, []).append(key[1])
        self._changed.clear()
        for socket, users in news.items():
            self._tell(socket, users)

    def _tell(self, socket: Socket, users: Iterable[str]) -> None:
        found = {user: self.of((socket.session.community, user)) for user in sorted(users)}
        fresh = {user: state for user, state in found.items() if socket.shown.get(user) != state}
        if fresh:
            socket.shown.update(fresh)
            socket.send({"type": "presence", "users": fresh})

    def _unwatch(self, socket: Socket, users: Iterable[str]) -> None:
        for user in users:
            key = socket.session.community, user
            watchers = self._watchers.get(key, set())
            watchers.discard(socket)
            if not watchers:
                self._watchers.pop(key, None)
                self._changed.discard(key)
