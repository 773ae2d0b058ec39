"""How the appliance reads a mounted set: all or nothing for the set, one by one for its entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unit.images.appliance_set import DOMAIN, MountedSet, certificate, config, contract, haproxy, link


@pytest.fixture
def mounted(tmp_path: Path) -> MountedSet:
    return MountedSet(tmp_path)


def read(mounted: MountedSet, previous: config.ConfigSet | None = None) -> config.ConfigSet:
    manifest = config.read_manifest(mounted.directory)
    assert manifest is not None
    return config.read_set(mounted.directory, manifest, previous)


@pytest.mark.parametrize("count", [0, 1, 249, 250])
def test_a_complete_set_is_read_whole(mounted: MountedSet, count: int) -> None:
    mounted.links = [link(number) for number in range(2, 2 + count)]
    expected = mounted.write()
    found = read(mounted)
    assert (found.config, len(found.links), found.problems) == (expected, count, ())


def test_no_manifest_is_no_set(tmp_path: Path) -> None:
    assert config.read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        pytest.param("links.json", None, "links.json is named in the manifest and missing", id="a shard is missing"),
        pytest.param("users-00.json", b"{}", "users-00.json does not match", id="a shard is newer than the manifest"),
        pytest.param("manifest.json", b"{", "manifest.json is not JSON", id="the manifest is half"),
        pytest.param("manifest.json", b'{"version":2,"files":{}}', "not of version 1", id="a version of the future"),
        pytest.param("manifest.json", b'{"version":1,"files":{}}', "names no instance.json", id="no instance"),
        pytest.param("manifest.json", b'{"version":1}', "names no files", id="no files"),
        pytest.param(
            "manifest.json",
            b'{"version":1,"files":{"../x":""}}',
            "outside of the volume",
            id="a path out of the volume",
        ),
    ],
)
def test_an_incomplete_set_is_refused_with_its_reason(
    mounted: MountedSet, name: str, content: bytes | None, why: str
) -> None:
    mounted.write()
    if content is None:
        (mounted.directory / name).unlink()
    else:
        mounted.put(name, content)
    with pytest.raises(config.SetError, match=why):
        read(mounted)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(link(18, number=1), "not within 2..251", id="number 1 is MCS itself"),
        pytest.param(link(18, number=252), "not within 2..251", id="number 252 has no slot"),
        pytest.param(link(18, number="18"), "not within 2..251", id="a number that is text"),
        pytest.param(link(18, number=True), "not within 2..251", id="a number that is a truth value"),
        pytest.param(link(18, number=17), "17 belongs to link tvox-17", id="a number that is taken"),
        pytest.param(link(18, domain="TVOX-17.example.com"), "belongs to link tvox-17", id="a domain that is taken"),
        pytest.param(link(18, domain=DOMAIN), "belongs to the instance", id="the instance's own domain"),
        pytest.param(
            link(18, domain="a.example.com 1|127.0.0.9"), "not a DNS name", id="a domain that forges an entry"
        ),
        pytest.param(link(18, domain="a.example.com\nset map"), "not a DNS name", id="a domain that forges a command"),
        pytest.param(link(18, domain=None), "not a DNS name", id="no domain"),
        pytest.param(link(18, address="198.18.254.300"), "not an IPv4 address", id="no address"),
        pytest.param(link(18, address="0.0.0.0"), "not that of a host", id="the address of no host"),  # noqa: S104
        pytest.param(link(18, address=["198.18.254.18"]), "not an IPv4 address", id="an address that is a list"),
    ],
)
def test_a_faulty_link_is_left_out_and_named_and_nobody_else_is(
    mounted: MountedSet, bad: dict[str, Any], why: str
) -> None:
    mounted.links = [link(17), bad, link(19)]
    mounted.write()
    found = read(mounted)
    assert [known.number for known in found.links] == [17, 19]
    assert len(found.problems) == 1
    assert "tvox-18" in found.problems[0]
    assert why in found.problems[0]


def test_a_link_that_becomes_faulty_keeps_what_it_had(mounted: MountedSet) -> None:
    mounted.links = [link(17), link(18)]
    mounted.write()
    before = read(mounted)
    mounted.links = [link(17, address="nowhere"), link(18)]
    mounted.write()
    after = read(mounted, before)
    assert after.links == before.links
    assert "tvox-17" in after.problems[0]


def test_a_faulty_link_takes_nothing_back_that_a_sound_one_has_now(mounted: MountedSet) -> None:
    mounted.links = [link(17)]
    mounted.write()
    before = read(mounted)
    newcomer = link(17, name="newcomer", domain="new.example.com")
    mounted.links = [link(17, address="nowhere"), newcomer]
    mounted.write()
    assert [known.name for known in read(mounted, before).links] == ["newcomer"]


@pytest.mark.parametrize(
    ("changes", "community_enabled", "is_open"),
    [
        pytest.param({}, True, True, id="enabled"),
        pytest.param({"enabled": False}, True, False, id="the link is disabled"),
        pytest.param({}, False, False, id="its community is disabled"),
        pytest.param({"community": "other"}, False, True, id="another community is disabled"),
        pytest.param({"community": ["odd"]}, False, True, id="a community that is no name closes nothing"),
    ],
)
def test_a_link_is_open_when_it_and_its_community_are_enabled(
    mounted: MountedSet, changes: dict[str, Any], community_enabled: bool, is_open: bool
) -> None:
    mounted.links = [link(17, **changes)]
    mounted.communities[0]["enabled"] = community_enabled
    mounted.write()
    assert read(mounted).links[0].open is is_open


@pytest.mark.parametrize(
    ("changes", "in_service"),
    [
        pytest.param({}, True, id="nothing is said"),
        pytest.param({"serviceState": "InService"}, True, id="in service"),
        pytest.param({"serviceState": "OutOfService"}, False, id="out of service"),
        pytest.param({"serviceState": "Sleeping"}, True, id="a word of a later version"),
        pytest.param({"serviceState": ["OutOfService"]}, True, id="no word"),
    ],
)
def test_a_link_is_in_service_unless_it_is_said_that_it_is_not(
    mounted: MountedSet, changes: dict[str, Any], in_service: bool
) -> None:
    mounted.links = [link(17, **changes)]
    mounted.write()
    found = read(mounted)
    assert (found.links[0].in_service, found.links[0].open, found.problems) == (in_service, True, ())


@pytest.mark.parametrize("entry", ["text", None, 7, {}, {"name": ""}, {"name": 3}])
def test_what_is_no_named_entry_is_counted_and_left_out(mounted: MountedSet, entry: object) -> None:
    mounted.links = [entry, link(17)]
    mounted.write()
    found = read(mounted)
    assert [known.number for known in found.links] == [17]
    assert found.problems == ("links.json: 1 entries without a name are left out",)


def test_users_are_counted_once_and_never_named(mounted: MountedSet) -> None:
    ada = {"community": "acme", "name": "ada", "displayName": "Ada", "functions": []}
    mounted.users = [ada, ada, {**ada, "community": "other"}, {"community": "acme", "displayName": "Secret Name"}]
    mounted.write()
    found = read(mounted)
    assert found.users == 2
    assert found.problems == ("users-00.json: 1 entries without a name are left out",)


def test_a_certificate_is_one_command_without_blank_lines_and_never_printed(mounted: MountedSet) -> None:
    entry = certificate("a.example.com")
    entry["certificate"] = "Subject: of whoever\r\n\r\n" + entry["certificate"].replace("\n", "\r\n\r\n")
    mounted.certificates = [entry]
    mounted.write()
    found = read(mounted)
    lines = found.certificates[0].pem.splitlines()
    assert all(line.strip() for line in lines)
    assert (lines[0], lines[-1]) == ("-----BEGIN CERTIFICATE-----", "-----END PRIVATE KEY-----")
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param({"key": ""}, "exactly one private key", id="no key"),
        pytest.param({"certificate": "soon"}, "no certificate in PEM", id="no certificate"),
        pytest.param({"certificate": 5}, "no certificate in PEM", id="a certificate that is a number"),
        pytest.param({"domain": "a b"}, "not a DNS name", id="no domain"),
    ],
)
def test_a_faulty_certificate_is_left_out_and_its_domain_is_known_as_spoiled(
    mounted: MountedSet, spoil: dict[str, Any], why: str
) -> None:
    mounted.certificates = [{**certificate("a.example.com"), **spoil}, certificate("b.example.com")]
    mounted.write()
    found = read(mounted)
    assert [known.domain for known in found.certificates] == ["b.example.com"]
    domain = spoil.get("domain", "a.example.com")
    assert list(found.spoiled) == [domain]
    assert why in found.spoiled[domain]
    assert why in found.problems[0]


def test_a_chain_too_long_for_haproxy_is_left_out(mounted: MountedSet) -> None:
    entry = certificate("a.example.com")
    mounted.certificates = [{**entry, "certificate": entry["certificate"] * 60}]
    mounted.write()
    assert "larger than 30000 bytes" in read(mounted).problems[0]


def test_what_is_remembered_has_the_routing_and_neither_keys_nor_users(mounted: MountedSet, tmp_path: Path) -> None:
    mounted.links, mounted.certificates = [link(17)], [certificate("tvox-17.example.com")]
    mounted.users = [{"community": "acme", "name": "ada"}]
    mounted.write()
    found = read(mounted)
    config.remember(found, tmp_path / "last-good.json")
    kept = (tmp_path / "last-good.json").read_text()
    assert "BEGIN" not in kept
    assert '"ada"' not in kept
    recalled = config.recall(tmp_path / "last-good.json", "demo")
    assert recalled is not None
    assert (recalled.config, recalled.links, recalled.users) == (found.config, found.links, 1)


@pytest.mark.parametrize("kept", [None, "", "{}", "[]", json.dumps({"config": "x", "links": [{"odd": 1}]})])
def test_what_cannot_be_recalled_is_no_set(tmp_path: Path, kept: str | None) -> None:
    if kept is not None:
        (tmp_path / "last-good.json").write_text(kept)
    assert config.recall(tmp_path / "last-good.json", "demo") is None


def test_another_instances_set_is_not_recalled(mounted: MountedSet, tmp_path: Path) -> None:
    mounted.write()
    config.remember(read(mounted), tmp_path / "last-good.json")
    assert config.recall(tmp_path / "last-good.json", "other") is None


def test_the_map_says_where_a_name_goes_and_whether_it_has_a_certificate(mounted: MountedSet) -> None:
    mounted.links = [link(17), link(18, enabled=False)]
    mounted.write()
    assert haproxy.hosts_entries(read(mounted), {"tvox-17.example.com"}) == [
        f"{DOMAIN} 0|-|open|plain",
        "tvox-17.example.com 17|127.0.0.17|open|tls",
        "tvox-18.example.com 18|127.0.0.18|closed|plain",
    ]


def test_an_address_in_the_tunnels_is_one_links_or_nobodys(mounted: MountedSet) -> None:
    mounted.links = [
        link(17, address="198.18.254.17"),
        link(18, address="198.18.254.18", enabled=False),
        link(19, address="10.9.8.19"),
    ]
    mounted.write()
    assert haproxy.tvoxes_entries(read(mounted).links) == [
        "10.9.8.0/24 none",
        "198.18.254.0/24 none",
        "198.18.254.17 17",
        "198.18.254.18 18",
        "10.9.8.19 19",
    ]
    assert haproxy.tvoxes_entries([]) == []


@pytest.mark.parametrize(
    ("after", "cut"),
    [
        pytest.param([link(17)], [], id="unchanged"),
        pytest.param([link(17, domain="new.example.com")], [], id="a new name, the same TVox"),
        pytest.param([link(17), link(18)], [], id="a neighbour came"),
        pytest.param([], [17], id="removed"),
        pytest.param([link(17, enabled=False)], [17], id="disabled"),
        pytest.param([link(17, address="127.0.0.99")], [17], id="at another address"),
        pytest.param([link(17, name="other")], [17], id="the number is another link's now"),
    ],
)
def test_only_connections_that_lead_nowhere_are_cut(
    mounted: MountedSet, after: list[dict[str, Any]], cut: list[int]
) -> None:
    mounted.links = [link(17)]
    mounted.write()
    before = read(mounted)
    mounted.links = after
    mounted.write()
    assert haproxy.cut_off(before.links, read(mounted).links) == cut


@pytest.mark.parametrize(
    ("shown", "domain", "good"),
    [
        ("Subject Alternative Name: DNS:a.example.com, DNS:b.example.com", "b.example.com", True),
        ("Subject Alternative Name: DNS:*.example.com", "b.example.com", True),
        ("Subject Alternative Name: DNS:*.example.com", "a.b.example.com", False),
        ("Subject Alternative Name: DNS:*.example.com", "example.com", False),
        ("Subject: /C=IT/CN=a.example.com", "a.example.com", True),
        ("Subject: /CN=a.example.com\nSubject Alternative Name: DNS:c.example.com", "a.example.com", False),
        ("", "a.example.com", False),
    ],
)
def test_a_certificate_is_good_for_its_own_names_only(shown: str, domain: str, good: bool) -> None:
    assert haproxy.covers(haproxy.names_of(shown), domain) is good


@pytest.mark.parametrize(
    ("client", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.244.0.7", False), ("", False)],
)
def test_only_loopback_is_within_the_pod(client: str, loopback: bool) -> None:
    assert contract.is_loopback(client) is loopback
