"""WHAT THE PORTAL SAYS: whether a session may be in a call, and what it is told of who is in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=5)
_ANSWERS = {200, 401, 403, 404, 503}


class PortalError(Exception):
    """The portal does not answer, or not as it should."""


@dataclass(frozen=True)
class Refused:
    """Not in this call: 401 no session, 403 not a member, 404 no such call, 503 not now."""

    status: int
    why: str


@dataclass(frozen=True)
class Member:
    """Who it is."""

    user: str
    session: str
    display_name: str


@dataclass
class Portal:
    """The portal behind its inner socket; start() comes first."""

    socket: Path
    _http: aiohttp.ClientSession = field(init=False)

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket)), timeout=TIMEOUT)

    async def stop(self) -> None:
        await self._http.close()

    def life(self) -> int:
        """A number that is another one for each start of the portal, 0 while it is not there."""
        try:
            found = self.socket.stat()
        except OSError:
            return 0
        return found.st_ino ^ found.st_mtime_ns

    async def authorize(self, community: str, session: str, call: str) -> Member | Refused:
        """Who brings this session, if he may be in this call. Raises PortalError."""
        asked = {"community": community, "session": session, "call": call}
        try:
            async with self._http.post("http://portal/authorize", json=asked) as answer:
                said = await answer.json(content_type=None) if answer.status in (200, 503) else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as why:
            raise PortalError(f"the portal does not answer: {type(why).__name__}") from None
        return _understood(answer.status, said)

    async def tell(self, call: str, participants: list[dict[str, str]]) -> bool:
        """Who is in a call now. False when it has to be told again."""
        try:
            async with self._http.put(
                f"http://portal/calls/{call}/participants", json={"participants": participants}
            ) as answer:
                return answer.status < 500
        except (aiohttp.ClientError, TimeoutError):
            return False


def _understood(status: int, said: Any) -> Member | Refused:
    if status != 200:
        if status not in _ANSWERS:
            raise PortalError(f"the portal answers {status}")
        why = said.get("why") if isinstance(said, dict) else None
        return Refused(status, why if isinstance(why, str) else "")
    words = [said.get(name) if isinstance(said, dict) else None for name in ("user", "session", "displayName")]
    user, session, name = (word if isinstance(word, str) else "" for word in words)
    if not user or not session or "~" in session:
        raise PortalError("the portal does not say who it is")
    return Member(user, session, name or user)
