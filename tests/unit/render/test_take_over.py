"""A pod of an earlier version is taken over as it is: a newer operator finds nothing in it that asks for a restart.

`earlier/<commit>.json` has the annotations of the pod template which that version rendered for the cases of
test_golden.py. Add a file for each release; never change one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcs_operator.domain.pod.restart import Step, decide_restart
from support.worlds import NOW, instance, pod, report
from unit.render.test_golden import CASES, rendered

EARLIER = Path(__file__).parent / "earlier"
VERSIONS = {file.stem: json.loads(file.read_text()) for file in EARLIER.glob("*.json")}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pod_of_an_earlier_version_is_not_restarted(version: str, case: str) -> None:
    template = rendered(*CASES[case])["StatefulSet mcs"]["spec"]["template"]["metadata"]["annotations"]
    running = pod(annotations=VERSIONS[version][case])
    decided = decide_restart(instance(), running, template, report(), NOW)
    assert (decided.step, decided.cause) in ((Step.WAIT_TO_BE_ASKED, ""), (Step.NOTHING, ""))


def test_there_is_an_earlier_version_to_compare_with() -> None:
    assert all(set(cases) == set(CASES) for cases in VERSIONS.values())
    assert VERSIONS
