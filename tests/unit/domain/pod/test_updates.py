"""Agent and slots get the images of a newer operator in place: nobody notices but who has a tunnel, and he once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mcs_operator.contract.linkstate import LinkReport, TunnelReason, TunnelState, TunnelStatus
from mcs_operator.domain.facts.world import Pod, Pull
from mcs_operator.domain.pod.template import Template
from mcs_operator.domain.pod.updates import (
    IDLE_AT_ONCE,
    PATIENCE,
    Update,
    customers_left,
    hold,
    images_of,
    next_update,
)
from mcs_operator.settings import (
    ANNOTATION_AGENT_IMAGE,
    ANNOTATION_LINK_IMAGE,
    ANNOTATION_POD_PARTS,
    ANNOTATION_UPDATE,
    Settings,
)
from support.templates import made_from, template_of
from support.worlds import NOW, instance, report, state

OLD, NEW = Settings(), Settings(agent_image="mcs/operator:next", link_image="mcs/link:next")
SLOTS = 9
SPEC = {"vpn": {"slots": SLOTS}}
USED = (3, 7)


def running(**other: Any) -> Pod:
    """A pod of the former operator."""
    return replace(made_from(instance(**SPEC), OLD), **other)


def wanted(its_pod: Pod, settings: Settings = NEW) -> Template:
    """The template of the newer one."""
    return template_of(instance(**SPEC), settings, its_pod)


def pulled(
    node: str = "mcs-node", *, done: bool = True, problem: str = "", settings: Settings = NEW
) -> tuple[Pull, ...]:
    """What became of its images."""
    return tuple(Pull(image, image, node, done, problem) for image in (settings.agent_image, settings.link_image))


def up(number: int, seconds_ago: float = 3600, now: datetime = NOW) -> Any:
    """A slot with a tunnel since then."""
    since = now - timedelta(seconds=seconds_ago)
    tunnel = TunnelState(status=TunnelStatus.TRUE, reason=TunnelReason.ESTABLISHED, since=since)
    return state(number, "r", tunnel=tunnel)


def down(number: int, status: TunnelStatus = TunnelStatus.FALSE) -> Any:
    """A slot without one."""
    return state(number, "r", tunnel=TunnelState(status=status, reason=TunnelReason.LOST, since=NOW))


TWO_UP = report(up(3), up(7), down(8))


def done_to(its_pod: Pod, update: Update) -> Pod:
    """The pod once the kubelet has replaced these containers."""
    annotations = {**its_pod.annotations, **update.annotations}
    return replace(
        its_pod,
        annotations={key: value for key, value in annotations.items() if value is not None},
        images={**its_pod.images, **update.images},
        restarts=its_pod.restarts + len(update.images),
        agent_ready=its_pod.agent_ready or "agent" in update.images,
        slots_down=its_pod.slots_down - set(update.exits),
    )


def ends_down(its_pod: Pod, update: Update) -> Pod:
    """The pod where the images do not even start: nothing is counted as a restart."""
    tried = done_to(its_pod, update)
    agent_ready = its_pod.agent_ready and "agent" not in update.images
    down = its_pod.slots_down | set(update.exits)
    return replace(tried, restarts=its_pod.restarts, agent_ready=agent_ready, slots_down=down)


def after_agent() -> Pod:
    """The pod with the newer agent."""
    its_pod = running()
    update = asked(its_pod)
    assert update is not None
    return done_to(its_pod, update)


def asked(its_pod: Pod, said: LinkReport | None = TWO_UP, now: datetime = NOW, **more: Any) -> Update | None:
    """What is to be replaced now, the gate being open."""
    known: dict[str, Any] = {"settings": NEW, "gate": True} | more
    settings = known.pop("settings")
    pulls = known.pop("pulls", pulled(settings=settings))
    return next_update(its_pod, wanted(its_pod, settings), pulls, said, now, **known)


def test_first_the_agent_then_the_idle_slots_then_one_customer_after_the_other() -> None:
    its_pod, told, steps = running(), {3: 3600.0, 7: 3600.0}, []
    now = NOW
    while update := asked(its_pod, report(*(up(n, ago, now) for n, ago in told.items()), down(8)), now):
        steps.append((sorted(update.images), update.exits, update.reconnects, update.begins))
        its_pod, now = done_to(its_pod, update), now + timedelta(seconds=5)
        told = {number: 1.0 if number == update.reconnects else ago + 5 for number, ago in told.items()}
        assert len(steps) < 20
    assert steps == [
        (["agent"], (), None, False),
        (["link-002", "link-004", "link-005", "link-006"], (2, 4, 5, 6), None, True),
        (["link-008", "link-009", "link-010"], (8, 9, 10), None, False),
        (["link-003"], (3,), 3, False),
        (["link-007"], (7,), 7, False),
    ]
    assert len(steps[1][1]) == IDLE_AT_ONCE
    assert ANNOTATION_UPDATE not in its_pod.annotations
    assert its_pod.annotations[ANNOTATION_LINK_IMAGE] == NEW.link_image
    assert its_pod.annotations[ANNOTATION_AGENT_IMAGE] == NEW.agent_image
    assert images_of(its_pod, wanted(its_pod)) == ()


def test_without_the_gate_customers_wait_and_nobody_else() -> None:
    its_pod, steps = after_agent(), 0
    while update := asked(its_pod, gate=False):
        assert update.reconnects is None
        its_pod, steps = done_to(its_pod, update), steps + 1
    assert steps == 2
    assert customers_left(its_pod, wanted(its_pod), TWO_UP) == USED


def test_who_has_no_tunnel_any_more_needs_no_gate() -> None:
    its_pod = after_agent()
    while update := asked(its_pod, gate=False):
        its_pod = done_to(its_pod, update)
    assert asked(its_pod, report(up(3), down(7)), gate=False) is not None


@pytest.mark.parametrize("said", [None, report(down(3, TunnelStatus.UNKNOWN), *(up(n) for n in (2, *range(4, 11))))])
def test_of_whom_nothing_is_known_he_may_be_talking(said: LinkReport | None) -> None:
    assert asked(after_agent(), said, gate=False) is None
    assert 3 in customers_left(running(), wanted(running()), said)


@pytest.mark.parametrize(
    "pulls", [(), pulled("another-node"), pulled(done=False), pulled()[:1]], ids=["none", "elsewhere", "not yet", "one"]
)
def test_nothing_is_stopped_for_an_image_that_is_not_on_the_node(pulls: tuple[Pull, ...]) -> None:
    assert asked(running(), pulls=pulls) is None


@pytest.mark.parametrize(
    "not_yet",
    [{"agent_ready": False}, {"slots_down": frozenset({2})}, {"restarts": 4}],
    ids=["agent", "slot", "an old word"],
)
def test_nothing_is_begun_before_the_former_is_back(not_yet: dict[str, Any]) -> None:
    its_pod = done_to(after_agent(), asked(after_agent()) or pytest.fail())
    assert asked(its_pod) is not None
    assert asked(replace(its_pod, **not_yet)) is None


def test_a_slot_that_is_down_with_its_old_image_comes_first_and_is_not_waited_for() -> None:
    update = asked(replace(after_agent(), slots_down=frozenset({9})))
    assert update and update.exits == (9, 2, 4, 5)


# --- an image that does not run ---

MENDED = Settings(agent_image="mcs/operator:mended", link_image="mcs/link:mended")


def all_done(its_pod: Pod, settings: Settings, said: LinkReport = TWO_UP) -> tuple[Pod, list[tuple[str, ...]]]:
    """The pod once nothing is left to be replaced, and which containers were, one step after the other."""
    steps: list[tuple[str, ...]] = []
    now = NOW
    while update := asked(its_pod, said, now, settings=settings):
        steps.append(tuple(update.images))
        its_pod, now = done_to(its_pod, update), now + timedelta(seconds=PATIENCE)
        assert len(steps) < 20
    return its_pod, steps


def with_bad_slots() -> Pod:
    """The newer slot image does not run: the first four that got it are down."""
    its_pod = ends_down(after_agent(), asked(after_agent()) or pytest.fail())
    assert sorted(its_pod.slots_down) == [2, 4, 5, 6]
    assert asked(its_pod) is None, "an image that does not run costs nobody else a slot"
    return its_pod


@pytest.mark.parametrize(
    "mended", [MENDED, replace(NEW, link_image=MENDED.link_image)], ids=["agent and slots", "slots"]
)
def test_slots_that_do_not_run_get_a_mended_image_first(mended: Settings) -> None:
    its_pod, steps = all_done(with_bad_slots(), mended)
    assert next(step for step in steps if step != ("agent",)) == ("link-002", "link-004", "link-005", "link-006")
    assert set(its_pod.images.values()) >= {mended.link_image} and NEW.link_image not in its_pod.images.values()
    assert (its_pod.slots_down, ANNOTATION_UPDATE in its_pod.annotations) == (frozenset(), False)


def test_an_agent_that_does_not_run_gets_a_mended_image() -> None:
    its_pod = ends_down(running(), asked(running()) or pytest.fail())
    assert asked(its_pod, None) is None
    update = asked(its_pod, None, settings=MENDED)
    assert update and dict(update.images) == {"agent": MENDED.agent_image}
    assert asked(done_to(its_pod, update), settings=MENDED) is not None


@pytest.mark.parametrize("taken_back", [OLD, replace(NEW, link_image=OLD.link_image)], ids=["agent and slots", "slots"])
def test_an_image_that_is_taken_back_is_taken_from_those_that_got_the_other_and_from_nobody_else(
    taken_back: Settings,
) -> None:
    its_pod = with_bad_slots()
    assert OLD.link_image in images_of(its_pod, wanted(its_pod, taken_back)), "it may be gone from the node"
    its_pod, steps = all_done(its_pod, taken_back)
    assert [step for step in steps if step != ("agent",)] == [("link-002", "link-004", "link-005", "link-006")]
    assert NEW.link_image not in its_pod.images.values()
    assert (its_pod.slots_down, ANNOTATION_UPDATE in its_pod.annotations) == (frozenset(), False)
    assert images_of(its_pod, wanted(its_pod, taken_back)) == ()


def test_of_several_images_each_slot_is_known_by_its_own() -> None:
    its_pod = with_bad_slots()
    said = report(*(up(number) for number in (2, 4, 5, 6)))
    next_one = asked(replace(its_pod, slots_down=frozenset()), said, settings=MENDED) or pytest.fail()
    its_pod = done_to(its_pod, next_one)
    its_pod = done_to(its_pod, asked(its_pod, said, settings=MENDED) or pytest.fail())
    its_pod, steps = all_done(its_pod, OLD)
    replaced = {name for step in steps for name in step}
    assert replaced == set(its_pod.images) - {"media", "link-010"}, "link-010 had the old image all the time"
    assert set(its_pod.images.values()) == set(running().images.values())


def test_a_slot_that_does_not_run_carries_no_tunnel_though_the_agent_knows_nothing_of_it() -> None:
    """An agent that has just started could not ask it."""
    said = report(down(2, TunnelStatus.UNKNOWN), down(4, TunnelStatus.UNKNOWN), up(3), up(7))
    its_pod, mended = replace(with_bad_slots(), restarts=9), replace(NEW, link_image=MENDED.link_image)
    update = asked(its_pod, said, settings=mended, gate=False)
    assert update and update.exits == (2, 4, 5, 6)
    assert customers_left(its_pod, wanted(its_pod, mended), said) == USED


def test_a_pod_that_was_made_with_a_bad_image_gets_a_mended_one() -> None:
    """None of its slots was ever created: the kubelet will count no restart."""
    its_pod = running(slots_down=frozenset(range(2, 2 + SLOTS)))
    update = asked(its_pod) or pytest.fail()
    its_pod = done_to(its_pod, update)
    first = asked(its_pod) or pytest.fail()
    assert asked(replace(done_to(its_pod, first), restarts=its_pod.restarts)) is not None


# --- what it waits for ---


def held(its_pod: Pod, seconds: float = 0, said: LinkReport | None = TWO_UP, **known: Any) -> tuple[str, float | None]:
    pulls, gate = known.get("pulls", pulled()), known.get("gate", True)
    found = hold(its_pod, wanted(its_pod), pulls, said, NOW + timedelta(seconds=seconds), gate=gate)
    return found.why, found.again


def test_an_image_that_cannot_be_pulled_is_told_and_not_looked_at_again() -> None:
    problem = f"node mcs-node cannot pull {NEW.agent_image}: not found"
    assert held(running(), pulls=pulled(done=False, problem="not found")) == (problem, None)
    assert held(running(), pulls=pulled(done=False)) == ("", None)
    assert held(running(), pulls=pulled("another-node", done=False, problem="not found")) == ("", None)


def test_a_slot_that_does_not_run_is_told_when_it_has_had_its_time() -> None:
    assert held(with_bad_slots(), PATIENCE - 1) == ("", PATIENCE)
    told = f"a slot that got image {NEW.link_image} does not run, and no other gets it before"
    assert held(with_bad_slots(), PATIENCE) == (told, PATIENCE)
    assert held(with_bad_slots(), PATIENCE, gate=False) == (told, PATIENCE)


def test_an_agent_that_is_not_ready_is_told_when_it_has_had_its_time() -> None:
    its_pod = replace(after_agent(), agent_ready=False)
    assert held(its_pod, PATIENCE - 1, None) == ("", PATIENCE)
    assert held(its_pod, PATIENCE, None) == ("the link agent is not ready", PATIENCE)


def test_each_second_is_looked_only_for_a_customer_who_was_sent_away() -> None:
    assert held(waiting(), 1, report(down(3), up(7))) == ("", 1.0)
    assert held(waiting(), 1, None) == ("", PATIENCE)
    assert held(waiting(), 1, report(down(3), up(7)), gate=False) == ("", None)
    assert held(running()) == ("", None)


def waiting() -> Pod:
    """The pod right after the first customer was sent away."""
    its_pod = after_agent()
    while (update := asked(its_pod)) and update.reconnects is None:
        its_pod = done_to(its_pod, update)
    assert update and update.reconnects == 3
    return done_to(its_pod, update)


@pytest.mark.parametrize(
    ("first", "seconds", "goes_on"),
    [
        pytest.param(up(3), 1, False, id="his old tunnel is still told of"),
        pytest.param(down(3), 1, False, id="down"),
        pytest.param(up(3, 0), 1, True, id="back"),
        pytest.param(down(3), PATIENCE - 1, False, id="down for long"),
        pytest.param(down(3), PATIENCE, True, id="down for too long"),
    ],
)
def test_the_next_customer_is_sent_away_when_the_one_before_is_back(first: Any, seconds: float, goes_on: bool) -> None:
    update = asked(waiting(), report(first, up(7)), NOW + timedelta(seconds=seconds))
    assert (update is not None and update.reconnects == 7) is goes_on


def test_an_image_that_changes_on_the_way_is_begun_anew() -> None:
    its_pod = done_to(after_agent(), asked(after_agent()) or pytest.fail())
    latest = Settings(agent_image=NEW.agent_image, link_image="mcs/link:latest")
    pulls = (Pull("p", "mcs/link:latest", "mcs-node", done=True),)
    update = next_update(its_pod, wanted(its_pod, latest), pulls, TWO_UP, NOW, gate=True)
    assert update and update.exits == (2, 4, 5, 6)


def test_a_mirrors_name_in_the_pod_replaces_nothing_a_second_time() -> None:
    its_pod = running(images={name: f"mirror/{image}" for name, image in running().images.items()})
    assert images_of(its_pod, wanted(its_pod, OLD)) == ()
    assert next_update(its_pod, wanted(its_pod, OLD), pulled(), TWO_UP, NOW, gate=True) is None


@pytest.mark.parametrize("part", ["agent", "slots"])
def test_a_pod_that_differs_in_more_than_images_waits_to_be_asked(part: str) -> None:
    its_pod = running()
    parts = json.loads(its_pod.annotations[ANNOTATION_POD_PARTS]) | {part: "other"}
    its_pod = its_pod.annotated({**its_pod.annotations, ANNOTATION_POD_PARTS: json.dumps(parts)})
    assert asked(its_pod) is None
    assert customers_left(its_pod, wanted(its_pod), TWO_UP) == ()


def test_a_pod_of_an_earlier_release_keeps_agent_and_slots() -> None:
    its_pod = running()
    known = {ANNOTATION_AGENT_IMAGE, ANNOTATION_LINK_IMAGE}
    its_pod = its_pod.annotated({key: text for key, text in its_pod.annotations.items() if key not in known})
    assert asked(its_pod) is None
    assert images_of(its_pod, wanted(its_pod)) == ()


@pytest.mark.parametrize(
    "said",
    [
        "x",
        "[]",
        '{"slots": "x"}',
        '{"slots": [2]}',
        '{"slots": {"mcs/link:next": [1e999]}}',
        '{"slots": {"mcs/link:next": 2}}',
        '{"restarts": "x"}',
        "null",
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_an_annotation_that_somebody_edited_is_none(said: str) -> None:
    its_pod = after_agent()
    update = asked(its_pod.annotated({**its_pod.annotations, ANNOTATION_UPDATE: said}))
    assert update and update.exits == (2, 4, 5, 6)


def test_a_note_that_says_that_all_is_done_is_believed() -> None:
    its_pod = after_agent()
    note = json.dumps({"slots": {NEW.link_image: list(range(2, 2 + SLOTS))}})
    assert asked(its_pod.annotated({**its_pod.annotations, ANNOTATION_UPDATE: note})) is None


def test_a_time_far_away_holds_nobody_up() -> None:
    its_pod = waiting()
    noted = json.loads(its_pod.annotations[ANNOTATION_UPDATE]) | {"at": "9999-12-31T23:59:59Z"}
    its_pod = its_pod.annotated({**its_pod.annotations, ANNOTATION_UPDATE: json.dumps(noted)})
    assert asked(its_pod, report(down(3), up(7))) is not None
