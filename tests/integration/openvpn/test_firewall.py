"""The rendered nft rules on devices named like a link's. Plain wires take the tunnels' place, because OpenVPN itself
refuses some of what is tried here, and a test must not pass for that reason.

::

      tvox17 198.18.254.17 ── link-017 ┐
                                       │ mcs 198.18.254.1 ── wan 192.0.2.1 ── inet 192.0.2.2
      tvox18 198.18.254.18 ── link-018 ┘     (forwards packets, as a pod may)
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcs_operator.render.openvpn import Firewall, LinkNet, build_firewall
from support.documented import LAB, blocks
from support.lab import Namespace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

MCS = "198.18.254.1"
SWEEP = Path(__file__).parents[3] / "images" / "link" / "sweep"
A, B = "198.18.254.17", "198.18.254.18"
OPEN = [("tcp", 80), ("tcp", 443), ("tcp", 3478), ("udp", 3478), ("udp", 10000)]
CLOSED = [("tcp", 22), ("tcp", 21000), ("tcp", 21001), ("tcp", 21017), ("udp", 21017), ("udp", 21018), ("udp", 53)]
SHORT = 0.3
"""Seconds that a question may take where no answer is expected."""


@dataclass
class World:
    mcs: Namespace
    a: Namespace
    b: Namespace
    inet: Namespace
    folder: Path

    def load(self, number: int, **options: object) -> None:
        """Load a link's rules in the MCS."""
        path = self.folder / f"{number}.nft"
        path.write_text(build_firewall(Firewall(LinkNet(number), **options)))  # type: ignore[arg-type]
        self.mcs.load(path)

    def take_away(self, number: int) -> None:
        """As the head of the file says."""
        self.mcs.run("sh", "-c", f"sed -n 's/^#- //p' '{self.folder / f'{number}.nft'}' | nft -f -")

    def leave(self, number: int) -> None:
        """As the slot's supervisor does it: its own rules, then what is shared, if this was the last link."""
        self.take_away(number)
        path = self.folder / f"{number}.nft"
        self.mcs.run("sh", "-c", f"sed -n 's/^#= //p' '{path}' | nft -f - 2>/dev/null || true")

    def rules(self) -> str:
        return self.mcs.run("nft", "--stateless", "list", "ruleset")


@pytest.fixture
def world(host: Callable[[str], Namespace], tmp_path: Path) -> World:
    """Everybody can reach everybody, until rules are loaded; all listen where something could be reached."""
    world = World(host("mcs"), host("a"), host("b"), host("inet"), tmp_path)
    for number, site, address in ((17, world.a, A), (18, world.b, B)):
        world.mcs.cable(
            site, here=f"{MCS} peer {address}", there=f"{address} peer {MCS}", device=(f"link-{number:03d}", "tun0")
        )
        site.ip("route", "add", "default", "via", MCS, "dev", "tun0")
        site.listen(f"TVox {number}", "tcp", 80)
        site.listen(f"TVox {number}", "udp", 7)
    world.mcs.cable(world.inet, here="192.0.2.1/24", there="192.0.2.2/24", device=("wan", "eth0"))
    world.inet.ip("route", "add", "default", "via", "192.0.2.1")
    world.inet.listen("Internet", "tcp", 80)
    world.mcs.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    for transport, port in OPEN + CLOSED:
        world.mcs.listen("MCS", transport, port)  # type: ignore[arg-type]
    return world


def test_without_rules_everything_is_reachable_so_these_tests_can_fail(world: World) -> None:
    for transport, port in OPEN + CLOSED:
        assert world.a.ask(transport, MCS, port) == "MCS"  # type: ignore[arg-type]
    assert world.a.ask("tcp", B, 80) == "TVox 18"
    assert world.a.ask("tcp", "192.0.2.2", 80) == "Internet"
    assert world.inet.ask("tcp", A, 80) == "TVox 17"


def test_a_tvox_reaches_the_media_and_nothing_else(world: World) -> None:
    world.load(17)
    for transport, port in OPEN:
        assert world.a.ask(transport, MCS, port) == "MCS"  # type: ignore[arg-type]
    for transport, port in CLOSED:
        assert world.a.ask(transport, MCS, port, seconds=SHORT) is None, f"{transport} {port}"  # type: ignore[arg-type]
    assert world.a.pings(MCS)
    assert world.a.ask("tcp", "192.0.2.1", 80, seconds=SHORT) is None, "another address of the MCS"


def test_the_media_reaches_a_tvox_on_any_port(world: World) -> None:
    world.load(17)
    assert world.mcs.ask("tcp", A, 80) == "TVox 17"
    assert world.mcs.ask("udp", A, 7) == "TVox 17"
    assert world.mcs.pings(A)


def test_a_tvox_reaches_neither_another_one_nor_the_internet_and_nobody_reaches_it(world: World) -> None:
    world.load(17)
    assert world.b.ask("tcp", A, 80, seconds=SHORT) is None, "from a link that has no rules yet"
    assert world.a.ask("tcp", B, 80, seconds=SHORT) is None
    world.load(18)
    assert world.b.ask("tcp", A, 80, seconds=SHORT) is None
    assert world.a.ask("tcp", "192.0.2.2", 80, seconds=SHORT) is None
    assert world.inet.ask("tcp", A, 80, seconds=SHORT) is None
    assert (world.mcs.ask("tcp", A, 80), world.mcs.ask("tcp", B, 80)) == ("TVox 17", "TVox 18")


def test_a_tvox_that_pretends_to_be_another_is_not_heard(world: World) -> None:
    world.mcs.run("sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done")
    heard = world.mcs.socket("udp")
    with heard:
        heard.bind((MCS, 10001))
        heard.settimeout(SHORT)
        for address in (B, "192.0.2.9"):
            world.a.ip("addr", "add", address, "dev", "lo")
        world.load(17, media_port=10001)
        assert world.a.ask("udp", MCS, 10001, source=A, seconds=SHORT) is None
        assert heard.recvfrom(10)[1][0] == A, "so that silence means something"
        for address in (B, "192.0.2.9"):
            world.a.ask("udp", MCS, 10001, source=address, seconds=SHORT)
            with pytest.raises(TimeoutError):
                heard.recvfrom(10)


def test_nobody_on_the_internet_can_pretend_to_be_a_tvox(world: World) -> None:
    world.mcs.run("sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done")
    world.inet.ip("addr", "add", A, "dev", "lo")
    with world.mcs.socket("udp") as heard:
        heard.bind(("0.0.0.0", 10002))  # noqa: S104 - inside of a namespace of our own
        heard.settimeout(SHORT)
        world.inet.ask("udp", "192.0.2.1", 10002, source=A, seconds=SHORT)
        assert heard.recvfrom(10)[1][0] == A, "without rules it is heard"
        world.load(17)
        world.inet.ask("udp", "192.0.2.1", 10002, source=A, seconds=SHORT)
        with pytest.raises(TimeoutError):
            heard.recvfrom(10)


def test_while_the_device_is_away_its_packets_do_not_leave_by_the_default_route(world: World) -> None:
    world.mcs.ip("route", "add", "default", "via", "192.0.2.2")
    world.inet.ip("addr", "add", A, "dev", "lo")  # somebody out there has that address
    world.mcs.ip("link", "set", "link-017", "down")
    with world.inet.socket("udp") as leak:
        leak.bind((A, 9))
        leak.settimeout(SHORT)
        world.mcs.ask("udp", A, 9, seconds=SHORT)
        assert leak.recv(10) == b"?", "without rules they do"
        world.load(17)
        world.mcs.ask("udp", A, 9, seconds=SHORT)
        with pytest.raises(TimeoutError):
            leak.recv(10)


def test_the_device_carries_packets_to_its_tvox_only(world: World) -> None:
    other = "203.0.113.1"
    world.a.ip("addr", "add", other, "dev", "lo")
    world.mcs.ip("route", "add", other, "dev", "link-017")
    with world.a.socket("udp") as heard:
        heard.bind((other, 9))
        heard.settimeout(SHORT)
        world.mcs.ask("udp", other, 9, seconds=SHORT)
        assert heard.recv(10) == b"?", "without rules it carries all"
        world.load(17)
        world.mcs.ask("udp", other, 9, seconds=SHORT)
        with pytest.raises(TimeoutError):
            heard.recv(10)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("sources", "answered"),
    [
        pytest.param([], True, id="nobody named: everybody"),
        pytest.param(["192.0.2.2"], True, id="the address"),
        pytest.param(["198.51.100.0/24", "192.0.2.0/24"], True, id="a network of two"),
        pytest.param(["192.0.2.3"], False, id="another address"),
        pytest.param(["198.51.100.0/24"], False, id="another network"),
    ],
)
def test_only_allowed_sources_may_knock_at_the_links_port(
    world: World, transport: str, sources: list[str], answered: bool
) -> None:
    world.load(17, allowed_sources=sources)
    seconds = 10 if answered else SHORT
    assert (world.inet.ask(transport, "192.0.2.1", 21017, seconds=seconds) == "MCS") is answered  # type: ignore[arg-type]
    assert world.inet.ask("udp", "192.0.2.1", 21018) == "MCS", "another link's port is not concerned"
    assert world.inet.ask("tcp", "192.0.2.1", 443) == "MCS", "nor is the web"


# --- strangers at the link's port ---


def connected(host: Namespace, source: str, count: int, port: int = 21017) -> list[socket.socket]:
    """So many connections tried at once from this address; those that came about, and say nothing."""
    tried = []
    for _ in range(count):
        one = host.socket("tcp")
        one.setblocking(False)
        one.bind((source, 0))
        one.connect_ex(("192.0.2.1", port))
        tried.append(one)
    time.sleep(SHORT)
    made = [one for one in tried if _is_up(one)]
    for one in tried:
        if one not in made:
            one.close()
    return made


def _is_up(one: socket.socket) -> bool:
    try:
        return bool(one.getpeername())
    except OSError:
        return False


def sources(world: World, *numbers: int) -> list[str]:
    """More addresses of the Internet's, as if there were more hosts."""
    addresses = [f"192.0.2.{number}" for number in numbers]
    for address in addresses:
        world.inet.ip("addr", "add", f"{address}/24", "dev", "eth0")
    return addresses


def test_without_limits_one_source_may_have_every_place_so_these_tests_can_fail(world: World) -> None:
    world.load(17, limited=False)
    assert len(connected(world.inet, "192.0.2.2", 64)) == 64


def test_one_source_gets_a_few_connections_and_another_one_is_served(world: World) -> None:
    world.load(17)
    (other,) = sources(world, 3)
    silent = connected(world.inet, "192.0.2.2", 64)
    assert 1 <= len(silent) <= 9, "OpenVPN has 32 places"
    assert len(connected(world.inet, "192.0.2.2", 20, port=443)) == 20, "another port is not concerned"
    time.sleep(2)  # what all strangers together may, they may again
    assert connected(world.inet, other, 1)


def test_many_sources_together_leave_a_place_for_one_that_was_let_in_before(world: World) -> None:
    world.load(17)
    path = world.folder / "17.nft"
    minute, second = (f"inet_service; size 256; flags dynamic, timeout; timeout {time};" for time in ("1m", "1s"))
    text = path.read_text()
    assert minute in text
    path.write_text(text.replace(minute, second))
    world.take_away(17)
    world.mcs.load(path)
    tvox, *strangers = sources(world, *range(10, 31))
    (tunnel,) = connected(world.inet, tvox, 1)
    time.sleep(1.5)
    tunnel.send(b"still here")
    for stranger in strangers:
        connected(world.inet, stranger, 4)
    rules = world.mcs.run("nft", "list", "set", "inet", "mcs_links", "link_017_known")
    assert tvox in rules
    assert strangers[0] not in rules, "who is new is not known"
    assert len(connected(world.inet, "192.0.2.2", 8)) <= 2, "hardly a place for one more stranger"
    assert len(connected(world.inet, tvox, 5)) == 5, "but for the TVox that comes back"


def test_silent_strangers_take_no_more_places_than_openvpn_has_to_spare(world: World) -> None:
    world.load(17)
    made = [one for address in sources(world, *range(10, 42)) for one in connected(world.inet, address, 4)]
    assert len(made) <= 8 + 32 * SHORT * 40 / 60 + 4, "a burst, and 40 a minute"


def test_a_flood_of_new_udp_flows_is_cut_and_a_tunnel_that_is_up_is_not(world: World) -> None:
    world.load(17)
    answered = sum(world.inet.ask("udp", "192.0.2.1", 21017, seconds=0.05) == "MCS" for _ in range(45))
    assert answered >= 30
    flood = [world.inet.socket("udp") for _ in range(200)]
    for one in flood:
        one.settimeout(0.001)
        one.sendto(b"?", ("192.0.2.1", 21017))
    time.sleep(SHORT)
    assert sum(_hears(one) for one in flood) <= 40
    (other,) = sources(world, 3)
    with world.inet.socket("udp") as tunnel:
        tunnel.bind((other, 0))
        tunnel.settimeout(5)
        for _ in range(200):
            tunnel.sendto(b"?", ("192.0.2.1", 21017))
            assert tunnel.recv(10).startswith(b"MCS")


def _hears(one: socket.socket) -> bool:
    with one, contextlib.suppress(OSError):
        return one.recv(10).startswith(b"MCS")
    return False


def test_rules_of_an_older_operator_and_of_this_one_take_each_others_place(world: World) -> None:
    """A newer pod takes the newer text without a restart, and an older operator may come back."""
    world.load(18)
    beside = world.rules()
    for limited in (False, True, False, True):
        world.load(17, limited=limited)
        assert world.a.ask("tcp", MCS, 80) == "MCS"
        assert world.a.ask("tcp", MCS, 22, seconds=SHORT) is None
    world.take_away(17)
    assert world.rules() == beside


def test_loading_twice_changes_nothing_and_taking_away_leaves_nothing_of_that_link(world: World) -> None:
    world.load(18)
    alone = world.rules()
    world.load(17, allowed_sources=["192.0.2.7"])
    both = world.rules()
    world.load(17, allowed_sources=["192.0.2.7"])
    world.load(18)
    assert world.rules() == both
    assert "link_017_from" in both
    world.take_away(17)
    assert world.rules() == alone
    assert world.a.ask("tcp", MCS, 22) == "MCS"


def test_the_last_link_takes_the_table_along_and_no_other_one_does(world: World) -> None:
    world.load(17)
    world.load(18)
    world.leave(17)
    assert "link_018_from" in world.rules()
    assert world.b.ask("tcp", MCS, 22, seconds=SHORT) is None, "the other link's rules are in force"
    world.leave(18)
    assert world.rules() == ""
    world.load(17)
    assert world.a.ask("tcp", MCS, 22, seconds=SHORT) is None


def test_a_sweep_takes_away_what_a_killed_pod_left_and_finds_nothing_the_next_time(world: World) -> None:
    world.load(17)
    world.mcs.ip("route", "add", "unreachable", "198.18.254.0/24")
    world.mcs.run("nft", "add", "table", "inet", "mcs_contract")
    for _ in range(2):
        world.mcs.run("env", "VPN_CIDR=198.18.254.0/24", SWEEP)
        assert world.rules() == ""
        assert "unreachable" not in world.mcs.ip("route")
    assert world.a.ask("tcp", MCS, 22) == "MCS", "the device itself was not its business"


def test_what_a_killed_pod_left_goes_by_the_commands_of_the_documentation_too(world: World) -> None:
    world.load(17)
    world.mcs.ip("route", "add", "unreachable", "198.18.254.0/24")
    world.mcs.run("nft", "add", "table", "inet", "mcs_contract")
    written = [command for block in blocks("docs/operations.md") if block.where == LAB for command in block.to_run()]
    world.mcs.run("sh", "-ec", "\n".join(written))
    assert world.mcs.run("nft", "list", "tables") == ""
    assert "unreachable" not in world.mcs.ip("route")


def test_the_rules_of_250_links_fit_beside_each_other(world: World) -> None:
    for number in (*range(2, 252), 17):
        (world.folder / f"{number}.nft").write_text(build_firewall(Firewall(LinkNet(number), ["192.0.2.2"])))
    world.mcs.run("sh", "-ec", f"for n in $(seq 2 251); do nft -f '{world.folder}'/$n.nft; done")
    assert world.rules().count("chain link_") == 3 * 250
    assert world.rules().count("hook ") == 3, "every packet of the media is asked once, not 250 times"
    assert world.a.ask("tcp", MCS, 80) == "MCS"
    assert world.a.ask("tcp", MCS, 22, seconds=SHORT) is None
    assert world.b.ask("tcp", A, 80, seconds=SHORT) is None
