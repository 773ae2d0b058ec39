"""Whoever says little, much or nothing: every wait has an end, and one community's is not another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from portal.web import door, files

from unit.portal.running import House, soon

pytestmark = pytest.mark.timeout(20)


async def never_ending() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


@pytest.mark.parametrize("path", ["/api/login", "/api/calls"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(door, "BODY_SECONDS", 0.05)
    ada = await house.signed_in("ada")
    assert (await ada.ask("POST", path, data=never_ending())).error == (400, "bad-request")


async def test_an_upload_that_stops_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SILENCE", 0.05)
    ada = await house.signed_in("ada")
    stopped = await ada.ask("POST", "/api/conversations/bob/files?name=a", data=never_ending())
    assert stopped.error == (400, "bad-request")
    assert not list(house.portal.files.folder.iterdir()) and not house.portal.files.transfers()


async def test_a_community_that_asks_much_at_once_delays_itself(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "REQUESTS_AT_ONCE", 5)
    ada, eve = await house.signed_in("ada"), await house.signed_in("eve", "globex")
    go_on = threading.Event()
    house.portal.store.post(lambda connection: go_on.wait(10))
    waiting = [asyncio.create_task(ada.get("/api/missed")) for _ in range(5)]
    at_once = house.app[door._AT_ONCE]
    await soon(lambda: at_once["acme"] == 5)
    assert (await ada.get("/api/me")).error == (429, "too-many")
    assert (await eve.get("/api/me")).status == 200
    go_on.set()
    assert [(await one).status for one in waiting] == [200] * 5
    assert (await ada.get("/api/me")).status == 200


async def test_a_browser_that_goes_away_while_it_waits_leaves_its_place(house: House) -> None:
    ada = await house.signed_in("ada")
    go_on = threading.Event()
    house.portal.store.post(lambda connection: go_on.wait(10))
    gone = asyncio.create_task(ada.get("/api/missed"))
    at_once = house.app[door._AT_ONCE]
    await soon(lambda: at_once["acme"] == 1)
    gone.cancel()
    go_on.set()
    await soon(lambda: at_once["acme"] == 0)
