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
from mcs_operator.domain.pod.updates import IDLE_AT_ONCE, PATIENCE, Update, customers_left, images_of, next_update
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


def pulled(node: str = "mcs-node", *, done: bool = True) -> tuple[Pull, ...]:
    """What became of its images."""
    return tuple(Pull(image, image, node, done) for image in (NEW.agent_image, NEW.link_image))


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
    )


def after_agent() -> Pod:
    """The pod with the newer agent."""
    its_pod = running()
    update = asked(its_pod)
    assert update is not None
    return done_to(its_pod, update)


def asked(its_pod: Pod, said: LinkReport | None = TWO_UP, now: datetime = NOW, **more: Any) -> Update | None:
    """What is to be replaced now, the gate being open."""
    known: dict[str, Any] = {"pulls": pulled(), "gate": True} | more
    pulls = known.pop("pulls")
    return next_update(its_pod, wanted(its_pod), pulls, said, now, **known)


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
    "not_yet", [{"agent_ready": False}, {"slots_down": 1}, {"restarts": 0}], ids=["agent", "slot", "an old word"]
)
def test_nothing_is_begun_before_the_former_is_back(not_yet: dict[str, Any]) -> None:
    its_pod = after_agent()
    assert asked(its_pod) is not None
    assert asked(replace(its_pod, **not_yet)) is None


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
        '{"slots": [1e999]}',
        '{"restarts": "x"}',
        "null",
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_an_annotation_that_somebody_edited_is_none(said: str) -> None:
    its_pod = after_agent()
    update = asked(its_pod.annotated({**its_pod.annotations, ANNOTATION_UPDATE: said}))
    assert update and update.exits == (2, 4, 5, 6)
