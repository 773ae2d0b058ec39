"""How long things are kept, how all of a user is erased, and the backup."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from portal import portal, retention, tools
from portal.limits import Quota

from unit.portal.running import APPLIANCE, Browser, House, soon

pytestmark = pytest.mark.timeout(20)
DAY = 86_400.0


async def texts(house: House, user: str, other: str) -> list[str]:
    return await texts_of(await house.signed_in(user), other)


async def texts_of(browser: Browser, other: str) -> list[str]:
    answer = await browser.get(f"/api/conversations/{other}/messages")
    return [message["text"] for message in answer.json["messages"]]


async def everything(house: House) -> tuple[str, str]:
    """ada and bob, ada and cyd: messages, a call with a message, a missed call, and files, whose ids it gives."""
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await ada.post(f"/api/calls/{call}/messages", {"text": "SECRET in the call"})
    await ada.post(f"/api/calls/{call}/leave")
    files = []
    for other in ("bob", "cyd"):
        await ada.post(f"/api/conversations/{other}/messages", {"text": f"SECRET to {other}"})
        sent = await ada.post(f"/api/conversations/{other}/files?name=secret.txt", data=b"SECRET content")
        files.append(sent.json["id"])
    await bob.post("/api/conversations/cyd/messages", {"text": "bob to cyd"})
    missed = (await ada.post("/api/calls", {"users": ["cyd"], "media": "audio"})).json["id"]
    await ada.post(f"/api/calls/{missed}/leave")
    await house.settled()
    return files[0], files[1]


async def test_messages_stay_thirty_days_and_files_seven(house: House) -> None:
    file, _ = await everything(house)
    await house.passes(6.9 * DAY)
    await house.portal.clean()
    assert (await (await house.signed_in("bob")).get(f"/api/files/{file}")).status == 200
    await house.passes(0.2 * DAY)
    await house.portal.clean()
    assert (await (await house.signed_in("bob")).get(f"/api/files/{file}")).status == 404
    assert not list(house.portal.files.folder.iterdir())
    assert await texts(house, "bob", "ada") == ["SECRET to bob"]
    await house.passes(22.8 * DAY)
    await house.portal.clean()
    assert await texts(house, "bob", "ada") == ["SECRET to bob"]
    await house.passes(0.2 * DAY)
    await house.portal.clean()
    assert await texts(house, "bob", "ada") == []
    assert (await (await house.signed_in("cyd")).get("/api/missed")).json == {"missed": []}
    with sqlite3.connect(house.portal.store.path) as database:
        for table in ("messages", "files", "missed", "calls", "call_members", "conversations"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table  # noqa: S608
        assert database.execute("SELECT sum(chat), sum(files) FROM usage").fetchone() == (0, 0)


async def test_an_instance_may_declare_how_long_messages_and_files_stay(house: House) -> None:
    house.kept = {"chatSeconds": 60 * 86_400, "fileSeconds": 45 * 86_400}
    await house.told()
    file, _ = await everything(house)
    await house.passes(44 * DAY)
    await house.portal.clean()
    assert (await (await house.signed_in("bob")).get(f"/api/files/{file}")).status == 200
    await house.passes(2 * DAY)
    await house.portal.clean()
    assert (await (await house.signed_in("bob")).get(f"/api/files/{file}")).status == 404
    assert await texts(house, "bob", "ada") == ["SECRET to bob"]
    await house.passes(15 * DAY)
    await house.portal.clean()
    assert await texts(house, "bob", "ada") == []


async def test_a_shorter_time_erases_within_seconds_and_signs_nobody_out(house: House) -> None:
    await everything(house)
    bob = await house.signed_in("bob")
    running = asyncio.create_task(house.portal.run())
    try:
        await house.passes(2 * 3600)
        house.kept = {"chatSeconds": 3600, "fileSeconds": 3600}
        house._sets += 1
        house.write_set()
        await soon(lambda: not list(house.portal.files.folder.iterdir()))
    finally:
        running.cancel()
        await asyncio.wait({running})
    assert (await bob.get("/api/me")).status == 200


async def test_after_a_restart_nothing_is_erased_before_the_set_says_how_long_it_is_kept(house: House) -> None:
    house.kept = {"chatSeconds": 365 * 86_400, "fileSeconds": 365 * 86_400}
    await house.told()
    await everything(house)
    await house.passes(100 * DAY)
    await house.stop()
    (house.folder / "set.json").rename(house.folder / "away.json")
    await house.start()
    await house.portal.clean()
    (house.folder / "away.json").rename(house.folder / "set.json")
    await house.portal.tick()
    await house.portal.clean()
    assert await texts(house, "bob", "ada") == ["SECRET to bob"]
    assert len(list(house.portal.files.folder.iterdir())) == 2


async def test_what_is_declared_no_more_holds_for_a_week_as_an_operator_of_before_says_nothing(house: House) -> None:
    house.kept = {"chatSeconds": 365 * 86_400, "fileSeconds": 365 * 86_400}
    await house.told()
    await everything(house)
    for _ in range(100):
        await house.passes(DAY)
        await house.portal.clean()
    house.kept = {}
    await house.told()
    await house.restart()
    await house.portal.clean()
    await house.passes(5.9 * DAY)
    await house.portal.clean()
    assert await texts(house, "bob", "ada") == ["SECRET to bob"]
    assert len(list(house.portal.files.folder.iterdir())) == 2
    told = (await house.inner("GET", "/usage")).json["retention"]
    assert told == {"chatSeconds": 365 * 86_400, "fileSeconds": 365 * 86_400}
    await house.passes(1.2 * DAY)
    await house.portal.clean()
    assert await texts(house, "bob", "ada") == []
    assert not list(house.portal.files.folder.iterdir())
    told = (await house.inner("GET", "/usage")).json["retention"]
    assert told == {"chatSeconds": 30 * 86_400, "fileSeconds": 7 * 86_400}


async def test_a_set_that_cannot_be_taken_yet_erases_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read, and for how long things are kept is not in force: the default would erase a year."""
    house.kept = {"chatSeconds": 365 * 86_400, "fileSeconds": 365 * 86_400}
    await house.told()
    await everything(house)
    await house.passes(100 * DAY)
    await house.stop()
    (house.folder / "set.json").rename(house.folder / "away.json")
    await house.start()
    (house.folder / "away.json").rename(house.folder / "set.json")
    with monkeypatch.context() as broken:
        broken.setattr(portal, "Directory", None)
        with pytest.raises(TypeError):
            await house.portal.tick()
        await house.portal.clean()
    await house.portal.tick()
    await house.portal.clean()
    assert await texts(house, "bob", "ada") == ["SECRET to bob"]


@pytest.mark.parametrize(
    ("declared", "chat", "files"),
    [
        (None, 30 * DAY, 7 * DAY),
        ({}, 30 * DAY, 7 * DAY),
        ({"chatSeconds": 7200}, 7200, 7 * DAY),
        ({"chatSeconds": 3600, "fileSeconds": 10**30}, 3600, 3650 * DAY),
        ({"chatSeconds": "7200", "fileSeconds": None}, 3650 * DAY, 3650 * DAY),
        ({"chatSeconds": True, "fileSeconds": -1.5}, 3650 * DAY, 3650 * DAY),
        ({"chatSeconds": 0, "fileSeconds": 3599}, 3650 * DAY, 3650 * DAY),
        ({"fileSeconds": -5}, 30 * DAY, 3650 * DAY),
        ("1h", 3650 * DAY, 3650 * DAY),
        ([], 3650 * DAY, 3650 * DAY),
    ],
)
def test_what_cannot_be_understood_is_kept_for_the_longest_time(declared: object, chat: float, files: float) -> None:
    found = Quota().declared(declared)
    assert (found.chat_seconds, found.file_seconds) == (chat, files)


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("declared", "files", "chat", "largest"),
    [
        ({}, 1024 * MIB, 256 * MIB, 100 * MIB),
        ({"quotaBytes": 4096 * MIB}, 4096 * MIB, 1024 * MIB, 100 * MIB),
        ({"quotaBytes": 8 * MIB}, 8 * MIB, 2 * MIB, 8 * MIB),
        ({"quotaBytes": 1}, MIB, MIB // 4, MIB),
        ({"quotaBytes": 10**30}, MIB * MIB, MIB * MIB // 4, 100 * MIB),
        ({"quotaBytes": "8Mi"}, 1024 * MIB, 256 * MIB, 100 * MIB),
    ],
)
def test_messages_may_take_a_quarter_of_what_files_may(declared: object, files: int, chat: int, largest: int) -> None:
    found = Quota().declared(declared)
    assert (found.community_bytes, found.chat_bytes, found.file_bytes) == (files, chat, largest)


async def test_much_is_deleted_in_small_pieces(house: House) -> None:
    def many(connection: sqlite3.Connection) -> None:
        rows = [(f"{number:032x}", "acme", "ada bob", "ada", "bob", "x", 0.0) for number in range(1000)]
        connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    await house.portal.store.run(many)
    pieces = 0
    run = house.portal.store.run

    async def counted(work: object, *args: object) -> object:
        nonlocal pieces
        pieces += getattr(work, "__name__", "") == "_old_messages"
        return await run(work, *args)  # type: ignore[arg-type]

    house.portal.store.run = counted  # type: ignore[method-assign, assignment]
    await house.portal.clean()
    assert pieces == 1000 // retention.AT_ONCE + 1


async def test_who_is_gone_for_thirty_days_is_erased_and_nobody_else(house: House) -> None:
    _, file = await everything(house)
    del house.users["acme", "ada"]
    await house.told()
    await house.portal.clean()
    house.portal.quota = type(house.portal.quota)(chat_seconds=1e9, file_seconds=1e9)
    await house.passes(29.9 * DAY)
    await house.portal.clean()
    assert (house.portal.files.folder / file).exists()
    await house.passes(0.2 * DAY)
    await house.portal.clean()
    assert not list(house.portal.files.folder.iterdir())
    assert await texts(house, "bob", "cyd") == ["bob to cyd"]
    await house.portal.store.checkpoint()
    assert b"SECRET" not in house.portal.store.path.read_bytes()


async def test_who_comes_back_in_time_has_lost_nothing(house: House) -> None:
    await everything(house)
    house.portal.quota = type(house.portal.quota)(chat_seconds=1e9, file_seconds=1e9)
    for _ in range(3):
        del house.users["acme", "ada"]
        await house.told()
        await house.portal.clean()
        await house.passes(20 * DAY)
        house.users["acme", "ada"] = ["Chat"]
        await house.told()
        await house.portal.clean()
    assert await texts(house, "ada", "bob") == ["SECRET to bob"]


async def test_without_a_set_nobody_is_gone(house: House) -> None:
    """The operator may be away for months: what is not there says nothing about anybody."""
    await everything(house)
    await house.stop()
    (house.folder / "set.json").rename(house.folder / "away.json")
    await house.start()
    house.portal.quota = type(house.portal.quota)(chat_seconds=1e9, file_seconds=1e9)
    for _ in range(3):
        await house.portal.clean()
        await house.passes(40 * DAY)
    (house.folder / "away.json").rename(house.folder / "set.json")
    await house.portal.tick()
    await house.portal.clean()
    assert await texts(house, "ada", "bob") == ["SECRET to bob"]


@pytest.mark.parametrize("change", [{"portal": None}, {"open": False}])
async def test_nobody_is_gone_because_a_community_has_no_portal_at_the_moment(
    house: House, change: dict[str, object]
) -> None:
    """The set names no users of such a one."""
    await everything(house)
    house.portal.quota = type(house.portal.quota)(chat_seconds=1e9, file_seconds=1e9)
    before, users = dict(house.communities["acme"]), dict(house.users)
    house.communities["acme"] |= change
    house.users = {key: functions for key, functions in users.items() if key[0] != "acme"}
    for _ in range(3):
        await house.told()
        await house.portal.clean()
        await house.passes(20 * DAY)
    house.communities["acme"], house.users = before, users
    await house.told()
    assert await texts(house, "ada", "bob") == ["SECRET to bob"]


async def test_a_community_that_is_removed_is_erased_after_thirty_days(house: House) -> None:
    await everything(house)
    del house.communities["acme"]
    await house.told()
    await house.portal.clean()
    await house.passes(31 * DAY)
    await house.portal.clean()
    with sqlite3.connect(house.portal.store.path) as database:
        for table in ("messages", "files", "missed", "people", "conversations", "call_members"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table  # noqa: S608


# ---- forget


async def test_forgotten_is_all_of_one_user_at_once(house: House) -> None:
    await everything(house)
    ada = await house.signed_in("ada")
    answer = await house.inner("POST", "/forget", {"community": "acme", "user": "ada"})
    assert answer.json == {"files": 2}
    assert (await ada.get("/api/me")).status == 401
    assert await texts(house, "bob", "cyd") == ["bob to cyd"]
    assert await texts(house, "bob", "ada") == []
    assert (await (await house.signed_in("cyd")).get("/api/missed")).json == {"missed": []}
    assert not list(house.portal.files.folder.iterdir())
    for path in house.portal.store.path.parent.glob("portal.db*"):
        assert b"SECRET" not in path.read_bytes(), path.name


async def test_a_call_that_goes_on_names_who_was_forgotten_no_more(house: House) -> None:
    house.add("acme", "margarete")
    await house.told()
    call, (margarete, ada, bob, cyd) = await house.in_a_call("margarete", "ada", "bob", "cyd")
    await margarete.post(f"/api/calls/{call}/messages", {"text": "SECRET"})
    await house.inner("POST", "/forget", {"community": "acme", "user": "margarete"})
    await cyd.post(f"/api/calls/{call}/leave")
    await ada.post(f"/api/calls/{call}/invite", {"user": "cyd"})
    await house.passes(46)
    await bob.post(f"/api/calls/{call}/leave")
    await house.settled()
    await house.portal.store.checkpoint()
    for path in house.portal.store.path.parent.glob("portal.db*"):
        assert b"margarete" not in path.read_bytes() and b"SECRET" not in path.read_bytes(), path.name
    assert (await (await house.signed_in("cyd")).get("/api/missed")).json == {"missed": []}


async def test_forget_from_the_command_line_is_done_by_the_portal_that_runs(house: House) -> None:
    from aiohttp import web
    from portal import inner

    await everything(house)
    runner = web.AppRunner(inner.application(house.portal), access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(house.folder / "portal-inner.sock")).start()
    try:
        told = await asyncio.to_thread(tools.forget, house.portal.settings, "acme/ada")
    finally:
        await runner.cleanup()
    assert told == "forgotten: messages, calls, sessions and 2 files"
    assert await texts(house, "bob", "ada") == []


def run(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"MCS_RUN_DIR": str(house.folder), "MCS_DATA_DIR": str(house.folder / "data"), "PYTHONPATH": ""}
    command = [sys.executable, "-m", "portal", *arguments]
    return subprocess.run(
        command, cwd=APPLIANCE, env=environment, capture_output=True, text=True, check=False, timeout=20
    )


async def test_forget_works_where_no_portal_runs(house: House) -> None:
    await everything(house)
    await house.stop()
    try:
        done = run(house, "forget", "acme/ada")
        assert (done.returncode, done.stdout) == (0, "forgotten: messages, calls, sessions and 2 files\n"), done.stderr
    finally:
        await house.start()
    assert await texts(house, "bob", "ada") == []
    assert await texts(house, "bob", "cyd") == ["bob to cyd"]
    assert not list(house.portal.files.folder.iterdir())


async def test_a_backup_is_a_whole_database_while_the_portal_runs(house: House, tmp_path: Path) -> None:
    await everything(house)
    target = tmp_path / "copy.db"
    done = await asyncio.to_thread(run, house, "backup", str(target))
    assert done.returncode == 0, done.stderr
    assert (target.stat().st_mode & 0o777) == 0o600
    with sqlite3.connect(target) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM messages").fetchone() == (4,)
    assert await texts(house, "ada", "bob") == ["SECRET to bob"], "it goes on"
    assert [path.name for path in sorted(target.parent.iterdir())] == ["copy.db"]


async def test_what_cannot_be_done_is_said_with_a_status(house: House, tmp_path: Path) -> None:
    assert run(house, "backup", "/nowhere/copy.db").returncode == 1
    for arguments in (["forget", "ada"], ["restore", "x"], ["backup"]):
        wrong = run(house, *arguments)
        assert wrong.returncode == 2 and "python3 -m portal" in wrong.stderr
    house.portal.settings.data_dir.rename(tmp_path / "moved")
    missing = run(house, "forget", "acme/ada")
    assert missing.returncode == 1 and missing.stderr.startswith("not done: ")
    (tmp_path / "moved").rename(house.portal.settings.data_dir)
