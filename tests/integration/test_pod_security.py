"""What the media pod needs beyond Pod Security `baseline`, said by the API server itself: this, and nothing else.

`docs/rbac.md` has the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.api import ROOT, Api, Object, Refused
from support.objects import a_community, an_instance
from support.operator import Operator
from support.waiting import until

pytestmark = pytest.mark.integration

PORTS, PATH, ADMIN = "hostPort", "hostPath volumes", "non-default capabilities"
NODES_NETWORK = "host namespaces"
PLUGIN: Object = {"vpn": {"slots": 6, "tunDevice": {"resourceName": "example.com/tun"}}}


@pytest.fixture
def baseline(server: Api, api: Api) -> Iterator[Api]:
    """A namespace that enforces `baseline`."""
    name = f"{api.namespace}-baseline"
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    there = server.within(name)
    until("the namespace's service account", lambda: there.find("ServiceAccount", "default"))
    yield there
    server.delete("Namespace", name)


@pytest.mark.parametrize(
    ("spec", "needs"),
    [
        pytest.param({}, {PORTS, PATH, ADMIN}, id="HostPort"),
        pytest.param({"network": {"mode": "LoadBalancer"}}, {PATH, ADMIN}, id="LoadBalancer"),
        pytest.param({"network": {"mode": "LoadBalancer"}} | PLUGIN, {ADMIN}, id="LoadBalancer and a device plugin"),
        pytest.param({"network": {"mode": "HostNetwork"}}, {NODES_NETWORK, PORTS, PATH, ADMIN}, id="HostNetwork"),
    ],
)
def test_the_media_pod_needs_no_more_than_it_says(
    api: Api, operator: Operator, baseline: Api, spec: dict[str, Any], needs: set[str]
) -> None:
    api.create(an_instance(**spec), a_community())
    pod = until("the StatefulSet", lambda: api.find("StatefulSet", "mcs"))["spec"]["template"]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"] | {"name": "mcs-0"}, "spec": pod["spec"]}
    with pytest.raises(Refused, match="violates PodSecurity") as refused:
        baseline.create(body)
    said = refused.value.message
    known = {PORTS, PATH, ADMIN, NODES_NETWORK, "privileged (", "seccomp", "AppArmor", "sysctl", "procMount", "SELinux"}
    assert {word for word in known if word in said} == needs, said
    assert said.count("), ") + 1 <= len(needs), f"something that this test does not know: {said}"
    only_slots_are_administrators(said)
    assert all(f"`{need}`" in (ROOT / "docs" / "rbac.md").read_text() for need in needs)


def only_slots_are_administrators(said: str) -> None:
    _, _, capabilities = said.partition(ADMIN)
    assert '"NET_ADMIN"' in capabilities
    assert '"link-002"' in capabilities
    assert not [name for name in ('"media"', '"agent"') if name in capabilities.partition(")")[0]]
