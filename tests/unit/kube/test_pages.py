"""Lists are taken in by the page, and a page has few megabytes, whoever filled the objects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from mcs_operator.kube.client import Api
from mcs_operator.kube.resources import SECRETS

MB = 1024 * 1024


class Server:
    """Serves a list of objects of these sizes, in pages as it is asked for them."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes, self.limits, self.sent = sizes, list[int](), list[int]()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        limit, begin = int(request.query["limit"]), int(request.query.get("continue", 0))
        self.limits.append(limit)
        numbers = range(len(self.sizes))[begin : begin + limit]
        page = [{"metadata": {"name": f"s{n}"}, "data": {"x": "A" * self.sizes[n]}} for n in numbers]
        following = str(begin + limit) if begin + limit < len(self.sizes) else ""
        body = web.json_response({"metadata": {"resourceVersion": "7", "continue": following}, "items": page})
        self.sent.append(body.content_length or 0)
        return body

    async def listed(self) -> tuple[list[str], int]:
        """Names, and the bytes of the largest page that was taken in."""
        app = web.Application()
        app.router.add_get("/api/v1/secrets", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        api = Api(client.ApiClient(configuration))
        try:
            found: list[dict[str, Any]] = []
            largest = 0
            async for page, version in api.pages(SECRETS):
                assert version == "7"
                largest = max(largest, sum(len(item["data"]["x"]) for item in page))
                found += page
            return [item["metadata"]["name"] for item in found], largest
        finally:
            await api.close()
            await runner.cleanup()


@pytest.mark.parametrize("count", [0, 1, 100, 101, 1000])
def test_small_objects_come_in_few_pages(count: int) -> None:
    server = Server([1000] * count)
    names, _ = asyncio.run(server.listed())
    assert names == [f"s{n}" for n in range(count)]
    assert server.limits == [100, 500, 500][: 1 if count <= 100 else 2 if count <= 600 else 3]


def test_a_page_of_large_objects_is_asked_for_in_smaller_parts() -> None:
    """500 Secrets of 1 MiB are half a gigabyte, and seconds in the parser."""
    server = Server([MB] * 30)
    names, largest = asyncio.run(server.listed())
    assert names == [f"s{n}" for n in range(30)]
    assert largest <= 4 * MB
    assert len(server.limits) < 30


def test_large_objects_after_small_ones_and_small_ones_after_large_ones_are_all_there() -> None:
    server = Server([100] * 300 + [MB] * 10 + [100] * 300)
    names, largest = asyncio.run(server.listed())
    assert names == [f"s{n}" for n in range(610)]
    assert largest <= 4 * MB
    assert len(server.limits) < 30


def test_one_object_that_is_larger_than_a_page_comes_alone() -> None:
    names, _ = asyncio.run(Server([10, 5 * MB, 10]).listed())
    assert names == ["s0", "s1", "s2"]
