"""Numbers: one for each link, for life. The second half tries any order of events and keeps the laws."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mcs_operator.api import TVoxLink
from mcs_operator.api.conditions import Kind
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import Profile, SlotSecret, Unreadable
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.addressing import address_of, free_numbers, number_of
from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER
from support import worlds
from support.worlds import NOW, community, instance, link, profile, slot

CIDR = "198.18.254.0/24"


@pytest.mark.parametrize("number", [2, 17, 251])
def test_a_number_and_its_address_name_each_other(number: int) -> None:
    assert address_of(number, CIDR) == f"198.18.254.{number}"
    assert number_of(f"198.18.254.{number}", CIDR) == number


@pytest.mark.parametrize(
    "address",
    ["198.18.254.0", "198.18.254.1", "198.18.254.252", "198.18.254.255", "198.18.253.2", "10.0.0.2", "198.18.254.x"],
)
def test_other_addresses_have_no_number(address: str) -> None:
    assert number_of(address, CIDR) is None


@pytest.mark.parametrize(
    "address",
    ["", "2", "198.18.254.", "198.18.254.-2", "::2", "198.18.254.2.2"],
)
def test_what_is_no_address_has_no_number(address: str) -> None:
    assert number_of(address, CIDR) is None


def test_numbers_that_were_never_used_are_given_away_first_then_the_longest_released() -> None:
    released = {5: NOW - timedelta(days=1), 9: NOW - timedelta(days=9), 7: NOW - timedelta(days=1)}
    order = free_numbers({2, 3}, released)
    assert order[:2] == [4, 6]
    assert order[-3:] == [9, 5, 7]
    assert len(order) == 248


def test_a_number_without_a_slot_is_given_to_nobody() -> None:
    """Its profile would dial a port at which nobody listens, for ever: a link keeps its number for life."""
    released = {3: NOW - timedelta(days=1), 5: NOW - timedelta(days=9), 8: NOW - timedelta(days=99)}
    assert free_numbers({2}, released, slots=6) == [4, 6, 7, 5, 3]


@pytest.mark.parametrize("slots", [1, 249, 250])
def test_each_slots_number_comes_in_the_end(slots: int) -> None:
    order = free_numbers(set(), {2: NOW}, slots)
    assert sorted(order) == list(range(FIRST_NUMBER, FIRST_NUMBER + slots))
    assert order[-1] == 2, "the one that is kept for somebody"


def test_when_all_are_held_none_is_free() -> None:
    assert free_numbers(range(FIRST_NUMBER, LAST_NUMBER + 1), {}) == []


def test_a_released_number_that_is_held_again_is_not_free() -> None:
    assert 5 not in free_numbers({5}, {5: NOW})


# --- any order of events ---

NAMES = [f"n{number:02d}" for number in range(12)]
ADDRESSES = [None, "198.18.254.2", "198.18.254.3", "198.18.254.4", "198.18.254.251", "10.0.0.9"]
DOMAINS = [None, "shared.mcs.test", "mcs.test"]


class Namespace(RuleBasedStateMachine):
    """A namespace whose operator does what is decided: it writes Secrets, and takes them away.

    Between two reconciliations anything may happen to the objects, as users, restores and the garbage collector do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.links: dict[str, TVoxLink] = {}
        self.unreadable: set[str] = set()
        self.profiles: dict[str, Profile] = {}
        self.slots: dict[int, SlotSecret] = {}
        self.instance = True
        self.community = True
        self.held: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        self.reconcile()

    @rule(
        name=st.sampled_from(NAMES),
        address=st.sampled_from(ADDRESSES),
        domain=st.sampled_from(DOMAINS),
        age=st.integers(0, 5),
        enabled=st.booleans(),
    )
    def apply_link(self, name: str, address: str | None, domain: str | None, age: int, enabled: bool) -> None:
        wish = {"vpnAddress": address} if address else {}
        self.links[name] = link(name, domain=domain, age=age, enabled=enabled, **wish)

    @rule(name=st.sampled_from(NAMES))
    def delete_link(self, name: str) -> None:
        """And the garbage collector, at once."""
        self.links.pop(name, None)
        self.unreadable.discard(name)
        self.slots = {number: s for number, s in self.slots.items() if s.link != name}
        self.held.pop(name, None)

    @rule(name=st.sampled_from(NAMES))
    def delete_link_before_the_collector_comes(self, name: str) -> None:
        self.links.pop(name, None)
        self.held.pop(name, None)

    @rule(name=st.sampled_from(NAMES), readable=st.booleans())
    def another_version_writes(self, name: str, readable: bool) -> None:
        if name in self.links:
            (self.unreadable.discard if readable else self.unreadable.add)(name)

    @rule()
    def restore_makes_everybody_the_same_age(self) -> None:
        self.links = {name: link(name, domain=held.spec.domain) for name, held in self.links.items()}

    @rule(there=st.booleans())
    def community_comes_or_goes(self, there: bool) -> None:
        self.community = there

    @rule(there=st.booleans())
    def instance_comes_or_goes(self, there: bool) -> None:
        self.instance = there

    @rule(days=st.integers(1, 40))
    def time_goes_by(self, days: int) -> None:
        self.now += timedelta(days=days)

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def somebody_deletes_a_slot_secret(self, data: st.DataObject) -> None:
        del self.slots[data.draw(st.sampled_from(sorted(self.slots)))]

    @rule()
    def reconcile(self) -> None:
        plan = self.plan()
        if plan.instance is None:
            return
        for released in plan.released:
            self.profiles[released.link] = released.released_at(self.now)
        for forgotten in plan.forgotten:
            self.profiles.pop(forgotten.link, None)
        for served in plan.served:
            name, number = served.link.name, served.number or 0
            known = self.profiles.get(name)
            self.profiles[name] = known.released_at(None) if known else profile(name, number)
        placed = {p.link.name: p.number for p in plan.served}
        kept = {n: s for n, s in self.slots.items() if s.link in plan.untouched or placed.get(s.link) == n}
        # A Secret is created, never taken over: one that is still there for somebody else is waited for.
        self.slots = kept | {
            p.number or 0: slot(p.number or 0, p.link.name) for p in plan.served if p.number not in self.slots
        }
        self.held = placed | {n: self.held[n] for n in plan.untouched if n in self.held}

    def plan(self) -> Plan:
        readable = [known for name, known in self.links.items() if name not in self.unreadable]
        world = worlds.given(
            [instance(vpn={"slots": 250})] if self.instance else [],
            [community()] if self.community else [],
            readable,
            [Unreadable(Kind.LINK, name, 1, "spec") for name in self.unreadable],
            list(self.profiles.values()),
            list(self.slots.values()),
            now=self.now,
        )
        return decide(world)

    @invariant()
    def nobody_shares_a_number(self) -> None:
        numbers = [p.number for p in self.plan().served]
        assert len(numbers) == len(set(numbers))
        assert all(FIRST_NUMBER <= (number or 0) <= LAST_NUMBER for number in numbers)

    @invariant()
    def who_has_a_number_keeps_it(self) -> None:
        if not self.instance:
            return
        plan = self.plan()
        now = {p.link.name: p.number for p in plan.links}
        for name, number in self.held.items():
            if name in self.links and name not in self.unreadable:
                assert now[name] == number, f"{name} had {number}, has {now[name]}"

    @invariant()
    def a_kept_identity_is_given_to_nobody(self) -> None:
        plan = self.plan()
        given_away = {p.number for p in plan.served}
        for kept in self.profiles.values():
            if kept.link not in self.links and kept not in plan.forgotten:
                assert kept.number not in given_away

    @invariant()
    def at_most_one_link_has_a_domain(self) -> None:
        domains = [p.link.spec.domain for p in self.plan().links if p.accepted]
        assert len(domains) == len(set(domains))

    @invariant()
    def what_is_decided_depends_on_nothing_but_the_world(self) -> None:
        first, second = self.plan(), self.plan()
        assert [(p.link.name, p.number, p.refusal) for p in first.links] == [
            (p.link.name, p.number, p.refusal) for p in second.links
        ]


Namespace.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrderOfEvents = Namespace.TestCase


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    held=st.sets(st.integers(2, 251), max_size=250),
    newcomers=st.integers(0, 12),
    order=st.randoms(use_true_random=False),
)
def test_at_most_250_are_served_and_all_holders_are_among_them(held: set[int], newcomers: int, order: object) -> None:
    holders = [link(f"h{number}") for number in held]
    new = [link(f"new{number}", age=1000) for number in range(newcomers)]
    everybody = [*holders, *new]
    order.shuffle(everybody)  # type: ignore[attr-defined]
    identities = [worlds.identity(f"h{number}", number) for number in held]
    plan = decide(worlds.given(instance(), community(), everybody, identities))
    served = {p.link.name: p.number for p in plan.served}
    assert len(served) == min(250, len(everybody))
    assert len(set(served.values())) == len(served)
    assert all(served[f"h{number}"] == number for number in held)
