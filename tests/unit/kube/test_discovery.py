"""What the cluster can do, as admission has to know it without asking."""

from __future__ import annotations

import asyncio

import pytest

from mcs_operator.domain.pod.prediction import ANY_SIZE, NO_SIZE, Resizing
from mcs_operator.kube import discovery as module
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.discovery import Discovery, resizing_of

TOO_OLD = {"pods", "pods/log"}


class FakeApi:
    """An API server of a version."""

    def __init__(self, version: tuple[int, int] = (1, 34), served: set[str] | ApiError | None = None) -> None:
        self.release, self.resources = version, served or {"pods", "pods/resize"}
        self.asked = 0

    async def served(self, _: str) -> set[str]:
        self.asked += 1
        if isinstance(self.resources, ApiError):
            raise self.resources
        return self.resources

    async def version(self) -> tuple[int, int]:
        return self.release


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        (FakeApi((1, 32), TOO_OLD), NO_SIZE),
        (FakeApi((1, 33)), Resizing(lowers_memory=False)),
        (FakeApi((1, 34)), ANY_SIZE),
        (FakeApi((2, 0)), ANY_SIZE),
        (FakeApi((0, 0)), Resizing(lowers_memory=False)),
        (FakeApi((1, 34), TOO_OLD), NO_SIZE),
    ],
    ids=["1.32", "1.33", "1.34", "2.0", "no version that we know", "switched off"],
)
async def test_which_sizes_a_cluster_gives_a_container_that_runs(api: FakeApi, expected: Resizing) -> None:
    assert await resizing_of(api) == expected  # type: ignore[arg-type]


async def test_a_cluster_is_asked_until_it_can_do_all_and_then_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0)
    api = FakeApi(served=ApiError(503, "ServiceUnavailable", "later"))
    discovery = Discovery(api)  # type: ignore[arg-type]
    assert discovery.resizing == NO_SIZE, "what is not known is rather told as a restart"
    task = asyncio.create_task(discovery.run())
    try:
        for resources, known in ((TOO_OLD, NO_SIZE), ({"pods/resize"}, ANY_SIZE)):
            before, api.resources = api.asked, resources
            for _ in range(20):
                await asyncio.sleep(0)
            assert api.asked > before
            assert discovery.resizing == known
        asked = api.asked
        for _ in range(20):
            await asyncio.sleep(0)
        assert api.asked == asked
    finally:
        task.cancel()
