"""When certificates are ordered: pure, so weeks pass in no time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.orders import Attempt, Issuable, Suggestion
from mcs_operator.domain.rules import issuance
from support.worlds import NOW

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def name(domain: str, *, since: datetime | None = None, days: int = 90) -> Issuable:
    """A name, with a certificate of so many days where it has one since then."""
    until = since + days * DAY if since else None
    return Issuable(Kind.LINK, domain.partition(".")[0], domain, f"demo-acme-{domain}", since, until)


def names(count: int, of: str = "example.com") -> list[Issuable]:
    return [name(f"c{number:03d}.{of}") for number in range(count)]


def due(
    listed: Iterable[Issuable],
    attempts: dict[str, Attempt] | None = None,
    per_week: int = 50,
    now: datetime = NOW,
    gone: dict[str, datetime] | None = None,
    begun: issuance.Begun | None = None,
    suggested: dict[str, Suggestion] | None = None,
) -> dict[str, datetime]:
    listed = list(listed)
    issued = {one.domain: one.begins for one in listed if one.begins} | (gone or {})
    return issuance.dates(listed, attempts or {}, per_week, now, issued, begun or {}, suggested)


def test_names_without_a_certificate_are_ordered_for_at_once_in_their_order() -> None:
    listed = names(50)
    assert list(due(listed).items()) == [(one.domain, NOW) for one in listed]


def test_what_is_beyond_the_weekly_limit_is_told_its_day() -> None:
    found = list(due(names(120)).values())
    assert found == [NOW] * 50 + [NOW + 7 * DAY] * 50 + [NOW + 14 * DAY] * 20


def test_what_was_issued_within_the_week_takes_a_place_until_the_week_is_over() -> None:
    there = [name(f"old{n:02d}.example.com", since=NOW - n * DAY / 10) for n in range(1, 50)]
    found = due([*there, *names(3)])
    assert [found[one.domain] for one in names(3)] == [NOW, NOW - 4.9 * DAY + 7 * DAY, NOW - 4.8 * DAY + 7 * DAY]


def test_a_name_that_nobody_has_any_more_has_its_place_until_the_week_is_over() -> None:
    gone = {f"old{n:02d}.example.com": NOW - n * HOUR for n in range(50)}
    assert due(names(2), gone=gone)["c000.example.com"] == NOW - 49 * HOUR + 7 * DAY
    assert due(names(1), gone=dict(list(gone.items())[:49])) == {"c000.example.com": NOW}
    assert due(names(1), gone=dict.fromkeys(gone, NOW - 7 * DAY)) == {"c000.example.com": NOW}


def test_an_object_has_five_new_names_in_a_week_and_the_sixth_waits() -> None:
    one = name("c.example.com")
    of_its_own = {f"old{n}.example.com": NOW - n * DAY for n in range(5)}
    begun = {(one.kind, one.name): of_its_own}
    assert due([one], begun=begun) == {"c.example.com": NOW + 3 * DAY}
    assert due([name("c.example.org")], begun=begun) == {"c.example.org": NOW + 3 * DAY}, "wherever the name is"
    assert due([name("other.example.com")], begun=begun) == {"other.example.com": NOW}, "no other object waits"
    assert due([one], begun={(one.kind, one.name): dict(list(of_its_own.items())[:4])}) == {"c.example.com": NOW}
    assert due([one], begun={(one.kind, one.name): {**of_its_own, "old4.example.com": NOW - 7 * DAY}}) == {
        "c.example.com": NOW
    }


def test_a_name_that_was_ordered_for_waits_for_its_own_failures_alone() -> None:
    one = name("c.example.com")
    begun = {(one.kind, one.name): {f"old{n}.example.com": NOW for n in range(9)} | {"c.example.com": NOW}}
    assert due([one], begun=begun) == {"c.example.com": NOW}


def test_250_names_of_one_domain_take_five_weeks_and_no_week_has_more_than_50() -> None:
    """As it happens: what is issued has its date, and the rest is reckoned anew each time."""
    listed, now, issued = {one.domain: one for one in names(250)}, NOW, list[datetime]()
    while any(one.begins is None for one in listed.values()):
        dates = {d: at for d, at in due(listed.values(), now=now).items() if listed[d].begins is None}
        now = max(now, min(dates.values()))
        for domain in [d for d, at in dates.items() if at <= now]:
            listed[domain] = name(domain, since=now)
            issued.append(now)
    assert (now - NOW) == 28 * DAY
    assert all(sum(at - 7 * DAY < other <= at for other in issued) <= 50 for at in issued)


def test_each_registered_domain_has_a_limit_of_its_own() -> None:
    found = due([*names(60), *names(50, "example.org")])
    assert sum(at == NOW for at in found.values()) == 100


def test_a_renewal_does_not_count_and_is_ahead_of_all_that_is_new() -> None:
    old = [name(f"old{n}.example.com", since=NOW - 70 * DAY) for n in range(60)]
    found = due([*names(50), *old])
    assert [domain for domain, at in found.items() if at <= NOW] == [
        *sorted((one.domain for one in old), key=lambda domain: found[domain]),
        *(one.domain for one in names(50)),
    ]


@pytest.mark.parametrize("days", [6, 45, 90, 365])
def test_it_is_renewed_at_two_thirds_of_its_life_each_name_at_a_moment_of_its_own(days: int) -> None:
    life = days * DAY
    moments = {issuance.renewal(one.domain, NOW, NOW + life) - NOW for one in names(250)}
    assert len(moments) == 250
    assert min(moments) >= life * 2 / 3
    assert max(moments) <= life * 0.7


def test_a_name_that_fails_is_tried_ever_later_and_never_more_than_a_day_apart() -> None:
    attempt, now, pauses = None, NOW, []
    for _ in range(12):
        attempt = issuance.failed("acme.example.com", attempt, "dns: no such name", now)
        pauses.append((attempt.due - now) / MINUTE)
        now = attempt.due
    for tries, pause in enumerate(pauses):
        wanted = min(10 * 2**tries, 24 * 60)
        assert wanted - 1 <= pause <= wanted * 1.1
    assert sum(1 for n in range(len(pauses)) if sum(pauses[: n + 1]) < 60) < 5, "a public server takes five an hour"


def test_names_that_fail_together_do_not_come_back_together() -> None:
    assert len({issuance.failed(one.domain, None, "dns", NOW).due for one in names(60)}) > 30


def test_one_bad_name_delays_nobody_and_takes_no_place_of_the_week() -> None:
    bad = {one.domain: issuance.failed(one.domain, None, "dns: no such name", NOW) for one in names(50)}
    good = name("good.example.com")
    assert due([*names(50), good], bad)["good.example.com"] == NOW


def test_where_the_servers_limit_is_met_all_of_that_registered_domain_wait_until_it_says() -> None:
    limited = issuance.failed("c000.example.com", None, "rateLimited: too many", NOW, NOW + 2 * DAY)
    found = due([*names(3), name("a.example.org")], {"c000.example.com": limited})
    assert found == {
        **dict.fromkeys(("c000.example.com", "c001.example.com", "c002.example.com"), NOW + 2 * DAY),
        "a.example.org": NOW,
    }


def test_what_a_server_asks_to_wait_is_kept_and_has_an_end() -> None:
    assert issuance.failed("a.example.com", None, "x", NOW, NOW + 3 * DAY).due == NOW + 3 * DAY
    assert issuance.failed("a.example.com", None, "x", NOW, NOW + 900 * DAY).due == NOW + 8 * DAY
    assert issuance.failed("a.example.com", None, "x", NOW, NOW - DAY).due > NOW
    assert issuance.failed("a.example.com", None, "rateLimited: x", NOW).due >= NOW + HOUR


@pytest.mark.parametrize(
    ("domain", "registered"),
    [
        ("acme.mcs.example.com", "example.com"),
        ("example.com", "example.com"),
        ("acme.example.co.uk", "example.co.uk"),
        ("a.b.example.it", "example.it"),
        ("co.uk", "co.uk"),
    ],
)
def test_names_are_counted_by_their_registered_domain(domain: str, registered: str) -> None:
    assert issuance.registered(domain) == registered


def test_a_renewal_that_fails_is_tried_again_in_its_time() -> None:
    old = name("a.example.com", since=NOW - 70 * DAY)
    attempt = issuance.failed("a.example.com", None, "caa: forbidden", NOW)
    assert due([old], {"a.example.com": attempt}) == {"a.example.com": attempt.due}


@pytest.mark.parametrize(
    "problem", ["dns: no such name", "", "a: b: c", "two\nlines\x00\u202e", "x" * 5000, "unauthorized: “404”"]
)
def test_what_failed_is_read_back_from_what_is_told(problem: str) -> None:
    attempt = issuance.failed("acme.example.com", Attempt(3, NOW, ""), problem, NOW)
    text = issuance.told("acme.example.com", attempt)
    assert issuance.read_back("acme.example.com", text, NOW) == attempt
    assert len(text) < 1024
    assert text.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acme.example.com: an order is under way, or next in the queue",
        "other.example.com: 1 order failed, the next is due at 2026-03-01T12:10:00Z: dns",
        "acme.example.com: 1 order failed, the next is due at 2026-13-41T12:10:00Z: dns",
        "acme.example.com: ٣ orders failed, the next is due at 2026-03-01T12:10:00Z: dns",
        "acme.example.com: 99999 orders failed, the next is due at 2026-03-01T12:10:00Z: dns",
    ],
)
def test_what_tells_of_no_failure_is_none(text: str) -> None:
    assert issuance.read_back("acme.example.com", text, NOW) is None


def test_a_date_that_somebody_wrote_into_a_status_holds_nothing_back_for_years() -> None:
    text = "acme.example.com: 1 order failed, the next is due at 2999-01-01T00:00:00Z: dns"
    found = issuance.read_back("acme.example.com", text, NOW)
    assert found is not None
    assert found.due == NOW + issuance.LONGEST_ASKED


def test_a_customers_own_words_that_a_server_quotes_delay_nobody_elses_name() -> None:
    """Servers quote what they found at the name: whoever has its site writes what he likes there."""
    quoted = 'unauthorized: Invalid response from http://c000.example.com/.well-known/acme-challenge/x: "rateLimited"'
    attempt = issuance.failed("c000.example.com", None, quoted, NOW)
    assert attempt.due < NOW + HOUR
    assert due(names(2), {"c000.example.com": attempt})["c001.example.com"] == NOW


# --- when a server would have a certificate renewed ---


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(Suggestion(NOW, NOW + 10 * DAY, NOW), NOW + 10 * DAY, id="sooner"),
        pytest.param(Suggestion(NOW, NOW - 10 * DAY, NOW), NOW - 10 * DAY, id="now"),
        pytest.param(Suggestion(NOW, NOW + 80 * DAY, NOW), None, id="later"),
        pytest.param(Suggestion(NOW, None, NOW), None, id="it does not say"),
        pytest.param(Suggestion(NOW - DAY, NOW + 10 * DAY, NOW), None, id="of the certificate before"),
    ],
)
def test_a_server_may_bring_a_renewal_forward_and_not_put_it_off(said: Suggestion, expected: datetime | None) -> None:
    one = name("a.example.com", since=NOW)
    usual = due([one])[one.domain]
    assert NOW + 60 * DAY <= usual <= NOW + 63 * DAY
    assert due([one], suggested={one.domain: said})[one.domain] == (expected or usual)


def test_a_renewal_that_a_server_brought_forward_and_refuses_comes_ever_later_like_any() -> None:
    one, failed = name("a.example.com", since=NOW), Attempt(1, NOW + HOUR, "no")
    said = {one.domain: Suggestion(NOW, NOW - DAY, NOW)}
    assert due([one], {one.domain: failed}, suggested=said) == {one.domain: NOW + HOUR}


def test_nothing_is_asked_about_a_name_without_a_certificate() -> None:
    assert issuance.question(name("a.example.com"), {}, NOW, NOW) is None


@pytest.mark.parametrize("age", [timedelta(), 30 * DAY])
def test_a_certificate_is_asked_about_after_its_first_day_and_within_an_hour_of_a_start(age: timedelta) -> None:
    asked = {
        issuance.question(name(f"c{n}.example.com", since=NOW - age), {}, NOW, NOW) or NOW - DAY for n in range(250)
    }
    first = NOW if age else NOW + DAY
    assert first <= min(asked) <= first + 2 * MINUTE
    assert first + 58 * MINUTE <= max(asked) <= first + HOUR
    assert len(asked) == 250


def test_what_was_said_of_the_certificate_before_keeps_no_question_from_the_next() -> None:
    one = name("a.example.com", since=NOW)
    assert issuance.question(one, {one.domain: Suggestion(NOW, None, NOW + 7 * HOUR)}, NOW, NOW) == NOW + 7 * HOUR
    fresh = issuance.question(one, {one.domain: Suggestion(NOW - DAY, None, NOW)}, NOW, NOW)
    assert fresh and fresh >= NOW + DAY


def test_a_certificate_that_begins_in_the_last_year_keeps_nothing_from_being_asked() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    one = Issuable(Kind.LINK, "a", "a.example.com", "s", last, last)
    assert NOW + DAY <= (issuance.question(one, {}, NOW, NOW) or NOW) <= NOW + DAY + HOUR


@pytest.mark.parametrize(
    ("asked", "understood"),
    [(None, 6 * HOUR), (timedelta(), 6 * HOUR), (7 * HOUR, 7 * HOUR), (100 * DAY, 24 * HOUR), (-DAY, 6 * HOUR)],
)
def test_a_server_is_asked_again_after_six_hours_to_a_day(asked: timedelta | None, understood: timedelta) -> None:
    again = NOW + asked if asked is not None else None
    assert issuance.suggestion(NOW, None, None, again, NOW).again == NOW + understood


def test_where_a_server_does_not_answer_its_last_word_about_that_certificate_holds() -> None:
    before = Suggestion(NOW, NOW + DAY, NOW)
    assert issuance.suggestion(NOW, before, None, None, NOW).at == NOW + DAY
    assert issuance.suggestion(NOW + HOUR, before, None, None, NOW).at is None
    assert issuance.suggestion(NOW, before, NOW + 2 * DAY, None, NOW).at == NOW + 2 * DAY
