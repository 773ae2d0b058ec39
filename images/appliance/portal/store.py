"""WHERE IT IS KEPT: one SQLite database on the data volume, and the one thread that uses it.

Work is done in the order in which it was given, each in a transaction of its own. The portal goes on without a
database: one that is damaged is put aside, and where none can be written sessions and calls live in memory.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

log = logging.getLogger("portal.store")

P = ParamSpec("P")
T = TypeVar("T")

MIGRATIONS = (
    """
    CREATE TABLE sessions (digest BLOB PRIMARY KEY, public TEXT NOT NULL, community TEXT NOT NULL, user TEXT NOT NULL,
        proof TEXT NOT NULL, created REAL NOT NULL, used REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX sessions_of_user ON sessions (community, user);
    CREATE TABLE people (community TEXT NOT NULL, user TEXT NOT NULL, gone REAL,
        PRIMARY KEY (community, user)) WITHOUT ROWID;
    CREATE TABLE conversations (community TEXT NOT NULL, user TEXT NOT NULL, other TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (community, user, other)) WITHOUT ROWID;
    CREATE INDEX conversations_newest ON conversations (community, user, at);
    CREATE TABLE calls (id TEXT PRIMARY KEY, community TEXT NOT NULL, started REAL NOT NULL, ended REAL,
        state TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE call_members (call TEXT NOT NULL, community TEXT NOT NULL, user TEXT NOT NULL, until REAL,
        PRIMARY KEY (call, user)) WITHOUT ROWID;
    CREATE INDEX call_members_user ON call_members (community, user);
    CREATE TABLE missed (id TEXT PRIMARY KEY, community TEXT NOT NULL, user TEXT NOT NULL, call TEXT NOT NULL,
        caller TEXT NOT NULL, media TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX missed_user ON missed (community, user, id);
    CREATE INDEX missed_caller ON missed (community, caller);
    CREATE TABLE messages (id TEXT PRIMARY KEY, community TEXT NOT NULL, conversation TEXT NOT NULL,
        sender TEXT NOT NULL, recipient TEXT, body TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX messages_conversation ON messages (community, conversation, id);
    CREATE INDEX messages_sender ON messages (community, sender);
    CREATE INDEX messages_recipient ON messages (community, recipient);
    CREATE TABLE files (id TEXT PRIMARY KEY, community TEXT NOT NULL, conversation TEXT NOT NULL, sender TEXT NOT NULL,
        recipient TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
        at REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX files_conversation ON files (community, conversation, at);
    CREATE TABLE usage (community TEXT PRIMARY KEY, chat INTEGER NOT NULL DEFAULT 0,
        files INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
    CREATE TRIGGER message_in AFTER INSERT ON messages BEGIN
        INSERT INTO usage (community, chat) VALUES (new.community, length(CAST(new.body AS BLOB)) + 200)
            ON CONFLICT (community) DO UPDATE SET chat = chat + excluded.chat; END;
    CREATE TRIGGER message_out AFTER DELETE ON messages BEGIN
        UPDATE usage SET chat = chat - length(CAST(old.body AS BLOB)) - 200 WHERE community = old.community; END;
    CREATE TRIGGER file_in AFTER INSERT ON files BEGIN
        INSERT INTO usage (community, files) VALUES (new.community, new.size)
            ON CONFLICT (community) DO UPDATE SET files = files + excluded.files; END;
    CREATE TRIGGER file_out AFTER DELETE ON files BEGIN
        UPDATE usage SET files = files - old.size WHERE community = old.community; END;
    """,
    "CREATE TABLE talk (community TEXT PRIMARY KEY, seconds REAL NOT NULL) WITHOUT ROWID;",
    "CREATE TABLE erasures (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;",
    "CREATE TABLE declared (name TEXT PRIMARY KEY, seconds REAL NOT NULL, at REAL NOT NULL) WITHOUT ROWID;",
)
"""One after the other, each once. Only additions: an older image goes on with a database of a newer one."""
_NO_WAL = ("nfs", "cifs", "smb", "9p", "fuse", "ceph", "gluster")
"""File systems of a network: the shared memory of a write-ahead log does not work there."""


class StoreError(Exception):
    """The database did not do it: the disk is full, or damaged. Tells no content."""


def database(data_dir: Path) -> Path:
    return data_dir / "portal" / "portal.db"


class Store:
    """The database of a running portal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, "store")
        self._connection: sqlite3.Connection

    async def open(self) -> None:
        self._connection = await asyncio.get_running_loop().run_in_executor(self._thread, _open_somehow, self.path)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown(wait=False)

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` gives, done in a transaction. Raises StoreError."""

        def do() -> T:
            return in_transaction(self._connection, work, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, do)

    async def settled(self) -> None:
        """Until all that was posted is done."""
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)

    async def checkpoint(self) -> None:
        """What was deleted is overwritten in the database; now also in its log."""

        def do() -> None:
            with suppress(sqlite3.Error):  # some other process may read; the next one does it
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        await asyncio.get_running_loop().run_in_executor(self._thread, do)

    def post(
        self, work: Callable[Concatenate[sqlite3.Connection, P], object], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Does it later, in order. A fault is logged: what is true in memory stays so, the disk may be full."""

        def do() -> None:
            try:
                in_transaction(self._connection, work, *args, **kwargs)
            except StoreError as why:
                log.warning("not kept: %s", why)

        self._thread.submit(do)


def in_transaction(
    connection: sqlite3.Connection,
    work: Callable[Concatenate[sqlite3.Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection, *args, **kwargs)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.Error as why:
        # Its words may quote a value; its name says enough: SQLITE_FULL, SQLITE_CORRUPT, SQLITE_BUSY.
        raise StoreError(getattr(why, "sqlite_errorname", type(why).__name__)) from None
    return result


def connect(path: Path | str, *, wal: bool = True) -> sqlite3.Connection:
    """Opens the database and brings it up to date. Raises sqlite3.Error. What is deleted is overwritten with zeros."""
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if wal else 'FULL'}")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


def keeps_wal(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether the file system below is a local one; where nobody knows, it is."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return True
    best, kind = "", ""
    for line in lines:
        _, mounted, found, *_ = [*line.split(" "), "", "", ""]
        if len(mounted) >= len(best) and path.is_relative_to(mounted or "//"):
            best, kind = mounted, found
    return not kind.startswith(_NO_WAL)


def backup(path: Path, target: Path) -> None:
    """A consistent copy of the database, also while the portal runs. Raises sqlite3.Error, OSError."""
    fresh = target.with_name(target.name + ".part")
    fresh.unlink(missing_ok=True)
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        copy = sqlite3.connect(fresh)
        try:
            fresh.chmod(0o600)
            source.backup(copy)  # in one step: one in many begins anew whenever somebody writes
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
    finally:
        source.close()
    fresh.replace(target)


def _open_somehow(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        path.touch(mode=0o660)
        wal = keeps_wal(path.resolve())
        try:
            return connect(path, wal=wal)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as why:
            log.error("the database is damaged (%s): put aside, a new one begins", _name(why))
            _put_aside(path)
            return connect(path, wal=wal)
    except (sqlite3.Error, OSError) as why:
        log.error("there is no database (%s): sessions, calls and chat last until the portal ends", _name(why))
        return connect(":memory:", wal=False)


def _put_aside(path: Path) -> None:
    """Never deleted: whoever repairs it finds the history in there."""
    now = int(time.time())
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(f"{path.name}.damaged-{now}{suffix}"))


def _name(why: Exception) -> str:
    return getattr(why, "sqlite_errorname", None) or type(why).__name__
