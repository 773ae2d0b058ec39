"""Server certificates are renewed ahead of their end: each at its own moment, and only a few at a time."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from mcs_operator.pki import mint_ca, mint_server, not_after, renewal
from mcs_operator.pki.mint import SERVER_DAYS
from mcs_operator.pki.renewal import PACE, PER_MINUTE, choose, is_due, renew_at

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CA = mint_ca("demo", NOW)
END = not_after(CA.cert_pem)
CERT = mint_server(CA, "link-017.demo", NOW).cert_pem
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def fleet(count: int) -> dict[str, str]:
    """So many links with a certificate of the same moment: the dates count, so one will do for all."""
    return {f"c{number:04d}": CERT for number in range(count)}


def test_every_link_is_due_between_two_and_five_sixths_of_its_certificates_life() -> None:
    ages = [(renew_at(CERT, name) - NOW) / timedelta(days=SERVER_DAYS) for name in fleet(250)]
    assert 2 / 3 - 0.01 < min(ages) < 0.68
    assert 0.82 < max(ages) < 5 / 6 + 0.01


@pytest.mark.parametrize("name", ["acme", "bolt", "c0000", "a-name-of-63-characters"])
def test_the_moment_within_the_spread_follows_from_the_links_name_alone(name: str) -> None:
    """Another share after an update of the operator would be another wave of restarts."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
    assert renew_at(CERT, name) == NOW + timedelta(days=SERVER_DAYS) * (2 / 3 + share / 6)


def test_250_links_of_one_day_are_spread_over_two_months_the_same_way_each_time() -> None:
    days = [(renew_at(CERT, name) - NOW).days for name in fleet(250)]
    assert max(days.count(day) for day in set(days)) <= 15
    assert len(set(days)) > 50
    assert days == [(renew_at(CERT, name) - NOW).days for name in fleet(250)]


def test_it_is_due_at_its_second_and_not_before() -> None:
    moment = renew_at(CERT, "acme")
    assert not is_due(CERT, "acme", END, moment - SECOND)
    assert is_due(CERT, "acme", END, moment)


@pytest.mark.parametrize("past", [SECOND, DAY, 3650 * DAY], ids=["a second", "a day", "ten years"])
def test_a_clock_past_the_expiry_renews(past: timedelta) -> None:
    assert is_due(CERT, "acme", END, not_after(CERT) + past)


def test_a_certificate_that_ends_with_its_ca_is_not_renewed_for_nothing() -> None:
    short = mint_server(CA, "link-017.demo", END - 30 * DAY).cert_pem
    assert not_after(short) == END
    assert not is_due(short, "acme", END, END - SECOND)
    assert choose({"acme": short}, END, END - SECOND) == (frozenset(), None)


def test_one_signed_by_a_clock_that_was_ahead_is_replaced() -> None:
    ahead = mint_server(CA, "link-017.demo", NOW + 400 * DAY).cert_pem
    assert is_due(ahead, "acme", END, NOW)
    assert not is_due(CERT, "acme", END, NOW - SECOND), "two clocks a second apart are not a wrong clock"


def test_nobody_is_renewed_on_a_usual_day_and_the_next_one_is_known() -> None:
    chosen, due = choose(fleet(250), END, NOW + DAY)
    assert not chosen
    assert due == min(renew_at(CERT, name) for name in fleet(250))


@pytest.mark.parametrize(("links", "at_once"), [(0, 0), (1, 1), (10, 10), (11, 10), (250, 10)])
def test_when_everybody_is_due_a_few_are_renewed_at_a_time(links: int, at_once: int) -> None:
    now = not_after(CERT) + DAY
    chosen, due = choose(fleet(links), END, now)
    assert len(chosen) == at_once
    assert (due == now + PACE) is (links > at_once)


def test_whoever_asks_in_the_same_minute_gets_no_further_ones_and_a_minute_later_the_next() -> None:
    now = not_after(CERT) + DAY
    fresh = mint_server(CA, "link-017.demo", now).cert_pem
    known = fleet(250)
    known |= dict.fromkeys(choose(known, END, now)[0], fresh)
    assert not choose(known, END, now + 59 * SECOND)[0]
    assert len(choose(known, END, now + PACE)[0]) == PER_MINUTE


def test_after_25_minutes_all_250_are_renewed() -> None:
    known, now, minutes = fleet(250), not_after(CERT) + DAY, 0
    while chosen := choose(known, END, now)[0]:
        known |= dict.fromkeys(chosen, mint_server(CA, "link-017.demo", now).cert_pem)
        now, minutes = now + PACE, minutes + 1
    assert minutes == 25
    assert CERT not in known.values()


def test_who_ends_first_is_first() -> None:
    known = fleet(30) | {"zzzz": mint_server(CA, "link-017.demo", NOW - DAY).cert_pem}
    assert "zzzz" in choose(known, END, not_after(CERT) + DAY)[0]


# --- at the edges ---


def lives(monkeypatch: pytest.MonkeyPatch, **known: tuple[datetime, datetime]) -> dict[str, str]:
    """Links whose certificates were signed, and end, at these moments."""
    monkeypatch.setattr(renewal, "life", known.__getitem__)
    return {name: name for name in known}


@pytest.mark.parametrize("lately", range(12))
def test_who_was_renewed_within_the_minute_counts_once_against_the_ten_of_it(
    lately: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, minute_ago, just = (NOW - 400 * DAY, NOW), (NOW - PACE, END), (NOW, END)
    known = {f"due{n}": old for n in range(20)} | {f"late{n}": just for n in range(lately)} | {"earlier": minute_ago}
    chosen, due = choose(lives(monkeypatch, **known), END, NOW)
    assert (len(chosen), due) == (max(0, 10 - lately), NOW + PACE)


def test_one_from_the_future_is_one_that_begins_in_more_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    known = lives(monkeypatch, edge=(NOW + PACE, END), ahead=(NOW + PACE + SECOND, END))
    assert [is_due(name, name, END, NOW) for name in known] == [False, True]


def test_the_next_look_is_at_the_next_renewal_of_what_can_be_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = lives(monkeypatch, until_the_ca=(NOW - DAY, END), shorter=(NOW - DAY, END - SECOND))
    assert choose(known, END, NOW) == (frozenset(), renew_at("shorter", "shorter"))
    now = renew_at("shorter", "shorter")
    assert choose(known, END, now) == (frozenset({"shorter"}), None), "it is done, and there is no other"
