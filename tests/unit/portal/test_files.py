"""Files: streamed, bounded, between two, and never opened as a page of ours."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from portal import foreign
from portal.space import Pace, Space, free_part

from unit.portal.running import House, running, soon

pytestmark = pytest.mark.timeout(20)
KIB = 1024


async def test_a_file_arrives_as_it_was_sent(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    content = os.urandom(3 * 1024 * KIB + 17)
    async with bob.socket() as bobs:
        sent = await ada.post("/api/conversations/bob/files?name=plan.pdf", data=content)
        digest = hashlib.sha256(content).hexdigest()
        assert sent.status == 201
        assert sent.json == {"id": sent.json["id"], "name": "plan.pdf", "size": len(content), "sha256": digest}
        told = (await bobs.until("file"))["file"]
        assert (told["id"], told["conversation"], told["from"], told["size"]) == (
            sent.json["id"],
            "ada",
            "ada",
            len(content),
        )
    assert (await bob.get("/api/conversations/ada/files")).json["files"] == [told], "who was away finds it"
    for browser in (ada, bob):
        got = await browser.get(f"/api/files/{sent.json['id']}")
        assert got.content == content and got.headers["Content-Length"] == str(len(content))


async def test_no_browser_opens_a_file_as_a_page(house: House) -> None:
    ada = await house.signed_in("ada")
    sent = await ada.post(
        "/api/conversations/bob/files", params={"name": 'a"b;é.html'}, data=b"<script>alert(1)</script>"
    )
    got = await ada.get(f"/api/files/{sent.json['id']}")
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert (
        got.headers["Content-Disposition"]
        == "attachment; filename=\"a_b__.html\"; filename*=UTF-8''a%22b%3B%C3%A9.html"
    )
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert got.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\Users\\x.doc", "C:_Users_x.doc"),
        ("exe\u202egpj.exe", "exe_gpj.exe"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie: x"),
        ("x" * 300 + ".txt", "x" * 200),
        (".bashrc", "bashrc"),
        ("  ", None), ("...", None), ("", None), ("a\x00b", None), ("\ud800", None), (7, None),
    ],
)  # fmt: skip
def test_names_of_files_lead_nowhere(name: object, kept: str | None) -> None:
    assert foreign.file_name(name, 200) == kept


async def test_an_empty_file_is_a_file(house: House) -> None:
    ada = await house.signed_in("ada")
    sent = await ada.post("/api/conversations/bob/files?name=empty", data=b"")
    assert sent.json["size"] == 0
    assert (await ada.get(f"/api/files/{sent.json['id']}")).content == b""


async def test_a_file_without_a_name_is_refused(house: House) -> None:
    ada = await house.signed_in("ada")
    for query in ("", "?name=", "?name=...", "?name=%00"):
        assert (await ada.post(f"/api/conversations/bob/files{query}", data=b"x")).error == (400, "bad-request")


async def test_a_file_that_is_too_large_leaves_nothing_behind() -> None:
    async with running(file_bytes=100 * KIB) as house:
        ada = await house.signed_in("ada")
        said = await ada.post("/api/conversations/bob/files?name=a", data=b"x" * (100 * KIB + 1))
        assert said.error == (413, "too-large"), "its length was said before"

        async def without_length() -> AsyncIterator[bytes]:
            for _ in range(101):
                yield b"x" * KIB

        assert (await ada.post("/api/conversations/bob/files?name=a", data=without_length())).error == (
            413,
            "too-large",
        )
        assert (await ada.post("/api/conversations/bob/files?name=a", data=b"x" * 100 * KIB)).status == 201
        assert len(list(house.portal.files.folder.iterdir())) == 1


async def test_a_community_has_a_quota_and_others_go_on() -> None:
    async with running(community_bytes=100 * KIB) as house:
        house.add("globex", "gus")
        await house.told()
        ada, eve = await house.signed_in("ada"), await house.signed_in("eve", "globex")
        sizes = [60, 60, 40, 1]
        answers = [
            (await ada.post("/api/conversations/bob/files?name=a", data=b"x" * size * KIB)).status for size in sizes
        ]
        assert answers == [201, 507, 201, 507]
        assert (await eve.post("/api/conversations/gus/files?name=a", data=b"x" * 90 * KIB)).status == 201
        assert len(list(house.portal.files.folder.iterdir())) == 3


async def test_another_quota_is_in_force_with_the_next_set_and_erases_nothing(house: House) -> None:
    ada = await house.signed_in("ada")
    size = 700 * KIB
    path = "/api/conversations/bob/files?name=a"
    assert (await ada.post(path, data=b"x" * size)).status == 201
    house.kept = {"quotaBytes": 1024 * KIB}
    await house.told()
    assert (await ada.get("/api/me")).json["limits"]["fileBytes"] == 1024 * KIB
    assert (await ada.post(path, data=b"x" * size)).error == (507, "no-space")
    house.kept = {"quotaBytes": 2048 * KIB}
    await house.told()
    assert (await ada.post(path, data=b"x" * size)).status == 201
    assert len(list(house.portal.files.folder.iterdir())) == 2


async def test_uploads_at_the_same_moment_share_the_quota() -> None:
    async with running(community_bytes=100 * KIB) as house:
        browsers = [await house.signed_in(user) for user in ("ada", "cyd")]
        both = [browser.post("/api/conversations/bob/files?name=a", data=b"x" * 60 * KIB) for browser in browsers]
        assert sorted(answer.status for answer in await asyncio.gather(*both)) in ([201, 507], [507, 507])


async def test_a_full_disk_refuses_uploads_and_nothing_else(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    sent = await ada.post("/api/conversations/bob/files?name=a", data=b"kept")
    house.free[0] = 0.19
    await house.passes(2)
    assert (await ada.post("/api/conversations/bob/files?name=a", data=b"x")).error == (507, "no-space")
    assert (await bob.get(f"/api/files/{sent.json['id']}")).content == b"kept"
    assert (await ada.post("/api/conversations/bob/messages", {"text": "x"})).status == 201
    assert (await ada.get(f"/api/calls/{call}")).status == 200


async def test_a_folder_that_cannot_be_written_refuses_uploads(house: House) -> None:
    ada = await house.signed_in("ada")
    house.portal.files.folder.rmdir()
    assert (await ada.post("/api/conversations/bob/files?name=a", data=b"x")).error == (507, "no-space")


async def test_a_file_whose_content_is_gone_is_not_found(house: House) -> None:
    ada = await house.signed_in("ada")
    sent = await ada.post("/api/conversations/bob/files?name=a", data=b"x")
    (house.portal.files.folder / sent.json["id"]).unlink()
    assert (await ada.get(f"/api/files/{sent.json['id']}")).error == (404, "not-found")


@pytest.mark.parametrize("file_id", ["0" * 32, "..", "..%2f..%2fportal.db", "x", "0" * 31 + "%00", "A" * 32])
async def test_no_id_leads_out_of_the_folder(house: House, file_id: str) -> None:
    assert (await (await house.signed_in("ada")).get(f"/api/files/{file_id}")).status in (400, 404)


# ---- transfers that are going on


async def held_back(started: asyncio.Event, go_on: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"x" * 70 * KIB
    started.set()
    await go_on.wait()
    yield b"y"


async def test_transfers_are_counted_and_a_user_has_three_at_once(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    go_on, started = asyncio.Event(), [asyncio.Event() for _ in range(3)]
    uploads = [
        asyncio.create_task(ada.post("/api/conversations/bob/files?name=a", data=held_back(one, go_on)))
        for one in started
    ]
    for one in started:
        await one.wait()
    await soon(lambda: house.portal.files.transfers() == {"acme": 3})
    assert (await house.inner("GET", "/counts")).json["transfers"] == {"acme": 3}
    assert (await ada.post("/api/conversations/bob/files?name=a", data=b"x")).error == (429, "too-many")
    assert (await bob.post("/api/conversations/ada/files?name=a", data=b"x")).status == 201
    go_on.set()
    assert [(await upload).status for upload in uploads] == [201] * 3
    assert (await house.inner("GET", "/counts")).json["transfers"] == {}


@pytest.mark.parametrize("who", ["the sender is gone", "the receiver is gone", "the function is taken", "signed out"])
async def test_an_upload_ends_when_one_may_not_any_more(house: House, who: str) -> None:
    ada = await house.signed_in("ada")
    started, go_on = asyncio.Event(), asyncio.Event()
    upload = asyncio.create_task(ada.post("/api/conversations/bob/files?name=a", data=held_back(started, go_on)))
    await started.wait()
    await soon(lambda: house.portal.files.transfers() == {"acme": 1})
    match who:
        case "the sender is gone":
            del house.users["acme", "ada"]
        case "the receiver is gone":
            del house.users["acme", "bob"]
        case "the function is taken":
            house.users["acme", "ada"] = ["Chat"]
        case "signed out":
            await ada.post("/api/logout")
    await house.told()
    go_on.set()
    assert (await upload).error == (403, "not-allowed")
    assert not list(house.portal.files.folder.iterdir()) and not house.portal.files.transfers()


async def test_a_transfer_cannot_go_on_for_ever(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    sent = (await ada.post("/api/conversations/bob/files?name=a", data=b"x" * 10_000_000)).json["id"]
    started, go_on = asyncio.Event(), asyncio.Event()
    upload = asyncio.create_task(ada.post("/api/conversations/bob/files?name=a", data=held_back(started, go_on)))
    await started.wait()
    await soon(lambda: bool(house.portal.files._growing))  # its time has begun
    house.hands.passed += 7201
    go_on.set()
    assert (await upload).error == (413, "too-large")

    async def meanwhile() -> None:
        house.hands.passed += 7201

    house.while_waiting = meanwhile
    with pytest.raises(aiohttp.ClientPayloadError):
        await bob.get(f"/api/files/{sent}")


async def test_while_draining_no_transfer_begins_and_those_that_go_on_end_well(house: House) -> None:
    ada = await house.signed_in("ada")
    sent = (await ada.post("/api/conversations/bob/files?name=a", data=b"x")).json["id"]
    started, go_on = asyncio.Event(), asyncio.Event()
    upload = asyncio.create_task(ada.post("/api/conversations/bob/files?name=a", data=held_back(started, go_on)))
    await started.wait()
    await soon(lambda: house.portal.files.transfers() == {"acme": 1})
    house.mode = "draining"
    await house.told()
    assert (await ada.post("/api/conversations/bob/files?name=a", data=b"x")).error == (503, "draining")
    assert (await ada.get(f"/api/files/{sent}")).error == (503, "draining")
    go_on.set()
    assert (await upload).status == 201


@pytest.mark.parametrize("why", ["signed out", "function taken", "content cut off"])
async def test_a_download_that_ends_early_ends_its_connection(house: House, why: str) -> None:
    """Or the next answer would be taken for the rest of the file, by whoever gets that connection."""
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    sent = (await ada.post("/api/conversations/bob/files?name=a", data=b"x" * 10_000_000)).json["id"]

    async def meanwhile() -> None:
        match why:
            case "signed out":
                house.portal.sign_out_everywhere(("acme", "bob"))
            case "function taken":
                house.users["acme", "bob"] = ["Chat"]
                await house.told()
            case "content cut off":
                os.truncate(house.portal.files.folder / sent, 5_000_000)

    house.while_waiting = meanwhile
    with pytest.raises(aiohttp.ClientPayloadError):
        await bob.get(f"/api/files/{sent}")
    assert not house.portal.files.transfers()


async def test_a_browser_that_goes_away_leaves_nothing_behind(house: House) -> None:
    ada = await house.signed_in("ada")
    started = asyncio.Event()
    upload = asyncio.create_task(
        ada.post("/api/conversations/bob/files?name=a", data=held_back(started, asyncio.Event()))
    )
    await started.wait()
    upload.cancel()
    await soon(lambda: not house.portal.files.transfers() and not list(house.portal.files.folder.iterdir()))


async def test_what_a_killed_portal_left_behind_is_swept(house: House) -> None:
    ada = await house.signed_in("ada")
    kept = (await ada.post("/api/conversations/bob/files?name=a", data=b"x")).json["id"]
    folder = house.portal.files.folder
    for name, age in (("0" * 32, 7200), ("1" * 32 + ".part", 7200), ("2" * 32 + ".part", 10)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (house.portal.clock.wall() - age,) * 2)
    await house.portal.clean()
    assert {path.name for path in folder.iterdir()} == {kept, "2" * 32 + ".part"}


# ---- pace and space


async def test_files_take_a_fifth_of_the_line(house: House) -> None:
    """100 Mbit/s are 12.5 MB/s, a fifth of it 2.5 MB/s: 10 MB, sent by two at the same time, take 4 s."""
    browsers = [await house.signed_in(user) for user in ("ada", "cyd")]
    begun = house.hands.passed
    both = [browser.post("/api/conversations/bob/files?name=a", data=b"x" * 5_000_000) for browser in browsers]
    assert {answer.status for answer in await asyncio.gather(*both)} == {201}
    assert 3.8 < house.hands.passed - begun < 4.2


async def test_the_pace_follows_the_line() -> None:
    now, rate = [0.0], [1000.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(lambda: rate[0], lambda: now[0], sleep)
    for _ in range(11):
        await pace.take(1000)
    assert now[0] == pytest.approx(10)
    rate[0] = 10_000
    for _ in range(10):
        await pace.take(1000)
    assert now[0] == pytest.approx(11.9)


def test_the_file_system_is_asked_once_a_second(tmp_path: os.PathLike[str]) -> None:
    now, asked = [0.0], [0]

    def look(path: object) -> float:
        asked[0] += 1
        return 0.5

    space = Space(tmp_path, lambda: now[0], look)  # type: ignore[arg-type]
    assert [space.free() for _ in range(100)] == [0.5] * 100 and asked == [1]
    now[0] = 1.0
    assert space.free() == 0.5 and asked == [2]


def test_where_nobody_knows_there_is_no_space(tmp_path: os.PathLike[str]) -> None:
    from pathlib import Path

    assert 0 < free_part(Path(tmp_path)) <= 1
    assert free_part(Path("/nowhere/at/all")) == 0
