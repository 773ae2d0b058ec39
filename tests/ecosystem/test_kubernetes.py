"""The oldest Kubernetes that is supported and the newest that can be had: our own integration tests against both.

They start their API servers by `hack/cluster/cluster apiserver-up`, which takes the version that MCS_KUBERNETES names.
etcd, controller manager and kubectl stay the node's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support import cluster
from support.api import ROOT, Api
from support.levels import left_out_if_missing
from support.programs import built, kubernetes_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(5400)]

NEEDS = (
    "two API servers, built the first time: half an hour on two busy cores. Then most of `make integration`, twice: "
    "28 minutes."
)
TESTS = ROOT / "tests" / "integration"
WITHOUT_AN_API_SERVER = ("openvpn", "appliance", "acme/test_orders.py")


@pytest.fixture(scope="module", params=["oldest", "newest"])
def version(request: pytest.FixtureRequest) -> Iterator[str]:
    """Such as v1.30.14: of every API server that is started as long as this lasts. KUBECONFIG's is not asked."""
    module = f"kubernetes-{request.param}"
    with left_out_if_missing():
        built(module)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MCS_KUBERNETES", request.param)
        for theirs in ("KUBECONFIG", "MCS_TEST_KUBECONFIG"):
            environment.delenv(theirs, raising=False)
        yield kubernetes_of(module)


def test_what_asks_an_api_server_holds_with_another_version_of_it(
    version: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with left_out_if_missing(), cluster.new_api_server() as kubeconfig:
        assert Api(kubeconfig).version() == version
    ignored = [f"--ignore={TESTS}/{name}" for name in WITHOUT_AN_API_SERVER]
    command = [sys.executable, "-m", "pytest", "--durations=10", "-n", "5", "--dist", "loadfile", *ignored, TESTS]
    with capfd.disabled():  # it takes its time, and tells how far it is
        print(f"\n{version}")
        ran = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)
    assert ran.returncode == 0, f"with {version}; see above"
