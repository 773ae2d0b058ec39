"""A customer's portal through the pod, in real browsers: rooms, relays, deaths, a drain. It takes minutes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from e2e.portal import (
    ALL,
    CONNECTIONS,
    a_browser,
    community,
    playwright,
    sign_in,
    with_portal,
)
from support.api import Api
from support.browser import CHROMIUM
from support.cluster import Node
from support.mcs import POD, Mcs
from support.objects import INSTANCE
from support.operator import Operator
from support.people import Person, each_received_over, eventually, lines_to_the_gate, only_by, received_over, talk
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

PEOPLE = ["ada", "bob", "cyd", "dan"]
DRAIN = 60
BACK = 5
"""Seconds after which calls go on by a media server that was started anew."""
KILL = """
import os, pathlib, signal, sys
for found in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        words = found.read_bytes().split(b"\\0")
    except OSError:
        continue
    if sys.argv[1].encode() in [word.rpartition(b"/")[2] for word in words[:3]]:
        os.kill(int(found.parent.name), signal.SIGKILL)
        print(found.parent.name)
"""


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """An instance with a portal for four people, and a customer with a tunnel."""
    if not CHROMIUM:
        pytest.skip("not installed: chromium")
    with with_portal(node, server, dict.fromkeys(PEOPLE, ALL), drainSeconds=DRAIN) as mcs:
        mcs.link("globex")
        mcs.connect("globex")
        yield mcs


@pytest_asyncio.fixture(loop_scope="module")
async def browser(mcs: Mcs) -> AsyncIterator[Any]:
    """One for all people of a story."""
    async with a_browser(mcs, "--ignore-certificate-errors") as browser:
        yield browser
    # Of a story that failed somebody may still be in a call, who is busy for the next one.
    await asyncio.to_thread(until, "nobody is in a call", lambda: mcs.inside(CONNECTIONS)["connections"] == 0, 60)


async def in_a_call(browser: Any, mcs: Mcs, script: str = "") -> tuple[Person, Person]:
    """Ada and Bob see and hear each other."""
    ada, bob = await sign_in(browser, mcs, "ada", script), await sign_in(browser, mcs, "bob", script)
    await ada.call("bob")
    await bob.accept()
    await talk(ada, bob, seconds=40)
    return ada, bob


async def end(mcs: Mcs, *people: Person) -> None:
    """These leave; with the last but one the call is over."""
    for person in people:
        await person.hang_up()
        assert person.errors == []
    until("nobody is in a call", lambda: mcs.inside(CONNECTIONS)["connections"] == 0, 40)


def went_on(heard: dict[str, float]) -> bool:
    """No packet was lost, sound came all the time, and nobody had to join anew."""
    return heard["lost"] == 0 and heard["audio"] > 40 * heard["seconds"] and heard["new"] == 0


def kill(mcs: Mcs, program: str) -> None:
    """SIGKILL for a program of the media container."""
    assert mcs.run("media", "python3", "-c", KILL, program).split(), f"{program} does not run"


async def test_four_people_are_in_one_room(browser: Any, mcs: Mcs) -> None:
    people = [await sign_in(browser, mcs, name) for name in PEOPLE]
    ada, *others = people
    await ada.call("bob")
    await others[0].accept()
    await ada.button("People").click()
    for person in others[1:]:
        await ada.button(f"Add {person.name}").click()
        await person.accept()
    took = await talk(*people, seconds=60)
    print(f"all four see and hear each other {took:.1f} s after the last one accepted")
    assert mcs.inside(CONNECTIONS)["connections"] == 4
    recognised = asyncio.gather(*(person.recognises(3) for person in people))
    heard = await each_received_over(people, asyncio.sleep(10))
    await recognised
    print(f"ten seconds at each: {heard}")
    assert all(one["lost"] == 0 and one["audio"] > 3 * 40 * 10 for one in heard), heard
    await end(mcs, *others)


@pytest.mark.parametrize(
    ("scheme", "transport", "protocol"), [("turn", "udp", "udp"), ("turn", "tcp", "tcp"), ("turns", "tcp", "tls")]
)
async def test_they_talk_where_only_the_relay_is_reached(
    browser: Any, mcs: Mcs, scheme: str, transport: str, protocol: str
) -> None:
    ada, bob = await in_a_call(browser, mcs, only_by(scheme, transport, mcs.node.ip))
    heard = await received_over(bob, asyncio.sleep(10))
    print(f"only by {scheme} over {transport}: {heard}")
    paths = [*await ada.paths(), *await bob.paths()]
    assert paths and all(path == ["relay", protocol] for path in paths), paths
    assert heard["lost"] == 0 and heard["audio"] > 400 and heard["video"] > 50
    await end(mcs, ada)


async def test_a_tunnel_that_goes_down_ends_no_call(browser: Any, mcs: Mcs) -> None:
    ada, bob = await in_a_call(browser, mcs)

    def down() -> None:
        mcs.api.change("TVoxLink", "globex", enabled=False)
        mcs.api.wait_condition("TVoxLink", "globex", "Connected", "False", timeout=30)
        mcs.api.change("TVoxLink", "globex", enabled=True)
        mcs.connected("globex", timeout=60)

    heard = await each_received_over([ada, bob], asyncio.to_thread(down))
    assert all(went_on(one) for one in heard), heard
    await end(mcs, ada)


async def test_a_portal_that_is_killed_ends_no_call_and_is_back(browser: Any, mcs: Mcs) -> None:
    ada, bob = await in_a_call(browser, mcs)
    before = mcs.identity()
    begun = time.monotonic()

    async def is_back() -> bool:
        return bool(await ada.page.evaluate("fetch('/api/me').then(answer => answer.status === 200, () => false)"))

    async def killed() -> None:
        await asyncio.to_thread(kill, mcs, "portal")
        await eventually("the portal is back, and knows its people", is_back, 20)
        print(f"the portal is back {time.monotonic() - begun:.1f} s after its kill")
        await asyncio.sleep(5)

    heard = await received_over(bob, killed())
    print(heard)
    assert heard["lost"] == 0 and heard["audio"] > 40 * heard["seconds"], heard
    assert mcs.identity() == before
    await end(mcs, ada)


async def test_a_gate_that_is_killed_costs_no_packet_and_all_resume(browser: Any, mcs: Mcs) -> None:
    ada, bob = await in_a_call(browser, mcs)
    before = mcs.identity()
    resumed = lines_to_the_gate(ada, bob)

    async def killed() -> None:
        await asyncio.to_thread(kill, mcs, "gate")
        took = await eventually("both have a line to the gate again", resumed, 10)
        print(f"both have resumed {took:.1f} s after the gate's kill")
        await asyncio.sleep(5)

    heard = await each_received_over([ada, bob], killed())
    print(heard)
    assert all(went_on(one) for one in heard), heard
    assert mcs.identity() == before
    await end(mcs, ada)


async def web_of(mcs: Mcs, name: str, over: asyncio.Event) -> list[int]:
    """What its TVox's page answers outside, again and again until it is over."""
    seen = []
    while not over.is_set():
        status, _ = await asyncio.to_thread(mcs.outside, mcs.domain(name))
        seen.append(status)
        await asyncio.sleep(0.1)
    return seen


async def test_a_media_server_that_is_killed_costs_seconds_and_neither_tunnel_nor_web(browser: Any, mcs: Mcs) -> None:
    ada, bob = await in_a_call(browser, mcs)
    before = mcs.identity()
    over = asyncio.Event()
    with mcs.unnoticed(by="globex"):
        web = asyncio.create_task(web_of(mcs, "globex", over))
        await asyncio.to_thread(kill, mcs, "livekit-server")
        begun = time.monotonic()
        told = [await person.received() for person in (ada, bob)]

        async def flows() -> bool:
            now = [await person.received() for person in (ada, bob)]
            return all(
                new["audio"]["packets"] != old["audio"]["packets"] and new["audio"]["tracks"] == 1
                for new, old in zip(now, told, strict=True)
            )

        await asyncio.sleep(1)
        told = [await person.received() for person in (ada, bob)]
        await eventually("both hear each other again", flows, begun + BACK - time.monotonic())
        print(f"both hear each other {time.monotonic() - begun:.1f} s after the media server's kill")
        over.set()
        seen = await web
        print(f"the web of globex meanwhile: {len(seen)} answers")
        assert len(seen) > 10 and set(seen) == {200}
    assert mcs.identity() == before
    await end(mcs, ada)


async def test_a_function_that_is_taken_away_is_gone_in_the_running_call(browser: Any, mcs: Mcs) -> None:
    ada, bob = await in_a_call(browser, mcs)
    allowed = dict.fromkeys(PEOPLE, ALL)
    picture = ada.page.get_by_label("Picture of bob")
    await playwright.expect(picture).to_be_visible()
    begun = time.monotonic()
    mcs.api.apply(*community(mcs, allowed | {"bob": ["Audio", "Chat"]}))
    await playwright.expect(picture).to_have_count(0, timeout=30_000)
    print(f"bob's picture is gone {time.monotonic() - begun:.1f} s after kubectl apply")
    await playwright.expect(bob.button("Start video")).to_have_count(0)
    heard = await received_over(ada, asyncio.sleep(5))
    assert heard["audio"] > 200 and heard["video"] == 0, heard
    begun = time.monotonic()
    mcs.api.apply(*community(mcs, {name: functions for name, functions in allowed.items() if name != "bob"}))
    signed_out = bob.page.get_by_label("User name")
    await playwright.expect(signed_out).to_be_visible(timeout=30_000)
    print(f"bob is out {time.monotonic() - begun:.1f} s after kubectl apply")
    until("ada is alone, and the call over", lambda: mcs.inside(CONNECTIONS)["connections"] == 0, 40)
    mcs.api.apply(*community(mcs, allowed))
    mcs.api.wait_condition("Community", "acme", "LoginReady", "True", timeout=60)


async def test_a_restart_waits_for_the_call_and_the_browsers_come_back(browser: Any, mcs: Mcs) -> None:
    ada, bob = await in_a_call(browser, mcs)
    cyd = await sign_in(browser, mcs, "cyd")
    before = mcs.identity()
    mcs.release("globex")  # whose probe ends with the pod
    mcs.api.change("MCSInstance", INSTANCE, vpn={"slots": 11})
    told = cyd.page.get_by_text("Maintenance begins as soon as nobody talks", exact=False).first
    await playwright.expect(told).to_be_visible(timeout=30_000)
    since = datetime.fromisoformat(mcs.api.get("Pod", POD)["metadata"]["annotations"]["mcs.tvox.io/draining-since"])
    # Its browser's time zone is this machine's.
    assert f"{since.astimezone() + timedelta(seconds=DRAIN):%H:%M} at the latest" in await told.inner_text()
    await cyd.turn_to("dan")
    await playwright.expect(cyd.button("Video call with dan")).to_be_disabled()
    heard = await received_over(bob, asyncio.sleep(10))
    assert heard["lost"] == 0 and heard["audio"] > 400, "the call goes on"
    assert mcs.identity() == before
    await ada.hang_up()
    begun = time.monotonic()

    def is_another() -> bool:
        pod = mcs.api.find("Pod", POD)
        return pod is not None and pod["metadata"]["uid"] != before.uid

    await asyncio.to_thread(until, "another pod is there", is_another, DRAIN - 15)
    print(f"the pod went {time.monotonic() - begun:.1f} s after the last call had ended")

    async def answers() -> bool:
        return bool(await cyd.page.evaluate("fetch('/api/me').then(answer => answer.status === 200, () => false)"))

    await eventually("the portal answers, and knows cyd", answers, 120)
    at = time.monotonic()
    await playwright.expect(cyd.page.get_by_text("No connection to the portal.", exact=False)).to_have_count(
        0, timeout=40_000
    )
    await playwright.expect(told).to_have_count(0, timeout=10_000)
    print(f"the portal answered {at - begun:.1f} s after the call's end, its page {time.monotonic() - at:.1f} s later")
    await cyd.call("dan")
    await cyd.hang_up()
