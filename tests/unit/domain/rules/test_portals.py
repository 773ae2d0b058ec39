"""Who has a portal's name, among all objects of one namespace."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.contract.shards import ServedCommunity, communities_file, packed
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import Unreadable
from mcs_operator.domain.plan import Plan
from support.worlds import community, given, identity, instance, link, links, profile


def portal(name: str = "acme", age: int = 0, domain: str = "x.test", **more: Any) -> Any:
    return community(name, age=age, portalDomain=domain, **more)


def refusals(plan: Plan) -> dict[str, Reason]:
    """Of links and portals, by the kind and the name."""
    found = {f"link {p.link.name}": p.refusal.reason for p in plan.links if p.refusal}
    return found | {f"portal {n}": p.refusal.reason for n, p in plan.portals.items() if p.refusal}


def served(plan: Plan) -> dict[str, str]:
    return dict(plan.portals_served)


def test_who_declares_no_portal_has_none() -> None:
    plan = decide(given(instance(), community()))
    assert (plan.portals, served(plan), plan.logins.by_community) == ({}, {}, {})


def test_a_portal_with_a_name_of_its_own_is_served() -> None:
    plan = decide(given(instance(), portal(domain="meet.acme.test"), link("a")))
    assert (served(plan), refusals(plan)) == ({"acme": "meet.acme.test"}, {})


@pytest.mark.parametrize(
    ("things", "refused"),
    [
        pytest.param([portal(domain="mcs.test")], "portal acme", id="the instance's own name"),
        pytest.param([portal("a", 9), portal("b", 8)], "portal b", id="of two portals the younger"),
        pytest.param([portal("a"), portal("b")], "portal b", id="of two of one age the second by name"),
        pytest.param([community(), portal("p", 1), link("l", age=9, domain="x.test")], "portal p", id="an older link"),
        pytest.param([community(), portal("p", 9), link("l", age=1, domain="x.test")], "link l", id="a younger link"),
        pytest.param([community(), portal("p", 5), link("l", age=5, domain="x.test")], "portal p", id="of one age"),
        pytest.param(
            [community(), portal("p", 9), link("l", age=1, domain="x.test"), identity("l", 17)],
            "portal p",
            id="a link with an older identity, created again",
        ),
    ],
)
def test_of_two_who_want_a_name_one_has_it_and_the_other_is_told(things: list[Any], refused: str) -> None:
    plan = decide(given(instance(), things))
    assert refusals(plan) == {refused: Reason.DOMAIN_TAKEN}


def test_an_older_name_that_is_changed_to_a_portals_takes_nothing_from_it() -> None:
    """The link keeps its number and its tunnel, and only its site is not served."""
    young = profile("l", 17)  # a day old
    plan = decide(given(instance(), community(), portal("p", 2 * 86400), link("l", domain="x.test"), young))
    assert refusals(plan) == {"link l": Reason.DOMAIN_TAKEN}
    assert served(plan) == {"p": "x.test"}
    assert plan.links[0].number == 17


def test_a_link_without_a_place_keeps_no_name_from_a_portal() -> None:
    crowd = links(251)
    plan = decide(given(instance(), community(), portal("p", 0, crowd[250].spec.domain), crowd))
    assert served(plan) == {"p": crowd[250].spec.domain}


def test_a_name_of_another_namespace_is_nobodys_here() -> None:
    plan = decide(given(instance(), portal(), elsewhere={"x.test": Kind.LINK}))
    assert refusals(plan) == {"portal acme": Reason.DOMAIN_TAKEN}


def test_a_community_that_is_not_accepted_has_no_portal_and_keeps_the_name_from_nobody() -> None:
    plan = decide(given(instance(), portal("lost", 9, instance="other"), portal("acme")))
    assert served(plan) == {"acme": "x.test"}
    assert set(plan.portals) == {"acme"}


def test_a_community_that_cannot_be_read_keeps_the_portal_that_it_had() -> None:
    before = packed(communities_file([ServedCommunity("strange", "Strange", True, "x.test")]))
    strange = Unreadable(Kind.COMMUNITY, "strange", 2, "spec.users: 5")
    world = given(instance(), strange, portal("acme"), link("l", domain="x.test"), shards=before)
    plan = decide(world)
    assert [line.portal for line in plan.kept.communities] == ["x.test"]
    assert refusals(plan)["portal acme"] is Reason.DOMAIN_TAKEN
    lost = decide(given(instance(), strange, shards=before, elsewhere={"x.test": Kind.LINK}))
    assert [line.portal for line in lost.kept.communities] == [None]


@pytest.mark.parametrize("turned", [False, True])
def test_the_order_in_which_objects_come_makes_no_difference(turned: bool) -> None:
    things = [portal("a", 3), portal("b", 7), community(), link("l", age=5, domain="x.test"), link("m", age=9)]
    plan = decide(given(instance(), things[::-1] if turned else things))
    assert refusals(plan) == {"portal a": Reason.DOMAIN_TAKEN, "link l": Reason.DOMAIN_TAKEN}
