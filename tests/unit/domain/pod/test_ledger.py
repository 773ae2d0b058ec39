"""The ledger of interruptions: ten at most, each written when it begins and when it is over."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcs_operator.contract.linkstate import MediaState
from mcs_operator.domain.facts.world import Pod
from mcs_operator.domain.pod.ledger import PLACES, Interruption, interrupted, over_now, read_ledger, sent_away
from mcs_operator.kube.parse.metadata import kept_annotations
from support.worlds import NOW, pod, report, state

IMAGE = pod().image
NEXT = pod(uid="uid-of-the-next-pod")
TALKING = report(state(17, "r"), state(18, "r"), media=MediaState(connections=3, draining=True))


def begins(its_pod: Pod, *known: Interruption, tunnels: bool = True, after: str = IMAGE, **other: Any) -> Any:
    given = {"cause": "SpecChanged", "begun": NOW, "report": TALKING} | other
    return interrupted(known, its_pod, tunnels=tunnels, images=(its_pod.image, after), **given)


def written(*interruptions: Interruption) -> dict[str, str]:
    """Annotations of the StatefulSet."""
    return dict(interruption.annotation for interruption in interruptions)


def test_what_is_written_is_what_is_read() -> None:
    begun = begins(pod(), after="localhost/mcs/appliance:next")
    assert read_ledger(written(begun)) == (begun,)
    over = replace(begun, over=NOW + timedelta(seconds=42))
    assert read_ledger(written(over)) == (over,)


def test_it_says_whom_it_cost_what() -> None:
    assert (begins(pod()).connections, begins(pod()).links) == (3, 2)
    assert begins(pod(), tunnels=False).links == 0, "of the media alone no tunnel goes down"


def test_the_images_are_told_where_they_differ() -> None:
    changed = begins(pod(), after="localhost/mcs/appliance:next")
    assert (changed.before, changed.after) == (IMAGE, "localhost/mcs/appliance:next")
    assert (begins(pod()).before, begins(pod()).after) == ("", "")


def test_a_step_that_is_tried_again_is_one_interruption() -> None:
    assert begins(pod(), begins(pod())) is None
    assert begins(NEXT, begins(pod())) is not None


def test_the_eleventh_takes_the_place_of_the_oldest() -> None:
    known: tuple[Interruption, ...] = ()
    for number in range(PLACES + 1):
        one = begins(pod(uid=f"pod-{number}"), *known, begun=NOW + timedelta(days=number))
        known = read_ledger(written(*reversed(known), one))
    assert [one.number for one in known] == list(range(PLACES + 1, 1, -1))
    assert [one.pod for one in known] == [f"pod-{number}" for number in range(PLACES, 0, -1)]


# --- slots that are in use get another image, one after the other ---


def test_an_update_of_slots_in_use_is_one_interruption_however_many_they_are() -> None:
    begun = sent_away([], pod(), NOW, 20, ("link:1", "link:2"))
    assert begun is not None
    assert (begun.cause, begun.links, begun.connections) == ("SlotImages", 20, 0)
    assert (begun.before, begun.after) == ("link:1", "link:2")
    assert sent_away([begun], pod(), NOW, 19, ("link:1", "link:2")) is None, "the next customer's turn"
    assert over_now([begun], pod(), NOW, sends_away=True) == ()
    over = over_now([begun], pod(), NOW, sends_away=False)
    assert over == (replace(begun, over=NOW),)
    again = sent_away(over, pod(), NOW, 1, ("link:2", "link:3"))
    assert again is not None and again.number == 2


def test_it_ends_with_its_pod_and_hides_no_other_interruption() -> None:
    begun = sent_away([], pod(), NOW, 20, ("link:1", "link:2"))
    assert begun is not None
    assert over_now([begun], replace(NEXT, media_ready=False), NOW, sends_away=True) == (replace(begun, over=NOW),)
    other = begins(pod(), begun, tunnels=False)
    assert other.number == 2
    assert begins(pod(), other, begun, tunnels=False) is None, "the same step, tried again"


# --- when it is over ---


def test_it_is_over_when_another_pod_serves() -> None:
    begun = begins(pod())
    assert over_now([begun], pod(), NOW) == (), "the old pod still does"
    assert over_now([begun], replace(NEXT, media_ready=False), NOW) == ()
    assert over_now([begun], NEXT, NOW) == (replace(begun, over=NOW),)
    unready_as_declared = replace(NEXT, media_ready=False)
    assert over_now([begun], unready_as_declared, NOW, out_of_service=True) == (replace(begun, over=NOW),)


def test_or_the_next_media_in_the_same_pod() -> None:
    begun = begins(pod(media_restarts=1))
    assert over_now([begun], pod(media_restarts=1), NOW) == ()
    assert over_now([begun], pod(media_restarts=2), NOW) == (replace(begun, over=NOW),)


def test_one_of_a_media_that_did_not_run_is_over_when_it_runs_for_the_first_time() -> None:
    """A container that waits for its image is not restarted when it gets another one."""
    never_ran = pod(media_ready=False)
    begun = begins(never_ran)
    assert begins(never_ran, begun) is None
    assert over_now([begun], never_ran, NOW) == ()
    assert over_now([begun], pod(), NOW) == (replace(begun, over=NOW),)


def test_what_is_over_is_not_over_again() -> None:
    assert over_now([replace(begins(pod()), over=NOW)], NEXT, NOW) == ()


def test_a_pod_that_was_replaced_before_it_served_ends_with_the_next() -> None:
    first = begins(pod())
    second = begins(NEXT, first)
    both = read_ledger(written(first, second))
    assert {one.pod for one in over_now(both, pod(uid="the third"), NOW)} == {pod().uid, NEXT.uid}


# --- what somebody wrote there ---


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{}",
            "[]",
            "null",
            "1",
            "[" * 900,
            '{"number": 10, "cause": "X"}',
            '{"begun": "never", "number": 10, "cause": "X"}',
        ),
        '{"begun": "2026-03-01T12:00:00Z", "number": 10, "cause": "no word"}',
        '{"begun": "2026-03-01T12:00:00Z", "number": 10, "cause": ""}',
        '{"begun": "2026-03-01T12:00:00Z", "number": 10, "cause": "X", "links": -1}',
        '{"begun": "2026-03-01T12:00:00Z", "number": 10, "cause": "X", "links": true}',
        '{"begun": "2026-03-01T12:00:00Z", "number": 3, "cause": "X"}',
    ],
)
def test_what_is_no_interruption_is_not_there(text: str) -> None:
    assert read_ledger({"mcs.tvox.io/interruption-0": text}) == ()


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["cause", "begun", "over", "links", "pod"]), st.text() | st.integers() | st.none())
)
def test_no_edit_breaks_it(said: dict[str, Any]) -> None:
    for one in read_ledger({"mcs.tvox.io/interruption-0": json.dumps(said)}):
        assert begins(pod(), one) is not None


def test_the_longest_one_is_kept_by_the_cache() -> None:
    longest = begins(
        pod(image="i" * 512, uid="u" * 64, media_restarts=2**31 - 1),
        after="j" * 512,
        cause="C" * 40,
        report=report(media=MediaState(connections=10_000)),
    )
    annotations = written(replace(longest, over=NOW, links=250))
    assert kept_annotations(annotations) == annotations
