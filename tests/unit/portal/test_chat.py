"""Messages: who gets them, in which order, how long, and how many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from unit.portal.running import House, soon

pytestmark = pytest.mark.timeout(20)


async def test_a_message_arrives_at_all_pages_of_both(house: House) -> None:
    ada, other_tab, bob, cyd = [await house.signed_in(user) for user in ("ada", "ada", "bob", "cyd")]
    async with other_tab.socket() as adas, bob.socket() as bobs, cyd.socket() as cyds:
        sent = await ada.post("/api/conversations/bob/messages", {"text": "<b>hello</b> 👋"})
        assert sent.status == 201
        message = {key: sent.json[key] for key in ("id", "from", "text", "at")}
        assert (message["from"], message["text"], message["at"]) == (
            "ada",
            "<b>hello</b> 👋",
            "2027-01-15T08:00:00.000Z",
        )
        at_bobs, at_adas = await bobs.until("message"), await adas.until("message")
        assert at_bobs["message"] == message | {"conversation": "ada"}
        assert at_adas["message"] == message | {"conversation": "bob"}
        names = [heard["who"]["displayName"] for heard in (at_bobs, at_adas)]
        assert names == ["Ada", "Bob"], "whose page of the directory need not have been read"
        assert "message" not in [heard["type"] for heard in await cyds.quiet()]
    assert (await bob.get("/api/conversations/ada/messages")).json["messages"] == [message | {"conversation": "ada"}]


async def test_with_whom_one_wrote_of_late(house: House) -> None:
    ada = await house.signed_in("ada")
    assert (await ada.get("/api/conversations")).json == {"conversations": []}
    for other, passed in (("bob", 1), ("cyd", 1), ("bob", 1)):
        await house.passes(passed)
        await ada.post(f"/api/conversations/{other}/messages", {"text": "x"})
    await house.passes(1)
    await ada.post("/api/conversations/cyd/files?name=a", data=b"x")
    found = (await ada.get("/api/conversations")).json["conversations"]
    assert [(entry["user"], entry["displayName"], entry["at"][17:19]) for entry in found] == [
        ("cyd", "Cyd", "04"), ("bob", "Bob", "03"),
    ]  # fmt: skip
    bob = await house.signed_in("bob")
    assert [entry["user"] for entry in (await bob.get("/api/conversations")).json["conversations"]] == ["ada"]
    del house.users["acme", "cyd"]
    house.users["acme", "bob"] = ["Audio"]
    await house.told()
    assert [entry["user"] for entry in (await ada.get("/api/conversations")).json["conversations"]] == ["bob"]
    assert (await (await house.signed_in("bob")).get("/api/conversations")).error == (403, "not-allowed")


async def test_who_said_something_last_is_told_so_that_nobody_sees_his_own_words_as_unread(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")

    async def last() -> list[str]:
        return [(await who.get("/api/conversations")).json["conversations"][0]["from"] for who in (ada, bob)]

    for who, other, path in ((ada, "bob", "messages"), (bob, "ada", "messages"), (ada, "bob", "files?name=a")):
        await house.passes(1)
        said = {"data": b"x"} if "files" in path else {}
        await who.post(f"/api/conversations/{other}/{path}", *([] if said else [{"text": "x"}]), **said)
        assert await last() == ["bob" if who is bob else "ada"] * 2
    await house.passes(8 * 86400)
    await house.portal.clean()
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    assert await last() == ["bob"] * 2, "the file is gone, and what was written is not"


async def test_a_message_that_takes_its_time_is_of_nobody_who_is_gone_meanwhile(house: House) -> None:
    ada = await house.signed_in("ada")
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"text": '
        started.set()
        await go_on.wait()
        yield b'"x"}'

    late = asyncio.create_task(ada.ask("POST", "/api/conversations/bob/messages", data=slowly()))
    await started.wait()
    await soon(lambda: bool(house.portal.requests._levels))  # she was let in
    del house.users["acme", "ada"]
    await house.told()
    go_on.set()
    assert (await late).error == (401, "signed-out")


async def test_history_comes_in_pages_from_the_newest_back(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    for number in range(120):
        await house.passes(1)
        sender, other = ((ada, "bob"), (bob, "ada"))[number % 2]
        assert (await sender.post(f"/api/conversations/{other}/messages", {"text": str(number)})).status == 201
    texts, before = [], ""
    while True:
        page = (await ada.get(f"/api/conversations/bob/messages{before}")).json
        texts.append([int(message["text"]) for message in page["messages"]])
        if page["before"] is None:
            break
        before = f"?before={page['before']}"
    assert texts == [list(range(70, 120)), list(range(20, 70)), list(range(20))]


async def test_messages_of_one_moment_and_of_a_clock_that_goes_back_keep_their_order(house: House) -> None:
    ada = await house.signed_in("ada")
    for number in range(10):
        house.hands.jumped -= number
        await ada.post("/api/conversations/bob/messages", {"text": str(number)})
    found = (await ada.get("/api/conversations/bob/messages")).json["messages"]
    assert [message["text"] for message in found] == [str(number) for number in range(10)]
    assert len({message["id"] for message in found}) == 10


@pytest.mark.parametrize("before", ["", "x", "0" * 33, "'; DROP TABLE messages", "%00", "ü"])
async def test_a_wrong_cursor_is_none(house: House, before: str) -> None:
    ada = await house.signed_in("ada")
    await ada.post("/api/conversations/bob/messages", {"text": "one"})
    found = await ada.get("/api/conversations/bob/messages", params={"before": before})
    assert len(found.json["messages"]) == 1


@pytest.mark.parametrize("text", [None, "", " \n", 7, ["x"], "x" * 4001, "\x00", "a\ud800"])
async def test_what_is_no_message_is_refused(house: House, text: object) -> None:
    ada = await house.signed_in("ada")
    assert (await ada.post("/api/conversations/bob/messages", {"text": text})).error == (400, "bad-request")


async def test_the_longest_message_is_taken_in_any_script(house: House) -> None:
    ada = await house.signed_in("ada")
    sent = await ada.post("/api/conversations/bob/messages", {"text": "😀" * 4000})
    assert sent.status == 201 and sent.json["text"] == "😀" * 4000


@pytest.mark.parametrize("other", ["ada", "nobody", "eve", "..", "%2e%2e", "BOB", "b%20b", "a" * 300])
async def test_there_is_nobody_else_to_write_to(house: House, other: str) -> None:
    ada = await house.signed_in("ada")
    assert (await ada.post(f"/api/conversations/{other}/messages", {"text": "x"})).status in (400, 404)


async def test_who_writes_too_much_waits(house: House) -> None:
    ada = await house.signed_in("ada")
    answers = [(await ada.post("/api/conversations/bob/messages", {"text": "x"})).status for _ in range(31)]
    assert answers == [201] * 30 + [429]
    await house.passes(1)
    assert (await ada.post("/api/conversations/bob/messages", {"text": "x"})).status == 201


async def test_in_a_call_those_who_are_in_it_read(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    cyd = await house.signed_in("cyd")
    async with bob.socket() as bobs, cyd.socket() as cyds:
        sent = await ada.post(f"/api/calls/{call}/messages", {"text": "just us"})
        assert sent.json["conversation"] == f"calls/{call}"
        assert (await bobs.until("message"))["message"] == sent.json
        await ada.post(f"/api/calls/{call}/invite", {"user": "cyd"})
        assert (await cyd.get(f"/api/calls/{call}/messages")).error == (404, "not-found"), "it only rings"
        assert (await cyd.post(f"/api/calls/{call}/messages", {"text": "x"})).error == (403, "not-allowed")
        assert "message" not in [heard["type"] for heard in await cyds.quiet()]
    await cyd.post(f"/api/calls/{call}/accept")
    await house.settled()
    assert [message["text"] for message in (await cyd.get(f"/api/calls/{call}/messages")).json["messages"]] == [
        "just us"
    ]


async def test_who_left_reads_what_was_written_until_then(house: House) -> None:
    call, (ada, bob, cyd) = await house.in_a_call("ada", "bob", "cyd")
    for number, member in enumerate((ada, bob)):
        await house.passes(1)
        await member.post(f"/api/calls/{call}/messages", {"text": str(number)})
    await cyd.post(f"/api/calls/{call}/leave")
    await house.passes(1)
    await ada.post(f"/api/calls/{call}/messages", {"text": "about cyd"})
    assert (await cyd.post(f"/api/calls/{call}/messages", {"text": "x"})).error == (403, "not-allowed")

    async def read(browser: object) -> list[str]:
        answer = await browser.get(f"/api/calls/{call}/messages")  # type: ignore[attr-defined]
        return [message["text"] for message in answer.json["messages"]]

    assert await read(cyd) == ["0", "1"]
    await ada.post(f"/api/calls/{call}/leave")
    await house.restart()
    assert await read(bob) == ["0", "1", "about cyd"], "also when it is over"
    assert await read(cyd) == ["0", "1"]


async def test_one_without_chat_in_a_call_hears_nothing_of_it(house: House) -> None:
    house.users["acme", "cyd"] = ["Audio"]
    await house.told()
    call, (ada, _, cyd) = await house.in_a_call("ada", "bob", "cyd")
    async with cyd.socket() as ears:
        assert (await ada.post(f"/api/calls/{call}/messages", {"text": "x"})).status == 201
        assert "message" not in [heard["type"] for heard in await ears.quiet()]
    assert (await cyd.get(f"/api/calls/{call}/messages")).error == (403, "not-allowed")


async def test_a_community_writes_as_much_as_it_may_and_others_go_on(house: House) -> None:
    ada, eve = await house.signed_in("ada"), await house.signed_in("eve", "globex")
    house.add("globex", "gus")
    await house.told()
    house.portal.quota = type(house.portal.quota)(chat_bytes=1000)
    answers = [(await ada.post("/api/conversations/bob/messages", {"text": "x" * 100})).status for _ in range(5)]
    assert answers == [201, 201, 201, 507, 507]
    assert (await eve.post("/api/conversations/gus/messages", {"text": "x"})).status == 201


async def test_a_full_disk_refuses_messages_and_ends_no_call(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    house.free[0] = 0.05
    await house.passes(2)
    assert (await ada.post("/api/conversations/bob/messages", {"text": "x"})).error == (507, "no-space")
    assert (await bob.get(f"/api/calls/{call}")).status == 200
    assert (await ada.get("/api/conversations/bob/messages")).status == 200


async def test_a_database_that_fails_is_said_and_ends_nothing(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.portal.store.run(lambda connection: connection.execute("DROP TABLE messages"))
    assert (await ada.post("/api/conversations/bob/messages", {"text": "x"})).error == (507, "no-space")
    await house.portal.store.run(lambda connection: connection.execute("DROP TABLE sessions"))
    assert (await house.signed_in("cyd")).cookie
    assert (await bob.post(f"/api/calls/{call}/leave")).status == 200
