"""Who is served, at which number, and why not: every test is "given this world"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.api import Function, TVoxLink
from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.contract.shards import (
    ServedCommunity,
    ServedLink,
    ServedUser,
    communities_file,
    links_file,
    packed,
    users_files,
)
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import DamagedProfile, Unreadable
from mcs_operator.domain.plan import Plan
from support.worlds import (
    NOW,
    community,
    fingerprint,
    given,
    identity,
    instance,
    link,
    links,
    plans,
    profile,
    refusal,
    slot,
)

HELD = [identity(f"c{number:04d}", 2 + number) for number in range(250)]


def refusals(plan: Plan) -> dict[str, Reason]:
    return {p.link.name: p.refusal.reason for p in plan.links if p.refusal}


def accepted(world: object) -> set[str]:
    return {name for name, plan in plans(world).items() if plan.accepted}  # type: ignore[arg-type]


# --- the law of 250 ---


@pytest.mark.parametrize("count", [0, 1, 249, 250])
def test_up_to_250_links_are_all_served_at_numbers_of_their_own(count: int) -> None:
    served = decide(given(instance(), community(), links(count))).served
    assert [plan.number for plan in served] == list(range(2, 2 + count))
    assert all(plan.accepted for plan in served)


@pytest.mark.parametrize("count", [251, 300])
def test_the_oldest_250_are_served_and_the_others_told_so(count: int) -> None:
    world = given(instance(), community(), links(count))
    assert accepted(world) == {f"c{number:04d}" for number in range(250)}
    verdict = refusal(world, "c0250")
    assert verdict.reason is Reason.CAPACITY_EXCEEDED
    assert "250 of at most 250" in verdict.message
    assert plans(world)["c0250"].number is None


def test_the_251st_takes_over_when_a_place_frees_up() -> None:
    everybody = links(251)
    assert "c0250" in accepted(given(instance(), community(), everybody[1:], HELD[1:]))


def test_of_two_created_in_the_same_second_the_name_decides() -> None:
    tied = [link("zeta"), link("alfa")]
    assert accepted(given(instance(), community(), links(249), tied)) >= {"alfa"}
    assert refusal(given(instance(), community(), links(249), tied), "zeta").reason is Reason.CAPACITY_EXCEEDED


def test_who_holds_a_slot_stays_although_a_restore_made_everybody_the_same_age_and_newcomers_older() -> None:
    holders = [link(f"c{number:04d}") for number in range(250)]
    newcomer = link("aaaa", age=3600)
    world = given(instance(), community(), newcomer, holders, HELD)
    assert accepted(world) == {holder.name for holder in holders}
    assert refusal(world, "aaaa").reason is Reason.CAPACITY_EXCEEDED


def test_a_profile_alone_or_a_slot_secret_alone_makes_a_holder() -> None:
    holders = [link(f"c{number:04d}") for number in range(250)]
    one_each = [(HELD[number][number % 2]) for number in range(250)]
    assert "aaaa" not in accepted(given(instance(), community(), link("aaaa", age=3600), holders, one_each))


def test_a_wish_for_an_address_is_no_way_past_an_older_link() -> None:
    older, newer = link("older", age=20), link("newer", age=10, vpnAddress="198.18.254.251")
    world = given(instance(), community(), [link(f"c{n:04d}", age=99) for n in range(249)], HELD[:249], older, newer)
    assert "older" in accepted(world)
    assert refusal(world, "newer").reason is Reason.CAPACITY_EXCEEDED


def test_a_refused_link_uses_up_no_place() -> None:
    wrong = link("wrong", age=9999, vpnAddress="10.0.0.9")
    assert len(accepted(given(instance(), community(), wrong, links(250)))) == 250


# --- numbers ---


def test_a_link_keeps_its_number_whatever_comes_before_it() -> None:
    world = given(instance(), community(), link("old", age=500), link("held", age=1), identity("held", 2))
    assert (plans(world)["held"].number, plans(world)["old"].number) == (2, 3)


def test_a_wish_is_granted() -> None:
    assert plans(given(instance(), community(), link("a", vpnAddress="198.18.254.17")))["a"].number == 17


@pytest.mark.parametrize(("address", "number"), [("198.18.254.2", 2), ("198.18.254.251", 251)])
def test_the_first_and_the_last_address_can_be_wished_for(address: str, number: int) -> None:
    assert plans(given(instance(), community(), link("a", vpnAddress=address)))["a"].number == number


def test_who_wishes_for_nothing_gets_no_number_that_somebody_younger_names() -> None:
    world = given(instance(), community(), link("old", age=9), link("new", vpnAddress="198.18.254.2"))
    assert (plans(world)["new"].number, plans(world)["old"].number) == (2, 3)


def test_of_two_wishes_for_one_address_the_older_is_granted_and_the_other_not_told_whose_it_is() -> None:
    older, newer = (link(name, age=age, vpnAddress="198.18.254.17") for name, age in (("older", 9), ("newer", 1)))
    world = given(instance(), community(), older, newer)
    assert plans(world)["older"].number == 17
    verdict = refusal(world, "newer")
    assert verdict.reason is Reason.ADDRESS_TAKEN
    assert "198.18.254.17 is used by another TVoxLink of this instance" in verdict.message
    assert "older" not in verdict.message


def test_a_wish_for_a_held_number_is_refused_also_when_the_wishing_link_is_older() -> None:
    wishing = link("wishing", age=500, vpnAddress="198.18.254.17")
    world = given(instance(), community(), wishing, link("holder"), identity("holder", 17))
    assert refusal(world, "wishing").reason is Reason.ADDRESS_TAKEN
    assert plans(world)["holder"].number == 17


def test_a_wish_for_the_number_of_a_deleted_link_that_may_come_back_is_refused_and_says_how_long() -> None:
    verdict = refusal(given(instance(), community(), link("a", vpnAddress="198.18.254.17"), profile("gone", 17)), "a")
    assert verdict.reason is Reason.ADDRESS_TAKEN
    assert "is kept for a TVoxLink that was deleted (spec.retain.links" in verdict.message
    assert "gone" not in verdict.message


@pytest.mark.parametrize("address", ["198.18.255.17", "10.0.0.2", "198.18.254.252", "198.18.254.1", "198.18.254.0"])
def test_an_address_outside_of_the_range_is_refused_with_the_range(address: str) -> None:
    asked = link("a")
    asked = asked.model_copy(update={"spec": asked.spec.model_copy(update={"vpn_address": address})})
    verdict = refusal(given(instance(), community(), asked), "a")
    assert verdict.reason is Reason.ADDRESS_OUT_OF_RANGE
    assert address in verdict.message
    assert "198.18.254.2 " in verdict.message
    assert "198.18.254.251" in verdict.message


def test_a_changed_wish_of_a_link_that_has_a_number_is_refused_and_the_tunnel_stays() -> None:
    world = given(instance(), community(), link("a", vpnAddress="198.18.254.18"), identity("a", 17))
    assert refusal(world, "a").reason is Reason.ADDRESS_IMMUTABLE
    assert plans(world)["a"].number == 17


def test_a_wish_that_says_what_the_link_has_already_is_no_change() -> None:
    world = given(instance(), community(), link("a", vpnAddress="198.18.254.17"), identity("a", 17))
    assert plans(world)["a"].accepted


def test_the_number_of_a_deleted_link_is_given_to_nobody_while_another_one_is_free() -> None:
    kept = [profile(f"gone{number}", number, released=NOW) for number in range(2, 251)]
    assert plans(given(instance(), community(), link("a"), kept))["a"].number == 251


def test_only_when_no_number_is_free_the_longest_released_one_is_given_up() -> None:
    kept = [profile(f"gone{n}", n, released=NOW - timedelta(hours=n if n != 99 else 9999)) for n in range(2, 252)]
    plan = decide(given(instance(), community(), link("a"), kept, now=NOW))
    assert plan.links[0].number == 99
    assert "gone99" in [p.link for p in plan.forgotten]


def test_when_all_slots_are_taken_the_next_link_waits_for_one() -> None:
    """Six customers of a pod with six slots have gone, and their identities are kept: the next six are served."""
    kept = [profile(f"gone{n}", n, released=NOW - timedelta(hours=n)) for n in range(2, 8)]
    new = [link(f"new{n}") for n in range(7)]
    plan = decide(given(instance(vpn={"slots": 6}), community(), new, kept, now=NOW))
    assert [p.number for p in plan.links] == [7, 6, 5, 4, 3, 2, None], "the longest released first"
    assert refusals(plan) == {"new6": Reason.NO_FREE_SLOT}
    assert {p.link for p in plan.given_up} == {p.link for p in kept} == {p.link for p in plan.forgotten}


def test_who_waits_for_a_slot_gets_the_first_that_frees_up_by_age() -> None:
    waiting = [link("young"), link("old", age=9)]
    slots = instance(vpn={"slots": 1})
    full = decide(given(slots, community(), waiting, link("served", age=1), identity("served", 2)))
    assert refusals(full) == {"old": Reason.NO_FREE_SLOT, "young": Reason.NO_FREE_SLOT}
    freed = decide(given(slots, community(), waiting))
    assert {p.link.name: p.number for p in freed.links} == {"old": 2, "young": None}


def test_a_wish_for_an_address_above_the_slots_is_refused_until_there_are_more() -> None:
    wish = link("a", vpnAddress="198.18.254.17")
    plan = decide(given(instance(vpn={"slots": 15}), community(), wish))
    assert refusals(plan) == {"a": Reason.ADDRESS_OUT_OF_RANGE}
    assert "198.18.254.2 and 198.18.254.16" in str(plan.links[0].refusal)
    assert decide(given(instance(vpn={"slots": 16}), community(), wish)).links[0].number == 17


def test_an_identity_above_the_slots_keeps_its_number_and_takes_no_slot() -> None:
    """It is in its TVox's profile: another number is another profile. It comes back with the slots."""
    held = [link("a", vpnAddress="198.18.254.17"), identity("a", 17), link("b"), identity("b", 18)]
    plan = decide(given(instance(vpn={"slots": 1}), community(), held, link("new")))
    assert {p.link.name: p.number for p in plan.links} == {"a": 17, "b": 18, "new": 2}
    assert refusals(plan) == {}


def test_while_a_fresh_number_has_a_slot_no_identity_is_given_up() -> None:
    kept = [profile(f"gone{n}", n, released=NOW - timedelta(hours=n)) for n in range(2, 7)]
    plan = decide(given(instance(vpn={"slots": 6}), community(), link("new"), kept, now=NOW))
    assert plan.links[0].number == 7
    assert plan.given_up == plan.forgotten == ()


def test_an_identity_whose_time_is_over_is_forgotten_without_being_given_up() -> None:
    kept = [profile(f"gone{n}", n, released=NOW - timedelta(days=31)) for n in range(2, 8)]
    plan = decide(given(instance(vpn={"slots": 6}), community(), link("new"), kept, now=NOW))
    assert plan.links[0].number == 2
    assert plan.given_up == ()
    assert len(plan.forgotten) == 6


def test_whoever_has_a_profile_with_that_number_needs_no_other_identity_to_go() -> None:
    """As after a restore of both: the deleted link may yet come back, with a number of its own."""
    both = identity("new", 2), profile("old", 2, released=NOW)
    assert decide(given(instance(), community(), link("new"), *both)).given_up == ()


def test_a_number_that_is_not_given_up_is_not_forgotten() -> None:
    kept = profile("gone", 2, released=NOW - timedelta(days=29))
    assert decide(given(instance(), community(), link("a"), kept)).forgotten == ()


def test_a_slot_secret_of_nobody_known_blocks_its_number_until_it_is_gone() -> None:
    assert plans(given(instance(), community(), link("a"), slot(2, "unknown")))["a"].number == 3


def test_a_link_that_comes_back_gets_its_number_back() -> None:
    plan = decide(given(instance(), community(), link("a"), profile("a", 99, released=NOW - timedelta(days=3))))
    assert plan.links[0].number == 99
    assert plan.released == plan.forgotten == ()


def test_two_identities_with_one_number_never_give_it_to_two_links() -> None:
    """Backups of two moments, restored into one namespace."""
    world = given(instance(), community(), link("a", age=5), link("b", age=1), profile("a", 7), profile("b", 7))
    assert plans(world)["a"].number == 7
    assert refusal(world, "b").reason is Reason.ADDRESS_TAKEN
    assert plans(world)["b"].number is None


def test_two_identities_with_one_number_whose_community_is_gone_too() -> None:
    world = given(instance(), link("a", age=5), link("b", age=1), profile("a", 7), profile("b", 7))
    assert sorted(plan.number or 0 for plan in plans(world).values()) == [0, 7]


# --- retention ---


def test_the_clock_of_an_identity_starts_when_its_link_is_gone() -> None:
    plan = decide(given(instance(), community(), profile("gone", 17)))
    assert [p.link for p in plan.released] == ["gone"]
    assert plan.forgotten == ()


@pytest.mark.parametrize(
    ("hours", "forgotten"),
    [
        pytest.param(719, False, id="an hour before the end it is still kept"),
        pytest.param(720, True, id="after 30 days it is forgotten"),
    ],
)
def test_an_identity_is_kept_for_the_retention(hours: int, forgotten: bool) -> None:
    kept = profile("gone", 17, released=NOW - timedelta(hours=hours))
    plan = decide(given(instance(), community(), kept))
    assert bool(plan.forgotten) is forgotten
    assert plan.due == (None if forgotten else NOW + timedelta(hours=1)), "what is over is not waited for again"


def test_the_end_of_the_next_retention_is_known_so_that_somebody_looks_then() -> None:
    kept = [profile(f"gone{days}", days + 2, released=NOW - timedelta(days=days)) for days in (1, 20, 40)]
    assert decide(given(instance(), community(), kept, link("a"), profile("a", 99))).due == NOW + timedelta(days=10)


def test_without_a_deleted_link_there_is_nothing_to_look_at_later() -> None:
    assert decide(given(instance(), community(), link("a"), identity("a", 2))).due is None


def test_an_identity_is_never_forgotten_while_its_link_is_there() -> None:
    kept = profile("a", 17, released=NOW - timedelta(days=99))
    plan = decide(given(instance(), community(), link("a"), kept))
    assert plan.forgotten == ()
    assert plan.links[0].number == 17


def test_without_the_instance_no_clock_starts() -> None:
    plan = decide(given(link("a"), profile("gone", 17), profile("a", 18)))
    assert (plan.released, plan.forgotten) == ((), ())


# --- domains ---


def test_of_two_links_with_one_domain_the_older_has_it_and_the_other_is_not_told_whose_it_is() -> None:
    older, newer = link("older", age=9, domain="x.mcs.test"), link("newer", age=1, domain="x.mcs.test")
    world = given(instance(), community(), newer, older)
    assert accepted(world) == {"older"}
    verdict = refusal(world, "newer")
    assert verdict.reason is Reason.DOMAIN_TAKEN
    assert "x.mcs.test" in verdict.message
    assert "older" not in verdict.message, "tenants may share a namespace"


def test_who_holds_a_slot_keeps_his_domain_against_an_older_newcomer() -> None:
    world = given(
        instance(),
        community(),
        link("older", age=9, domain="x.mcs.test"),
        link("holder", age=1, domain="x.mcs.test"),
        identity("holder", 5),
    )
    assert accepted(world) == {"holder"}


def test_a_younger_link_does_not_get_a_domain_by_wishing_for_an_address() -> None:
    world = given(
        instance(),
        community(),
        link("older", age=9, domain="x.mcs.test"),
        link("newer", age=1, domain="x.mcs.test", vpnAddress="198.18.254.9"),
    )
    assert accepted(world) == {"older"}


def test_the_instances_own_domain_is_taken() -> None:
    verdict = refusal(given(instance(domain="mcs.test"), community(), link("a", domain="mcs.test")), "a")
    assert verdict.reason is Reason.DOMAIN_TAKEN


def test_the_domain_of_a_refused_link_is_free() -> None:
    refused = link("refused", age=9, domain="x.mcs.test", vpnAddress="10.0.0.9")
    assert accepted(given(instance(), community(), refused, link("b", domain="x.mcs.test"))) == {"b"}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({"domain": "b.mcs.test"}, Reason.DOMAIN_TAKEN, id="another link's domain"),
        pytest.param({"domain": "mcs.test"}, Reason.DOMAIN_TAKEN, id="the instance's domain"),
        pytest.param({"vpnAddress": "10.0.0.9"}, Reason.ADDRESS_OUT_OF_RANGE, id="an address of another network"),
        pytest.param({"vpnAddress": "198.18.254.99"}, Reason.ADDRESS_IMMUTABLE, id="another address"),
        pytest.param({"community": "nobody"}, Reason.COMMUNITY_NOT_FOUND, id="a community that is not there"),
        pytest.param({"community": "foreign"}, Reason.INSTANCE_MISMATCH, id="another instance's community"),
    ],
)
def test_a_mistake_in_a_served_links_spec_never_cuts_its_tunnel(spec: dict[str, str], reason: Reason) -> None:
    world = given(
        instance(),
        community(),
        community("foreign", instance="other"),
        link("b", age=99),
        identity("b", 5),
        link("a", **spec),
        identity("a", 17),
    )
    assert refusal(world, "a").reason is reason
    assert plans(world)["a"].number == 17
    assert plans(world)["b"].accepted


def test_who_takes_a_customers_domain_does_not_cut_that_customers_tunnel() -> None:
    thief, victim = link("thief", age=99, domain="x.mcs.test"), link("victim", age=1, domain="x.mcs.test")
    world = given(instance(), community(), thief, victim, identity("thief", 2), identity("victim", 3))
    assert plans(world)["victim"].number == 3


# --- references ---


def test_a_link_waits_for_its_community() -> None:
    verdict = refusal(given(instance(), link("a")), "a")
    assert verdict.reason is Reason.COMMUNITY_NOT_FOUND
    assert "'acme'" in verdict.message


def test_a_link_waits_for_its_instance() -> None:
    verdict = refusal(given(community(), link("a")), "a")
    assert verdict.reason is Reason.INSTANCE_NOT_FOUND
    assert "'mcs'" in verdict.message


def test_a_link_to_another_instance_than_the_one_that_is_there_waits_for_it() -> None:
    world = given(instance(), community(), link("a", instance="other"))
    assert refusal(world, "a").reason is Reason.INSTANCE_NOT_FOUND


def test_a_community_of_another_instance_does_not_do() -> None:
    verdict = refusal(given(instance(), community(instance="other"), link("a")), "a")
    assert verdict.reason is Reason.INSTANCE_MISMATCH
    assert "Community 'acme' has another spec.instanceRef" in verdict.message


def test_what_is_missing_is_told_apart_from_what_is_there_and_does_not_do() -> None:
    def said(*things: object) -> str:
        return refusal(given(*things), "a").message

    second = [instance(age=9), instance("second"), community(), link("a", instance="second")]
    strange = Unreadable(Kind.COMMUNITY, "acme", 1, "spec.users")
    assert "MCSInstance 'mcs' does not exist in namespace demo; create it" in said(link("a"))
    assert "MCSInstance 'second' exists, and is not accepted" in said(second)
    assert "'mcs' exists, and is not" in said(Unreadable(Kind.INSTANCE, "mcs", 1, "spec.tier"), link("a"))
    assert "Community 'acme' does not exist in namespace demo; create it" in said(instance(), link("a"))
    assert "Community 'acme' exists, and cannot be read" in said(instance(), strange, link("a"))
    for told in (said(second), said(instance(), strange, link("a"))):
        assert "create it" not in told


def test_a_link_without_a_community_keeps_its_domain_against_others() -> None:
    lost = link("lost", community="nobody", domain="x.mcs.test")
    world = given(instance(), community(), lost, identity("lost", 9), link("b", age=99, domain="x.mcs.test"))
    assert refusal(world, "b").reason is Reason.DOMAIN_TAKEN


# --- instances ---


def test_of_two_instances_the_older_one_has_the_namespace() -> None:
    plan = decide(given(instance("second", age=1), instance("first", age=9), ca=False))
    assert plan.instance is not None
    assert plan.instance.name == "first"
    assert [other.name for other in plan.occupants] == ["second"]


def test_who_has_a_ca_here_has_the_namespace_whatever_the_ages_say_after_a_restore() -> None:
    world = given(instance("old", age=1), instance("aaa", age=9))
    world = replace(world, authorities={"old": world.authorities["old"]})
    plan = decide(world)
    assert plan.instance is not None
    assert plan.instance.name == "old"


def test_the_slots_of_an_instance_that_is_gone_do_not_hide_those_of_the_one_that_is_there() -> None:
    """Links of a deleted instance stay, and so do their slot Secrets, with the same numbers."""
    for order in (("mcs", "gone"), ("gone", "mcs")):
        slots = [slot(2, f"link-of-{owner}", owner=owner) for owner in order]
        world = given(instance(), community(), link("link-of-mcs"), link("link-of-gone", instance="gone"), slots)
        assert plans(world)["link-of-mcs"].number == 2, order
        assert plans(world)["link-of-mcs"].profile_lost


# --- loss ---


def test_without_a_ca_and_with_an_identity_the_identity_is_lost() -> None:
    assert decide(given(instance(), community(), link("a"), identity("a", 2), ca=False)).identity_lost


@pytest.mark.parametrize("left", [profile("a", 2), slot(2, "a")], ids=["a profile", "a slot Secret"])
def test_one_thing_signed_by_the_lost_ca_is_enough_to_mint_no_other(left: object) -> None:
    assert decide(given(instance(), left, ca=False)).identity_lost


def test_a_new_instance_has_lost_nothing() -> None:
    assert not decide(given(instance(), community(), links(3), ca=False)).identity_lost


def test_identities_of_another_instance_are_no_loss_of_this_one() -> None:
    other = identity("a", 2, owner="other")
    assert not decide(given(instance(), other, ca=False)).identity_lost


def test_a_slot_without_its_profile_says_that_the_profile_is_lost() -> None:
    plan = plans(given(instance(), community(), link("a"), slot(17, "a")))["a"]
    assert (plan.number, plan.profile_lost, plan.accepted) == (17, True, True)


def test_a_profile_without_its_slot_is_a_link_that_was_away() -> None:
    plan = plans(given(instance(), community(), link("a"), profile("a", 17)))["a"]
    assert (plan.number, plan.profile_lost) == (17, False)


# --- objects of another version ---


def test_a_link_that_this_version_cannot_read_is_not_a_deleted_link() -> None:
    unreadable = Unreadable(Kind.LINK, "strange", 3, "spec.protocol: 'SCTP': not one of UDP, TCP")
    plan = decide(given(instance(), community(), unreadable, identity("strange", 2), link("a")))
    assert plan.released == ()
    assert [(p.link.name, p.number) for p in plan.served] == [("a", 3)]
    assert "strange" in plan.untouched


def test_a_link_that_this_version_cannot_read_keeps_its_place_among_the_250() -> None:
    unreadable = Unreadable(Kind.LINK, "strange", 3, "spec.protocol")
    world = given(instance(), community(), unreadable, identity("strange", 251), links(250))
    assert len(accepted(world)) == 249
    assert "250 of at most 250" in refusal(world, "c0249").message


def test_two_links_that_cannot_be_read_are_two_of_the_250_although_a_restore_gave_them_one_number() -> None:
    strange = [Unreadable(Kind.LINK, name, 3, "spec.protocol") for name in ("one", "other")]
    world = given(instance(), community(), strange, profile("one", 251), profile("other", 251), links(249))
    assert len(accepted(world)) == 248


def test_a_link_that_this_version_cannot_read_keeps_its_public_name_and_line() -> None:
    line = ServedLink("strange", 2, "x.mcs.test", "198.18.254.2", "acme", True)
    unreadable = Unreadable(Kind.LINK, "strange", 3, "spec.protocol")
    thief = link("thief", domain="x.mcs.test")
    known = [instance(), community(), unreadable, identity("strange", 2), thief]
    plan = decide(given(known, shards=packed(links_file([line]))))
    assert plan.kept.links == (line,)
    verdict = refusal(given(known, shards=packed(links_file([line]))), "thief")
    assert (verdict.reason, "strange" in verdict.message) == (Reason.DOMAIN_TAKEN, False)


@pytest.mark.parametrize(
    "line",
    [
        ServedLink("strange", 3, "x.mcs.test", "198.18.254.3", "acme", True),
        ServedLink("strange", 2, "mcs.test", "198.18.254.2", "acme", True),
        ServedLink("other", 2, "x.mcs.test", "198.18.254.2", "acme", True),
    ],
    ids=["of another number", "with the instance's domain", "of a link that is gone"],
)
def test_a_line_that_is_not_its_own_is_not_kept(line: ServedLink) -> None:
    unreadable = Unreadable(Kind.LINK, "strange", 3, "spec.protocol")
    world = given(instance(), community(), unreadable, identity("strange", 2), shards=packed(links_file([line])))
    assert decide(world).kept.links == ()


def test_users_of_a_community_that_this_version_cannot_read_are_served_as_before() -> None:
    ann = ServedUser("strange", "ann", "Ann", (Function.AUDIO,))
    line = ServedCommunity("strange", "Strange & Sons", True)
    shards = packed(users_files([ann, ServedUser("gone", "bob", "Bob", ())]) | communities_file([line]))
    unreadable = Unreadable(Kind.COMMUNITY, "strange", 3, "spec.defaultFunctions")
    crowd = [{"name": f"u{n}"} for n in range(1000)]
    plan = decide(given(instance(), unreadable, community(users=crowd), shards=shards))
    assert plan.users.users[0] == ann
    assert len(plan.users.users) == 1000, "and count"
    assert plan.kept.communities == (line,)


# --- the platform team's limits for each Community ---


def of_community(count: int, name: str = "acme", **spec: Any) -> list[TVoxLink]:
    return [link(f"{name}-{n}", community=name, age=count - n, **spec) for n in range(count)]


@pytest.mark.parametrize(("limit", "accepted"), [(None, 3), (3, 3), (2, 2), (1, 1)])
def test_a_community_has_so_many_links_as_its_limit_allows(limit: int | None, accepted: int) -> None:
    limits = {"communityLimits": {"links": limit}} if limit else {}
    world = given(instance(**limits), community(), community("beta"), of_community(3), of_community(1, "beta"))
    found = plans(world)
    assert [found[f"acme-{n}"].accepted for n in range(3)] == [n < accepted for n in range(3)]
    assert found["beta-0"].accepted, "another Community's"
    if accepted < 3:
        verdict = refusal(world, "acme-2")
        assert verdict.reason is Reason.COMMUNITY_LIMIT_EXCEEDED
        assert f"the {limit} TVoxLinks that spec.communityLimits.links" in verdict.message
        assert found["acme-2"].number is None


def test_a_limit_that_is_lowered_cuts_nobody_off_and_lets_nobody_in() -> None:
    held = [(one, identity(one.name, 2 + n)) for n, one in enumerate(of_community(2))]
    world = given(instance(communityLimits={"links": 1}), community(), held, link("older", age=99))
    found = plans(world)
    assert [found[f"acme-{n}"].accepted for n in range(2)] == [True, True]
    assert refusal(world, "older").reason is Reason.COMMUNITY_LIMIT_EXCEEDED


def test_a_link_that_is_refused_takes_no_place_in_its_community() -> None:
    first, second = link("first", age=9, domain="mcs.test"), link("second")
    found = plans(given(instance(communityLimits={"links": 1}), community(), first, second))
    assert (found["first"].accepted, found["second"].accepted) == (False, True)


def test_users_beyond_the_limit_of_their_community_are_not_served() -> None:
    two = community("beta", users=("c",))
    plan = decide(given(instance(communityLimits={"users": 1}), community(users=("a", "b")), two))
    assert [user.name for user in plan.users.users] == ["a", "c"]


def test_who_is_in_force_keeps_the_place_when_another_community_grows() -> None:
    crowd, few = [f"u{n}" for n in range(1000)], ("x", "y")
    in_force = packed(users_files([ServedUser("few", name, name, ()) for name in few]))
    plan = decide(given(instance(), community("big", age=9, users=crowd), community("few", users=few), shards=in_force))
    assert (plan.users.by_community["big"].served, plan.users.by_community["few"].served) == (998, 2)


# --- Secrets that are in the way ---


def test_an_identity_of_another_instance_is_nobodys_to_take() -> None:
    verdict = refusal(given(instance(), community(), link("a"), profile("a", 17, owner="former")), "a")
    assert verdict.reason is Reason.NAME_TAKEN
    assert "Secret a-profile" in verdict.message and "'former'" in verdict.message
    assert plans(given(instance(), community(), link("a"), profile("a", 17, owner="former")))["a"].number is None


def test_a_profile_that_cannot_be_read_is_nobodys_to_write_over() -> None:
    damaged = DamagedProfile("a", "mcs", 17)
    base = [instance(), community(), link("a"), link("wishing", vpnAddress="198.18.254.17"), link("b")]
    world = given(base, damaged=(damaged,))
    verdict = refusal(world, "a")
    assert verdict.reason is Reason.NAME_TAKEN
    assert "Secret a-profile cannot be read" in verdict.message
    assert refusal(world, "wishing").reason is Reason.ADDRESS_TAKEN
    assert decide(given(base, damaged=(damaged,), ca=False)).identity_lost


def test_the_number_of_a_profile_that_cannot_be_read_is_given_to_nobody() -> None:
    damaged = DamagedProfile("a", "mcs", 2)
    assert plans(given(instance(), community(), link("b"), damaged=(damaged,)))["b"].number == 3
    nobodys = DamagedProfile("a", "", 2, "lacks label mcs.tvox.io/instance")
    assert plans(given(instance(), community(), link("b"), damaged=(nobodys,)))["b"].number == 3
    others = DamagedProfile("a", "former", 2)
    assert plans(given(instance(), community(), link("b"), damaged=(others,)))["b"].number == 2
    unknown = DamagedProfile("a", "mcs", None)
    assert plans(given(instance(), community(), link("b"), damaged=(unknown,)))["b"].number == 2


@pytest.mark.parametrize("other", [{"damaged": (DamagedProfile("a", "mcs", 17),)}, {}], ids=["damaged", "foreign"])
def test_who_has_a_slot_goes_on_without_such_a_profile(other: dict[str, Any]) -> None:
    foreign = [] if other else [profile("a", 99, owner="former")]
    plan = plans(given(instance(), community(), link("a"), slot(17, "a"), foreign, **other))["a"]
    assert (plan.number, plan.profile_lost, plan.refusal) == (17, True, None)


def test_of_a_lost_profile_the_slot_of_another_instances_namesake_tells_nothing() -> None:
    theirs = slot(7, "acme", owner="former", fingerprints=(fingerprint("theirs"),))
    world = given(instance(), community(), link("acme"), theirs, slot(2, "acme"))
    assert plans(world)["acme"].pins.known == (fingerprint("acme"),)


def test_a_number_that_a_strangers_secret_blocks_is_given_to_nobody() -> None:
    world = given(instance(), community(), links(3), blocked={("mcs", 3): "mcs-link-003", ("former", 4): "x"})
    assert [plan.number for plan in plans(world).values()] == [2, 4, 5]


def test_who_finds_no_number_because_one_is_blocked_is_told_as_who_is_beyond_the_250() -> None:
    world = given(instance(), community(), links(250), blocked={("mcs", 3): "mcs-link-003"})
    assert len(accepted(world)) == 249
    assert refusal(world, "c0249").message == (
        "spec.instanceRef.name: mcs: the instance has 250 of at most 250 TVoxLinks; delete one, or use another "
        "instance; this one takes over when a place frees up"
    )


def test_a_wish_for_a_number_that_a_strangers_secret_blocks_is_told_what_blocks_it() -> None:
    wish = link("a", vpnAddress="198.18.254.3")
    verdict = refusal(given(instance(), community(), wish, blocked={("mcs", 3): "mcs-link-003"}), "a")
    assert verdict.reason is Reason.ADDRESS_TAKEN
    assert verdict.message == (
        "spec.vpnAddress: 198.18.254.3 is blocked by Secret mcs-link-003, which is not the operator's; choose another"
    )


def test_a_number_is_given_up_although_the_slot_of_its_deleted_link_is_still_there() -> None:
    gone = profile("gone", 2, released=NOW), slot(2, "gone")
    plan = decide(given(instance(vpn={"slots": 1}), community(), link("a"), *gone))
    assert [(served.link.name, served.number) for served in plan.served] == [("a", 2)]
    assert [identity.link for identity in plan.given_up] == ["gone"]


class Counted(tuple[DamagedProfile, ...]):
    """Counts how often it is gone through."""

    times = 0

    def __iter__(self) -> Iterator[DamagedProfile]:
        type(self).times += 1
        return super().__iter__()


@pytest.mark.parametrize("count", [1, 100])
def test_what_somebody_filled_the_namespace_with_is_not_gone_through_for_each_link(count: int) -> None:
    """Ten thousand Secrets named like profiles and 250 refused links took 0.4 s, in which nobody else had a turn."""
    refused = [link(f"x{n}", domain="taken.test", vpn_address="198.18.254.9") for n in range(count)]
    damaged = Counted(DamagedProfile(f"f{n}", "mcs", n + 2) for n in range(5))
    world = given(instance(domain="taken.test"), community(), refused, damaged=damaged)
    Counted.times = 0
    assert not accepted(world)
    assert Counted.times < 10


def test_an_address_whose_slot_is_anothers_is_taken_and_ones_own_slot_is_not_in_the_way() -> None:
    asks = link("a", vpnAddress="198.18.254.17")
    theirs = plans(given(instance(), community(), asks, slot(17, "gone")))["a"].refusal
    assert theirs is not None
    assert (
        theirs.message == "spec.vpnAddress: 198.18.254.17 is used by another TVoxLink of this instance; choose another"
    )
    assert plans(given(instance(), community(), asks, slot(17, "a")))["a"].refusal is None
