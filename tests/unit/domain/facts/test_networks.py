"""Networks that a VPN must not have, at their edges."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcs_operator.api import MCSInstance
from mcs_operator.api.conditions import Kind
from mcs_operator.api.crd import root_schema
from mcs_operator.api.schema import RULES_KEY
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.networks import Network, met_by, parsed
from mcs_operator.domain.status import Wanted, all_statuses
from support import worlds
from support.worlds import community, conditions, instance, link, message

REFUSED = [
    "0.0.0.0/24",
    "0.255.255.0/24",
    "127.0.0.0/24",
    "127.255.255.0/24",
    "169.254.0.0/24",
    "169.254.255.0/24",
    "224.0.0.0/24",
    "239.1.2.0/24",
    "240.0.0.0/24",
    "255.255.255.0/24",
]
TAKEN = ["1.0.0.0/24", "10.0.0.0/24", "126.255.255.0/24", "128.0.0.0/24", "169.253.255.0/24", "169.255.0.0/24"]
TAKEN += ["198.18.254.0/24", "223.255.255.0/24", "22.4.0.0/24", "100.64.0.0/24"]


@pytest.mark.parametrize("cidr", REFUSED)
def test_what_leads_to_no_customer_is_refused_by_the_schema_and_by_the_reconciler_alike(cidr: str) -> None:
    assert met_by(cidr) is not None
    assert not allowed_by_schema(cidr)


@pytest.mark.parametrize("cidr", TAKEN)
def test_any_other_network_is_taken_by_both(cidr: str) -> None:
    assert met_by(cidr) is None
    assert allowed_by_schema(cidr)


def allowed_by_schema(cidr: str) -> bool:
    rules = root_schema(MCSInstance)["properties"]["spec"]["properties"]["vpn"]["properties"]["cidr"][RULES_KEY]
    (pattern,) = (found for rule in rules if (found := re.fullmatch(r"!self\.matches\('(.*)'\)", rule["rule"])))
    return re.search(pattern[1], cidr) is None


@pytest.mark.parametrize("cidr", REFUSED[:3])
def test_who_has_such_a_network_already_is_served_on(cidr: str) -> None:
    world = worlds.given(instance(vpn={"slots": 250, "cidr": cidr}), community(), link("acme"))
    (plan,) = decide(world).links
    assert plan.accepted


@pytest.mark.parametrize(
    ("known", "met"),
    [
        ("198.18.254.0/24", True),
        ("198.18.0.0/15", True),
        ("198.18.254.77/32", True),
        ("198.18.254.77", True),
        ("198.18.254.77/24", True),
        ("198.18.253.0/24", False),
        ("198.18.255.0/24", False),
        ("fd00::/8", False),
        ("rubbish", False),
        ("", False),
    ],
)
def test_a_network_is_met_where_they_have_an_address_in_common(known: str, met: bool) -> None:
    network = Network(known, "Pods")
    assert met_by("198.18.254.0/24", [network]) == (network if met else None)


def test_the_longest_text_of_a_network_is_one_and_a_longer_one_is_none() -> None:
    assert str(parsed("255.255.255.255/32")) == "255.255.255.255/32"
    assert parsed("255.255.255.255/032") is None


@given(st.one_of(st.text(max_size=30), st.none(), st.integers(), st.lists(st.text())))
def test_anything_is_a_network_or_none(text: object) -> None:
    assert parsed(text) is None or isinstance(text, str)


@pytest.mark.parametrize(
    ("ip", "mode", "stalled"),
    [
        ("198.18.254.200", "HostPort", True),
        ("198.18.254.200", "HostNetwork", False),
        ("10.244.0.7", "HostPort", False),
        ("", "HostPort", False),
    ],
)
def test_the_pods_own_address_tells_of_the_pod_network_unless_it_is_the_nodes(
    ip: str, mode: str, stalled: bool
) -> None:
    world = worlds.given(instance(network={"mode": mode}), community(), worlds.pod(ip=ip), worlds.report())
    plan = decide(world)
    (status,) = (s for (kind, _), s in all_statuses(world, plan, Wanted({})).items() if kind is Kind.INSTANCE)
    assert (conditions(status)["Stalled"] == ("True", "NetworkTaken")) is stalled


def test_a_network_of_the_cluster_stalls_the_instance_and_names_both() -> None:
    there = Network("10.244.0.0/16", "Pods of this cluster")
    given_one = instance(vpn={"slots": 250, "cidr": "10.244.3.0/24"})
    world = worlds.given(given_one, community(), worlds.report(), networks=(there,))
    status = all_statuses(world, decide(world), Wanted({}))[Kind.INSTANCE, "mcs"]
    assert message(status, "Stalled").startswith("spec.vpn.cidr: 10.244.3.0/24 meets 10.244.0.0/16, which has Pods of")


def test_what_is_never_to_be_used_is_told_in_words() -> None:
    met = [met_by(cidr) for cidr in REFUSED[::2]]
    assert [network.what for network in met if network] == [
        "unspecified addresses", "loopback addresses", "link-local addresses", "multicast addresses",
        "reserved addresses",
    ]  # fmt: skip
