"""WHAT THE MEDIA SERVER IS TOLD: tokens for it, rooms, permissions, who has to go. The only module with its key."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from livekit import api
from livekit.protocol import models

from gate.functions import sources
from gate.participants import Participant, parsed

TOKEN_LIFETIME = dt.timedelta(minutes=2)
"""It is used at once, by this program, and never again."""
EMPTY_SECONDS, DEPARTURE_SECONDS = 60, 60
"""How long a room waits for its first, and after its last participant."""
MOST_IN_A_ROOM = 16
"""Sessions; eight people, who may be there twice while they change from one device to another."""
TIMEOUT = aiohttp.ClientTimeout(total=5)


class MediaServerError(Exception):
    """It does not answer, or refuses; the message is for people."""


class MediaServerAwayError(MediaServerError):
    """Nobody listens there: it starts, as a rule."""


@dataclass
class Rooms:
    """The media server at `url`. start() comes first."""

    url: str
    key: str
    secret: str
    http: aiohttp.ClientSession = field(init=False)
    _api: api.LiveKitAPI = field(init=False)

    async def start(self) -> None:
        # Each browser's connection is one of them: no limit but that of the public ports.
        self.http = aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=0))
        self._api = api.LiveKitAPI(self.url, self.key, self.secret, session=self.http, failover=False)

    async def stop(self) -> None:
        await self.http.close()

    def token(self, who: Participant, display_name: str, functions: frozenset[str]) -> str:
        """For one connection. No sources at all would mean every source: who may send nothing cannot publish."""
        allowed = [models.TrackSource.Name(source).lower() for source in sources(functions)]
        grants = api.VideoGrants(
            room_join=True, room=who.room, can_subscribe=True, can_publish=bool(allowed), can_publish_data=False,
            can_publish_sources=allowed or None, can_update_own_metadata=False,
        )  # fmt: skip
        token = api.AccessToken(self.key, self.secret).with_identity(who.identity).with_name(display_name[:200])
        return token.with_grants(grants).with_ttl(TOKEN_LIFETIME).to_jwt()

    async def create(self, room: str) -> None:
        """Rooms are made here, before the first one comes in; one that is there stays as it is."""
        wanted = api.CreateRoomRequest(
            name=room, empty_timeout=EMPTY_SECONDS, departure_timeout=DEPARTURE_SECONDS, max_participants=MOST_IN_A_ROOM
        )
        try:
            await self._api.room.create_room(wanted)
        except aiohttp.ClientConnectorError:
            raise MediaServerAwayError("no room can be made: nobody is there") from None
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as why:
            raise MediaServerError(f"no room can be made: {_words(why)}") from None

    async def permit(self, who: Participant, functions: frozenset[str]) -> bool:
        """From now on he may send this. False when he is not there."""
        allowed = sources(functions)
        permission = models.ParticipantPermission(
            can_subscribe=True, can_publish=bool(allowed), can_publish_data=False, can_publish_sources=allowed
        )
        wanted = api.UpdateParticipantRequest(room=who.room, identity=who.identity, permission=permission)
        try:
            await self._api.room.update_participant(wanted)
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as why:
            return _not_there(why)
        return True

    async def remove(self, who: Participant) -> bool:
        """He is out. False when he was not there."""
        try:
            await self._api.room.remove_participant(api.RoomParticipantIdentity(room=who.room, identity=who.identity))
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as why:
            return _not_there(why)
        return True

    async def everybody(self) -> AsyncIterator[Participant]:
        """Who is in any room now."""
        try:
            for room in (await self._api.room.list_rooms(api.ListRoomsRequest())).rooms:
                there = await self._api.room.list_participants(api.ListParticipantsRequest(room=room.name))
                for one in there.participants:
                    if who := parsed(room.name, one.identity):
                        yield who
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as why:
            raise MediaServerError(f"who is there cannot be told: {_words(why)}") from None


def _not_there(why: Exception) -> bool:
    if isinstance(why, api.TwirpError) and why.code == "not_found":
        return False
    raise MediaServerError(_words(why)) from None


def _words(why: Exception) -> str:
    return f"{type(why).__name__} {why.code}" if isinstance(why, api.TwirpError) else type(why).__name__
