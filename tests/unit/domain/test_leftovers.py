"""What is left of identities that the user wanted to go with their instance, and what is not to be taken for that."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.domain.decide import decide, without_leftovers
from mcs_operator.domain.facts.world import AgentCredentials
from mcs_operator.render.objects import identity_owners
from support.worlds import AUTHORITY, PAIR, community, given, identity, instance, link, profile, slot

AGENT = AgentCredentials(PAIR, "token")
DELETE = {"retain": {"pki": "Delete"}}
RETAIN = {"retain": {"pki": "Retain"}}
ACME = [community(), link("acme")]


def left(*things: Any, **more: Any) -> list[int]:
    """Numbers of the slots that are left over."""
    return [found.number for found in without_leftovers(given(*things, **more))[1]]


def test_a_slot_whose_ca_and_identities_went_with_an_earlier_instance_is_left_over() -> None:
    world, leftovers = without_leftovers(given(instance(**DELETE), ACME, slot(17, "acme"), ca=False))
    assert [found.number for found in leftovers] == [17]
    assert world.slots == {}
    plan = decide(world)
    assert not plan.identity_lost
    assert not plan.links[0].profile_lost


@pytest.mark.parametrize(
    ("things", "ca"),
    [
        pytest.param([instance(**RETAIN), ACME, slot(17, "acme")], False, id="where identities are kept, a CA is lost"),
        pytest.param([instance(**DELETE), ACME, slot(17, "acme")], True, id="with a CA, a profile is lost"),
        pytest.param([instance(**DELETE), ACME, identity("acme", 17)], False, id="with an identity, a CA is lost"),
        pytest.param([instance(**DELETE), ACME, slot(17, "acme"), profile("b", 9)], False, id="with any identity"),
        pytest.param([ACME, slot(17, "acme")], False, id="without an instance nothing is decided"),
        pytest.param([instance(**DELETE), slot(17, "acme", owner="other")], False, id="of another instance"),
    ],
)
def test_anything_else_is_no_leftover(things: list[Any], ca: bool) -> None:
    assert left(things, ca=ca) == []


@pytest.mark.parametrize("own_ca", [False, True], ids=["the operator's CA", "the user's CA"])
@pytest.mark.parametrize("there", ["authorities", "agents"])
def test_by_its_ca_an_instance_is_known_and_with_one_of_the_users_own_by_its_agents_credentials(
    own_ca: bool, there: str
) -> None:
    """The user's CA outlives any instance."""
    vpn = {"vpn": {"slots": 250, "caSecretRef": {"name": "company-ca"}}} if own_ca else {}
    known = {"authorities": {"mcs": AUTHORITY}} if there == "authorities" else {"agents": {"mcs": AGENT}}
    known = {"authorities": {}, "agents": {}} | known
    goes_on = there == ("agents" if own_ca else "authorities")
    assert left(instance(**DELETE, **vpn), ACME, slot(17, "acme"), **known) == ([] if goes_on else [17])


def test_an_identity_is_owned_but_not_controlled_so_that_it_is_never_pruned() -> None:
    assert identity_owners(instance(**RETAIN)) == []
    (owner,) = identity_owners(instance(uid="u", **DELETE))
    assert (owner["kind"], owner["uid"]) == ("MCSInstance", "u")
    assert not owner.get("controller")
