"""WHO LISTENS: the open sockets of the pages, by user. Messages are queued; a reader who is too slow is closed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from portal.limits import QUEUED, SOCKETS_OF_SESSION, sockets_of_community
from portal.sessions import Session
from portal.told import Key

SIGNED_OUT, TOO_MANY, TOO_SLOW, GOING_AWAY, OVER = 4401, 4429, 1013, 1001, 1000


@dataclass(eq=False)
class Socket:
    """One page. `watched` are the users that it shows; `shown` is what it was told of them last."""

    session: Session
    watched: frozenset[str] = frozenset()
    shown: dict[str, str] = field(default_factory=dict)
    closing: int | None = None
    _queue: deque[str] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def key(self) -> Key:
        return self.session.key

    def send(self, message: dict[str, Any]) -> None:
        self.send_text(json.dumps(message))

    def send_text(self, encoded: str) -> None:
        if self.closing is not None:
            return
        if len(self._queue) >= QUEUED:
            self._queue.clear()
            self.close(TOO_SLOW)
            return
        self._queue.append(encoded)
        self._news.set()

    def close(self, code: int) -> None:
        """After what is queued, if the reader takes it."""
        if self.closing is None:
            self.closing = code
            self._news.set()

    async def next(self) -> str | None:
        """The next message; None when there are no more and the socket is to be closed."""
        while not self._queue:
            if self.closing is not None:
                return None
            self._news.clear()
            await self._news.wait()
        return self._queue.popleft()


class Hub:
    """All sockets. `places`: how many there may be; `users` tells how many users a community has."""

    def __init__(self, places: int, users: Callable[[str], int]) -> None:
        self._places, self._users = places, users
        self._of_user: dict[Key, set[Socket]] = {}
        self._of_session: Counter[str] = Counter()
        self._of_community: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._of_community.total()

    def join(self, socket: Socket) -> bool:
        """False when session, community or portal has as many as it may."""
        community = socket.session.community
        if len(self) >= self._places or self._of_session[socket.session.public] >= SOCKETS_OF_SESSION:
            return False
        if self._of_community[community] >= sockets_of_community(self._users(community), self._places):
            return False
        self._of_user.setdefault(socket.key, set()).add(socket)
        self._of_session[socket.session.public] += 1
        self._of_community[community] += 1
        return True

    def leave(self, socket: Socket) -> None:
        mine = self._of_user.get(socket.key, set())
        if socket not in mine:
            return
        mine.remove(socket)
        if not mine:
            del self._of_user[socket.key]
        for counter, key in ((self._of_session, socket.session.public), (self._of_community, socket.session.community)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def of(self, key: Key) -> set[Socket]:
        return self._of_user.get(key, set())

    def listening(self) -> list[Key]:
        return list(self._of_user)

    def all(self) -> Iterator[Socket]:
        return (socket for mine in list(self._of_user.values()) for socket in list(mine))

    def tell(self, key: Key, message: dict[str, Any], *, but: str | None = None) -> None:
        """To all pages of the user; `but`: not to those of this session."""
        encoded = json.dumps(message)
        for socket in self.of(key):
            if socket.session.public != but:
                socket.send_text(encoded)

    def tell_all(self, message: dict[str, Any]) -> None:
        encoded = json.dumps(message)
        for socket in self.all():
            socket.send_text(encoded)

    def sign_out(self, session: Session) -> None:
        for socket in list(self.of(session.key)):
            if socket.session is session:
                socket.send({"type": "signed-out"})
                socket.close(SIGNED_OUT)
