"""kind on a Docker engine: the cluster that `make cluster-up` takes where one answers, as in the CI workflow.

Its node image is our own, as there is no registry. The engine has a network of its own: what is run against the cluster
is run in there, and nothing of it stays.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from support.api import ROOT
from support.cluster import MissingError
from support.docker_engine import Engine, docker_engine
from support.levels import left_out_if_missing
from support.processes import processes_at
from support.programs import debian
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(5400)]

NEEDS = "Docker's engine from Debian, root, 5 GB. Fifty minutes; the first time a node image is built: 40 minutes more."
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yaml"
WITH_A_CLUSTER = "e2e"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcs-operator"
OF_THIS_RUN = ("MCS_", "PYTEST_", "MAKE")
"""What `make ecosystem T=kind` tells all that it starts, is nothing that a runner would tell a step."""
ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'


def steps() -> list[object]:
    """What the workflow runs, in its order: each step of each job as it stands."""
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    of_jobs = [(name, step["run"]) for name, job in jobs.items() for step in job["steps"] if "run" in step]
    return [
        pytest.param(name, step, id=f"{name}: {step.split(' ', 4)[-1] if 'sudo' in step else step}")
        for name, step in of_jobs
    ]


@dataclass(frozen=True)
class Runner:
    """A machine of the workflow: a Docker engine answers there, and nothing of our own node is known."""

    engine: Engine
    environment: dict[str, str]

    def run(self, step: str, among: Callable[..., list[str | Path]]) -> None:
        """A step, by the shell that GitHub runs it with. What it prints is passed on: it takes its time."""
        command = among("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", f"cd {ROOT}\n{step}")
        ran = subprocess.run(command, env=self.environment, check=False)
        assert ran.returncode == 0, f"{step!r} ended with {ran.returncode}; see above"

    def output(self, command: str) -> str:
        """What a command there prints."""
        shell = self.engine.inside("bash", "-ec", command)
        return subprocess.run(shell, env=self.environment, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="kind-", dir=CACHE))
    try:
        with left_out_if_missing():
            debian("sudo", "sudo")
            name, root_file_system = printed("hack/ecosystem/node-image").split()
            with docker_engine(folder, another_machine(folder)) as engine:
                engine.take(name, Path(root_file_system), ENTRYPOINT, "ENV container=docker")
                runner = Runner(engine, environment(name))
                yield runner
                runner.run("hack/cluster/cluster down", engine.inside)
        until("nothing is left", lambda: nothing_is_left(folder), 10)
    finally:
        shutil.rmtree(folder)


def environment(image: str) -> dict[str, str]:
    """That of the workflow's job, with a node image that is there."""
    of_a_node, picked = ("KUBECONFIG", "CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE"), ("T", "MFLAGS")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in (*of_a_node, *picked)
        and not name.startswith(OF_THIS_RUN)
        and not name.lower().endswith("_proxy")
    }
    return kept | {"CI": "true", "MCS_KIND_IMAGE": image}


def another_machine(folder: Path) -> dict[Path, Path]:
    """Where this machine's own node is, nothing is; and the images are there under Docker's names."""
    (folder / "tmp").mkdir()
    (folder / "kubelet").mkdir()
    images_of_docker(folder / "images")
    places = {Path("/var/tmp"): folder / "tmp", CACHE / "images": folder / "images"}
    kubelet = Path("/var/lib/kubelet")
    return places | ({kubelet: folder / "kubelet"} if kubelet.exists() else {})


def images_of_docker(folder: Path) -> None:
    """Our images, under the names that they have in the cache where Docker builds them.

    Docker has nothing to build them upon: its Debian is in a registry. They are those that buildah makes of the same
    Containerfiles.
    """
    folder.mkdir()
    names = ("base", "runtime", "link", "tvox", "appliance", "operator")
    archives = printed("hack/images/build", *names).split()
    keys = printed("hack/images/build", "--engine=docker", "--print-keys", *names).splitlines()
    for archive, line in zip(archives, keys, strict=True):
        os.link(archive, folder / f"{'-'.join(line.split())}.tar")


def printed(program: str, *arguments: str) -> str:
    done = subprocess.run([ROOT / program, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise MissingError(f"`{program}` failed ({done.returncode}); see above")
    return done.stdout


def nothing_is_left(folder: Path) -> bool:
    """No process, no mount for anybody, and no control group. Its networks were held by its processes and mounts."""
    processes = processes_at(folder)
    groups = list(Path("/sys/fs/cgroup").glob("mcs-engine-*")) + list(Path("/sys/fs/cgroup").glob("*/mcs-engine-*"))
    assert not processes and not groups, (processes, groups)
    return True


@pytest.mark.parametrize(("job", "step"), steps())
def test_a_step_of_the_workflow_holds_on_kind(runner: Runner, job: str, step: str) -> None:
    """In their order, as they stand. Those without a cluster may ask the package registries."""
    runner.run(step, runner.engine.inside if job == WITH_A_CLUSTER else runner.engine.beside)


def test_the_engine_has_no_way_to_beyond_its_own_bridges(runner: Runner) -> None:
    routes = runner.output("ip route").splitlines()
    assert routes
    assert [route for route in routes if not re.search(r" dev (docker0|br-)", route)] == []
