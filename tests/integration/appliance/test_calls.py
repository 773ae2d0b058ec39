"""The real media server, relay and gate, as the supervisor starts them, on loopback.

Browsers are clients without media, and the portal is a stand-in that knows two sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from livekit.protocol import rtc
from livekit.protocol.models import TrackSource, TrackType

from support import turn
from support.appliance import program
from support.ports import free_port
from support.quantiles import quantile
from unit.gate.gate_parts import CALL, MEET, a_set
from unit.images.appliance_set import APPLIANCE, media, parts

PUBLIC, LATER, POD = "203.0.113.10", "203.0.113.20", "127.0.0.1"
SESSIONS = {"ada-s1": ("ada", "s1"), "bob-s2": ("bob", "s2")}
EVERYBODY = (("acme", "ada", ("Audio", "Chat")), ("acme", "bob", ("Audio", "Video")))


@dataclass
class Calls:
    """What runs; `in_call` is what the portal was told last."""

    run_dir: Path
    running: parts.Parts
    media: media.Media
    in_call: list[Any] = field(default_factory=list)

    def serve(
        self, *users: tuple[str, str, tuple[str, ...]], public: str = PUBLIC, bandwidth: int | None = None
    ) -> None:
        fresh = self.run_dir / "set.new"
        fresh.write_bytes(a_set(*users, public=public, bandwidth=bandwidth))
        fresh.replace(self.run_dir / "set.json")

    @contextlib.asynccontextmanager
    async def browser(self, session: str, call: str = CALL, query: str = "") -> AsyncIterator[Browser]:
        headers = {"X-MCS-Community": "acme", "Host": MEET, "Origin": f"https://{MEET}"}
        headers["Cookie"] = f"__Host-session={session}"
        connector = aiohttp.UnixConnector(str(self.run_dir / "gate.sock"))
        path = f"http://gate/calls/{call}/rtc?auto_subscribe=1&protocol=15&sdk=js&version=2.23.0{query}"
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.ws_connect(path, headers=headers) as wire,
        ):
            yield Browser(wire)

    async def counts(self) -> dict[str, Any]:
        connector = aiohttp.UnixConnector(str(self.run_dir / "gate-inner.sock"))
        async with aiohttp.ClientSession(connector=connector) as http, http.get("http://gate/counts") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def cut(self, **whom: str) -> None:
        connector = aiohttp.UnixConnector(str(self.run_dir / "gate-inner.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.post("http://gate/cut", json=whom) as answer,
        ):
            assert answer.status == 200

    def pid(self, of: str) -> int:
        """Of a part: nobody else has this secret in its environment."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                said = (entry / "cmdline").read_text().replace("\0", " ")
                if of in said and self.media.secret in (entry / "environ").read_text():
                    return int(entry.name)
        raise AssertionError(f"{of} does not run")


@dataclass
class Browser:
    """Speaks the media server's protocol through the gate; `heard` is all that came."""

    wire: aiohttp.ClientWebSocketResponse
    heard: list[rtc.SignalResponse] = field(default_factory=list)

    async def hear(self, kind: str, seconds: float = 10.0) -> Any:
        """The next message of this kind."""
        async with asyncio.timeout(seconds):
            while True:
                message = await self.wire.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise ConnectionError(f"ended: {message.type}")
                said = rtc.SignalResponse.FromString(message.data)
                self.heard.append(said)
                if said.WhichOneof("message") == kind:
                    return getattr(said, kind)

    async def say(self, **what: Any) -> None:
        await self.wire.send_bytes(rtc.SignalRequest(**what).SerializeToString())

    async def add(self, source: int, kind: int) -> None:
        await self.say(add_track=rtc.AddTrackRequest(cid=f"t{source}{kind}", source=source, type=kind))

    async def is_given(self, identity: str, *sources: int) -> None:
        """The media server says that from now on this participant may send these sources, and no others."""
        while True:
            update = await self.hear("update", 3.0)
            if (identity, [*sources]) in [
                (p.identity, [*p.permission.can_publish_sources]) for p in update.participants
            ]:
                return


@pytest_asyncio.fixture
async def calls(request: pytest.FixtureRequest) -> AsyncIterator[Calls]:
    """`param`: more that the environment of the gate says."""
    built = {name: program(name) for name in ("livekit-server", "relay")}
    async with contextlib.AsyncExitStack() as stack:
        # Not tmp_path: the path of a Unix socket must stay below 97 characters.
        run_dir = Path(tempfile.mkdtemp(prefix="mcs-"))
        stack.callback(shutil.rmtree, run_dir)
        programs = run_dir / "bin"
        programs.mkdir()
        for name, path in built.items():
            (programs / name).symlink_to(path)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((POD, 0))
            media_port = int(probe.getsockname()[1])
        agreed = media.Media(APPLIANCE, run_dir, run_dir, "demo", media_port, free_port(), 443, POD, programs=programs)
        running = Calls(run_dir, parts.Parts(APPLIANCE), agreed)
        running.serve(*EVERYBODY)
        await stack.enter_async_context(a_portal(running))
        said = {"gate": getattr(request, "param", {})}
        running.running.start(
            [
                dataclasses.replace(part, environment={**part.environment, **said.get(part.name, {})})
                for part in agreed.parts()
                if part.name != "portal"
            ]
        )
        stack.push_async_callback(running.running.stop)
        await until_it_answers(running)
        yield running


@contextlib.asynccontextmanager
async def a_portal(calls: Calls) -> AsyncIterator[None]:
    async def authorize(request: web.Request) -> web.Response:
        asked = await request.json()
        if asked["session"] not in SESSIONS:
            return web.Response(status=401)
        user, session = SESSIONS[asked["session"]]
        return web.json_response({"user": user, "session": session, "displayName": user.title(), "functions": []})

    async def participants(request: web.Request) -> web.Response:
        calls.in_call = (await request.json())["participants"]
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.post("/authorize", authorize), web.put("/calls/{call}/participants", participants)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(calls.run_dir / "portal-inner.sock")).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def until_it_answers(calls: Calls, within: float = 20.0) -> float:
    """Seconds until somebody may come in."""
    began = time.monotonic()
    while True:
        try:
            async with calls.browser("ada-s1", "f" * 32) as ada:
                await ada.hear("join")
                await ada.say(leave=rtc.LeaveRequest())
                return time.monotonic() - began
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            assert time.monotonic() - began < within
            await asyncio.sleep(0.1)


async def test_two_meet_see_the_public_address_and_get_no_token(calls: Calls) -> None:
    async with calls.browser("ada-s1") as ada, calls.browser("bob-s2") as bob:
        joined = await ada.hear("join")
        assert [url for server in joined.ice_servers for url in server.urls] == [
            f"turn:{MEET}:{calls.media.turn_port}?transport=udp",
            f"turn:{MEET}:{calls.media.turn_port}?transport=tcp",
            f"turns:{MEET}:443?transport=tcp",
        ]
        assert joined.participant.permission.can_publish_sources == [TrackSource.MICROPHONE]
        assert (joined.participant.identity, joined.participant.name) == ("ada~s1", "Ada")
        others = [p.identity for p in (await bob.hear("join")).other_participants]
        assert others == ["ada~s1"]
        offered = await bob.hear("offer")
        trickled = json.loads((await bob.hear("trickle")).candidateInit)["candidate"]
        assert PUBLIC in trickled and str(calls.media.media_port) in trickled
        assert POD not in trickled and POD not in offered.sdp
        with contextlib.suppress(TimeoutError):
            await ada.hear("refresh_token", 2.0)
        heard = {said.WhichOneof("message") for said in (*ada.heard, *bob.heard)}
        assert "refresh_token" not in heard
        assert not any(b"eyJ" in said.SerializeToString() for said in (*ada.heard, *bob.heard)), (
            "that is how a token begins"
        )
        counts = await calls.counts()
        assert counts["participants"]["acme"] >= 2
        assert sorted(who["user"] for who in calls.in_call) == ["ada", "bob"]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        pytest.param(TrackSource.CAMERA, TrackType.VIDEO, id="a camera"),
        pytest.param(TrackSource.MICROPHONE, TrackType.VIDEO, id="a picture that is called a microphone"),
        pytest.param(TrackSource.SCREEN_SHARE, TrackType.VIDEO, id="a desktop"),
    ],
)
async def test_what_ada_may_not_send_is_refused_and_her_voice_is_not(calls: Calls, source: int, kind: int) -> None:
    async with calls.browser("ada-s1") as ada:
        await ada.hear("join")
        await ada.add(source, kind)
        assert (await ada.hear("request_response")).reason == rtc.RequestResponse.NOT_ALLOWED
        await ada.add(TrackSource.MICROPHONE, TrackType.AUDIO)
        assert (await ada.hear("track_published")).track.source == TrackSource.MICROPHONE


async def test_the_media_server_hears_of_forty_tracks_of_one_and_no_more(calls: Calls) -> None:
    async with calls.browser("ada-s1") as ada:
        await ada.hear("join")
        for number in range(200):
            asked = rtc.AddTrackRequest(cid=f"t{number}", source=TrackSource.MICROPHONE, type=TrackType.AUDIO)
            await ada.say(add_track=asked)
        await ada.say(ping=1)
        await ada.hear("pong")
        published = [said.WhichOneof("message") for said in ada.heard].count("track_published")
        assert 0 < published <= 42
        assert (await calls.counts())["refused"]["TooManyTracks"] >= 158


async def test_a_function_taken_away_is_gone_at_the_media_server_and_the_call_goes_on(calls: Calls) -> None:
    async with calls.browser("bob-s2") as bob:
        await bob.hear("join")
        began = time.monotonic()
        calls.serve(("acme", "ada", ("Audio",)), ("acme", "bob", ("Audio",)))
        await bob.is_given("bob~s2", TrackSource.MICROPHONE)
        print(f"\ntaken away after {time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < 2.0
        await bob.add(TrackSource.MICROPHONE, TrackType.AUDIO)
        assert (await bob.hear("track_published")).track.source == TrackSource.MICROPHONE


async def test_who_is_not_served_any_more_or_is_cut_is_out_at_the_media_server(calls: Calls) -> None:
    async with calls.browser("bob-s2") as bob, calls.browser("ada-s1") as ada:
        await bob.hear("join")
        await ada.hear("join")
        calls.serve(("acme", "ada", ("Audio",)))
        assert (await bob.hear("leave", 2.0)).reason == 4  # PARTICIPANT_REMOVED
        await calls.cut(community="acme", user="ada")
        assert (await ada.hear("leave", 2.0)).reason == 4
    assert "acme" not in (await calls.counts())["participants"]


async def test_where_the_line_is_nearly_full_no_picture_begins_and_who_talks_is_heard(calls: Calls) -> None:
    """Of 1 Mb/s two participants take 96 %, and one alone 48 %."""
    async with calls.browser("ada-s1") as ada:
        await ada.hear("join")
        async with calls.browser("bob-s2") as bob:
            await bob.hear("join")
            calls.serve(("acme", "ada", ("Audio", "Video")), EVERYBODY[1], bandwidth=1)
            await ada.is_given("ada~s1", TrackSource.MICROPHONE, TrackSource.CAMERA)
            await ada.add(TrackSource.CAMERA, TrackType.VIDEO)
            assert (await ada.hear("request_response")).reason == rtc.RequestResponse.NOT_ALLOWED
            await ada.add(TrackSource.MICROPHONE, TrackType.AUDIO)
            assert (await ada.hear("track_published")).track.source == TrackSource.MICROPHONE
            assert (await calls.counts())["refused"] == {"Crowded": 1}
            await bob.say(leave=rtc.LeaveRequest())
        async with asyncio.timeout(2):
            while (await calls.counts())["participants"] != {"acme": 1}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await ada.add(TrackSource.CAMERA, TrackType.VIDEO)
        assert (await ada.hear("track_published")).track.source == TrackSource.CAMERA, "there is room for it now"


async def test_the_public_address_changes_and_who_is_in_a_call_stays_there(calls: Calls) -> None:
    async with calls.browser("ada-s1") as ada:
        await ada.hear("join")
        assert await address_told(calls) == PUBLIC
        calls.serve(*EVERYBODY, public=LATER)
        async with asyncio.timeout(2):
            while await address_told(calls) == PUBLIC:
                pass
        assert await address_told(calls) == LATER
        await ada.add(TrackSource.MICROPHONE, TrackType.AUDIO)
        assert (await ada.hear("track_published")).track.source == TrackSource.MICROPHONE
        assert not {said.WhichOneof("message") for said in ada.heard} & {"leave", "reconnect"}


async def address_told(calls: Calls) -> str:
    """Where Bob, who comes and goes, is told to send his media."""
    async with calls.browser("bob-s2") as bob:
        await bob.hear("trickle")
        candidate = json.loads(bob.heard[-1].trickle.candidateInit)["candidate"]
        await bob.say(leave=rtc.LeaveRequest())
    return str(candidate.split(" ")[4])


async def test_twenty_changes_of_other_customers_are_nothing_in_a_call(calls: Calls) -> None:
    async with calls.browser("ada-s1") as ada:
        await ada.hear("join")
        await ada.hear("update")  # of herself, which comes to everybody who has come in
        before = len(ada.heard)
        for number in range(20):
            others = (("globex", f"user-{n}", ("Audio",)) for n in range(number * 50))
            calls.serve(*EVERYBODY, *others)
            await asyncio.sleep(0.05)
        await ada.say(ping=1)
        await ada.hear("pong")
        told = {said.WhichOneof("message") for said in ada.heard[before:]}
        assert not told & {"offer", "update", "leave", "room_update", "permission"}, told


LIFE = 2


@pytest.mark.parametrize("calls", [{"MCS_TURN_SECONDS": str(LIFE)}], indirect=True)
async def test_a_relayed_call_outlives_its_credential_several_times_and_who_comes_back_gets_another(
    calls: Calls,
) -> None:
    """Browsers prove every few seconds that their way to the media server is open, and renew it at the relay."""
    async with calls.browser("bob-s2") as bob:
        joined = await bob.hear("join")
        offer = (await bob.hear("offer")).sdp
        await bob.say(answer=rtc.SessionDescription(type="answer", sdp=answer_to(offer)))
        relayed = Relayed(calls, joined.ice_servers[0], offer)
        assert await asyncio.to_thread(relayed.is_open)
        while time.time() < relayed.expires + 3 * LIFE:
            await asyncio.sleep(LIFE / 4)
            assert await asyncio.to_thread(relayed.is_open)
        assert await asyncio.to_thread(allocates, calls, joined.ice_servers[0]) == 400, "it is over for what is new"
    relayed.client.close()
    async with calls.browser("bob-s2") as bob:
        again = (await bob.hear("join")).ice_servers[0]
        assert await asyncio.to_thread(allocates, calls, again) is None


class Relayed:
    """A browser's way to the media server by the relay. The relay forgets it after two seconds."""

    def __init__(self, calls: Calls, server: rtc.ICEServer, offer: str) -> None:
        self.client = turn_client(calls, server)
        self.expires = int(server.username.partition(":")[0])
        self._media_port = calls.media.media_port
        self._name, self._password = f"{said_in(offer, 'ice-ufrag')}:{UFRAG}", said_in(offer, "ice-pwd")

    def is_open(self) -> bool:
        """Renews it, and asks the media server through it."""
        if self.client.relayed is None:
            self.client.allocate()
        self.client.refresh(LIFE)
        self.client.permit(PUBLIC)
        return self.client.check(PUBLIC, self._media_port, self._name, self._password) == self.client.relayed


def turn_client(calls: Calls, server: rtc.ICEServer) -> turn.Client:
    return turn.Client(("udp", calls.media.turn_port), server.username, server.credential)


def allocates(calls: Calls, server: rtc.ICEServer) -> int | None:
    """None, or why the relay gives no address for this credential."""
    with contextlib.closing(turn_client(calls, server)) as client:
        try:
            client.allocate()
        except turn.RefusedError as why:
            return why.code
        return None


UFRAG, PASSWORD = "bobs", "a" * 24


def answer_to(offer: str) -> str:
    """Of a browser that takes all, and sends nothing."""
    fresh = {"a=ice-ufrag": UFRAG, "a=ice-pwd": PASSWORD, "a=fingerprint": "sha-256 " + ":".join(["AB"] * 32)}
    fresh |= {"a=setup": "active"}
    lines = [line for line in offer.splitlines() if not line.startswith(("a=candidate", "a=end-of-candidates"))]
    kept = (f"{name}:{fresh[name]}" if (name := line.partition(":")[0]) in fresh else line for line in lines)
    return "".join(f"{line}\r\n" for line in kept).replace("a=sendonly", "a=recvonly").replace("sendrecv", "recvonly")


def said_in(offer: str, what: str) -> str:
    return next(line.partition(":")[2] for line in offer.splitlines() if line.startswith(f"a={what}:"))


async def test_a_media_server_that_dies_is_back_and_tells_browsers_to_begin_anew(calls: Calls) -> None:
    async with calls.browser("ada-s1") as ada:
        sid = (await ada.hear("join")).participant.sid
        os.kill(calls.pid("livekit-server"), signal.SIGKILL)
        with pytest.raises(ConnectionError):
            await ada.hear("nothing")
    again = await until_it_answers(calls, 10)
    print(f"\nback after {again:.2f} s")
    assert again < 5.0
    async with calls.browser("ada-s1", query=f"&reconnect=1&sid={sid}") as ada:
        assert (await ada.hear("leave")).action == rtc.LeaveRequest.RECONNECT, "without it she would try for a minute"
    async with calls.browser("ada-s1") as ada:
        await ada.hear("join")


async def test_a_gate_that_dies_is_back_soon(calls: Calls) -> None:
    """Who has media stays in the call meanwhile; these clients have none, so the media server lets them go."""
    async with calls.browser("ada-s1") as ada:
        await ada.hear("join")
        began = time.monotonic()
        os.kill(calls.pid("-m gate"), signal.SIGKILL)
        with pytest.raises(ConnectionError):
            await ada.hear("nothing")
    await until_it_answers(calls, 10)
    print(f"\nback after {time.monotonic() - began:.2f} s")


async def test_how_long_it_takes_to_come_in(calls: Calls) -> None:
    waits = []
    for _ in range(30):
        began = time.monotonic()
        async with calls.browser("ada-s1") as ada:
            await ada.hear("join")
            waits.append(time.monotonic() - began)
            await ada.say(leave=rtc.LeaveRequest())
    p50, p95 = (quantile(waits, share) * 1000 for share in (0.5, 0.95))
    print(f"\njoined through the gate: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    assert p95 < 2000


async def test_the_media_server_takes_nobody_who_comes_past_the_gate(calls: Calls) -> None:
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{calls.media.signal_port}/rtc/validate"
        async with http.get(url, headers={"Authorization": "Bearer x"}) as answer:
            assert answer.status == 401
