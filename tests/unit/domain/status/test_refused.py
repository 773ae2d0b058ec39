"""What the appliance does not take reaches whom it concerns, in the appliance's own words."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.linkstate import MAX_MESSAGE, MAX_REFUSED, MediaState
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.status import Wanted, all_statuses, refused
from support.worlds import community, conditions, given, identity, instance, link, message, pod, portal, report, state

WORDS = "its key is too short; RSA needs 2,048 bits or more"
OWN = {"tls": {"secretRef": {"name": "own"}}}


def world(*domains: str, media: bool = True, own: bool = True, before: dict[Any, Any] | None = None) -> World:
    """Links a and b, which the appliance tells of: a has a Secret of its own, if so said; b takes the instance's."""
    said = MediaState(refused=[{"domain": domain, "problem": WORDS} for domain in domains]) if media else None
    links = [link("a", domain="a.mcs.test", **(OWN if own else {})), link("b", domain="b.mcs.test")]
    return given(
        instance(domain="mcs.test", tls={"secretRef": {"name": "common"}}), community(), *links, pod(),
        identity("a", 17), identity("b", 18), report(state(17, "r17"), state(18, "r18"), media=said),
        conditions=before or {},
    )  # fmt: skip


def statuses(seen: World) -> dict[tuple[Kind, str], dict[str, Any]]:
    plan = decide(seen)
    wanted = Wanted(revisions={17: "r17", 18: "r18"}, certificates=refused.certificates(seen, plan))
    return all_statuses(seen, plan, wanted)


def stalled(seen: World) -> dict[str, str]:
    """Who is Stalled for his certificate, and the message."""
    found = {}
    for (_, name), status in statuses(seen).items():
        if conditions(status)["Stalled"] == ("True", "CertificateInvalid"):
            found[name] = message(status, "Stalled")
    return found


def test_a_link_says_why_the_appliance_does_not_take_its_certificate_and_its_neighbour_says_nothing() -> None:
    told = stalled(world("a.mcs.test"))
    assert told == {
        "a": f"tls.secretRef: the appliance does not take the certificate for a.mcs.test: {WORDS}; replace it"
    }
    assert conditions(statuses(world("a.mcs.test"))[Kind.LINK, "a"])["Ready"] == ("True", "Programmed")


def test_what_is_wrong_with_the_instances_certificate_is_told_there_and_not_at_the_links_it_stands_in_for() -> None:
    assert list(stalled(world("mcs.test", "b.mcs.test", "a.mcs.test"))) == ["mcs", "a"]
    assert list(stalled(world("mcs.test", "b.mcs.test", "a.mcs.test", own=False))) == ["mcs"]
    assert list(stalled(world("b.mcs.test"))) == ["b"], "else it would be told nowhere"


def test_of_portals_it_is_as_of_links() -> None:
    common = instance(domain="mcs.test", tls={"secretRef": {"name": "common"}})

    def told(*domains: str) -> list[str]:
        media = MediaState(refused=[{"domain": domain, "problem": WORDS} for domain in domains])
        portals = [portal("own", **OWN), portal("other")]
        return list(stalled(given(common, portals, pod(), report(media=media))))

    assert told("meet.own.test") == ["own"]
    assert told("meet.other.test") == ["other"]
    assert told("mcs.test", "meet.own.test", "meet.other.test") == ["mcs", "own"]
    assert told() == []


@pytest.mark.parametrize("domains", [(), ("elsewhere.test",)])
def test_nobody_is_stalled_when_nothing_of_his_is_refused(domains: tuple[str, ...]) -> None:
    assert stalled(world(*domains)) == {}


def test_while_the_appliance_does_not_answer_its_last_word_stands_and_no_other() -> None:
    told = statuses(world("a.mcs.test"))
    before = {key: status["conditions"] for key, status in told.items()}
    assert list(stalled(world(media=False, before=before))) == ["a"]
    assert stalled(world(media=False)) == {}
    assert stalled(world(before=before)) == {}, "it answers, and takes it now"


@pytest.mark.parametrize("other", [{"message": "its profile is lost"}, {"status": "False"}, {"type": "Ready"}])
def test_of_what_stands_only_the_appliances_own_word_about_this_certificate_is_believed(other: dict[str, str]) -> None:
    told = statuses(world("a.mcs.test"))
    standing = [c for c in told[Kind.LINK, "a"]["conditions"] if c["type"] == "Stalled"]
    assert refused.certificates(world(media=False, before={(Kind.LINK, "a"): standing}), decide(world())) != {}
    changed = [condition | other for condition in standing]
    assert refused.certificates(world(media=False, before={(Kind.LINK, "a"): changed}), decide(world())) == {}


@pytest.mark.parametrize(
    "said",
    [None, 7, "text", {}, [None], [7], [[]], [{}], [{"domain": "a.mcs.test"}], [{"problem": "x"}],
     [{"domain": 7, "problem": "x"}], [{"domain": "a" * 254, "problem": "x"}], [{"domain": "", "problem": "x"}]],
)  # fmt: skip
def test_what_is_no_refusal_is_none_and_spoils_nothing_else(said: object) -> None:
    heard = MediaState.model_validate({"connections": 3, "refused": said})
    assert (heard.connections, heard.refused) == (3, [])


def test_what_a_hostile_appliance_says_is_bounded_and_printable() -> None:
    many = [{"domain": f"{number}.test", "problem": "\x1b[31m" + "é" * 5000} for number in range(1000)]
    heard = MediaState.model_validate({"refused": many})
    assert len(heard.refused) == MAX_REFUSED
    assert {len(entry.problem) for entry in heard.refused} == {MAX_MESSAGE}
    assert heard.refused[0].problem.startswith("?[31mé")


def test_it_survives_the_way_from_the_agent_to_the_operator() -> None:
    heard = MediaState.model_validate({"refused": [{"domain": "A.mcs.test", "problem": WORDS, "new": 1}]})
    again = MediaState.model_validate_json(heard.model_dump_json())
    assert again == heard
    assert again.refused[0].domain == "a.mcs.test"


@pytest.mark.parametrize(
    ("config", "why", "expected"),
    [
        pytest.param("new", None, ("False", "Reconciled"), id="taken"),
        pytest.param("old", None, ("False", "Reconciled"), id="on its way"),
        pytest.param("old", "links.json is not JSON", ("True", "Progressing"), id="not taken, and that lasts"),
        pytest.param("new", "links.json is not JSON", ("False", "Reconciled"), id="taken meanwhile"),
    ],
)
def test_an_instance_says_why_the_appliance_does_not_take_its_newest_configuration(
    config: str, why: str | None, expected: tuple[str, str]
) -> None:
    said = MediaState(config=config, notTaken=why)
    seen = given(instance(), community(), link("a"), identity("a", 17), pod(), report(state(17, "r17"), media=said))
    wanted = Wanted(revisions={17: "r17"}, untaken=refused.whole_set(seen, "new"))
    status = all_statuses(seen, decide(seen), wanted)[Kind.INSTANCE, "mcs"]
    assert conditions(status)["Reconciling"] == expected
    if expected[0] == "True":
        assert message(status, "Reconciling").endswith(f"goes on with the one before: {why}")


@pytest.mark.parametrize(
    ("said", "heard"), [(7, None), ([], None), ("", None), ("a\x1b" + "b" * 999, "a?" + "b" * 510)]
)
def test_why_a_set_is_not_taken_is_a_bounded_text_or_nothing(said: object, heard: str | None) -> None:
    assert MediaState.model_validate({"notTaken": said}).notTaken == heard


def test_who_has_a_certificate_that_is_taken_is_told_nothing() -> None:
    seen = world()
    assert refused.certificates(seen, decide(seen)) == {}


def test_a_set_that_was_taken_is_not_told_of() -> None:
    assert refused.whole_set(world(), "any") == ""
    assert refused.whole_set(given(), "any") == ""
