"""Where the media listens: on a host with an address of its own for the Internet, and others beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from support.appliance import APPLIANCE
from support.cluster import MissingError
from support.lab import Namespace, missing
from support.levels import left_out_if_missing

FIRST, SECOND, ELSEWHERE = "10.77.0.2", "203.0.113.10", "198.51.100.7"


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A node with two addresses, that reaches the Internet from the first."""
    with left_out_if_missing():
        if why := missing():
            raise MissingError(why)
    host, router = Namespace("node"), Namespace("router")
    try:
        host.cable(router, here=f"{FIRST}/24", there="10.77.0.1/24", device=("eth0", "eth0"))
        host.ip("addr", "add", f"{SECOND}/32", "dev", "eth0")
        host.ip("route", "add", "default", "via", "10.77.0.1", "src", FIRST)
        yield host
    finally:
        host.close()
        router.close()


@pytest.mark.parametrize(
    ("public", "found"),
    [
        pytest.param(ELSEWHERE, FIRST, id="behind NAT 1:1 or a load balancer"),
        pytest.param(FIRST, FIRST, id="on a node with this address"),
        pytest.param(SECOND, SECOND, id="on a node with this address and another one"),
        pytest.param("127.0.0.1", FIRST, id="at none where anybody could come from outside"),
        pytest.param("", FIRST, id="where nobody says one"),
    ],
)
def test_the_media_listens_where_browsers_packets_arrive(host: Namespace, public: str, found: str) -> None:
    program = "import sys; from appliance import media; print(media.pod_address(sys.argv[1]))"
    assert host.run("env", "-C", APPLIANCE, sys.executable, "-c", program, public).strip() == found
