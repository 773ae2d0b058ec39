"""Where the agent finds its folders, in a pod of this template and in one of an older template, which goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcs_operator.agent.agent import Config
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.settings import Settings
from support.worlds import instance


def test_in_a_pod_of_this_template_it_writes_nowhere_below_the_slots() -> None:
    _, agent, *_ = build_stateful_set(instance(), Settings()).body["spec"]["template"]["spec"]["containers"]
    config = Config.from_environment({one["name"]: one["value"] for one in agent["env"]})
    mounts = {m["mountPath"]: m for m in agent["volumeMounts"]}
    assert mounts[str(config.run)]["readOnly"] is True
    assert (str(config.memory), str(config.stop)) == ("/run/agent", "/run/stop")
    assert not any(mounts[str(folder)].get("readOnly") for folder in (config.memory, config.stop))


def test_in_a_pod_of_an_older_template_both_are_below_the_slots() -> None:
    config = Config.from_environment({"MCS_BASE_PORT": "21000"})
    assert (config.run, config.memory, config.stop) == (Path("/run/links"), None, None)


@pytest.mark.parametrize("port", ["", "x", "21000.5"])
def test_a_port_that_is_none_is_said(port: str) -> None:
    with pytest.raises(ValueError):
        Config.from_environment({"MCS_BASE_PORT": port})
