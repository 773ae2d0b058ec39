"""The gate between a browser, a portal and a media server that only say what they were asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from livekit.protocol import room as room_protocol
from livekit.protocol import rtc
from livekit.protocol.models import TrackSource, TrackType

from unit.gate.gate_parts import CALL, MEET, a_set, description, portal, rooms, server, story

KEY, SECRET = "key", "s" * 32
SIGNED_IN = {"__Host-session": "ada-s1"}


@dataclass
class World:
    """`sessions`: which status or user the portal gives for a session; the rest is what happened."""

    run_dir: Path
    sessions: dict[str, Any] = field(default_factory=lambda: {"ada-s1": ("ada", "s1"), "bob-s2": ("bob", "s2")})
    grants: list[dict[str, Any]] = field(default_factory=list)
    """Of each connection to the media server."""
    heard: list[rtc.SignalRequest] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    in_call: list[Any] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    there: dict[str, list[str]] = field(default_factory=dict)
    gate: Any = None
    port: int = 0
    media: Any = None
    """What the media server is run by."""

    def serve(self, *users: tuple[str, str, tuple[str, ...]]) -> None:
        fresh = self.run_dir / "set.new"
        fresh.write_bytes(a_set(*users))
        fresh.replace(self.run_dir / "set.json")


async def eventually(holds: Callable[[], Any], within: float = 5.0) -> Any:
    deadline = time.monotonic() + within
    while not (value := holds()):
        assert time.monotonic() < deadline, f"did not hold within {within} s"
        await asyncio.sleep(0.02)
    return value


def media_server(world: World) -> web.Application:
    async def signal(request: web.Request) -> web.StreamResponse:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, algorithms=["HS256"])
        world.grants.append(claims | {"query": dict(request.query), "path": request.path})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        world.sockets.append(socket)
        await socket.send_bytes(rtc.SignalResponse(join=rtc.JoinResponse(server_version="1")).SerializeToString())
        await socket.send_bytes(rtc.SignalResponse(refresh_token="secret").SerializeToString())
        async for message in socket:
            world.heard.append(rtc.SignalRequest.FromString(message.data))
        return socket

    async def order(request: web.Request) -> web.Response:
        content, name = await request.read(), request.match_info["name"]
        kinds = {
            "CreateRoom": room_protocol.CreateRoomRequest, "UpdateParticipant": room_protocol.UpdateParticipantRequest,
            "RemoveParticipant": room_protocol.RoomParticipantIdentity,
        }  # fmt: skip
        if name == "ListRooms":
            found = room_protocol.ListRoomsResponse(rooms=[{"name": n} for n in world.there])
            return web.Response(body=found.SerializeToString(), content_type="application/protobuf")
        if name == "ListParticipants":
            asked = room_protocol.ListParticipantsRequest.FromString(content)
            who = room_protocol.ListParticipantsResponse(
                participants=[{"identity": n} for n in world.there[asked.room]]
            )
            return web.Response(body=who.SerializeToString(), content_type="application/protobuf")
        said = kinds[name].FromString(content)
        if name == "CreateRoom":
            world.orders.append(f"create {said.name}")
        elif name == "UpdateParticipant":
            allowed = said.permission
            sources = [TrackSource.Name(source).lower() for source in allowed.can_publish_sources]
            world.orders.append(f"permit {said.identity} {allowed.can_publish} {','.join(sources)}")
        else:
            world.orders.append(f"remove {said.identity}")
        return web.Response(body=b"", content_type="application/protobuf")

    app = web.Application()
    app.add_routes([web.get("/rtc", signal), web.get("/rtc/v1", signal)])
    app.router.add_post("/twirp/livekit.RoomService/{name}", order)
    return app


async def start_media(world: World) -> None:
    """At the port of before, where there was one."""
    world.media = web.AppRunner(media_server(world), shutdown_timeout=0.1)
    await world.media.setup()
    await web.TCPSite(world.media, "127.0.0.1", world.port).start()
    world.port = world.media.addresses[0][1]


def a_portal(world: World) -> web.Application:
    async def authorize(request: web.Request) -> web.Response:
        asked = await request.json()
        found = world.sessions.get(asked["session"], 401)
        if isinstance(found, int):
            return web.json_response({"why": "draining"} if found == 503 else {}, status=found)
        user, session = found
        return web.json_response({"user": user, "session": session, "displayName": user.title(), "functions": []})

    async def participants(request: web.Request) -> web.Response:
        world.in_call.append((await request.json())["participants"])
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.post("/authorize", authorize), web.put("/calls/{call}/participants", participants)])
    return app


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    # Not tmp_path: the path of a Unix socket must stay below 97 characters.
    run_dir = Path(tempfile.mkdtemp(prefix="mcs-"))
    world = World(run_dir)
    world.serve(("acme", "ada", ("Audio", "Chat")), ("acme", "bob", ("Audio", "Video")))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, run_dir)
        await start_media(world)

        async def end_media() -> None:
            await world.media.cleanup()

        stack.push_async_callback(end_media)
        await stack.enter_async_context(server.listening(a_portal(world), run_dir / "portal-inner.sock"))
        stop = asyncio.Event()
        running = asyncio.create_task(server.serve(a_gate(world), stop))
        await eventually((run_dir / "gate.sock").exists)
        yield world
        stop.set()
        await running


def a_gate(world: World) -> Any:
    url = f"http://127.0.0.1:{world.port}"
    settings = story.Settings(world.run_dir, url, KEY, SECRET, "turn", "10.0.0.1")
    world.gate = story.Gate(settings, rooms.Rooms(url, KEY, SECRET), portal.Portal(world.run_dir / "portal-inner.sock"))
    return world.gate


@dataclass
class Browser:
    """Speaks to the gate as HAProxy passes it on."""

    world: World
    cookies: dict[str, str] = field(default_factory=lambda: dict(SIGNED_IN))
    headers: dict[str, str] = field(
        default_factory=lambda: {"X-MCS-Community": "acme", "Host": MEET, "Origin": f"https://{MEET}"}
    )

    @contextlib.asynccontextmanager
    async def connected(self, path: str = f"/calls/{CALL}/rtc") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        connector = aiohttp.UnixConnector(str(self.world.run_dir / "gate.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.ws_connect(f"http://gate{path}", headers=self.headers | cookie) as socket,
        ):
            yield socket

    async def status(self, path: str = f"/calls/{CALL}/rtc") -> int:
        """101, or why not."""
        try:
            async with self.connected(path):
                return 101
        except aiohttp.WSServerHandshakeError as why:
            return why.status


async def inner(world: World, method: str, path: str, **said: Any) -> dict[str, Any]:
    connector = aiohttp.UnixConnector(str(world.run_dir / "gate-inner.sock"))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.request(method, f"http://gate{path}", **said) as answer,
    ):
        found: dict[str, Any] = await answer.json()
        return found


async def said(socket: aiohttp.ClientWebSocketResponse) -> rtc.SignalResponse:
    async with asyncio.timeout(5):
        return rtc.SignalResponse.FromString(await socket.receive_bytes())


def track(source: int, kind: int) -> bytes:
    return rtc.SignalRequest(add_track=rtc.AddTrackRequest(cid="x", source=source, type=kind)).SerializeToString()


async def test_who_comes_in_gets_a_room_and_a_token_that_he_never_sees(world: World) -> None:
    async with Browser(world).connected(f"/calls/{CALL}/rtc?access_token=-&auto_subscribe=1") as socket:
        joined = await said(socket)
        assert next(url for server in joined.join.ice_servers for url in server.urls).startswith(f"turn:{MEET}:3478")
        grants = world.grants[0]
        assert (grants["sub"], grants["name"], grants["query"]) == ("ada~s1", "Ada", {"auto_subscribe": "1"})
        video = grants["video"]
        assert (video["room"], video["canPublishSources"], video["canPublishData"]) == (
            f"acme/{CALL}",
            ["microphone"],
            False,
        )
        assert world.orders == [f"create acme/{CALL}"]
        await socket.send_bytes(rtc.SignalRequest(ping=7).SerializeToString())
        await eventually(lambda: world.heard)
        # The media server's new token came before the answer to anything else, and did not come through.
        await world.sockets[0].send_bytes(rtc.SignalResponse(pong=7).SerializeToString())
        assert (await said(socket)).WhichOneof("message") == "pong"


async def test_who_comes_while_the_media_server_starts_is_let_in_as_soon_as_it_is_there(world: World) -> None:
    await world.media.cleanup()
    coming = asyncio.create_task(Browser(world).status())
    done, _ = await asyncio.wait({coming}, timeout=0.5)
    assert not done
    await start_media(world)
    assert await coming == 101


async def test_who_comes_while_there_is_no_media_server_is_not_kept_waiting_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "STARTS", 0.3)
    await world.media.cleanup()
    assert await Browser(world).status() == 503


async def test_credentials_of_the_relay_say_each_time_whose_they_are_and_to_nobody_else_who_that_is(
    world: World,
) -> None:
    world.sessions["ada-s9"] = ("ada", "s9")
    names = []
    for session in ("ada-s1", "ada-s1", "ada-s9", "bob-s2"):
        async with Browser(world, {"__Host-session": session}).connected() as socket:
            names.append((await said(socket)).join.ice_servers[0].username.partition(":")[2])
    assert names[0] == names[1] == names[2] != names[3], "the relay counts by user: not by session, nor by visit"
    assert not any(word in name for name in names for word in ("ada", "bob", "acme"))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({"cookies": {}}, 401, id="a stranger"),
        pytest.param({"cookies": {"__Host-session": "old"}}, 401, id="a session that is over"),
        pytest.param({"cookies": {"__Host-session": "third"}}, 403, id="a colleague who is not in the call"),
        pytest.param({"cookies": {"__Host-session": "lost"}}, 404, id="no such call"),
        pytest.param({"cookies": {"__Host-session": "late"}}, 503, id="a new call while it drains"),
        pytest.param({"headers": {"Origin": "https://tvox.acme.example.com"}}, 403, id="a TVox's page"),
        pytest.param({"headers": {"Origin": "https://meet.globex.example.com"}}, 403, id="a sibling customer's page"),
        pytest.param({"headers": {"Origin": f"http://{MEET}"}}, 403, id="the same page without encryption"),
        pytest.param({"headers": {"Origin": ""}}, 403, id="no page at all"),
        pytest.param({"headers": {"Host": "meet.globex.example.com", "Origin": "https://meet.globex.example.com"}}, 403,
                     id="another customer's host"),
        pytest.param({"headers": {"X-MCS-Community": "initech"}}, 503, id="a community without a portal"),
        pytest.param({"headers": {"X-MCS-Community": ""}}, 503, id="no community"),
        pytest.param({"cookies": {"__Host-session": "foreign"}}, 403, id="a user who is not in the set"),
    ],
)  # fmt: skip
async def test_who_does_not_belong_there_is_refused_at_the_door(
    world: World, change: dict[str, dict[str, str]], status: int
) -> None:
    world.sessions |= {"third": 403, "lost": 404, "late": 503, "foreign": ("eve", "s7")}
    browser = Browser(world)
    browser.cookies = change.get("cookies", browser.cookies)
    browser.headers |= change.get("headers", {})
    assert await browser.status() == status
    assert not world.grants
    assert not world.gate.participants.counts()


@pytest.mark.parametrize(
    "path", ["/calls/x/rtc", "/calls//rtc", f"/calls/{CALL}/rtc/v2", f"/calls/{CALL}", "/", "/twirp/x"]
)
async def test_only_signalling_of_calls_is_there(world: World, path: str) -> None:
    assert await Browser(world).status(path) == 404


async def test_a_newer_browser_is_judged_by_what_it_brings(world: World) -> None:
    from unit.gate.gate_parts import signalling

    def path(*media: str) -> str:
        offer = rtc.SessionDescription(type="offer", sdp=description(*media))
        query = signalling.join_query(rtc.JoinRequest(publisher_offer=offer))["join_request"]
        return f"/calls/{CALL}/rtc/v1?join_request={query}"

    assert await Browser(world).status(path("audio sendonly")) == 101
    assert world.grants[0]["path"] == "/rtc/v1"
    assert await Browser(world).status(path("audio sendonly", "video sendonly")) == 403
    assert await Browser(world).status(f"/calls/{CALL}/rtc/v1?join_request=x") == 400
    assert await Browser(world).status(f"/calls/{CALL}/rtc/v1") == 400
    assert len(world.grants) == 1


async def test_what_a_user_may_not_send_is_refused_and_the_call_goes_on(world: World) -> None:
    async with Browser(world).connected() as socket:
        await said(socket)
        await socket.send_bytes(track(TrackSource.CAMERA, TrackType.VIDEO))
        refused = (await said(socket)).request_response
        assert (refused.reason, refused.add_track.cid) == (rtc.RequestResponse.NOT_ALLOWED, "x")
        await socket.send_bytes(track(TrackSource.MICROPHONE, TrackType.VIDEO))
        assert (await said(socket)).request_response.reason == rtc.RequestResponse.NOT_ALLOWED
        await socket.send_bytes(rtc.SignalRequest(simulate=rtc.SimulateScenario(node_failure=True)).SerializeToString())
        await socket.send_bytes(track(TrackSource.MICROPHONE, TrackType.AUDIO))
        await eventually(lambda: world.heard)
        assert [asked.WhichOneof("message") for asked in world.heard] == ["add_track"]
        assert (await inner(world, "GET", "/counts"))["refused"] == {"Source": 1, "Kind": 1, "NotPassed": 1}


async def test_hundreds_of_tracks_are_refused_also_over_connection_after_connection(world: World) -> None:
    """What sends nothing stands in no offer, and the media server remembers it all the same."""
    for number in range(3):
        query = "?reconnect=1" if number else ""
        async with Browser(world).connected(f"/calls/{CALL}/rtc{query}") as socket:
            for _ in range(100):
                await socket.send_bytes(track(TrackSource.MICROPHONE, TrackType.AUDIO))
            await socket.send_bytes(rtc.SignalRequest(ping=7).SerializeToString())
            await eventually(lambda n=number: [asked.WhichOneof("message") for asked in world.heard].count("ping") > n)
    passed = [asked.WhichOneof("message") for asked in world.heard].count("add_track")
    assert 40 <= passed <= 45, "those that come back with time among them"
    assert (await inner(world, "GET", "/counts"))["refused"] == {"TooManyTracks": 300 - passed}


async def test_an_offer_with_a_picture_ends_the_connection_of_who_may_only_talk(world: World) -> None:
    async with Browser(world).connected() as socket:
        await said(socket)
        offer = rtc.SessionDescription(type="offer", sdp=description("audio sendonly", "video sendonly"))
        await socket.send_bytes(rtc.SignalRequest(offer=offer).SerializeToString())
        async with asyncio.timeout(5):
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert not world.heard


async def test_a_function_that_is_taken_away_is_taken_away_at_once_and_the_call_goes_on(world: World) -> None:
    bob = Browser(world, {"__Host-session": "bob-s2"})
    async with bob.connected() as socket:
        await said(socket)
        world.serve(("acme", "bob", ("Audio",)))
        await eventually(lambda: "permit bob~s2 True microphone" in world.orders, 2)
        await socket.send_bytes(track(TrackSource.CAMERA, TrackType.VIDEO))
        assert (await said(socket)).request_response.reason == rtc.RequestResponse.NOT_ALLOWED
        world.serve(("acme", "bob", ()))
        await eventually(lambda: "permit bob~s2 False " in world.orders, 2)
        assert not socket.closed


async def test_who_is_not_served_any_more_is_out(world: World) -> None:
    async with Browser(world).connected():
        world.serve(("acme", "bob", ("Audio",)))
        await eventually(lambda: "remove ada~s1" in world.orders, 2)


async def test_a_change_of_other_customers_is_nothing_here(world: World) -> None:
    async with Browser(world).connected() as socket:
        await said(socket)
        before = list(world.orders)
        for number in range(5):
            world.serve(("acme", "ada", ("Audio", "Chat")), ("globex", f"user-{number}", ("Audio",)))
            await eventually(lambda n=number: ("globex", f"user-{n}") in world.gate.served.users)
        assert world.orders == before


async def test_a_set_that_cannot_be_read_changes_nothing(world: World) -> None:
    (world.run_dir / "set.json").write_text("{")
    await asyncio.sleep(0.6)
    assert await Browser(world).status() == 101


async def test_who_is_cut_is_out_and_hung_up_on_where_the_media_server_does_not_know_him(world: World) -> None:
    async with Browser(world).connected():
        assert await inner(world, "POST", "/cut", json={"community": "globex"}) == {"cut": 0}
        assert await inner(world, "POST", "/cut", json={"community": "acme", "user": "ada"}) == {"cut": 1}
        assert "remove ada~s1" in world.orders


@pytest.mark.parametrize("order", [b"", b"[]", b'{"user": "ada"}', b'{"community": "acme", "user": 7}'])
async def test_an_order_that_is_none_cuts_nobody(world: World, order: bytes) -> None:
    connector = aiohttp.UnixConnector(str(world.run_dir / "gate-inner.sock"))
    async with Browser(world).connected(), aiohttp.ClientSession(connector=connector) as http:
        async with http.post("http://gate/cut", data=order) as answer:
            assert answer.status == 400
        assert world.gate.participants.counts() == {"acme": 1}


async def test_the_portal_hears_who_is_in_a_call_and_again_when_it_was_started_anew(world: World) -> None:
    ada = [{"user": "ada", "session": "s1"}]
    async with Browser(world).connected():
        await eventually(lambda: ada in world.in_call)
        world.in_call.clear()
        (world.run_dir / "portal-inner.sock").touch()
        await eventually(lambda: ada in world.in_call)
        counts = await inner(world, "GET", "/counts")
        assert (counts["participants"], counts["rooms"]) == ({"acme": 1}, {f"acme/{CALL}": ada})
    await eventually(lambda: world.in_call[-1] == [])
    assert (await inner(world, "GET", "/counts"))["participants"] == {"acme": 1}, "he may come back"


async def test_who_leaves_does_not_count_any_more(world: World) -> None:
    async with Browser(world).connected() as socket:
        await said(socket)
        await socket.send_bytes(rtc.SignalRequest(leave=rtc.LeaveRequest()).SerializeToString())
        await eventually(lambda: world.heard)
    await eventually(lambda: not world.gate.participants.counts())


async def test_a_gate_that_was_started_anew_knows_who_is_in_a_call_and_judges_them(world: World) -> None:
    world.there = {f"acme/{CALL}": ["bob~s2", "gone~s3"], "strange": ["x"]}
    gate = a_gate(world)
    await gate.rooms.start()
    await gate.portal.start()
    following = asyncio.create_task(gate.follow())
    try:
        await eventually(lambda: "permit bob~s2 True microphone,camera" in world.orders)
        await eventually(lambda: "remove gone~s3" in world.orders)
        await eventually(lambda: gate.participants.counts() == {"acme": 1})
    finally:
        following.cancel()
        await gate.rooms.stop()
        await gate.portal.stop()


async def test_browsers_may_not_give_orders(world: World) -> None:
    connector = aiohttp.UnixConnector(str(world.run_dir / "gate.sock"))
    async with aiohttp.ClientSession(connector=connector) as http:
        for method, path in (("POST", "/cut"), ("GET", "/counts")):
            async with http.request(method, f"http://gate{path}") as answer:
                assert answer.status in (404, 405)
    assert json.loads((world.run_dir / "set.json").read_text())["config"] == "0" * 64
