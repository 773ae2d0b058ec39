"""Who has which public name, over all namespaces, and who is to hear of a change."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.world import World
from mcs_operator.kube.cache.index import Domains
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.names import Names
from mcs_operator.kube.observe import known_world
from mcs_operator.kube.resources import BY_KIND, COMMUNITIES, INSTANCES, LINKS
from mcs_operator.reconcile import names_of
from support.objects import a_community, a_link, an_instance
from support.worlds import NOW, community, given, instance, link, links, profile

A, B, C = ("TVoxLink", "a", "x"), ("TVoxLink", "b", "x"), ("TVoxLink", "a", "y")


def test_a_second_holder_concerns_the_first_ones_namespace_and_not_its_own() -> None:
    domains = Domains()
    assert domains.put(A, "x.test") == set()
    assert domains.put(C, "x.test") == set()  # the same namespace, which is awake anyway
    assert domains.put(B, "x.test") == {"a"}
    assert set(domains.holders("x.test")) == {A, B, C}


def test_a_domain_that_is_given_up_concerns_those_who_wait_for_it() -> None:
    domains = Domains()
    domains.put(A, "x.test")
    domains.put(B, "x.test")
    assert domains.put(A, "y.test") == {"b"}
    assert domains.drop(A) == set()
    assert set(domains.holders("x.test")) == {B}


def test_the_same_again_concerns_nobody_and_nothing_is_left_of_the_gone() -> None:
    domains = Domains()
    domains.put(A, "x.test")
    assert domains.put(A, "x.test") == set()
    domains.drop(A)
    assert domains.drop(A) == set()
    assert domains.holders("x.test") == ()


# --- who owns a name ---

DAY = timedelta(days=1)


class Cluster:
    """Namespaces by name, each with what `given` takes; the store has the same objects."""

    def __init__(self, **namespaces: list[Any]) -> None:
        self.woken: list[str] = []
        self.store = Store(wake=self.woken.append)
        self.version = 0
        self.worlds: dict[str, World] = {}
        self.names = Names(self.store, lambda namespace: self.worlds.get(namespace, given()))
        for namespace, things in namespaces.items():
            self.set(namespace, *things)

    def set(self, namespace: str, *things: Any) -> None:
        """What there is in a namespace from now on."""
        world = replace(given(*things), namespace=namespace)
        self.worlds[namespace] = world
        cache = self.store.cache(namespace)
        for resource, name in list(cache.ours):
            self.store.drop(resource, namespace, name, f"{namespace}/{resource.kind}/{name}")
        ours = ((INSTANCES, world.instances), (COMMUNITIES, world.communities), (LINKS, world.links))
        for resource, objects in ours:
            for thing in objects:
                self.store.put(resource, self._stored(namespace, resource, thing))

    def _stored(self, namespace: str, resource: Any, thing: Any) -> dict[str, Any]:
        self.version += 1
        metadata = {
            "namespace": namespace,
            "name": thing.name,
            "uid": f"{namespace}/{resource.kind}/{thing.name}",
            "resourceVersion": str(self.version),
        }
        domain = getattr(thing.spec, "domain", None) or getattr(thing.spec, "portal_domain", None)
        spec = {"portalDomain" if resource is COMMUNITIES else "domain": domain} if domain else {}
        return {"metadata": metadata, "spec": spec}

    def loses(self, namespace: str) -> set[str]:
        """Domains of this namespace that are another's."""
        return set(self.elsewhere(namespace))

    def elsewhere(self, namespace: str) -> dict[str, Kind]:
        """As the reconciler asks."""
        return asyncio.run(self.names.elsewhere(namespace))


def site(domain: str, *links: Any) -> list[Any]:
    return [instance(domain=domain), community(), *links]


def acme(age: int = 0, **more: Any) -> Any:
    return link("acme", age=age, domain="x.test", **more)


@pytest.mark.parametrize(("older", "younger"), [("a", "b"), ("b", "a")], ids=["first by name", "last by name"])
def test_the_older_one_has_the_domain_and_the_younger_is_woken_when_it_goes(older: str, younger: str) -> None:
    there = Cluster(**{older: site("1.test", acme(age=9)), younger: site("2.test", acme(age=8))})
    assert there.loses(older) == set()
    assert there.loses(younger) == {"x.test"}
    there.woken.clear()
    there.set(older, *site("1.test"))
    assert younger in there.woken
    assert there.loses(younger) == set()


def test_of_the_same_age_one_has_it_and_not_both() -> None:
    there = Cluster(a=site("1.test", acme()), b=site("2.test", acme()))
    assert (there.loses("a"), there.loses("b")) == (set(), {"x.test"})


def test_who_has_an_identity_comes_before_who_is_older() -> None:
    there = Cluster(a=site("1.test", acme(age=9)), b=site("2.test", acme(), profile("acme", 17)))
    assert (there.loses("a"), there.loses("b")) == ({"x.test"}, set())


def test_of_two_identities_the_older_one_has_it_so_who_is_created_again_loses_nothing() -> None:
    old, young = (replace(profile("acme", 17), created=NOW - days * DAY) for days in (300, 1))
    there = Cluster(a=site("1.test", acme(age=99999), young), b=site("2.test", acme(age=0), old))
    assert (there.loses("a"), there.loses("b")) == ({"x.test"}, set())


def test_who_took_the_name_of_a_deleted_link_does_not_keep_it_out_when_it_is_created_again() -> None:
    """As by `kubectl replace --force`: the webhook lets in whom the reconciler will serve."""
    old, young = (replace(profile("acme", 17), created=NOW - days * DAY) for days in (300, 1))
    taken = site("1.test", acme(), young)
    away = Cluster(a=taken, b=[*site("2.test"), old])
    assert not away.names.is_owned_elsewhere("x.test", "b", Kind.LINK, "acme")
    assert away.names.is_owned_elsewhere("x.test", "b", Kind.LINK, "another")
    assert away.names.is_owned_elsewhere("x.test", "b", Kind.INSTANCE, "acme")
    assert away.names.is_owned_elsewhere("x.test", "c", Kind.LINK, "acme")
    back = Cluster(a=taken, b=[*site("2.test", acme()), old])
    assert (back.loses("a"), back.loses("b")) == ({"x.test"}, set())


def test_an_instance_that_is_created_again_comes_before_who_took_its_name() -> None:
    old, young = (replace(profile("acme", 17), created=NOW - days * DAY) for days in (300, 1))
    there = Cluster(a=site("1.test", acme(), young), b=[acme(), old])
    assert not there.names.is_owned_elsewhere("x.test", "b", Kind.INSTANCE, "mcs")
    there.set("b", acme(), replace(old, created=NOW))
    assert there.names.is_owned_elsewhere("x.test", "b", Kind.INSTANCE, "mcs")


def test_without_an_accepted_instance_nobody_owns_a_name() -> None:
    squatters = [link(f"s{n:03d}", age=9999, domain=f"s{n:03d}.test") for n in range(300)]
    forged = profile("s000", 17)
    wanted = [link("victim", domain="s000.test")]
    for there in (
        Cluster(a=[community(), squatters, forged], b=site("1.test", wanted)),
        Cluster(a=[instance("other", domain="2.test"), community(), squatters, forged], b=site("1.test", wanted)),
    ):
        assert there.loses("b") == set()
        assert not there.names.is_owned_elsewhere("s000.test", "b", Kind.LINK, "victim")
        assert there.loses("a") == {"s000.test"}


def test_the_250th_link_owns_its_name_and_the_251st_does_not() -> None:
    crowd = links(251)
    last, beyond = crowd[249].spec.domain, crowd[250].spec.domain
    there = Cluster(a=site("1.test", *crowd), b=site("2.test", link("p", domain=last), link("q", domain=beyond)))
    assert there.loses("b") == {last}
    assert there.names.is_owned_elsewhere(last, "b", Kind.LINK, "p")
    assert not there.names.is_owned_elsewhere(beyond, "b", Kind.LINK, "q")


def test_a_link_that_waits_for_its_community_owns_nothing_unless_it_has_a_place() -> None:
    waiting = [instance(domain="1.test"), acme(age=9)]
    assert Cluster(a=waiting, b=site("2.test", acme())).loses("b") == set()
    served = [*waiting, profile("acme", 17)]
    assert Cluster(a=served, b=site("2.test", acme())).loses("b") == {"x.test"}


def test_an_instances_domain_is_a_name_like_any_other() -> None:
    there = Cluster(a=[instance(domain="x.test", age=9)], b=site("2.test", acme()))
    assert there.elsewhere("b") == {"x.test": Kind.INSTANCE}
    assert there.loses("a") == set()


def test_two_objects_of_one_namespace_are_settled_there() -> None:
    assert Cluster(a=site("x.test", acme())).loses("a") == set()


def test_whoever_begins_or_ceases_to_own_a_name_wakes_the_others_once() -> None:
    there = Cluster(a=[community(), acme()], b=site("2.test", acme()))
    there.names.tell("a")
    there.woken.clear()
    there.set("a", *site("1.test", acme()))
    there.woken.clear()
    there.names.tell("a")
    assert there.woken == ["b"]
    there.names.tell("a")
    assert there.woken == ["b"]
    there.set("a", community(), acme())
    there.woken.clear()
    there.names.tell("a")
    assert there.woken == ["b"]


def test_what_is_claimed_is_worked_out_once_for_each_state() -> None:
    asked: list[str] = []
    there = Cluster(a=site("1.test", acme()), b=site("2.test", acme()))
    there.names = Names(there.store, lambda namespace: (asked.append(namespace), there.worlds[namespace])[1])
    for _ in range(3):
        there.loses("b")
    assert sorted(asked) == ["a", "b"]


def test_of_namespaces_that_have_gone_no_claims_are_kept() -> None:
    there = Cluster(a=site("1.test", acme()))
    for number in range(20):
        there.set(f"b{number}", *site("2.test", acme()))
        there.loses("a")
        there.set(f"b{number}")
    there.set("c", *site("3.test", acme()))
    there.loses("a")
    assert set(there.names._known) == {"a", "c"}


def test_a_namespace_whose_names_nobody_else_wants_is_not_looked_at() -> None:
    there = Cluster(a=site("1.test", acme()))
    there.names = Names(there.store, pytest.fail)
    assert there.loses("a") == set()
    there.names.tell("a")


def test_who_owns_a_name_is_worked_out_without_reading_a_single_user() -> None:
    """It is asked in the midst of somebody else's review, and users who are switched off cost their owner nothing."""
    store = Store(wake=lambda _: None)
    listed = [{"name": f"u{n}", "enabled": False} for n in range(1000)]
    crowded = a_community("acme")
    crowded["spec"] |= {"users": listed, "usersFrom": [{"configMapRef": {"name": "staff"}}]}
    for number, body in enumerate((an_instance("mcs"), crowded, a_link("acme", domain="x.test")), 1):
        metadata = {"namespace": "a", "uid": f"u{number}", "resourceVersion": str(number)}
        store.put(BY_KIND[body["kind"]], body | {"metadata": body["metadata"] | metadata})
    world = known_world(store, "a", NOW)
    assert [(c.name, c.spec.users, c.spec.users_from) for c in world.communities] == [("acme", (), ())]
    assert names_of(store, lambda: NOW).is_owned_elsewhere("x.test", "b", Kind.LINK, "acme")
    assert store.cache("a").ours[COMMUNITIES, "acme"]["spec"]["users"] == listed


# --- portals ---


def portal(age: int = 0, name: str = "acme", domain: str = "x.test", **more: Any) -> Any:
    return community(name, age=age, portalDomain=domain, **more)


def house(domain: str, *things: Any) -> list[Any]:
    return [instance(domain=domain), *things]


@pytest.mark.parametrize(("older", "younger"), [("a", "b"), ("b", "a")], ids=["first by name", "last by name"])
def test_of_two_portals_the_older_has_the_name_and_the_younger_is_woken_when_it_goes(older: str, younger: str) -> None:
    there = Cluster(**{older: house("1.test", portal(9)), younger: house("2.test", portal(8))})
    assert (there.elsewhere(older), there.elsewhere(younger)) == ({}, {"x.test": Kind.COMMUNITY})
    there.woken.clear()
    there.set(older, *house("1.test"))
    assert younger in there.woken
    assert there.loses(younger) == set()


@pytest.mark.parametrize(
    ("link_age", "identity_days", "wins"),
    [
        pytest.param(1, None, True, id="a link that is younger"),
        pytest.param(9, None, True, id="a link that waits for its identity"),
        pytest.param(1, 300, False, id="a link whose identity is older than the portal"),
        pytest.param(9, 0, True, id="a link whose identity is younger than the portal"),
    ],
)
def test_between_a_portal_and_a_link_of_another_namespace_it_is_as_between_two_links(
    link_age: int, identity_days: int | None, wins: bool
) -> None:
    known = [] if identity_days is None else [replace(profile("acme", 17), created=NOW - identity_days * DAY)]
    there = Cluster(a=house("1.test", portal(5)), b=site("2.test", acme(age=link_age), *known))
    assert (there.loses("a"), there.loses("b")) == ((set(), {"x.test"}) if wins else ({"x.test"}, set()))


def test_an_instance_with_customers_keeps_its_name_from_a_portal() -> None:
    old = replace(profile("acme", 17), created=NOW - 300 * DAY)
    there = Cluster(a=site("x.test", link("acme"), old), b=house("2.test", portal(99)))
    assert there.loses("b") == {"x.test"}


def test_a_wish_for_a_portal_owns_nothing() -> None:
    """Without an instance, or of another one."""
    for wisher in ([portal(99)], house("1.test", portal(99, instance="other"))):
        assert Cluster(a=wisher, b=house("2.test", portal(1))).loses("b") == set()


def test_a_community_that_is_created_again_has_no_older_right_and_no_namesakes() -> None:
    """It leaves no identity; one that is called as the instance must not be taken for it."""
    old = replace(profile("acme", 17), created=NOW - 300 * DAY)
    there = Cluster(a=house("1.test", portal(5)), b=[*site("2.test"), old])
    for name in ("acme", "mcs"):
        assert there.names.is_owned_elsewhere("x.test", "b", Kind.COMMUNITY, name)


def test_a_portal_that_comes_or_goes_wakes_whoever_wants_its_name() -> None:
    there = Cluster(a=house("1.test"), b=house("2.test", portal(1)))
    there.names.tell("b")
    there.woken.clear()
    there.set("a", *house("1.test", portal(9)))
    there.woken.clear()
    there.names.tell("a")
    assert there.woken == ["b"]
