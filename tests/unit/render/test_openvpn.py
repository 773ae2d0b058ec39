"""What OpenVPN and nft are given to read: complete, old enough for a TVox, and closed against injected lines."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from jinja2 import UndefinedError

from mcs_operator.contract.slotfiles import SLOT_FILES, slot_revision
from mcs_operator.render.openvpn import (
    ClientConfig,
    Firewall,
    Identity,
    LinkNet,
    Protocol,
    Server,
    _environment,
    _firewall,
    _is_slash_24,
    _server_conf,
    build_client_default,
    build_firewall,
    build_profile,
    build_server_conf,
    slot_files,
)

ROOT = Path(__file__).resolve().parents[3]
NET = LinkNet(17)
PIN = ":".join(["AB"] * 32)
OTHER_PIN = ":".join(["0C"] * 32)
CERT = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nSECRET==\n-----END PRIVATE KEY-----\n"
TLS_CRYPT = "\n".join(
    ["#", "# 2048 bit OpenVPN static key", "#", "-----BEGIN OpenVPN Static key V1-----"]
    + ["0123456789abcdef" * 2] * 16
    + ["-----END OpenVPN Static key V1-----", ""]
)
IDENTITY = Identity(ca=CERT, cert=CERT, key=KEY, tls_crypt=TLS_CRYPT)
SERVER = Server(NET, "UDP", [PIN])
PROFILE = ClientConfig(NET, "UDP", "mcs.example.com", IDENTITY, "203.0.113.10")


def lines(text: str) -> list[str]:
    """The directives of an OpenVPN configuration: no comments, no blank lines, no inline files."""
    outside = re.sub(r"(?ms)^<([a-z-]+)>$.*?^</\1>$", r"<\1>", text)
    return [line for line in outside.splitlines() if line and not line.startswith("#")]


def names(text: str) -> set[str]:
    return {line.split()[0].strip("<>") for line in lines(text)}


# --- where a link is ---


@pytest.mark.parametrize(
    ("number", "device", "address", "port"),
    [
        pytest.param(2, "link-002", "198.18.254.2", 21002, id="the first link"),
        pytest.param(17, "link-017", "198.18.254.17", 21017, id="a link"),
        pytest.param(251, "link-251", "198.18.254.251", 21251, id="the 250th link"),
    ],
)
def test_everything_follows_from_the_number(number: int, device: str, address: str, port: int) -> None:
    net = LinkNet(number)
    assert (net.device, net.address, net.port, net.mcs_address) == (device, address, port, "198.18.254.1")


@pytest.mark.parametrize("number", [-1, 0, 1, 252])
def test_other_numbers_are_no_links(number: int) -> None:
    with pytest.raises(ValueError, match="link number"):
        LinkNet(number)


@pytest.mark.parametrize(
    ("cidr", "base_port"),
    [("10.0.0.0/16", 21000), ("10.0.0.0/24; x", 21000), ("10.0.0.0/24", 65300), ("10.0.0.0/24", 0)],
)
def test_a_network_or_port_that_leaves_no_room_is_refused(cidr: str, base_port: int) -> None:
    with pytest.raises(ValueError):
        LinkNet(17, base_port, cidr)


@pytest.mark.parametrize("base_port", [1, 65284])
def test_every_base_port_that_leaves_room_for_all_links_is_taken(base_port: int) -> None:
    assert LinkNet(251, base_port).port == base_port + 251 <= 65535
    for beyond in (0, 65285):
        with pytest.raises(ValueError, match="leaves no room"):
            LinkNet(2, beyond)


# --- the server ---


def test_no_fingerprint_no_process() -> None:
    with pytest.raises(ValueError, match="accept every certificate"):
        build_server_conf(replace(SERVER, pins=[]))


def test_one_pin_and_two_during_a_rotation_but_not_three() -> None:
    assert f"<peer-fingerprint>\n{PIN}\n</peer-fingerprint>" in build_server_conf(SERVER)
    both = build_server_conf(replace(SERVER, pins=[PIN, OTHER_PIN, PIN]))
    assert f"<peer-fingerprint>\n{PIN}\n{OTHER_PIN}\n</peer-fingerprint>" in both
    with pytest.raises(ValueError, match="3 fingerprints"):
        build_server_conf(replace(SERVER, pins=[PIN, OTHER_PIN, ":".join(["11"] * 32)]))


@pytest.mark.parametrize("pin", ["", "AB:CD", PIN.lower(), PIN + "\n", PIN + ":AB", PIN.replace(":", "")])
def test_what_is_no_fingerprint_is_refused(pin: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256 fingerprint"):
        build_server_conf(replace(SERVER, pins=[pin]))


def test_the_server_says_what_the_design_says() -> None:
    assert set(lines(build_server_conf(SERVER))) >= {
        "mode server",
        "tls-server",
        "proto udp4",
        "port 21017",
        "dev link-017",
        "dev-type tun",
        "topology p2p",
        "ifconfig 198.18.254.1 198.18.254.17",
        "client-config-dir .",
        "ca ca.crt",
        "cert tls.crt",
        "key tls.key",
        "tls-crypt tls-crypt.key",
        "tls-version-min 1.2",
        "verify-client-cert require",
        "remote-cert-tls client",
        "data-ciphers AES-256-GCM:AES-128-GCM",
        "ping 3",
        "ping-restart 12",
        'push "ping 3"',
        'push "ping-restart 12"',
        "explicit-exit-notify 1",
        "management /run/link/openvpn.sock unix",
        "tmp-dir /run/link",
        "script-security 0",
    }


def test_the_server_has_nothing_that_lets_a_tvox_in_or_out_by_mistake() -> None:
    conf = names(build_server_conf(SERVER))
    assert not conf & {
        "duplicate-cn",
        "client-to-client",
        "keepalive",
        "auth-user-pass-verify",
        "ccd-exclusive",
        "server",
    }
    limit = next(line for line in lines(build_server_conf(SERVER)) if line.startswith("max-clients"))
    assert int(limit.split()[1]) > 4, "ghosts and refused clients count as well"


def test_tcp_has_no_exit_notification_because_openvpn_would_not_start() -> None:
    conf = lines(build_server_conf(replace(SERVER, protocol="TCP")))
    assert "proto tcp4-server" in conf
    assert "tcp-nodelay" in conf
    assert not any(line.startswith("explicit-exit-notify") for line in conf)


@pytest.mark.parametrize(
    ("protocol", "host_network", "multihome"),
    [("UDP", True, True), ("UDP", False, False), ("TCP", True, False), ("TCP", False, False)],
)
def test_only_udp_on_the_nodes_own_addresses_is_multihomed(protocol: str, host_network: bool, multihome: bool) -> None:
    conf = names(build_server_conf(Server(NET, protocol, [PIN], host_network)))  # type: ignore[arg-type]
    assert ("multihome" in conf) is multihome


def test_an_unknown_protocol_is_refused() -> None:
    for build in (build_server_conf(SERVER), build_profile(PROFILE)):
        assert build
    with pytest.raises(ValueError, match="neither UDP nor TCP"):
        build_server_conf(replace(SERVER, protocol="udp"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="neither UDP nor TCP"):
        build_profile(replace(PROFILE, protocol="SCTP"))  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", get_args(Protocol))
def test_every_protocol_that_a_caller_may_name_is_rendered(protocol: Protocol) -> None:
    assert f"proto {protocol.lower()}4" in build_server_conf(replace(SERVER, protocol=protocol))


def test_every_client_of_a_link_gets_the_links_address() -> None:
    assert build_client_default(NET) == "ifconfig-push 198.18.254.17 198.18.254.1\n"


# --- the profile ---

KNOWN_TO_OPENVPN_2_4 = {
    # From the manual of the 2.4 series, doc/openvpn.8 of OpenVPN's source (2.5 replaced it by doc/man-sections): client
    # mode, tunnel, connection and TLS options that a profile of ours may use. What came with 2.4 itself and is used:
    # tls-crypt, and the second number of connect-retry.
    # Later ones, which a TVox with CentOS 7 would refuse to start with: data-ciphers, data-ciphers-fallback,
    # tls-crypt-v2, peer-fingerprint, tls-cert-profile, tls-groups, allow-compression, compat-mode, dns, disable-dco,
    # providers, auth-token-user, block-ipv6, connect-freq-initial, tun-mtu-max, protocol-flags, ignore-dco.
    "auth",
    "auth-nocache",
    "auth-retry",
    "ca",
    "cert",
    "cipher",
    "client",
    "connect-retry",
    "connect-timeout",
    "dev",
    "dev-type",
    "explicit-exit-notify",
    "float",
    "hand-window",
    "key",
    "mssfix",
    "nobind",
    "persist-key",
    "persist-tun",
    "ping",
    "ping-restart",
    "proto",
    "pull",
    "remote",
    "remote-cert-tls",
    "resolv-retry",
    "tls-client",
    "tls-crypt",
    "tls-version-min",
    "topology",
    "tun-mtu",
    "verb",
    "verify-x509-name",
}


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(PROFILE, id="UDP"),
        pytest.param(replace(PROFILE, protocol="TCP"), id="TCP"),
        pytest.param(replace(PROFILE, server_name="demo", public_address=None), id="all options"),
    ],
)
def test_a_profile_has_no_directive_that_openvpn_2_4_does_not_know(profile: ClientConfig) -> None:
    assert names(build_profile(profile)) <= KNOWN_TO_OPENVPN_2_4


def test_the_check_for_unknown_directives_can_fail() -> None:
    assert not names(build_server_conf(SERVER)) <= KNOWN_TO_OPENVPN_2_4


def test_a_profile_tries_the_domain_first_and_the_address_second() -> None:
    remotes = [line for line in lines(build_profile(PROFILE)) if line.startswith("remote ")]
    assert remotes == ["remote mcs.example.com 21017", "remote 203.0.113.10 21017"]


@pytest.mark.parametrize("address", [None, "", "mcs.example.com"])
def test_a_profile_without_another_address_has_one_remote(address: str | None) -> None:
    remotes = [line for line in lines(build_profile(replace(PROFILE, public_address=address))) if line[:7] == "remote "]
    assert remotes == ["remote mcs.example.com 21017"]


def test_a_profile_says_what_the_design_says() -> None:
    conf = set(lines(build_profile(PROFILE)))
    assert conf >= {
        "client",
        "dev tun",
        "proto udp",
        "connect-retry 1 1",
        "auth-retry nointeract",
        "nobind",
        "remote-cert-tls server",
        "tls-version-min 1.2",
        "cipher AES-256-GCM",
    }
    tcp = set(lines(build_profile(replace(PROFILE, protocol="TCP"))))
    assert "proto tcp-client" in tcp
    assert "explicit-exit-notify 1" in conf - tcp


def test_a_profile_is_complete_with_all_four_files_inline() -> None:
    text = build_profile(PROFILE)
    for name, content in (("ca", CERT), ("cert", CERT), ("key", KEY), ("tls-crypt", TLS_CRYPT)):
        assert f"<{name}>\n{content}</{name}>\n" in text


def test_a_server_name_is_verified_where_one_is_given() -> None:
    assert "verify-x509-name demo name" in lines(build_profile(replace(PROFILE, server_name="demo")))
    assert "verify-x509-name" not in names(build_profile(PROFILE))


# --- nothing that a customer writes becomes a line of its own ---

INJECTIONS = [
    "",
    " ",
    "a b",
    "a\nup /bin/sh",
    "a;b",
    '"a"',
    "a#",
    "-a",
    "a..b",
    "a" * 64,
    "x." * 127 + "xyz",
    "ä.example",
]


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_domain_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a domain name"):
        build_profile(replace(PROFILE, domain=name))


@pytest.mark.parametrize("name", [name for name in INJECTIONS if name])
def test_an_address_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a domain name"):
        build_profile(replace(PROFILE, public_address=name))


@pytest.mark.parametrize("name", ["", "a b", "a\nup /bin/sh", "x" * 65])
def test_a_server_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="common name"):
        build_profile(replace(PROFILE, server_name=name))


@pytest.mark.parametrize(
    "source", ["", "all", "10.0.0.1; accept", "10.0.0.0/33", "2001:db8::1", "10.0.0.1\n", "10.0.0.1-10.0.0.9"]
)
def test_a_source_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="allowed source"):
        build_firewall(Firewall(NET, [source]))


@pytest.mark.parametrize("part", ["ca", "cert", "key", "tls_crypt"])
@pytest.mark.parametrize(
    "text",
    ["", "rubbish", "</key>\nup /bin/sh\n", CERT + "up /bin/sh\n", CERT + "XX\n", KEY.replace("SECRET", "</key>")],
)
def test_a_pem_that_is_none_is_refused_without_quoting_it(part: str, text: str) -> None:
    with pytest.raises(ValueError, match="not in the form") as caught:
        build_profile(replace(PROFILE, identity=replace(IDENTITY, **{part: text})))
    assert "SECRET" not in str(caught.value)


def test_no_key_shows_up_in_a_repr() -> None:
    assert "SECRET" not in repr(PROFILE)
    assert "0123456789abcdef" not in repr(PROFILE)


# --- the firewall ---


def own_chain(text: str, name: str) -> list[str]:
    """The rules of one of the link's own chains."""
    found = re.search(rf"chain {name} {{\n(.*?)    }}\n", text, re.DOTALL)
    assert found
    return [rule for line in found.group(1).splitlines() if not (rule := line.strip()).startswith("#")]


def test_a_tvox_reaches_the_media_ports_and_nothing_else() -> None:
    rules = own_chain(build_firewall(Firewall(NET)), "link_017_from")
    assert "tcp dport { 80, 443, 3478 } accept" in rules
    assert "udp dport { 3478, 10000 } accept" in rules
    assert "ip saddr != 198.18.254.17 counter drop" in rules
    assert "ip daddr != 198.18.254.1 counter drop" in rules
    assert rules[-2:] == ["counter drop", "jump in_use"], "what is after the drop is never reached"


def test_on_a_node_of_its_own_the_whole_rtp_range_is_open() -> None:
    rules = own_chain(build_firewall(Firewall(NET, host_network=True)), "link_017_from")
    assert "udp dport { 3478, 10000-20000 } accept" in rules


def test_another_media_port_is_the_one_that_is_open() -> None:
    assert "udp dport { 3478, 15000 }" in build_firewall(Firewall(NET, media_port=15000))


@pytest.mark.parametrize("port", [1, 65535])
def test_every_port_may_be_the_medias_and_what_is_none_may_not(port: int) -> None:
    assert f"udp dport {{ {', '.join(sorted(('3478', str(port)), key=len))} }} accept" in own_chain(
        build_firewall(Firewall(NET, media_port=port)), "link_017_from"
    )
    for none in (0, 65536):
        with pytest.raises(ValueError, match="media port"):
            build_firewall(Firewall(NET, media_port=none))


def test_a_network_that_is_wider_or_narrower_than_a_slash_24_is_refused() -> None:
    for cidr in ("198.18.254.0/23", "198.18.254.0/25"):
        with pytest.raises(ValueError, match="not a /24"):
            LinkNet(17, cidr=cidr)


def test_a_template_that_names_what_nobody_gives_is_an_error_and_no_gap_in_the_text() -> None:
    """A directive with nothing behind it would be OpenVPN's to interpret."""
    with pytest.raises(UndefinedError):
        _environment().from_string("port {{ prot }}").render(port=21017)


def test_a_condition_in_a_template_leaves_no_line_of_its_own_and_the_last_line_has_its_end() -> None:
    made = _environment.__wrapped__()
    text = made.from_string("one\n{% if udp %}\ntwo\n{% endif %}\nthree\n").render(udp=True)
    assert text == "one\ntwo\nthree\n"
    assert "port {{ net.port }}" in made.loader.get_source(made, "server.conf.j2")[0]
    with pytest.raises(UndefinedError):
        made.from_string("port {{ prot }}").render(port=21017)
    assert not made.auto_reload, "the templates are part of the program: no look at their files for each of 750 texts"


@pytest.mark.parametrize("domain", ["a", "a" * 63, ".".join(["a" * 63] * 3 + ["b" * 61]), "0", "a-b", "xn--a.b"])
def test_every_domain_name_is_taken(domain: str) -> None:
    assert f"remote {domain} 21017" in lines(build_profile(replace(PROFILE, domain=domain)))
    with pytest.raises(ValueError, match="not a domain name"):
        build_profile(replace(PROFILE, domain=".".join(["a" * 63] * 3 + ["b" * 62])))


@pytest.mark.parametrize("name", ["a", "A", "0", "a" * 64, "a.b_c-D"])
def test_every_common_name_that_we_mint_is_taken(name: str) -> None:
    assert f"verify-x509-name {name} name" in lines(build_profile(replace(PROFILE, server_name=name)))


def test_an_ipv6_address_is_dialled_in_its_short_form() -> None:
    assert "remote 2001:db8::1 21017" in lines(build_profile(replace(PROFILE, public_address="2001:DB8:0::1")))


@pytest.mark.parametrize("sources", [[], ["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"]])
def test_without_sources_everybody_may_knock(sources: list[str]) -> None:
    assert not any(
        rule.startswith("ip saddr") for rule in own_chain(build_firewall(Firewall(NET, sources)), "link_017_port")
    )
    assert own_chain(build_firewall(Firewall(NET, sources, limited=False)), "link_017_port") == []


def test_sources_are_merged_because_nft_refuses_overlaps() -> None:
    rules = own_chain(build_firewall(Firewall(NET, ["10.1.2.3", "192.0.2.9/24", "10.0.0.0/8"])), "link_017_port")
    assert rules[0] == "ip saddr != { 10.0.0.0/8, 192.0.2.0/24 } counter drop", "before a stranger costs anything"


@pytest.mark.parametrize("chain", ["link_017_from", "link_017_to"])
def test_a_tunnel_carries_ipv4_alone_both_ways(chain: str) -> None:
    """What follows speaks of IPv4 addresses, and nft asks nobody else for them: IPv6 would pass all of it."""
    assert own_chain(build_firewall(Firewall(NET)), chain)[0] == "meta nfproto != ipv4 counter drop"


def test_strangers_at_a_links_port_are_limited_by_source_and_together() -> None:
    rules = own_chain(build_firewall(Firewall(NET)), "link_017_port")
    syn = "tcp flags & (fin | syn | rst | ack) == syn"

    def each(kind: str, rate: str) -> str:
        return f"update @link_017_{kind} {{ ip saddr limit rate over {rate} packets }} counter drop"

    assert rules == [
        f"meta l4proto udp ct state new {each('udp', '10/second burst 30')}",
        "meta l4proto != tcp return",
        f"{syn} {each('tcp', '20/minute burst 8')}",
        f"{syn} ip saddr != @link_017_known limit rate over 40/minute burst 8 packets counter drop",
        f"{syn} add @link_017_young {{ ip saddr . tcp sport }} return",
        "ct state established ip saddr . tcp sport != @link_017_young update @link_017_known { ip saddr }",
    ]


@pytest.mark.parametrize(
    ("firewall", "sha256"),
    [
        (Firewall(NET), "069373849221dbc711bf084a1bbe18a38ad24887fb4747e24e38ce099a2dccbf"),
        (
            Firewall(LinkNet(251), ["192.0.2.0/24", "10.0.0.0/8"]),
            "acdb26ab16339b3d23ae229b16048ed6d0d09c7e19e9818ebb5b4c1d492c9c28",
        ),
        (
            Firewall(LinkNet(2), ["192.0.2.1"], 9000, True),
            "1d6508af97b36e2fa2093468d0a729b7119d2339a1cbf98ecc432e3fa219ac8e",
        ),
    ],
)
def test_without_limits_it_is_the_text_of_older_operators_to_the_byte(firewall: Firewall, sha256: str) -> None:
    """By one byte more, an upgrade of the operator would restart the OpenVPN of every customer on an older pod."""
    text = build_firewall(replace(firewall, limited=False))
    assert hashlib.sha256(text.encode()).hexdigest() == sha256


def test_what_a_link_adds_it_takes_away_again() -> None:
    text = build_firewall(Firewall(NET))
    for kind in ("chain", "set"):
        added = set(re.findall(rf"^    {kind} (link_017_\w+) {{", text, re.MULTILINE))
        assert added == set(re.findall(rf"^#- delete {kind} inet mcs_links (link_017_\w+)$", text, re.MULTILINE))
        assert added


def test_what_all_links_share_is_the_same_in_every_file() -> None:
    def shared(number: int, sources: list[str]) -> str:
        text = build_firewall(Firewall(LinkNet(number), sources, media_port=9000 + number))
        return text[text.index("# --- the same in") : text.index("# --- this link's own")]

    assert shared(2, []) == shared(251, ["192.0.2.1"])


def test_a_links_file_names_no_other_link() -> None:
    assert set(re.findall(r"link.(\d{3})", build_firewall(Firewall(NET)))) == {"017"}


# --- the set ---


def test_a_slot_has_its_eight_files_in_order() -> None:
    files = slot_files(SERVER, Firewall(NET), IDENTITY, enabled=True)
    assert tuple(files) == SLOT_FILES
    assert files["enabled"] == "true"
    assert slot_files(SERVER, Firewall(NET), IDENTITY, enabled=False)["enabled"] == "false"
    assert (files["ca.crt"], files["tls.crt"], files["tls.key"], files["tls-crypt.key"]) == (CERT, CERT, KEY, TLS_CRYPT)


def test_parts_of_two_links_make_no_set() -> None:
    with pytest.raises(ValueError, match="not the same link"):
        slot_files(SERVER, Firewall(LinkNet(18)), IDENTITY, enabled=True)
    with pytest.raises(ValueError, match="not the same link"):
        slot_files(SERVER, Firewall(NET, host_network=True), IDENTITY, enabled=True)


def test_the_revision_is_what_the_supervisor_computes(tmp_path: Path) -> None:
    files = slot_files(SERVER, Firewall(NET), IDENTITY, enabled=True)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = f"sha256sum {' '.join(SLOT_FILES)} | sha256sum"
    said = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S602
    assert slot_revision(files | {"revision": "x", "other": "y"}) == said.stdout.split()[0]


@pytest.mark.parametrize("name", SLOT_FILES)
def test_the_revision_changes_with_every_file(name: str) -> None:
    files = slot_files(SERVER, Firewall(NET), IDENTITY, enabled=True)
    assert slot_revision(files) != slot_revision(files | {name: files[name] + " "})
    with pytest.raises(KeyError):
        slot_revision({key: text for key, text in files.items() if key != name})


def test_the_same_values_give_the_same_bytes() -> None:
    """Not the same object: what is remembered of a text is forgotten in between, as by another process."""

    def texts() -> tuple[dict[str, str], str]:
        for remembered in (_server_conf, _firewall, _environment, _is_slash_24):
            remembered.cache_clear()
        firewall = Firewall(LinkNet(17), ["192.0.2.1", "192.0.2.0/25", "10.0.0.0/8"])
        return slot_files(Server(LinkNet(17), "UDP", [PIN]), firewall, IDENTITY, enabled=True), build_profile(PROFILE)

    once, again = texts(), texts()
    assert once == again
    assert once[0]["firewall.nft"] is not again[0]["firewall.nft"], "else a cache was compared with itself"
    other = replace(Firewall(NET, ["192.0.2.1"]), allowed_sources=["192.0.2.2"])
    assert build_firewall(other) != build_firewall(Firewall(NET, ["192.0.2.1"]))


def test_the_templates_files_are_read_once_and_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks for each of 750 texts, at every reconciliation."""
    build_profile(PROFILE)

    def looked(path: object) -> float:
        raise AssertionError(f"looked at {path}")

    monkeypatch.setattr("jinja2.loaders.os.path.getmtime", looked)
    assert build_profile(PROFILE)


def test_the_order_in_which_sources_are_written_makes_no_other_revision() -> None:
    assert build_firewall(Firewall(NET, ["10.0.0.1", "192.0.2.1"])) == build_firewall(
        Firewall(NET, ["192.0.2.1", "10.0.0.1"])
    )


HASHED = """
import sys
sys.path[:0] = sys.argv[1:]
from unit.render.test_openvpn import *
print(slot_files(SERVER, Firewall(NET, ["192.0.2.1", "10.0.0.0/8"]), IDENTITY, enabled=True))
"""


def test_the_bytes_are_the_same_in_a_process_with_other_hashes() -> None:
    """Else each restart of the operator would restart every tunnel."""
    command = [sys.executable, "-c", HASHED, str(ROOT / "operator"), str(ROOT / "tests")]
    said = {
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
