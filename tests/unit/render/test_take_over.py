"""A pod of an earlier version is taken over as it is: a newer operator finds nothing in it that asks for a restart.

`earlier/<commit>.json` has the annotations of the pod template which that version rendered for the cases of
test_golden.py. Add a file for each release; never change one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcs_operator.api import MCSInstance
from mcs_operator.domain.facts.world import Pod, Pull, Size
from mcs_operator.domain.pod.disruptions import Cause
from mcs_operator.domain.pod.rollout import Rollout, Step, decide_rollout
from mcs_operator.domain.pod.sizing import size
from mcs_operator.domain.pod.template import brought_up_to_date
from mcs_operator.settings import ANNOTATION_PARTS, ANNOTATION_RESTART_HASH
from support.templates import template_of
from support.worlds import given, instance, pod, report
from unit.render.test_golden import CASES

EARLIER = Path(__file__).parent / "earlier"
VERSIONS = {file.stem: json.loads(file.read_text()) for file in EARLIER.glob("*.json")}
OURS = "52a8bdf"
"""The last release that changed nothing in place."""
NEXT = "localhost/mcs/appliance:next"
IN_PLACE = (Step.WAIT_TO_BE_ASKED, Step.NOTHING, Step.RESIZE)


def declared(case: str, **other: Any) -> MCSInstance:
    mode, tier = CASES[case]
    spec = {"network": {"mode": mode}, "tier": tier, "resources": None, "vpn": {"slots": 2}}
    return instance(**spec | {"publicAddress": "203.0.113.10"} | other)


def made_by(version: str, case: str, **other: Any) -> Pod:
    """The pod that this version made for the case of test_golden.py, with the amounts as the API server has them."""
    sizing = size(declared(case))
    has = Size(sizing.requests, sizing.limits)
    return pod(**{"annotations": VERSIONS[version][case], "size": has, "size_in_force": has} | other)


def decided(running: Pod, subject: MCSInstance) -> Rollout:
    world = given(subject, running, pulls=(Pull("p", NEXT, running.node, done=True),))
    return decide_rollout(world, subject, running, template_of(subject, running=running), report())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pod_of_an_earlier_version_is_not_restarted(version: str, case: str) -> None:
    found = decided(made_by(version, case), declared(case))
    assert found.step in (Step.WAIT_TO_BE_ASKED, Step.NOTHING) and not found.disruptions


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"tier": "UpTo10000"}, id="another tier"),
        pytest.param({"tier": "UpTo1000"}, id="or back"),
        pytest.param({"resources": {"limits": {"cpu": "3", "memory": "4G"}}}, id="a size of one's own"),
        pytest.param({"resources": {"requests": {"cpu": "500m"}}}, id="less of one thing"),
    ],
)
def test_another_size_is_given_to_it_in_place(version: str, case: str, other: dict[str, Any]) -> None:
    found = decided(made_by(version, case), declared(case, **other))
    assert found.step in IN_PLACE and not found.disruptions


@pytest.mark.parametrize(
    "before",
    [
        {"limits": {"cpu": "3", "memory": "4G"}},
        {"requests": {"cpu": "1500m", "memory": "512Mi"}},
        {"requests": {"cpu": "1"}, "limits": {"memory": "6Gi"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("after", [None, {"limits": {"cpu": "2"}}], ids=["the tier's again", "another one"])
def test_a_size_of_ones_own_that_it_was_made_with_is_found_in_it(before: Any, after: Any) -> None:
    running = made_of(declared("host-port-1000", resources=before))
    found = decided(running, declared("host-port-1000", resources=after))
    assert (found.step, found.disruptions) == (Step.RESIZE, ())


def made_of(subject: MCSInstance) -> Pod:
    """A pod that the last release before changes in place made for it."""
    template, sizing = template_of(subject), size(subject)
    kept = {key: template.annotations[key] for key in (ANNOTATION_RESTART_HASH, ANNOTATION_PARTS)}
    has = Size(sizing.requests, sizing.limits)
    return pod(annotations=kept, size=has, size_in_force=has)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", VERSIONS)
def test_another_image_costs_it_the_media_and_no_tunnel(version: str, case: str) -> None:
    found = decided(made_by(version, case), declared(case, image=NEXT, tier="UpTo10000"))
    assert [one.cause for one in found.disruptions] == [Cause.MEDIA_IMAGE]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("image", [NEXT, "localhost/mcs/appliance:dev"])
def test_what_the_user_changes_beside_it_restarts_it(version: str, case: str, image: str) -> None:
    found = decided(made_by(version, case), declared(case, image=image, vpn={"slots": 3}))
    assert found.disruptions[0].cause is Cause.SPEC_CHANGED


def test_an_image_that_the_cluster_names_by_a_mirror_is_still_the_one_that_it_was_made_from() -> None:
    running = made_by(OURS, "host-port-1000", image="mirror.test/mcs/appliance:dev")
    assert not decided(running, declared("host-port-1000")).disruptions
    assert not decided(running, declared("host-port-1000", tier="UpTo10000")).disruptions


def test_once_it_is_changed_in_place_an_operator_that_comes_back_restarts_nobody() -> None:
    """That one compares the old hash with the old hash of the spec."""
    running, after = made_by(OURS, "host-port-1000"), declared("host-port-1000", image=NEXT, tier="UpTo10000")
    template = template_of(after, running=running)
    changed = {**running.annotations, **brought_up_to_date(running, template, NEXT)}
    assert changed[ANNOTATION_RESTART_HASH] == template.annotations[ANNOTATION_RESTART_HASH]
    assert json.loads(changed[ANNOTATION_PARTS])["media"] == json.loads(template.annotations[ANNOTATION_PARTS])["media"]
    done = replace(running, annotations=changed, image=NEXT, size=template.size)
    assert decided(done, after).step in (Step.NOTHING, Step.WAIT_TO_BE_ASKED)


def test_the_size_may_change_in_place_before_the_image() -> None:
    """While the image waits for its hour: afterwards the pod is not known by its old hash any more."""
    running, after = made_by(OURS, "host-port-1000"), declared("host-port-1000", image=NEXT, tier="UpTo10000")
    template = template_of(after, running=running)
    changed = {**running.annotations, **brought_up_to_date(running, template, running.image)}
    found = decided(replace(running, annotations=changed, size=template.size), after)
    assert [one.cause for one in found.disruptions] == [Cause.MEDIA_IMAGE]


def test_there_is_an_earlier_version_to_compare_with() -> None:
    assert all(set(cases) == set(CASES) for cases in VERSIONS.values())
    assert OURS in VERSIONS
