"""What is known of the cluster's networks: what may be read, and nothing else is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ServerDisconnectedError

from mcs_operator.domain.facts.networks import Network
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.networks import SERVICE_CIDRS, Networks
from mcs_operator.kube.resources import NODES, Resource

PODS, SERVICES = "Pods of this cluster", "Services of this cluster"


class FakeApi:
    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def pages(self, resource: Resource) -> AsyncIterator[tuple[list[Any], str]]:
        self.asked.append(resource.plural)
        answer = self.answers.get(resource.plural, [])
        if isinstance(answer, Exception):
            raise answer
        for at in range(0, len(answer), 50):
            yield answer[at : at + 50], "1"


async def known(monkeypatch: pytest.MonkeyPatch, host: str = "", **answers: Any) -> tuple[Network, ...]:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    networks = Networks(FakeApi(**answers), on_change=lambda: None)  # type: ignore[arg-type]
    return await networks._read()


def node(*cidrs: Any) -> dict[str, Any]:
    return {"metadata": {"name": "n"}, "spec": {"podCIDRs": list(cidrs)}}


async def test_nodes_service_cidrs_and_the_api_servers_own_service_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    services = [{"spec": {"cidrs": ["10.96.0.0/12", "fd00::/108"]}}]
    found = await known(
        monkeypatch, "10.96.0.1", nodes=[node("10.244.0.0/24"), node("10.244.1.0/24")], servicecidrs=services
    )
    assert found == (
        Network("10.244.0.0/24", PODS),
        Network("10.244.1.0/24", PODS),
        Network("10.96.0.0/12", SERVICES),
        Network("10.96.0.1", SERVICES),
    )


@pytest.mark.parametrize(
    "error", [ApiError(403, "Forbidden", "no"), ApiError(404, "NotFound", "no"), OSError(), ServerDisconnectedError()]
)
async def test_what_may_not_be_read_is_not_known_and_the_rest_is(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert await known(monkeypatch, nodes=[node("10.244.0.0/24")], servicecidrs=error) == (
        Network("10.244.0.0/24", PODS),
    )
    assert await known(monkeypatch, "10.96.0.1", nodes=error) == (Network("10.96.0.1", SERVICES),)


@pytest.mark.parametrize(
    "odd", [{}, {"spec": None}, {"spec": []}, node(7, None, "x", "fd00::/64"), {"spec": {"podCIDRs": 7}}]
)
async def test_an_odd_node_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch, odd: Any) -> None:
    assert await known(monkeypatch, nodes=[odd, node("10.244.0.0/24")]) == (Network("10.244.0.0/24", PODS),)


async def test_namespaces_are_woken_when_another_network_is_known_and_not_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcs_operator.kube.networks.EVERY_SECONDS", 0)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "")
    there, woken, changed = [node("10.244.0.0/24")], [], asyncio.Event()
    api = FakeApi(nodes=there)

    def wake() -> None:
        woken.append(networks.known)
        if len(woken) == 2:
            changed.set()

    networks = Networks(api, on_change=wake)  # type: ignore[arg-type]
    task = asyncio.create_task(networks.run())
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(woken) == 1
    assert len(api.asked) > 4, "it has read more than once"
    there.clear()
    await asyncio.wait_for(changed.wait(), 10)
    task.cancel()
    assert woken[1] == ()
    assert {*api.asked} == {NODES.plural, SERVICE_CIDRS.plural}
