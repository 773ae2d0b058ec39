"""What is logged: no name of a user, no token, no text, whatever happens."""

from __future__ import annotations

import asyncio
import logging

import pytest
from portal import server
from portal.portal import discreetly

from unit.portal.running import PASSWORD, House

pytestmark = pytest.mark.timeout(20)


async def test_nothing_of_anybody_is_in_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    house.add("acme", "margarete", "wilhelmina")
    await house.told()
    one, other = await house.signed_in("margarete"), await house.signed_in("wilhelmina")
    await house.browser().log_in("margarete", "a wrong password")
    async with one.socket(), other.socket() as ears:
        await ears.watch("margarete")
        call = (await one.post("/api/calls", {"users": ["wilhelmina"], "media": "audio"})).json["id"]
        await other.post(f"/api/calls/{call}/accept")
        await one.post("/api/conversations/wilhelmina/messages", {"text": "Sauerkraut"})
        sent = await one.post("/api/conversations/wilhelmina/files?name=Sauerkraut.pdf", data=b"Sauerkraut")
        await other.get(f"/api/files/{sent.json['id']}")
        for table in ("messages", "sessions", "calls"):
            await house.portal.store.run(lambda connection, table=table: connection.execute(f"DROP TABLE {table}"))
        await one.post("/api/conversations/wilhelmina/messages", {"text": "Sauerkraut"})
        house.portal.store.run = None  # type: ignore[method-assign, assignment]
        assert (await one.post("/api/conversations/wilhelmina/messages", {"text": "Sauerkraut"})).status == 500
        await one.post("/api/logout-everywhere")
    del house.portal.store.run
    await house.settled()
    assert "TypeError at chat.py:" in caplog.text, "but what broke is"
    for secret in ("margarete", "Margarete", "wilhelmina", "Sauerkraut", PASSWORD, one.cookie, other.cookie, call):
        assert secret is not None and secret not in caplog.text, secret


def test_a_fault_is_told_by_kind_and_place_and_not_by_its_words() -> None:
    try:
        {}["margarete"]
    except KeyError as why:
        assert discreetly(why).startswith("KeyError at test_logs.py:")


async def test_what_asyncio_and_aiohttp_would_print_is_told_the_same_way(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise KeyError("margarete")

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(server._discreet)
    try:
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        del task
        import gc

        gc.collect()
    finally:
        loop.set_exception_handler(before)
    assert "KeyError at test_logs.py" in caplog.text and "margarete" not in caplog.text
    try:
        await fails()
    except KeyError:
        import sys

        record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 1, "Error handling request", (), sys.exc_info())
        assert "margarete" not in server.Discreet("%(message)s").format(record)
