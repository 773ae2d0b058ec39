"""Agent and slots get a newer operator's images in the pod that runs: what is sent, in which order, and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from mcs_operator.pki import fingerprint
from mcs_operator.settings import Settings
from support.api import Api, Object
from support.fake_agent import FakeAgent, fake_agent, free_base_port
from support.objects import INSTANCE, a_community, a_link, an_instance
from support.operator import Operator
from support.pods import nobody_pulls, place_pod, pull_ends
from support.snapshots import files, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration

POD = f"{INSTANCE}-0"
SLOTS = 6
NEXT = Settings(agent_image="localhost/mcs/operator:next", link_image="localhost/mcs/link:next")


class Kubelet:
    """What a kubelet does to the pod, at each look: it replaces containers whose image changed, and tells so."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, str] = {}
        self.restarts: Counter[str] = Counter()
        self.turns: list[list[str]] = []

    def look(self) -> Object:
        """One look; the pod as it was found."""
        for pull in self._api.list("Pod"):
            if pull["metadata"]["name"].startswith(f"{INSTANCE}-pull-") and not pull["status"].get("containerStatuses"):
                pull_ends(self._api, pull, terminated={"exitCode": 0, "reason": "Completed"})
        pod: Object = self._api.get("Pod", POD)
        images = {container["name"]: container["image"] for container in pod["spec"]["containers"]}
        replaced = [name for name, image in images.items() if self._known.get(name, image) != image]
        if replaced or not self._known:
            self.restarts.update(replaced)
            self.turns += [replaced] if replaced else []
            told = [self._told(name) for name in images]
            self._api.merge_status("Pod", POD, {"phase": "Running", "containerStatuses": told})
        self._known = images
        return pod

    def _told(self, name: str) -> Object:
        told = {"name": name, "ready": True, "state": {"running": {}}, "image": "x", "imageID": ""}
        return told | {"restartCount": self.restarts[name]}


@pytest.fixture
def agent(api: Api, operator: Operator) -> Iterator[FakeAgent]:
    """An instance of six slots with two customers, of whom acme is connected."""
    if api.find("Node", "mcs-node"):
        pytest.skip("a kubelet is there: tests/e2e/test_newer_operator.py asks it")
    base = free_base_port()
    api.create(an_instance(vpn={"slots": SLOTS, "basePort": base}), a_community())
    for name in ("acme", "bolt"):
        api.create(a_link(name))
        api.wait_condition("TVoxLink", name, "Accepted", "True")
    place_pod(api, INSTANCE, nodeName="mcs-node")
    with fake_agent(api, base) as agent:
        for name in ("acme", "bolt"):
            api.wait_condition("TVoxLink", name, "Ready", "True")
        profile = files(api.get("Secret", "acme-profile"))
        agent.show(api.get("TVoxLink", "acme")["status"]["slot"], fingerprint(profile["tls.crt"]))
        api.wait_condition("TVoxLink", "acme", "Connected", "True")
        yield agent


def test_the_agent_the_idle_and_then_who_is_connected_and_when_it_is_done_nothing_is_written(
    api: Api, operator: Operator, agent: FakeAgent
) -> None:
    kubelet = Kubelet(api)
    uid = kubelet.look()["metadata"]["uid"]
    used = f"link-{api.get('TVoxLink', 'acme')['status']['slot']:03d}"
    idle = sorted({f"link-{number:03d}" for number in range(2, 2 + SLOTS)} - {used})
    operator.stop()
    with operator.with_environment(MCS_AGENT_IMAGE=NEXT.agent_image, MCS_LINK_IMAGE=NEXT.link_image):
        operator.start()

        def is_updated() -> bool:
            pod = kubelet.look()
            noted = pod["metadata"]["annotations"]
            assert noted["mcs.tvox.io/link-image"] == NEXT.link_image, (kubelet.turns, noted)
            return "mcs.tvox.io/update" not in noted

        until("all are updated", is_updated, 90, pause=0.3)
        until("nobody pulls any more", lambda: nobody_pulls(api, INSTANCE), 20)
        assert kubelet.turns == [["agent"], idle[:4], idle[4:], [used]]
        assert agent.exits == [tuple(int(name[-3:]) for name in turn) for turn in kubelet.turns[1:]]
        assert api.get("Pod", POD)["metadata"]["uid"] == uid
        api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")
        settled(api)
        before = versions(api)
        operator.stop()
        operator.start()
        settled(api)
        assert versions(api) == before
    operator.stop()
