"""Velero as its users run it, with an S3 server: a namespace is backed up, deleted, and restored, here and elsewhere.

No kubelet runs: a fake link agent stands in for the pod. Of the volume only its claim is backed up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.api import Api, remove_namespaces, samples
from support.fake_agent import fake_agent, free_base_port
from support.levels import left_out_if_missing
from support.operator import Operator
from support.programs import built
from support.snapshots import Identity, assert_rests, files, identities, settled
from support.velero import Velero
from support.velero import velero as running_velero
from support.waiting import until

pytestmark = pytest.mark.integration

NEEDS = (
    "Velero and versitygw, which are built the first time: 20 minutes on two very busy cores. Then it takes 4 minutes."
)
KEPT = ["mcsinstances", "communities", "tvoxlinks", "secrets", "configmaps"]
"""What docs/disaster-recovery.md says has to be kept, without the volume."""


@pytest.fixture(scope="module")
def velero(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Velero]:
    with left_out_if_missing():
        programs = built("velero")
    with running_velero(server, programs, tmp_path_factory.mktemp("velero")) as found:
        yield found


@dataclass(frozen=True)
class Told:
    """What a customer and his TVox depend on."""

    identities: dict[str, Identity]
    ca: dict[str, str]
    pins: dict[str, str]
    places: dict[str, tuple[str, int]]
    """Address and port, by link."""

    @classmethod
    def of(cls, api: Api) -> Told:
        secrets = {secret["metadata"]["name"]: files(secret) for secret in api.list("Secret")}
        pins = {
            name: content["fingerprints.json"] for name, content in secrets.items() if "fingerprints.json" in content
        }
        status = {link["metadata"]["name"]: link["status"] for link in api.list("TVoxLink")}
        places = {name: (told["vpnAddress"], told["port"]) for name, told in status.items()}
        return cls(identities(api), secrets["mcs-ca"], pins, places)


def demo(api: Api) -> int:
    """The demo's samples in this namespace; the instance's base port."""
    base_port = free_base_port()
    for sample in samples("demo"):
        if sample["kind"] == "MCSInstance":
            sample["spec"]["vpn"]["basePort"] = base_port
        if sample["kind"] != "Namespace":
            api.create(sample | {"metadata": sample["metadata"] | {"namespace": api.namespace}})
    return base_port


def until_served(api: Api) -> None:
    until("both links are there", lambda: len(api.list("TVoxLink")) == 2)
    for link in api.list("TVoxLink"):
        api.wait_condition("TVoxLink", link["metadata"]["name"], "Ready", "True", timeout=60)
    settled(api)


@pytest.mark.parametrize("only", [[], KEPT], ids=["all of it", "what has to be kept"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "into another namespace"])
def test_a_namespace_that_was_deleted_is_restored_with_every_identity(
    velero: Velero, server: Api, api: Api, operator: Operator, elsewhere: bool, only: list[str]
) -> None:
    base_port = demo(api)
    with fake_agent(api, base_port):
        until_served(api)
        before = Told.of(api)
        velero.backed_up(api.namespace)
    assert len(before.identities) == 2
    remove_namespaces(server, api.namespace)
    there = server.within(f"{api.namespace}-new") if elsewhere else api
    try:
        velero.restored(api.namespace, there.namespace, *([f"--include-resources={','.join(only)}"] if only else []))
        settled(there)  # the agent's certificate is made anew where it was for another namespace
        with fake_agent(there, base_port):
            until_served(there)
            assert Told.of(there) == before
            assert there.condition("MCSInstance", "mcs", "Stalled")[0] == "False"
            assert_rests(there)
    finally:
        if elsewhere:
            remove_namespaces(server, there.namespace)
