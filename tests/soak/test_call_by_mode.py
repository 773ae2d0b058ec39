"""A call in the two network modes that no other story has one in: behind a load balancer, and on the node's network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from e2e.portal import ALL, CONNECTIONS, a_browser, sign_in, with_portal
from support.api import Api
from support.browser import CHROMIUM
from support.cluster import Node
from support.mcs import Mcs
from support.objects import INSTANCE
from support.operator import Operator
from support.people import Person, only_by, received_over, talk
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]

BALANCED = "198.51.100.200"
"""Nobody's: packets for it come to the node, as a provider's load balancer brings them; kube-proxy does the rest."""
MEDIA_PORT = 10000


@dataclass(frozen=True)
class Reached:
    """An instance, and by which address the Internet reaches it."""

    mcs: Mcs
    at: str


@contextmanager
def behind_a_load_balancer(node: Node, server: Api) -> Iterator[Reached]:
    """Its Service has an address that is not the node's."""
    spec = {"network": {"mode": "LoadBalancer"}, "publicAddress": BALANCED}
    with with_portal(node, server, {"ada": ALL, "bob": ALL}, **spec) as mcs:
        mcs.api.merge_status("Service", f"{INSTANCE}-public", {"loadBalancer": {"ingress": [{"ip": BALANCED}]}})
        yield Reached(mcs, BALANCED)


@contextmanager
def on_the_nodes_network(node: Node, server: Api) -> Iterator[Reached]:
    """The public address is one of the node's, who may have others."""
    with with_portal(node, server, {"ada": ALL, "bob": ALL}, network={"mode": "HostNetwork"}, vpn={"slots": 3}) as mcs:
        yield Reached(mcs, node.ip)


@pytest.fixture(scope="module", params=[behind_a_load_balancer, on_the_nodes_network], ids=lambda mode: mode.__name__)
def reached(request: pytest.FixtureRequest, node: Node, server: Api, operator_process: Operator) -> Iterator[Reached]:
    if not CHROMIUM:
        pytest.skip("not installed: chromium")
    with request.param(node, server) as reached:
        yield reached


@pytest_asyncio.fixture(loop_scope="module")
async def browser(reached: Reached) -> AsyncIterator[Any]:
    """One for both people."""
    async with a_browser(reached.mcs, "--ignore-certificate-errors", at=reached.at) as browser:
        yield browser


async def in_a_call(browser: Any, reached: Reached, script: str = "") -> tuple[Person, Person]:
    """Ada and Bob see and hear each other: what their fake cameras and microphones give."""
    ada, bob = [await sign_in(browser, reached.mcs, name, script) for name in ("ada", "bob")]
    await ada.call("bob")
    await bob.accept()
    took = await talk(ada, bob, seconds=40)
    print(f"\nboth see and hear each other {took:.1f} s after bob accepted")
    return ada, bob


async def end(reached: Reached, *people: Person) -> None:
    """One leaves, and the call is over."""
    assert [person.errors for person in people] == [[] for _ in people]
    await people[0].hang_up()
    over = lambda: reached.mcs.inside(CONNECTIONS)["connections"] == 0  # noqa: E731
    await asyncio.to_thread(until, "the call is over", over, 40)


async def test_the_media_takes_the_public_address_and_sees_the_browsers_own(browser: Any, reached: Reached) -> None:
    ada, bob = await in_a_call(browser, reached)
    recognised = asyncio.gather(ada.recognises(), bob.recognises())
    heard = await received_over(bob, asyncio.sleep(10))
    await recognised
    print(f"ten seconds at bob's: {heard}")
    # Where the server saw another address than the browser's own, this would be a path of kind "prflx".
    assert {tuple(path) for path in [*await ada.paths(), *await bob.paths()]} == {("host", "udp")}
    assert await ada.reaches() | await bob.reaches() == {f"{reached.at}:{MEDIA_PORT}"}
    assert heard["lost"] == 0 and heard["audio"] > 400, heard
    await end(reached, ada, bob)


@pytest.mark.parametrize(
    ("scheme", "transport", "protocol"), [("turn", "udp", "udp"), ("turn", "tcp", "tcp"), ("turns", "tcp", "tls")]
)
async def test_they_talk_where_only_the_relay_is_reached(
    browser: Any, reached: Reached, scheme: str, transport: str, protocol: str
) -> None:
    ada, bob = await in_a_call(browser, reached, only_by(scheme, transport, reached.at))
    heard = await received_over(bob, asyncio.sleep(10))
    print(f"only by {scheme} over {transport}: {heard}")
    paths = [*await ada.paths(), *await bob.paths()]
    assert paths and all(path == ["relay", protocol] for path in paths), paths
    assert heard["lost"] == 0 and heard["audio"] > 400, heard
    await end(reached, ada, bob)
