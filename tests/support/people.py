"""People at a portal: each a page in a real browser, with what the receiver's own statistics say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SIZE = {"width": 960, "height": 640}
COUNTED = ("packets", "lost", "frames", "freezes")
REMEMBER = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) { super(...given); window.connections.push(this); }
};
"""
STREAMS = """
async () => {
  const all = {};
  for (const [number, connection] of window.connections.entries()) {
    if (connection.connectionState === "closed") continue;
    for (const stat of (await connection.getStats()).values()) {
      if (stat.type !== "inbound-rtp") continue;
      all[`${number} ${stat.ssrc}`] = {
        kind: stat.kind, packets: stat.packetsReceived, lost: stat.packetsLost,
        frames: stat.framesDecoded ?? 0, freezes: stat.freezeCount ?? 0,
      };
    }
  }
  return all;
}
"""
"""What is received now, by connection and number of the stream: who joins anew, or sends anew, has another one."""
PATHS = """
async () => {
  const all = [];
  for (const connection of window.connections) {
    if (connection.connectionState !== "connected") continue;
    const stats = await connection.getStats();
    for (const stat of stats.values()) {
      if (stat.type !== "transport" || !stat.selectedCandidatePairId) continue;
      const pair = stats.get(stat.selectedCandidatePairId);
      const local = stats.get(pair.localCandidateId), remote = stats.get(pair.remoteCandidateId);
      all.push([local.candidateType, local.relayProtocol ?? local.protocol, `${remote.address}:${remote.port}`]);
    }
  }
  return all;
}
"""

TONE = """
async () => {
  const context = new AudioContext();
  await context.resume();
  const receivers = window.connections.flatMap(connection => connection.getReceivers());
  const heard = receivers.filter(({track}) => track.kind === "audio" && track.readyState === "live").map(({track}) => {
    const analyser = new AnalyserNode(context, {fftSize: 2048, smoothingTimeConstant: 0});
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    return {analyser, beeps: [], bins: new Float32Array(analyser.frequencyBinCount)};
  });
  for (const begun = performance.now(); performance.now() - begun < 2000; await new Promise(r => setTimeout(r, 15))) {
    for (const {analyser, beeps, bins} of heard) {
      analyser.getFloatFrequencyData(bins);
      const loudest = bins.reduce((most, level, bin) => level > bins[most] ? bin : most, 0);
      const hertz = loudest * context.sampleRate / analyser.fftSize;
      if (bins[loudest] > -50 && hertz > 340 && hertz < 460) beeps.push(performance.now());
    }
  }
  await context.close();
  return heard.filter(({beeps}) => beeps.some((at, n) => n > 0 && at - beeps[n - 1] > 300)).length;
}
"""
"""How many voices beep at 400 Hz for a moment, again and again, as Chromium's fake microphone does."""
PICTURE = """
() => {
  const canvas = new OffscreenCanvas(32, 18).getContext("2d");
  const colour = (x, y) => canvas.getImageData(x, y, 1, 1).data;
  return [...document.querySelectorAll("video:not(.mirrored)")].filter(video => {
    canvas.drawImage(video, 0, 0, 32, 18);
    const corners = [colour(1, 1), colour(30, 1), colour(30, 16)];
    const dark = corners.every(([red, green, blue]) => red < 60 && blue < 60 && green > 90 && green < 175);
    return dark && colour(16, 9)[1] > 175;
  }).length;
}
"""
"""How many pictures are a bright disc on dark green, as of Chromium's fake camera. One's own is shown mirrored."""


_ONLY_BY = """
// The browser's rules for names do not hold for where it sends datagrams; only TLS needs the name.
window.RTCPeerConnection = class extends window.RTCPeerConnection {
  static only(config) {
    if (!config) return config;
    const urls = server => [server.urls].flat().filter(url => url.startsWith("SCHEME:") && url.endsWith("=TRANSPORT"))
      .map(url => "SCHEME" === "turn" ? url.replace(/:[^:]+:/, ":ADDRESS:") : url);
    const servers = (config.iceServers ?? []).map(server => ({...server, urls: urls(server)}));
    return {...config, iceTransportPolicy: "relay", iceServers: servers.filter(server => server.urls.length)};
  }
  constructor(config, ...more) { super(window.RTCPeerConnection.only(config), ...more); }
  setConfiguration(config) { super.setConfiguration(window.RTCPeerConnection.only(config)); }
};
"""


def only_by(scheme: str, transport: str, address: str) -> str:
    """A script for a page that reaches nothing but a relay, which is at this address."""
    return _ONLY_BY.replace("SCHEME", scheme).replace("TRANSPORT", transport).replace("ADDRESS", address)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    name: str
    page: Any
    sockets: list[str]
    """Addresses of all that it opened."""
    errors: list[str]
    """What the page's own code threw."""
    signals: list[bytes]
    """What the gate said to it."""
    told: list[str]
    """What the portal said to it."""

    @property
    def call_id(self) -> str:
        """Of the call that he was in last."""
        return [path[2] for path in (urlsplit(url).path.split("/") for url in self.sockets) if path[1] == "calls"][-1]

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name).first

    async def turn_to(self, other: str) -> None:
        await self.page.get_by_role("link", name=other).first.click()

    async def call(self, other: str) -> None:
        await self.turn_to(other)
        await self.button(f"Video call with {other}").click()

    async def accept(self) -> None:
        dialog = self.page.get_by_role("alertdialog")
        await dialog.wait_for(timeout=15_000)
        await dialog.get_by_role("button", name="Accept with video").click()

    async def hang_up(self) -> None:
        await self.button("End call").click()

    async def streams(self) -> dict[str, Any]:
        """Packets, losses, pictures and freezes of each stream, by the receiver's own statistics."""
        found: dict[str, Any] = await self.page.evaluate(STREAMS)
        return found

    async def received(self) -> dict[str, dict[str, int]]:
        """The same of both kinds, and of how many streams something came."""
        all_of: dict[str, dict[str, int]] = {}
        streams = (await self.streams()).values()
        for kind in ("audio", "video"):
            of_kind = [stream for stream in streams if stream["kind"] == kind]
            all_of[kind] = {what: sum(one[what] for one in of_kind) for what in COUNTED}
            all_of[kind]["tracks"] = sum(one["packets"] > 0 for one in of_kind)
        return all_of

    async def paths(self) -> list[list[str]]:
        """How the media goes: kind of candidate and protocol (to the relay, where there is one), by connection."""
        return [path[:2] for path in await self.page.evaluate(PATHS)]

    async def reaches(self) -> set[str]:
        """Where the media server is for this browser: address and port."""
        return {path[2] for path in await self.page.evaluate(PATHS)}

    async def recognises(self, others: int = 1) -> None:
        """What so many others show and say is what their fake cameras and microphones give, and nothing else."""

        async def seen() -> bool:
            return bool(await self.page.evaluate(PICTURE) == others)

        async def heard() -> bool:
            return bool(await self.page.evaluate(TONE) == others)

        await eventually(f"{self.name} sees what {others} cameras show", seen, 10)
        await eventually(f"{self.name} hears what {others} microphones say", heard, 10)

    async def sees_and_hears(self, others: int = 1) -> bool:
        """Whether voice and picture of so many others have arrived."""
        now = await self.received()
        flows = now["audio"]["packets"] > 20 * others and now["video"]["frames"] > 5 * others
        return bool(flows and now["audio"]["tracks"] >= others and now["video"]["tracks"] >= others)


async def sign_in(browser: Any, portal: str, user: str, password: str, shown: str = "", script: str = "") -> Person:
    """In a context of its own. ``shown``: his name as others see it. ``script`` runs before the page's own."""
    context = await browser.new_context(ignore_https_errors=True, viewport=SIZE)
    await context.add_init_script(REMEMBER + script)
    page = await context.new_page()
    sockets: list[str] = []
    signals: list[bytes] = []
    told: list[str] = []

    def opened(socket: Any) -> None:
        sockets.append(socket.url)
        if _is_of_a_call(socket):
            socket.on("framereceived", lambda said: signals.append(said) if isinstance(said, bytes) else None)
        else:
            socket.on("framereceived", lambda said: told.append(said) if isinstance(said, str) else None)

    page.on("websocket", opened)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"https://{portal}/")
    await page.get_by_label("User name").fill(user)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name=f"Hello, {(shown or user).split()[0]}").wait_for(timeout=15_000)
    return Person(shown or user, page, sockets, errors, signals, told)


def _is_of_a_call(socket: Any) -> bool:
    return urlsplit(socket.url).path.startswith("/calls/")


async def eventually(what: str, look: Callable[[], Awaitable[bool]], seconds: float = 30) -> float:
    """Wait until it is so, as a browser tells no event; how long it took."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            while not await look():  # noqa: ASYNC110 - the browser tells no event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None
    return time.monotonic() - begun


async def talk(*people: Person, seconds: float = 30) -> float:
    """Wait until each sees and hears all the others; how long it took."""

    async def all_do() -> bool:
        return all([await person.sees_and_hears(len(people) - 1) for person in people])

    return await eventually(f"{', '.join(p.name for p in people)} see and hear each other", all_do, seconds)


def lines_to_the_gate(*people: Person) -> Callable[[], Awaitable[bool]]:
    """Asks whether each of these has a line to the gate that is newer than this. A socket alone is none, as a browser
    opens it also where the gate is away: the gate must have said something."""
    answered: set[str] = set()

    def watch(name: str) -> Callable[[Any], None]:
        def opened(socket: Any) -> None:
            if _is_of_a_call(socket):
                socket.on("framereceived", lambda _: answered.add(name))

        return opened

    for person in people:
        person.page.on("websocket", watch(person.name))

    async def all_have() -> bool:
        return answered == {person.name for person in people}

    return all_have


async def received_over(person: Person, time_span: Awaitable[Any]) -> dict[str, float]:
    """What this person received in that time."""
    return (await each_received_over([person], time_span))[0]


async def each_received_over(people: Sequence[Person], time_span: Awaitable[Any]) -> list[dict[str, float]]:
    """What each of these received in that time, and how many streams are `new`: none where all simply goes on.

    Of a stream that is new all counts. Of one that is gone nothing does: its statistics are gone as well.
    """
    begun, told = time.monotonic(), await asyncio.gather(*(person.streams() for person in people))
    await time_span
    now, seconds = await asyncio.gather(*(person.streams() for person in people)), time.monotonic() - begun
    return [{"seconds": seconds} | _between(old, new) for old, new in zip(told, now, strict=True)]


def _between(old: dict[str, Any], new: dict[str, Any]) -> dict[str, float]:
    def more(what: str, kinds: Collection[str]) -> int:
        before = {name: stream[what] for name, stream in old.items()}
        return sum(stream[what] - before.get(name, 0) for name, stream in new.items() if stream["kind"] in kinds)

    return {
        "audio": more("packets", ["audio"]),
        "video": more("packets", ["video"]),
        "lost": more("lost", ["audio", "video"]),
        "freezes": more("freezes", ["video"]),
        "new": len(new.keys() - old.keys()),
    }
