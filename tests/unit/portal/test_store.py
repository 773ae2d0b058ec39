"""The database: brought up to date, put aside when damaged, done without where there is none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from portal import store
from portal.store import Store, StoreError

from unit.portal.running import House

pytestmark = pytest.mark.timeout(20)


async def test_it_is_a_write_ahead_log_that_the_group_may_write(house: House) -> None:
    path = house.portal.store.path
    mode = await house.portal.store.run(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()[0])
    assert mode == "wal"
    assert path == house.folder / "data" / "portal" / "portal.db"


async def test_a_damaged_database_is_put_aside_and_never_deleted(house: House) -> None:
    await house.stop()
    house.portal.store.path.write_bytes(b"no database at all" * 1000)
    await house.start()
    assert (await house.signed_in("ada")).cookie
    aside = [path for path in house.portal.store.path.parent.iterdir() if "damaged" in path.name]
    assert [path.read_bytes()[:18] for path in aside] == [b"no database at all"]


async def test_a_database_that_cannot_be_read_in_part_stops_nobody(house: House) -> None:
    await house.portal.store.run(lambda connection: connection.execute("DROP TABLE sessions"))
    await house.restart()
    assert (await (await house.signed_in("ada")).get("/api/me")).status == 200


async def test_without_a_place_for_a_database_people_still_talk(house: House) -> None:
    await house.stop()
    data = house.folder / "data"
    data.rename(house.folder / "old")
    data.write_text("a file where the folder should be")
    await house.start()
    call, (ada, _) = await house.in_a_call("ada", "bob")
    assert (await ada.post("/api/conversations/bob/messages", {"text": "x"})).status == 201
    assert (await ada.post("/api/conversations/bob/files?name=x", data=b"x")).error == (507, "no-space")
    assert (await ada.post(f"/api/calls/{call}/leave")).status == 200


def test_every_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    for version in range(len(store.MIGRATIONS) + 1):
        path = tmp_path / f"{version}.db"
        with sqlite3.connect(path) as old:
            for script in store.MIGRATIONS[:version]:
                old.executescript(script)
            old.execute(f"PRAGMA user_version = {version}")
        connection = store.connect(path)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(store.MIGRATIONS),)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
        connection.close()


def test_a_database_of_a_newer_image_is_used_as_it_is(tmp_path: Path) -> None:
    store.connect(tmp_path / "x.db").close()
    with sqlite3.connect(tmp_path / "x.db") as newer:
        newer.execute("PRAGMA user_version = 99")
        newer.execute("CREATE TABLE of_the_future (x)")
    connection = store.connect(tmp_path / "x.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.connect(tmp_path / "x.db").close()
    broken = "CREATE TABLE half (x); CREATE TABLE messages (x);"
    monkeypatch.setattr(store, "MIGRATIONS", (*store.MIGRATIONS, broken))
    with pytest.raises(sqlite3.Error):
        store.connect(tmp_path / "x.db")
    with sqlite3.connect(tmp_path / "x.db") as database:
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)


async def test_what_fails_half_way_is_undone(tmp_path: Path) -> None:
    kept = Store(tmp_path / "portal" / "portal.db")
    await kept.open()

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO people VALUES ('acme', 'ada', NULL)")
        connection.execute("INSERT INTO nothing VALUES (1)")

    with pytest.raises(StoreError, match=r"^SQLITE_ERROR$"):
        await kept.run(half)
    assert await kept.run(lambda connection: connection.execute("SELECT * FROM people").fetchall()) == []
    await kept.close()


@pytest.mark.parametrize(
    ("kind", "wal"),
    [("ext4", True), ("xfs", True), ("overlay", True), ("nfs4", False), ("nfs", False), ("cifs", False),
     ("fuse.glusterfs", False), ("ceph", False), ("9p", False)],
)  # fmt: skip
def test_no_write_ahead_log_on_a_file_system_of_a_network(tmp_path: Path, kind: str, wal: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"overlay / overlay rw 0 0\nbroken\nhost:/x /var/lib/mcs {kind} rw 0 0\ntmpfs /var/lib/mcsx tmpfs rw 0 0\n"
    )
    assert store.keeps_wal(Path("/var/lib/mcs/portal/portal.db"), mounts) is wal
    assert store.keeps_wal(Path("/var/lib/mcsx/portal.db"), mounts) is True
    assert store.keeps_wal(Path("/x"), tmp_path / "none") is True


def test_a_database_without_a_write_ahead_log_works(tmp_path: Path) -> None:
    connection = store.connect(tmp_path / "x.db", wal=False)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
