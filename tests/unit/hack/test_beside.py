"""`hack/beside`: the real script, with a `hack/cluster/cluster` that writes down what it is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.api import ROOT

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="another network needs root")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    cluster = tmp_path / "hack" / "cluster" / "cluster"
    cluster.parent.mkdir(parents=True)
    cluster.write_text(f'#!/bin/sh\necho "cluster $1" >>{tmp_path}/told\n')
    cluster.chmod(0o755)
    shutil.copy(ROOT / "hack" / "beside", tmp_path / "hack")
    return tmp_path


def run(repository: Path, script: str) -> subprocess.CompletedProcess[str]:
    command = [repository / "hack" / "beside", "sh", "-c", script]
    environment = os.environ | {"MCS_CLUSTER_DIR": str(repository / "state")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_its_network_has_nothing_but_a_loopback_and_sys_shows_that_and_the_control_groups(repository: Path) -> None:
    done = run(repository, "ls /sys/class/net; ip route; ls -d /sys/fs/cgroup/*")
    assert done.returncode == 0, done.stderr
    device, *groups = done.stdout.splitlines()
    assert device == "lo"
    assert groups == sorted(str(path) for path in Path("/sys/fs/cgroup").iterdir())


def test_what_kubelet_and_plugins_have_at_a_fixed_place_is_its_own_and_gone_afterwards(repository: Path) -> None:
    at = [Path(folder) for folder in ("/run/netns", "/var/lib/kubelet", "/var/lib/cni", "/var/log/containers")]
    done = run(repository, "; ".join(f"ls -A {folder}; touch {folder}/of-beside" for folder in at))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not [folder for folder in at if (folder / "of-beside").exists()]
    assert not list(repository.glob("state*"))


@pytest.mark.parametrize("status", [0, 7])
def test_its_node_ends_with_the_command_whose_status_it_has(repository: Path, status: int) -> None:
    done = run(repository, f"echo $MCS_CLUSTER_DIR $MCS_NODE_CGROUP; echo the tests >>{repository}/told; exit {status}")
    assert done.returncode == status
    assert done.stdout == f"{repository}/state-beside /mcs-node-beside\n"
    assert (repository / "told").read_text().splitlines() == ["cluster down", "the tests", "cluster down"]
