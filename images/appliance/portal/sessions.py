"""WHO IS SIGNED IN. The truth is in memory; the database has what outlives a restart, and no token: only digests."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from portal.clock import Clock
from portal.limits import HOUR, SESSION_IDLE, SESSION_LIFE
from portal.store import Store
from portal.told import Key


@dataclass(slots=True)
class Session:
    """`public` names it to our own parts and to LiveKit. `proof` is that of the password that opened it."""

    digest: bytes = field(repr=False)
    public: str
    community: str
    user: str
    proof: str = field(repr=False)
    created: float
    used: float

    @property
    def key(self) -> Key:
        return self.community, self.user

    def lasts(self, now: float) -> bool:
        return now - self.used < SESSION_IDLE and now - self.created < SESSION_LIFE


class Sessions:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._by_digest: dict[bytes, Session] = {}
        self._by_user: dict[Key, dict[str, Session]] = {}

    async def recall(self) -> None:
        for session in await self._store.run(_rows):
            self._add(session)

    def open(self, key: Key, proof: str) -> tuple[str, Session]:
        """A token for the browser, and its session."""
        token = secrets.token_urlsafe(32)
        now = self._clock.wall()
        session = Session(_digest(token), secrets.token_hex(8), *key, proof, now, now)
        self._add(session)
        self._store.post(_put, session)
        return token, session

    def find(self, community: str, token: str | None) -> Session | None:
        """The session of this token, in this community alone: the cookie of one portal is of no use at another."""
        session = self._by_digest.get(_digest(token)) if token else None
        if session is None or session.community != community:
            return None
        if not session.lasts(self._clock.wall()):
            return None
        self.touch(session)
        return session

    def touch(self, session: Session) -> None:
        """It is in use; kept once an hour."""
        now = self._clock.wall()
        if now - session.used >= HOUR:
            session.used = now
            self._store.post(_put, session)

    def end(self, session: Session) -> bool:
        """False when it had ended before."""
        if self._by_digest.pop(session.digest, None) is None:
            return False
        mine = self._by_user.get(session.key, {})
        mine.pop(session.public, None)
        if not mine:
            self._by_user.pop(session.key, None)
        self._store.post(_delete, session.digest)
        return True

    def of(self, key: Key) -> list[Session]:
        return list(self._by_user.get(key, {}).values())

    def lives(self, session: Session) -> bool:
        return session.digest in self._by_digest

    def expired(self) -> Iterator[Session]:
        now = self._clock.wall()
        return (session for session in self.all() if not session.lasts(now))

    def all(self) -> list[Session]:
        return list(self._by_digest.values())

    def _add(self, session: Session) -> None:
        self._by_digest[session.digest] = session
        self._by_user.setdefault(session.key, {})[session.public] = session


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _rows(connection: sqlite3.Connection) -> list[Session]:
    found = connection.execute("SELECT digest, public, community, user, proof, created, used FROM sessions")
    return [Session(*row) for row in found]


def _put(connection: sqlite3.Connection, session: Session) -> None:
    row = (session.digest, session.public, *session.key, session.proof, session.created, session.used)
    connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _delete(connection: sqlite3.Connection, digest: bytes) -> None:
    connection.execute("DELETE FROM sessions WHERE digest = ?", [digest])
