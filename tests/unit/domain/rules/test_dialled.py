"""What TVoxes were given goes before what an instance declares when it comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.openvpn import Where, where_of_profile, where_of_slot
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import Profile
from mcs_operator.domain.rules.dialled import Dialled, dialled
from mcs_operator.render.openvpn import ClientConfig as Ovpn
from mcs_operator.render.openvpn import Identity, LinkNet, Server, build_profile, build_server_conf
from support import worlds
from support.rounds import Rounds
from support.worlds import CERTIFICATE, KEY, NOW, TLS_CRYPT, community, conditions, instance, link, message, pin, slot

THERE = Where(23000, "198.18.99.0/24", "old.test")


def profile(name: str, number: int, where: Where | None = THERE, **other: Any) -> Profile:
    return replace(worlds.profile(name, number), where=where, **other)


def words(found: Dialled) -> list[str]:
    return [text.split(":")[0] for text in found.found]


# --- read back ---


def test_what_is_rendered_is_read_back() -> None:
    net = LinkNet(17, 23000, "198.18.99.0/24")
    ovpn = Ovpn(net, "TCP", "old.test", Identity(CERTIFICATE, CERTIFICATE, KEY, TLS_CRYPT), "192.0.2.1")
    assert where_of_profile(build_profile(ovpn), 17) == THERE
    assert where_of_slot(build_server_conf(Server(net, "UDP", [pin("a")])), 17) == replace(THERE, domain="")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "remote old.test",
        "remote old.test 0",
        "remote old.test 99999",
        "remote old.test ٢٣٠١٧",
        "remote a b 23017",
        "x" * 9000 + "\nremote old.test 23017\n",
    ],
)
def test_what_tells_no_port_is_nothing(text: str) -> None:
    assert where_of_profile(text, 17) is None
    assert where_of_slot(text.replace("remote old.test", "port"), 17) is None


@given(st.text(max_size=200), st.integers(-(10**30), 10**30))
def test_no_text_and_no_number_is_too_strange(text: str, number: int) -> None:
    for read in (where_of_profile, where_of_slot):
        for content in (text, f"remote a.b 23017\n{text}", f"port 23017\n{text}"):
            found = read(content, number)
            assert found is None or 1024 <= found.base_port < 65535


def test_an_address_of_another_number_tells_no_network() -> None:
    text = "# TVox MCS: VPN profile of link 17, 198.18.99.18. Complete\nremote old.test 23017\n"
    assert where_of_profile(text, 17) == Where(23000, "", "old.test")


# --- what most have ---


def test_without_identities_the_instance_is_as_declared() -> None:
    assert dialled(instance(), [], [], set()) == Dialled()
    assert dialled(instance(), [profile("a", 2, None)], [], {"a"}) == Dialled()


def test_port_network_and_domain_of_the_profiles_are_told() -> None:
    found = dialled(instance(), [profile("a", 2)], [], {"a"})
    assert (found.base_port, found.cidr, found.domain) == (23000, "198.18.99.0/24", "old.test")
    assert words(found) == ["spec.vpn.basePort", "spec.vpn.cidr", "spec.domain"]
    assert found.on(instance()).spec.vpn.base_port == 23000
    assert found.on(instance()).spec.vpn.cidr == "198.18.99.0/24"
    assert found.on(instance()).spec.domain == "mcs.test"


def test_profiles_of_another_instance_do_not_count() -> None:
    assert dialled(instance(), [replace(profile("a", 2), instance="gone")], [], {"a"}) == Dialled()


def test_one_that_somebody_edited_moves_nobody_else() -> None:
    own = Where(21000, "198.18.254.0/24", "mcs.test")
    profiles = [profile("a", 2), profile("b", 3, own), profile("c", 4, own)]
    assert dialled(instance(), profiles, [], {"a", "b", "c"}) == Dialled()
    assert dialled(instance(), profiles[:2], [], {"a", "b"}) == Dialled(), "as many with the declared one: as declared"


def test_what_more_have_counts_and_of_two_that_as_many_have_always_the_same() -> None:
    """Whatever order a restart brings: else every restart would move everybody."""
    few, more = Where(23000, THERE.cidr, THERE.domain), Where(22000, THERE.cidr, THERE.domain)
    profiles = [profile("a", 2, few), profile("b", 3, more), profile("c", 4, more)]
    for order in (profiles, profiles[::-1]):
        assert dialled(instance(), order, [], set()).base_port == 22000
    for order in (profiles[:2], profiles[1::-1]):
        assert dialled(instance(), order, [], set()).base_port == 23000


def test_a_profile_that_its_own_slot_contradicts_was_edited_and_does_not_count() -> None:
    listens = slot(2, "a", where=Where(21000, "198.18.254.0/24"))
    assert words(dialled(instance(), [profile("a", 2)], [listens], set())) == []
    agrees = slot(2, "a", where=replace(THERE, domain=""))
    assert words(dialled(instance(), [profile("a", 2)], [agrees], set())) == ["spec.vpn.basePort", "spec.vpn.cidr"]


def test_where_all_profiles_are_lost_the_slots_tell() -> None:
    slots = [slot(2, "a", where=replace(THERE, domain=""))]
    assert words(dialled(instance(), [], slots, {"a"})) == ["spec.vpn.basePort", "spec.vpn.cidr"]


@pytest.mark.parametrize(
    ("alive", "released"), [pytest.param(set(), None, id="its link is gone"), pytest.param({"a"}, NOW, id="released")]
)
def test_a_domain_is_free_where_no_link_uses_it(alive: set[str], released: Any) -> None:
    found = dialled(instance(), [profile("a", 2, released=released)], [], alive)
    assert words(found) == ["spec.vpn.basePort", "spec.vpn.cidr"], "port and network never are"


# --- the whole way ---


def test_an_instance_that_comes_back_otherwise_serves_what_its_tvoxes_have_and_says_so() -> None:
    space = Rounds([link("acme")], instance=instance(domain="old.test", vpn={"basePort": 23000})).round()
    before = dict(space.secrets)
    space.instance = instance(domain="new.test", uid="another")
    space.round(days=1)
    assert space.secrets["acme-profile"]["data"] == before["acme-profile"]["data"]
    assert space.secrets["mcs-link-002"]["data"] == before["mcs-link-002"]["data"]
    assert not space.restarts
    stalled = space.statuses[Kind.INSTANCE, "mcs"]
    assert conditions(stalled)["Stalled"] == ("True", "ProfilesDiffer")
    assert "set it to 23000" in message(stalled, "Stalled")
    assert "set it to old.test" in message(stalled, "Stalled")
    assert space.status("acme")["port"] == 23002


def test_set_back_it_is_well() -> None:
    space = Rounds([link("acme")], instance=instance(vpn={"basePort": 23000})).round()
    space.instance = instance(uid="another")
    space.round(days=1)
    space.instance = instance(vpn={"basePort": 23000}, uid="another")
    space.round(days=1)
    assert conditions(space.statuses[Kind.INSTANCE, "mcs"])["Stalled"] == ("False", "NotStalled")


def test_a_link_that_comes_back_after_a_change_of_domain_has_the_new_one() -> None:
    """The domain may change while no links exist; then its profile was released, and TVoxes are visited anyway."""
    released = profile("acme", 2, Where(21000, "198.18.254.0/24", "old.test"), released=NOW)
    plan = decide(worlds.given(instance(), community(), link("acme"), released))
    assert plan.dialled == Dialled()


@pytest.mark.parametrize("other", [Where(22000, THERE.cidr), Where(THERE.base_port, "198.18.98.0/24")])
def test_a_slot_contradicts_by_its_port_or_by_its_network_alone(other: Where) -> None:
    assert dialled(instance(), [profile("a", 2)], [slot(2, "a", where=other)], {"a"}) == Dialled()
    silent = slot(2, "a", where=Where(THERE.base_port))
    assert len(dialled(instance(), [profile("a", 2)], [silent], {"a"}).found) == 3


def test_the_first_line_is_read_too_and_nothing_beyond_the_beginning() -> None:
    def padded(line: str, length: int) -> str:
        return "\n" * (length - len(line)) + line

    assert where_of_profile("remote old.test 23017", 17) == Where(23000, "", "old.test")
    assert where_of_slot("port 23017", 17) == Where(23000)
    for read, line, found in (
        (where_of_profile, "remote old.test 1041", Where(1024, "", "old.test")),
        (where_of_slot, "port 1041", Where(1024)),
    ):
        assert read(padded(line, 8192), 17) == found
        assert read(padded(line, 8193), 17) is None


def test_the_number_of_profiles_that_differ_is_told_with_each_difference() -> None:
    kept = profile("b", 3, released=NOW)
    found = dialled(instance(), [profile("a", 2), kept], [], {"a"})
    assert ["2 profiles" in text for text in found.found] == [True, True, True]


def test_a_link_of_another_instance_keeps_no_domain() -> None:
    def differs(of: str) -> list[str]:
        world = worlds.given(
            instance(vpn={"slots": 250, "basePort": 23000, "cidr": THERE.cidr}), community(), link("a", instance=of),
            profile("a", 2),
        )  # fmt: skip
        return words(decide(world).dialled)

    assert differs("mcs") == ["spec.domain"]
    assert differs("gone") == []
