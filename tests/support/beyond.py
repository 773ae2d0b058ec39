"""A machine beyond a real node, as far as the node's pods can tell: a host of the LAN, hosts of other private networks,
one of the Internet, and a NodeLocal DNSCache, each by an address of the one machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from support.cluster import MissingError
from support.lab import Namespace, sh
from support.listening import QUESTIONS

INTERNET, LOCAL_CACHE = "203.0.113.77", "169.254.20.10"
PRIVATE = {"carrier": "100.127.255.77", "office": "172.31.255.77", "home": "192.168.255.77"}
"""In the private networks in which neither LAN nor cache is, near the end of each: a narrower one would not have it."""
LAN_6, INTERNET_6 = "fd00:89::77", "2001:db8:77::77"
_ROUTER_6 = "fd00:89::1"


@dataclass(frozen=True)
class Beyond:
    """``addresses``: of lan, internet, cache, and those of other private networks. ``by_ipv6``: of lan and internet."""

    namespace: Namespace
    addresses: dict[str, str]
    by_ipv6: dict[str, str]

    @property
    def within(self) -> list[str]:
        """A command prefix: what it starts runs there."""
        return ["ip", "netns", "exec", self.namespace.name]

    def ask(self, places: Sequence[str]) -> list[str | None]:
        """What answers at these places when asked from the LAN."""
        answers: list[str | None] = json.loads(sh(*self.within, sys.executable, "-c", QUESTIONS, "-", "1", *places))
        return answers


@contextmanager
def beyond(bridge: str, router: str) -> Iterator[Beyond]:
    """On the node's bridge as long as the block lasts; ``router``: the node's address."""
    lan = router.rsplit(".", 1)[0] + ".77"
    addresses = {"lan": lan, "internet": INTERNET, "cache": LOCAL_CACHE} | PRIVATE
    for address in PRIVATE.values():
        _check_unknown(address)
    with ExitStack() as closing:
        host = Namespace("beyond")
        closing.callback(host.close)
        host.plug_in(bridge, lan, router)
        for address in (INTERNET, LOCAL_CACHE, *PRIVATE.values()):
            host.ip("addr", "add", f"{address}/32", "dev", "eth0")
            _route(f"{address}/32", lan, closing)
        _join_by_ipv6(host, bridge, closing)
        yield Beyond(host, addresses, {"lan": LAN_6, "internet": INTERNET_6})


def _check_unknown(address: str) -> None:
    """The machine has no way there but that to all the world, or one that a run left behind which was cut off."""
    ways = {route["dst"] for route in json.loads(sh("ip", "-j", "route", "show", "match", address))}
    if ways - {"default", address}:
        raise MissingError(f"{address} is in a network of this machine: {', '.join(sorted(ways))}")


def _join_by_ipv6(host: Namespace, bridge: str, closing: ExitStack) -> None:
    sh("ip", "address", "add", f"{_ROUTER_6}/64", "dev", bridge, "nodad")
    closing.callback(sh, "ip", "address", "delete", f"{_ROUTER_6}/64", "dev", bridge)
    host.ip("address", "add", f"{LAN_6}/64", "dev", "eth0", "nodad")
    host.ip("address", "add", f"{INTERNET_6}/128", "dev", "eth0", "nodad")
    host.ip("-6", "route", "add", "default", "via", _ROUTER_6)
    _route(f"{INTERNET_6}/128", LAN_6, closing)


def _route(to: str, via: str, closing: ExitStack) -> None:
    sh("ip", "route", "replace", to, "via", via)
    closing.callback(sh, "ip", "route", "delete", to, "via", via)


@contextmanager
def let_out() -> Iterator[None]:
    """Pods of the node do not leave the machine; to the host beyond it they may. For each test: `cluster up` of
    somebody else writes the node's rules anew. It has none for IPv6."""
    with ExitStack() as closing:
        for address in (INTERNET, LOCAL_CACHE, *PRIVATE.values()):
            where = ["rule", "ip", "mcsnode", "forward"]
            told = sh("nft", "--echo", "--handle", "insert", *where, "ip", "daddr", address, "accept")
            handle = told.partition("# handle ")[2].split()[0]
            gone = ["nft", "delete", *where, "handle", handle]
            closing.callback(subprocess.run, gone, capture_output=True, check=False)
        yield
