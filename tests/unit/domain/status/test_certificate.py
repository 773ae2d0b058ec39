"""CertificateReady: whether a public name has a certificate, in whose words, and what is written for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.contract.linkstate import MediaState
from mcs_operator.contract.lookup import Answer, Lookup
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.orders import Attempt, Orders
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.rules import issuance
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status import Wanted, all_statuses
from support.worlds import (
    NOW,
    THUMBPRINT,
    conditions,
    given,
    identity,
    instance,
    link,
    message,
    ordering,
    pod,
    portal,
    queued,
    report,
)

LINK, INSTANCE = (Kind.LINK, "a"), (Kind.INSTANCE, "mcs")
CONFIRMED = report(media=MediaState(acmeThumbprint=THUMBPRINT))
RIGHT = Answer(addresses=(IPv4Address("10.89.0.1"),))
WRONG = Answer(addresses=(IPv4Address("192.0.2.9"),))
RESOLVED = dict.fromkeys(("mcs.test", "meet.acme.test", "a.mcs.test"), Lookup(RIGHT, RIGHT))
CALM = ("Ready", "Reconciling", "Stalled")


def world(*things: Any, **more: Any) -> World:
    known = {"lookups": RESOLVED} | more
    return given(ordering(), portal(), link("a"), identity("a", 17), pod(), things or CONFIRMED, **known)


def told(of: World, **how: Any) -> dict[Any, dict[str, Any]]:
    return all_statuses(of, decide(of), Wanted(revisions={17: "r17"}, queue=queued(of, **how)))


def certificate(status: dict[str, Any]) -> tuple[str, str, str]:
    return (*conditions(status)["CertificateReady"], message(status, "CertificateReady"))


def failed(problem: str = "dns: no such name", tries: int = 2) -> Orders:
    attempt = Attempt(tries, NOW + timedelta(minutes=20), problem)
    return Orders(failed={"a.mcs.test": attempt}, tried=frozenset({"a.mcs.test"}), issuer="")


def test_what_was_issued_tells_its_dates() -> None:
    assert certificate(told(world(), issued=True)[LINK]) == (
        "True",
        "Issued",
        "a.mcs.test: issued until 2026-05-29, renewed by 2026-05-01",
    )


def test_a_name_whose_turn_has_come_says_so_without_a_date_that_would_change() -> None:
    assert certificate(told(world())[LINK]) == (
        "False",
        "Pending",
        "a.mcs.test: an order is under way, or next in the queue",
    )


def test_a_name_beyond_the_weekly_limit_is_told_its_day() -> None:
    of = given(ordering(certificatesPerWeek=1), link("a"), identity("a", 17), pod(), CONFIRMED, lookups=RESOLVED)
    said = certificate(told(of)[LINK])
    assert said[2] == "a.mcs.test: the server's weekly limit for mcs.test is reached; its turn comes on 2026-03-08"


def test_a_failure_has_the_servers_words_bounded_and_on_a_line_and_when_the_next_order_is_due() -> None:
    problem = issuance.words("unauthorized: got\n\x1b[31m“404”\u202e " + "x" * 5000)
    status, reason, text = certificate(told(world(orders=failed(problem)))[LINK])
    assert (status, reason) == ("False", "OrderFailed")
    assert text.startswith(
        "a.mcs.test: 2 orders failed, the next is due at 2026-03-01T12:20:00Z: unauthorized: got [31m"
    )
    assert text.isprintable()
    assert len(text) < 600


def test_a_renewal_that_fails_is_told_while_the_certificate_of_before_is_served() -> None:
    assert certificate(told(world(orders=failed()), issued=True)[LINK])[:2] == ("True", "RenewalFailed")


def test_nobody_waits_for_a_certificate_and_one_bad_name_changes_nothing_at_the_others() -> None:
    bad, well = told(world(orders=failed())), told(world())
    for key, status in bad.items():
        assert {type: conditions(status)[type] for type in CALM} == {type: conditions(well[key])[type] for type in CALM}
    assert {key for key in bad if certificate(bad[key]) != certificate(well[key])} == {LINK}


def test_an_image_that_does_not_confirm_the_thumbprint_is_named_and_nothing_is_ordered() -> None:
    of = world(report(media=MediaState()))
    status, reason, text = certificate(told(of)[LINK])
    assert (status, reason) == ("Unknown", "NotSupported")
    assert "localhost/mcs/appliance:dev" in text
    assert queued(of).ready == ()


@pytest.mark.parametrize(
    ("says", "names_the_image"), [(None, True), ("", False), ("acme-solver.mcs-demo.svc:8089", False)]
)
def test_who_waits_for_a_certificate_is_told_of_an_image_that_passes_no_challenge_on(
    says: str | None, names_the_image: bool
) -> None:
    solved = instance(tls={"http01": {"serviceRef": {"name": "acme-solver"}}})
    of = given(solved, link("a"), identity("a", 17), pod(), report(media=MediaState(http01Solver=says)))
    wanted = Wanted(revisions={}, certificates={LINK: Verdict(Reason.CERTIFICATE_NOT_FOUND, "there is no Secret")})
    image = "; media image localhost/mcs/appliance:dev, or the link agent of this pod, passes no challenge on"
    text = "there is no Secret" + (image if names_the_image else "")
    assert certificate(all_statuses(of, decide(of), wanted)[LINK]) == ("False", "CertificateNotFound", text)


def test_nothing_is_ordered_before_the_name_leads_here_nor_before_the_appliance_answers() -> None:
    for of, reason in (
        (world(lookups={}), "Pending"),
        (world(lookups={"a.mcs.test": Lookup(WRONG, WRONG)}), "NotResolved"),
        (world(report(media=MediaState(acmeThumbprint=""))), "Pending"),
        (world(report(media=MediaState(acmeThumbprint="x" * 43))), "Pending"),
        (world(report()), "Pending"),
        (given(ordering(), link("a"), identity("a", 17), pod(), lookups=RESOLVED), "AgentUnreachable"),
    ):
        assert certificate(told(of)[LINK])[1] == reason
        assert queued(of).ready == ()
    assert {one.domain for one in queued(world()).ready} == set(RESOLVED)


def test_a_certificate_that_is_served_stays_ready_while_nothing_can_be_ordered() -> None:
    of = world(report(media=MediaState()))
    assert certificate(told(of, issued=True)[LINK])[:2] == ("True", "Issued")


def test_a_server_that_cannot_be_used_is_told_at_the_instance_alone() -> None:
    found = told(world(orders=Orders(issuer="the ACME server does not answer")))
    assert certificate(found[INSTANCE]) == ("False", "IssuerNotReady", "the ACME server does not answer")
    assert certificate(found[LINK])[1] == "Pending"


def test_an_account_that_is_missing_is_told_at_the_instance_alone() -> None:
    found = told(world(), account=None)
    assert certificate(found[INSTANCE])[1] == "IssuerNotReady"
    assert certificate(found[LINK])[1] == "Pending"


def test_an_operator_that_starts_anew_writes_nothing_about_what_failed() -> None:
    before = replace(world(), orders=failed())
    statuses = told(before)
    live = {key: status["conditions"] for key, status in statuses.items()}
    after = replace(world(), conditions=live, now=NOW + timedelta(minutes=5))
    assert told(after) == statuses
    down = told(world(orders=Orders(issuer="the ACME server does not answer")))
    live = {key: status["conditions"] for key, status in down.items()}
    assert told(replace(world(), conditions=live)) == down


def test_an_operator_that_starts_anew_waits_until_the_date_that_it_has_told() -> None:
    live = {key: status["conditions"] for key, status in told(world(orders=failed())).items()}
    found = queued(replace(world(), conditions=live, now=NOW + timedelta(minutes=5)))
    assert found.attempts["a.mcs.test"] == failed().failed["a.mcs.test"]
    assert found.dates["a.mcs.test"] == NOW + timedelta(minutes=20)


def test_before_the_dns_has_answered_what_was_told_stands() -> None:
    waiting = given(ordering(certificatesPerWeek=1), link("a"), identity("a", 17), pod(), CONFIRMED, lookups=RESOLVED)
    for before in (waiting, world(), world(lookups={"a.mcs.test": Lookup(WRONG, WRONG)})):
        statuses = told(before)
        live = {key: status["conditions"] for key, status in statuses.items()}
        after = told(replace(before, conditions=live, lookups={}))
        assert certificate(after[LINK]) == certificate(statuses[LINK])
