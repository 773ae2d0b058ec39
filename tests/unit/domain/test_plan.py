"""What was decided, as those read it who render and report."""

from __future__ import annotations

from mcs_operator.domain.plan import LinkPlan, Plan
from support.worlds import link


def test_links_are_served_in_the_order_of_their_numbers_and_without_one_not_at_all() -> None:
    numbers = {"a": 19, "b": None, "c": 2, "d": 17}
    plan = Plan(None, links=tuple(LinkPlan(link(name), None, number) for name, number in numbers.items()))
    assert [(p.link.name, p.number) for p in plan.served] == [("c", 2), ("d", 17), ("a", 19)]


def test_of_nothing_nothing_is_decided() -> None:
    plan = Plan(None)
    assert (plan.served, plan.identity_lost, plan.due) == ((), False, None)
    assert not LinkPlan(link("a"), None, 2).profile_lost
