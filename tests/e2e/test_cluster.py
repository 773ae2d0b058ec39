"""What `hack/cluster` says of a node that runs, and that to start it once more changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

import pytest

from support.cluster import CLUSTER, Node
from support.waiting import until

pytestmark = pytest.mark.e2e


def cluster(command: str) -> str:
    """What a subcommand prints; AssertionError where it fails."""
    done = subprocess.run([CLUSTER, command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_a_new_shell(script: str) -> str:
    """Output of a script in a shell that knows nothing of a cluster."""
    clean: Mapping[str, str] = {"PATH": os.defpath, "HOME": os.environ["HOME"]}
    bash = shutil.which("bash") or "bash"
    command = [bash, "-euc", script]
    return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.fixture
def ours(node: Node) -> Node:
    """The node, if `hack/cluster` started it."""
    said = subprocess.run([CLUSTER, "env"], capture_output=True, text=True, timeout=30, check=False)
    if said.returncode or str(node.kubeconfig) not in said.stdout:
        pytest.skip("the cluster is not one of hack/cluster")
    return node


def test_its_lines_for_eval_lead_to_it(ours: Node) -> None:
    seen = in_a_new_shell(f'eval "$({CLUSTER} env)"; kubectl get nodes --output=name; echo "$MCS_NODE_IP"')
    assert seen.split() == [f"node/{ours.name}", ours.ip]


def test_all_is_well_and_starting_it_again_restarts_nothing(ours: Node) -> None:
    before = until("all is well", lambda: cluster("status"), 60, pause=1)  # with the process IDs, and since when
    assert ours.name in before
    cluster("up")
    until("all is as before", lambda: cluster("status") == before, 60, pause=1)
