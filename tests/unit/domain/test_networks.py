"""Networks that a VPN must not have, at their edges."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcs_operator.api import MCSInstance
from mcs_operator.api.crd import root_schema
from mcs_operator.api.schema import RULES_KEY
from mcs_operator.domain.decide import decide
from mcs_operator.domain.networks import Network, met_by, parsed
from support import worlds
from support.worlds import community, instance, link

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
    (rule,) = root_schema(MCSInstance)["properties"]["spec"]["properties"]["vpn"]["properties"]["cidr"][RULES_KEY]
    pattern = re.fullmatch(r"!self\.matches\('(.*)'\)", rule["rule"])
    assert pattern is not None
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


@given(st.one_of(st.text(max_size=30), st.none(), st.integers(), st.lists(st.text())))
def test_anything_is_a_network_or_none(text: object) -> None:
    assert parsed(text) is None or isinstance(text, str)
