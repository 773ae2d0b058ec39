"""Domain preflight: what two resolvers say, in one condition; and what it never does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.lookup import UNAVAILABLE, Answer, Failure, Lookup
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.status import Wanted, all_statuses
from mcs_operator.domain.status.preflight import names_to_ask
from support.worlds import community, conditions, given, identity, instance, link, links, message, pod, report, state

ADDRESS = "203.0.113.7"
NONE = Answer(failure=Failure.NOT_FOUND)
UNASKED = Answer(failure=Failure.NOT_SUPPORTED)
BASE = [instance(domain="mcs.test", publicAddress=ADDRESS), community(), link("a"), identity("a", 17), pod()]


def at(*addresses: str) -> Answer:
    return Answer(addresses=tuple(IPv4Address(address) for address in addresses))


def world(known: Lookup | None = None, *more: Any, **other: Any) -> World:
    lookups = dict.fromkeys(("mcs.test", "a.mcs.test"), known) if known else {}
    return given(BASE, report(state(17, "r17")), *more, lookups=lookups, **other)


def told(seen: World, kind: Kind = Kind.LINK, name: str = "a") -> dict[str, Any]:
    return all_statuses(seen, decide(seen), Wanted(revisions={17: "r17"}))[kind, name]


@pytest.mark.parametrize(
    ("in_pod", "here", "status", "reason"),
    [
        pytest.param(at(ADDRESS), at(ADDRESS), "True", "Resolved", id="both the wanted one"),
        pytest.param(NONE, at(ADDRESS), "False", "NotResolved", id="unknown in the pod"),
        pytest.param(at(ADDRESS), NONE, "False", "NotResolved", id="unknown to the operator"),
        pytest.param(at("192.0.2.1"), at(ADDRESS), "False", "WrongAddress", id="another one in the pod"),
        pytest.param(at(ADDRESS), at("192.0.2.1"), "False", "WrongAddress", id="another one for the operator"),
        pytest.param(at(ADDRESS, "203.0.113.8"), at(ADDRESS), "False", "WrongAddress", id="one too many"),
        pytest.param(at("192.0.2.1"), NONE, "False", "NotResolved", id="what is missing comes before what is wrong"),
        pytest.param(UNAVAILABLE, at(ADDRESS), "Unknown", "ResolverUnavailable", id="silence in the pod"),
        pytest.param(at(ADDRESS), UNAVAILABLE, "Unknown", "ResolverUnavailable", id="silence for the operator"),
        pytest.param(UNAVAILABLE, NONE, "False", "NotResolved", id="silence hides no certainty"),
        pytest.param(UNASKED, at(ADDRESS), "Unknown", "AgentOutdated", id="an agent that cannot be asked"),
        pytest.param(UNASKED, at("192.0.2.1"), "False", "WrongAddress", id="such an agent, and a wrong address"),
        pytest.param(None, at(ADDRESS), "Unknown", "Pending", id="the pod has not answered"),
        pytest.param(at(ADDRESS), None, "Unknown", "Pending", id="the operator has no answer"),
    ],
)
@pytest.mark.parametrize(("kind", "name"), [(Kind.INSTANCE, "mcs"), (Kind.LINK, "a")])
def test_two_answers_make_one_condition(
    kind: Kind, name: str, in_pod: Answer | None, here: Answer | None, status: str, reason: str
) -> None:
    seen = told(world(Lookup(in_pod, here)), kind, name)
    assert conditions(seen)["DomainResolved"] == (status, reason)


def test_the_message_has_question_answers_and_remedy() -> None:
    seen = world(Lookup(at("192.0.2.1", "192.0.2.2"), NONE))
    assert message(told(seen), "DomainResolved") == (
        "a.mcs.test should lead to 203.0.113.7: the media pod is told 192.0.2.1 and 192.0.2.2, the operator that there "
        "is no such name or no address of it; publish a.mcs.test as a CNAME of mcs.test"
    )
    assert message(told(seen, Kind.INSTANCE, "mcs"), "DomainResolved").endswith(
        "; publish an A record mcs.test 203.0.113.7, and no other address"
    )


@pytest.mark.parametrize(
    ("in_pod", "here", "said"),
    [
        (at(ADDRESS), at(ADDRESS), "the media pod is told 203.0.113.7, the operator 203.0.113.7"),
        (
            UNAVAILABLE,
            at(ADDRESS),
            "the media pod is told nothing, as its resolver does not answer, the operator 203.0.113.7",
        ),
        (
            UNASKED,
            UNAVAILABLE,
            (
                "the media pod is told nothing, as it cannot be asked, the operator nothing, as its resolver does not "
                "answer; the pod's link agent is older than this question, a restart of the pod brings the new one"
            ),
        ),
        (None, at(ADDRESS), "not asked yet"),
    ],
)
def test_each_answer_has_its_words(in_pod: Answer | None, here: Answer, said: str) -> None:
    seen = world(Lookup(in_pod, here))
    assert message(told(seen), "DomainResolved") == f"a.mcs.test should lead to 203.0.113.7: {said}"


def test_the_longest_message_is_bounded() -> None:
    name = ".".join(["x" * 60] * 4)
    long = [instance(publicAddress=ADDRESS, domain=f"{name}.io"), community(), link("a", domain=f"{name}.eu"), pod()]
    many = at(*(f"203.0.113.{n}" for n in range(200, 208)))
    seen = given(long, identity("a", 17), report(), lookups={f"{name}.eu": Lookup(many, many)})
    assert 700 < len(message(told(seen), "DomainResolved")) <= 1024


@pytest.mark.parametrize("known", [Lookup(NONE, NONE), Lookup(at("192.0.2.1"), NONE), Lookup(UNAVAILABLE, NONE), None])
def test_nothing_else_depends_on_it(known: Lookup | None) -> None:
    well, ill = world(Lookup(at(ADDRESS), at(ADDRESS))), world(known)
    assert decide(well) == decide(ill)
    for kind, name in ((Kind.INSTANCE, "mcs"), (Kind.LINK, "a")):
        before, after = conditions(told(well, kind, name)), conditions(told(ill, kind, name))
        assert before.pop("DomainResolved") != after.pop("DomainResolved")
        assert before == after


def standing(seen: World) -> dict[tuple[Kind, str], Any]:
    """The conditions that an operator before this one has written."""
    plan, wanted = decide(seen), Wanted(revisions={17: "r17"})
    return {key: status["conditions"] for key, status in all_statuses(seen, plan, wanted).items()}


@pytest.mark.parametrize("before", [Lookup(at(ADDRESS), at(ADDRESS)), Lookup(NONE, at(ADDRESS))])
@pytest.mark.parametrize("now", [None, Lookup(None, NONE), Lookup(NONE, None)])
def test_until_both_have_answered_what_was_written_stands(before: Lookup, now: Lookup | None) -> None:
    written = standing(world(before))
    assert standing(world(now, conditions=written)) == written


def test_what_was_written_about_another_question_does_not_stand() -> None:
    written = standing(world(Lookup(at(ADDRESS), at(ADDRESS))))
    moved = [instance(publicAddress="203.0.113.8"), *BASE[1:]]
    seen = given(moved, report(state(17, "r17")), conditions=written)
    assert conditions(told(seen))["DomainResolved"] == ("Unknown", "Pending")
    renamed = [*BASE[:2], link("a", domain="b.mcs.test"), *BASE[3:]]
    seen = given(renamed, report(state(17, "r17")), conditions=written)
    assert conditions(told(seen))["DomainResolved"] == ("Unknown", "Pending")


@pytest.mark.parametrize("said", [{"status": "Perhaps"}, {"reason": "Serving"}, {"reason": "OfANewerVersion"}])
def test_what_this_version_does_not_know_does_not_stand(said: dict[str, str]) -> None:
    written = standing(world(Lookup(at(ADDRESS), at(ADDRESS))))
    written[Kind.LINK, "a"] = [condition | said for condition in written[Kind.LINK, "a"]]
    assert conditions(told(world(conditions=written)))["DomainResolved"] == ("Unknown", "Pending")


def test_an_agent_that_does_not_answer_leaves_nothing_standing() -> None:
    seen = replace(world(Lookup(at(ADDRESS), at(ADDRESS))), report=None)
    assert conditions(told(seen))["DomainResolved"] == ("Unknown", "AgentUnreachable")


def test_who_is_not_accepted_is_not_asked_for() -> None:
    seen = world(None, link("b", community="nobody"), link("c", domain="mcs.test"))
    assert names_to_ask(decide(seen)) == {"mcs.test": ADDRESS, "a.mcs.test": ADDRESS}
    assert conditions(told(seen, name="b"))["DomainResolved"] == ("Unknown", "NotAccepted")
    assert names_to_ask(decide(given(community(), link("a")))) == {}


@pytest.mark.parametrize(("count", "names"), [(0, 1), (1, 2), (249, 250), (250, 251), (251, 251)])
def test_at_most_251_names_are_asked(count: int, names: int) -> None:
    assert len(names_to_ask(decide(given(instance(), community(), links(count))))) == names
