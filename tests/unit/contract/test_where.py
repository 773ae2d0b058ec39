"""Where a TVox dials, read back from what it was given: each number at its edges, each line wherever it stands."""

from __future__ import annotations

import pytest

from mcs_operator.contract.openvpn import Where, where_of_profile, where_of_slot


def conf(port: int | str = 23017, address: str = "198.18.99.17") -> str:
    return f"port {port}\nifconfig 198.18.99.1 {address}\n"


def ovpn(port: int | str = 23017, address: str = "198.18.99.17", domain: str = "old.test") -> str:
    return f"# TVox MCS: VPN profile of link 17, {address}. Complete\nremote {domain} {port}\n"


def test_a_line_is_read_wherever_it_stands_also_where_it_is_the_first() -> None:
    known = Where(23000, "198.18.99.0/24")
    assert where_of_slot(conf(), 17) == known
    assert where_of_slot("ifconfig 198.18.99.1 198.18.99.17\nport 23017\n", 17) == known
    assert where_of_slot("dev tun\nifconfig 198.18.99.1 198.18.99.17\nproto udp\nport 23017", 17) == known
    assert where_of_slot("# port 1\nport 23017 # no\nport 23017", 17) == Where(23000)
    assert where_of_profile(ovpn(), 17) == Where(23000, "198.18.99.0/24", "old.test")
    assert where_of_profile("\n" + ovpn(), 17) == Where(23000, "", "old.test"), "the address stands at the beginning"
    assert where_of_profile("remote old.test\n", 17) is None
    assert where_of_slot("ifconfig 198.18.99.1 198.18.99.17\n", 17) is None


@pytest.mark.parametrize(("base", "told"), [(1023, False), (1024, True), (65284, True), (65285, False)])
def test_a_base_port_leaves_room_for_250_links_and_is_none_of_the_systems(base: int, told: bool) -> None:
    assert where_of_slot(conf(base + 17), 17) == (Where(base, "198.18.99.0/24") if told else None)
    assert where_of_profile(ovpn(base + 17), 17) == (Where(base, "198.18.99.0/24", "old.test") if told else None)


@pytest.mark.parametrize(("number", "told"), [(1, False), (2, True), (251, True), (252, False)])
def test_a_number_is_that_of_a_link(number: int, told: bool) -> None:
    address = f"198.18.99.{number}"
    assert where_of_slot(conf(23000 + number, address), number) == (Where(23000, "198.18.99.0/24") if told else None)


@pytest.mark.parametrize(
    ("address", "cidr"),
    [
        ("255.255.255.17", "255.255.255.0/24"),
        ("0.0.0.17", "0.0.0.0/24"),
        ("256.18.99.17", ""),
        ("198.256.99.17", ""),
        ("198.18.256.17", ""),
        ("198.018.99.17", ""),
        ("198.18.00.17", ""),
        ("198.18.99.18", ""),
        ("198.18.99", ""),
    ],
)
def test_an_address_that_is_none_or_another_ones_tells_no_network(address: str, cidr: str) -> None:
    assert where_of_slot(conf(address=address), 17) == Where(23000, cidr)
    assert where_of_profile(ovpn(address=address), 17) == Where(23000, cidr, "old.test")


@pytest.mark.parametrize(
    ("domain", "told"), [("a", True), ("x" * 253, True), ("x" * 254, False), ("A.test", False), ("a_b", False)]
)
def test_a_domain_is_one_that_an_instance_may_have(domain: str, told: bool) -> None:
    assert where_of_profile(ovpn(domain=domain), 17) == (Where(23000, "198.18.99.0/24", domain) if told else None)
