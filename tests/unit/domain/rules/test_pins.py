"""Which of a TVox's certificates are accepted: rotation with overlap, revocation, and what is asked for by mistake."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mcs_operator.domain.facts.world import Fingerprint
from mcs_operator.domain.rules.pins import OVERLAP, Stage, accepted, decide_pins, rotated, stage
from mcs_operator.settings import ANNOTATION_REVOKE, ANNOTATION_ROTATE, ANNOTATION_UNDO_ROTATE
from support.worlds import NOW, fingerprint

SECOND = timedelta(seconds=1)
MADE = NOW - timedelta(hours=2)
OLD = fingerprint("old", created=NOW - timedelta(days=90))
NEW = fingerprint("new", created=MADE, deadline=MADE + OVERLAP)
NEWEST = fingerprint("newest", created=NOW, deadline=NOW + OVERLAP)


def shown(of: object) -> str:
    return of.sha256.replace(":", "").lower()  # type: ignore[attr-defined, no-any-return]


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def rotate(moment: datetime) -> dict[str, str]:
    return {ANNOTATION_ROTATE: text(moment)}


def revoke(moment: datetime) -> dict[str, str]:
    return {ANNOTATION_REVOKE: text(moment)}


# --- asking for a rotation ---


def test_a_link_of_which_nothing_is_asked_stays_as_it_is() -> None:
    found = decide_pins([OLD], {}, None, NOW)
    assert (found.known, found.rotate, found.due) == ((OLD,), False, None)


def test_a_rotation_is_asked_for_by_a_time_after_the_newest_certificates_creation() -> None:
    assert decide_pins([OLD], rotate(NOW), None, NOW).rotate
    assert decide_pins([OLD, NEW], rotate(MADE + SECOND), None, NOW).rotate


@pytest.mark.parametrize("asked", [MADE, MADE - SECOND], ids=["at its creation", "before"])
def test_what_led_to_the_newest_certificate_leads_to_no_other_one(asked: datetime) -> None:
    assert not decide_pins([OLD, NEW], rotate(asked), None, NOW).rotate


def test_a_request_with_a_fraction_of_a_second_is_done_once() -> None:
    made = fingerprint("made", created=NOW)
    asked = {ANNOTATION_ROTATE: (NOW + timedelta(milliseconds=500)).isoformat()}
    assert not decide_pins([made], asked, None, NOW + timedelta(milliseconds=900)).rotate


@pytest.mark.parametrize(
    "typo", ["", " ", "now", "yes", "2026-13-01T00:00:00Z", "2026-03-01T25:00:00Z", "1772366400", "12:00"]
)
def test_a_typing_error_does_nothing(typo: str) -> None:
    found = decide_pins([OLD], {ANNOTATION_ROTATE: typo, ANNOTATION_REVOKE: typo}, None, NOW)
    assert (found.known, found.rotate) == ((OLD,), False)


def test_a_time_to_come_waits_until_then_and_is_looked_at_then() -> None:
    later = NOW + timedelta(hours=5)
    for asked in (rotate(later), revoke(later)):
        early = decide_pins([OLD], asked, None, later - SECOND)
        assert (early.known, early.rotate, early.due) == ((OLD,), False, later)
    assert decide_pins([OLD], rotate(later), None, later).rotate
    done = decide_pins([OLD], revoke(later), None, later)
    assert (done.known[0].revoked, done.due) == (later, None), "it is done, and not looked at again at once"


def test_the_new_one_stands_beside_the_one_in_use() -> None:
    assert rotated([OLD], NEW) == (OLD, NEW)


def test_asked_again_before_the_new_one_was_seen_the_one_in_use_stays_and_two_are_never_exceeded() -> None:
    assert rotated([OLD, NEW], NEWEST) == (OLD, NEWEST)


# --- taken back ---


def undo(moment: datetime) -> dict[str, str]:
    return {ANNOTATION_UNDO_ROTATE: text(moment)}


def test_a_rotation_that_nobody_has_moved_to_is_taken_back_and_made_no_second_time() -> None:
    asked = rotate(MADE) | undo(NOW)
    found = decide_pins([OLD, NEW], asked, shown(OLD), NOW, has_previous=True)
    assert accepted(found.known) == (OLD,)
    assert (stage(found.known), found.rotate, found.due) == (Stage.UP_TO_DATE, False, None)
    assert decide_pins(found.known, asked, shown(OLD), NOW + SECOND, has_previous=False) == found
    assert not decide_pins(found.known, rotate(MADE), shown(OLD), NOW + SECOND).rotate, "also without the request"
    assert decide_pins(found.known, rotate(NOW), shown(OLD), NOW).rotate, "a new one is another matter"


@pytest.mark.parametrize(
    ("known", "asked", "has_previous"),
    [
        pytest.param([OLD, replace(NEW, seen=NOW)], NOW, True, id="the new one was seen"),
        pytest.param([OLD, NEW], NOW, False, id="what the TVox has is not known"),
        pytest.param([OLD, NEW], MADE - SECOND, True, id="of a rotation before"),
        pytest.param([OLD], NOW, True, id="no rotation"),
        pytest.param([NEW], NOW, True, id="the old one is refused already"),
    ],
)
def test_what_cannot_be_taken_back_stays(known: list[Fingerprint], asked: datetime, has_previous: bool) -> None:
    found = decide_pins(known, undo(asked), None, NOW, has_previous)
    assert all(pin.withdrawn is None for pin in found.known)


def test_a_rotation_that_was_taken_back_before_it_was_made_is_not_made() -> None:
    assert not decide_pins([OLD], rotate(NOW - SECOND) | undo(NOW), None, NOW).rotate
    later = decide_pins([OLD], rotate(NOW - SECOND) | undo(NOW + SECOND), None, NOW)
    assert later.rotate, "a request to come is none yet"


def test_taken_back_while_it_was_being_made_it_is_void_all_the_same() -> None:
    """The operator may see the second request after it carried out the first; or its clock is ahead of the user's."""
    asked = rotate(MADE - 20 * SECOND) | undo(MADE - 10 * SECOND)
    found = decide_pins([OLD, NEW], asked, shown(OLD), NOW, has_previous=True)
    assert accepted(found.known) == (OLD,)
    assert (stage(found.known), found.rotate) == (Stage.UP_TO_DATE, False)
    assert decide_pins(found.known, asked, shown(OLD), NOW + SECOND).known == found.known
    former = undo(MADE - 30 * SECOND) | rotate(MADE - 20 * SECOND)
    assert accepted(decide_pins([OLD, NEW], former, None, NOW, has_previous=True).known) == (OLD, NEW)


def test_revoked_and_taken_back_at_once_the_old_one_is_refused() -> None:
    found = decide_pins([OLD, NEW], revoke(NOW) | undo(NOW), None, NOW, has_previous=True)
    assert accepted(found.known) == (NEW,)


def test_what_is_left_after_it_was_taken_back_can_be_revoked_and_the_old_request_makes_nothing() -> None:
    known = decide_pins([OLD, NEW], undo(NOW), None, NOW, has_previous=True).known
    found = decide_pins(known, rotate(MADE) | revoke(NOW), None, NOW)
    assert (stage(found.known), found.rotate) == (Stage.REVOKED, False)


# --- the end of the overlap ---


def test_the_old_one_is_accepted_until_the_new_one_is_seen() -> None:
    assert decide_pins([OLD, NEW], {}, None, NOW).known == (OLD, NEW)
    assert decide_pins([OLD, NEW], {}, shown(OLD), NOW).known == (OLD, NEW)
    (left,) = decide_pins([OLD, NEW], {}, shown(NEW), NOW).known
    assert (left.sha256, left.seen) == (NEW.sha256, NOW)


def test_the_old_one_is_accepted_until_the_second_of_the_deadline() -> None:
    before = decide_pins([OLD, NEW], {}, shown(OLD), MADE + OVERLAP - SECOND)
    assert (before.known, before.due) == ((OLD, NEW), MADE + OVERLAP)
    after = decide_pins([OLD, NEW], {}, shown(OLD), MADE + OVERLAP)
    assert (after.known, after.due) == ((NEW,), None)


def test_what_was_seen_once_is_not_noted_again_nor_is_a_links_first_certificate() -> None:
    (left,) = decide_pins([OLD, NEW], {}, shown(NEW), NOW).known
    assert decide_pins([left], {}, shown(NEW), NOW + OVERLAP).known == (left,)
    assert decide_pins([OLD], {}, shown(OLD), NOW).known == (OLD,)


def test_a_new_one_that_is_seen_after_the_deadline_is_noted() -> None:
    (left,) = decide_pins([NEW], {}, shown(NEW), MADE + 2 * OVERLAP).known
    assert left.seen == MADE + 2 * OVERLAP


def test_two_of_which_nothing_but_the_fingerprint_is_known_both_stay() -> None:
    """The profile is lost and the copy in the slot's Secret is damaged: nobody can tell which one is in use."""
    known = [fingerprint("a", created=None), fingerprint("b", created=None)]
    assert decide_pins(known, {}, shown(known[1]), NOW).known == tuple(known)


# --- revocation ---


def test_the_only_one_is_revoked_and_stays_on_the_list_with_its_mark() -> None:
    found = decide_pins([OLD], revoke(NOW), shown(OLD), NOW)
    assert [(pin.sha256, pin.revoked) for pin in found.known] == [(OLD.sha256, NOW)]
    assert stage(found.known) is Stage.REVOKED


def test_during_a_rotation_the_old_one_is_revoked_and_the_new_one_stays_also_in_the_next_round() -> None:
    asked = revoke(NOW)
    known = decide_pins([OLD, NEW], asked, shown(OLD), NOW).known
    assert [(pin.sha256, pin.revoked) for pin in known] == [(OLD.sha256, NOW), (NEW.sha256, None)]
    assert decide_pins(known, asked, shown(OLD), NOW + SECOND).known == known


def test_asked_again_later_the_remaining_one_is_revoked_too() -> None:
    known = decide_pins([OLD, NEW], revoke(NOW), None, NOW).known
    later = NOW + SECOND
    again = decide_pins(known, revoke(later), None, later).known
    assert [(pin.sha256, pin.revoked) for pin in again] == [(NEW.sha256, later)]


def test_a_revocation_asked_for_before_the_certificate_was_made_is_of_another_time() -> None:
    assert decide_pins([NEW], revoke(MADE - SECOND), None, NOW).known == (NEW,)


def test_revoked_and_rotated_at_once_the_old_one_is_refused_and_a_new_one_made_once() -> None:
    asked = revoke(NOW) | rotate(NOW)
    first = decide_pins([OLD], asked, shown(OLD), NOW)
    assert first.rotate
    known = rotated(first.known, NEWEST)
    assert [(pin.sha256, pin.revoked) for pin in known] == [(OLD.sha256, NOW), (NEWEST.sha256, None)]
    second = decide_pins(known, asked, shown(OLD), NOW + SECOND)
    assert (second.known, second.rotate) == (known, False)


def test_what_is_revoked_never_comes_back_through_a_rotation() -> None:
    revoked = decide_pins([OLD], revoke(NOW), None, NOW).known
    known = rotated(revoked, NEWEST)
    for moment in (NOW, NOW + OVERLAP, NOW + 2 * OVERLAP):
        found = decide_pins(known, revoke(NOW), shown(OLD), moment).known
        assert [pin.sha256 for pin in found if not pin.revoked] == [NEWEST.sha256]


# --- how far it is ---


@pytest.mark.parametrize(
    ("known", "reached"),
    [
        pytest.param([], Stage.UP_TO_DATE, id="no certificate yet"),
        pytest.param([OLD], Stage.UP_TO_DATE, id="never rotated"),
        pytest.param([OLD, NEW], Stage.OVERLAP, id="both accepted"),
        pytest.param([NEW], Stage.OLD_REFUSED, id="deadline over, not seen"),
        pytest.param([fingerprint("s", deadline=NOW, seen=NOW)], Stage.UP_TO_DATE, id="seen"),
        pytest.param([fingerprint("r", revoked=NOW), NEW], Stage.OLD_REFUSED, id="old revoked, new not seen"),
        pytest.param([fingerprint("r", revoked=NOW)], Stage.REVOKED, id="all revoked"),
    ],
)
def test_the_stage(known: list[object], reached: Stage) -> None:
    assert stage(known) is reached  # type: ignore[arg-type]


def test_whoever_asks_at_the_first_second_of_all_asks_after_an_unknown_creation() -> None:
    unknown = fingerprint("old", created=None)
    first = datetime(1970, 1, 1, 0, 0, 1, tzinfo=NOW.tzinfo)
    assert decide_pins([unknown], rotate(first), None, NOW).rotate
    assert not decide_pins([unknown], rotate(first - SECOND), None, NOW).rotate
