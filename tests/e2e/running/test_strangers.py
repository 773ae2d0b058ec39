"""Strangers at the public ports, of a link and of the web: ten thousand who say nothing or half of a word, while a TVox
dials in and others are served."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from support.lab import Namespace, bridge_of
from support.mcs import Mcs
from support.strangers import Strangers
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator")]

FIRST = "acme"
WEB = 443


@pytest.fixture
def outside(mcs: Mcs) -> Iterator[Namespace]:
    """A host beside the node."""
    bridge = bridge_of(mcs.node.ip)
    if bridge is None:
        pytest.skip("the node is not this machine: nobody can be beside it")
    host = Namespace("strangers")
    host.plug_in(bridge, mcs.node.ip.rsplit(".", 1)[0] + ".79", mcs.node.ip)
    yield host
    host.close()


@pytest.mark.slow
def test_ten_thousand_silent_strangers_keep_no_tvox_waiting(mcs: Mcs, globex: str, outside: Namespace) -> None:
    mcs.api.change("TVoxLink", globex, protocol="TCP")
    port = mcs.programmed(globex)["port"]
    mcs.connect(globex)
    with mcs.unnoticed(by=FIRST), Strangers(outside, mcs.node.ip, [port, WEB]) as strangers:
        until("they are there", lambda: strangers.tried > 500, 20)
        began = time.monotonic()
        mcs.connect(globex)
        taken = time.monotonic() - began
        assert mcs.answers_outside(mcs.domain(globex), 200)["tvox"] == globex
        assert mcs.answers_outside(mcs.domain(FIRST), 200)["tvox"] == FIRST
        print(f"{strangers.tried} strangers: {globex} dialled in anew within {taken:.1f} s")
        until("they are done", lambda: strangers.are_done, 30)
    assert strangers.tried > 2000, "too few to prove anything"
    assert taken < 15, "a new site and its tunnel take some seconds; a place in OpenVPN took 10 to 24 s more"
    mcs.api.change("TVoxLink", globex, protocol="UDP")
    mcs.programmed(globex)
    mcs.connect(globex)
