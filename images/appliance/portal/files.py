"""WHAT WAS SENT: files between two users, streamed to the data volume, never held in memory or in a memory volume."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

from portal.clock import iso
from portal.limits import PAGE, TRANSFERS, TRANSFERS_OF_COMMUNITY, TRANSFERS_OF_USER, Quota
from portal.people import met
from portal.refusals import RefusedError
from portal.space import Pace, Space
from portal.store import Store
from portal.told import Key

log = logging.getLogger("portal.files")

P = ParamSpec("P")
T = TypeVar("T")
PIECE = 64 * 1024
_COLUMNS = "id, community, conversation, sender, recipient, name, size, sha256, at"


@dataclass(frozen=True, slots=True)
class File:
    id: str
    community: str
    conversation: str
    sender: str
    recipient: str
    name: str
    size: int
    sha256: str
    at: float

    def other_than(self, user: str) -> str:
        return self.recipient if user == self.sender else self.sender

    def shown_to(self, user: str) -> dict[str, Any]:
        other = self.other_than(user)
        shown = {"id": self.id, "conversation": other, "from": self.sender, "name": self.name, "size": self.size}
        return shown | {"at": iso(self.at)}


class Files:
    """The files of all communities, and the transfers that are going on."""

    def __init__(self, folder: Path, store: Store, quota: Callable[[], Quota], space: Space, pace: Pace) -> None:
        self.folder, self._store, self._quota, self._space, self._pace = folder, store, quota, space, pace
        self._threads = ThreadPoolExecutor(4, "files")  # of their own: a slow disk must not hold up anything else
        self._running: Counter[Key] = Counter()
        self._growing: dict[str, tuple[str, int]] = {}
        """Community and size of what is not kept yet, by id."""

    def transfers(self) -> dict[str, int]:
        """How many are going on, by community."""
        found: Counter[str] = Counter()
        for (community, _), count in self._running.items():
            found[community] += count
        return dict(found)

    @contextmanager
    def transfer(self, key: Key) -> Iterator[None]:
        """A place for one transfer of this user. Raises RefusedError."""
        of_community = self.transfers()
        if (
            self._running[key] >= TRANSFERS_OF_USER
            or of_community.get(key[0], 0) >= TRANSFERS_OF_COMMUNITY
            or sum(of_community.values()) >= TRANSFERS
        ):
            raise RefusedError("too-many")
        self._running[key] += 1
        try:
            yield
        finally:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]

    async def _aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    async def receive(
        self, community: str, file_id: str, described: Callable[[int, str], File], pieces: AsyncIterator[bytes]
    ) -> File:
        """Keeps the file that these pieces are; `described` tells it by size and SHA-256.

        Raises RefusedError, StoreError.
        """
        part, whole = self.folder / f"{file_id}.part", self.folder / file_id
        try:
            file = described(*await self._write(part, community, file_id, pieces))
            await self._aside(part.rename, whole)
            try:
                await self._store.run(_put, file, self._quota().community_bytes)
            except BaseException:
                await self._aside(self.delete, [file_id])
                raise
            return file
        except ConnectionError:
            raise  # the browser's
        except OSError as why:
            log.warning("a file is not kept: %s", type(why).__name__)
            raise RefusedError("no-space") from None
        finally:
            self._growing.pop(file_id, None)
            with suppress(OSError):
                part.unlink(missing_ok=True)

    async def _write(self, part: Path, community: str, file_id: str, pieces: AsyncIterator[bytes]) -> tuple[int, str]:
        kept = await self._store.run(_used, community)
        digest, size = hashlib.sha256(), 0
        target = await self._aside(_create, part)
        try:
            async for piece in pieces:
                size += len(piece)
                self._growing[file_id] = community, size
                self._must_fit(community, size, kept)
                await self._pace.take(len(piece))
                await self._aside(_append, target, digest, piece)
        finally:
            await self._aside(target.close)
        return size, digest.hexdigest()

    def _must_fit(self, community: str, size: int, kept: int) -> None:
        """What others of the community send at the same moment counts as well."""
        quota = self._quota()
        if size > quota.file_bytes:
            raise RefusedError("too-large")
        growing = sum(size for of, size in self._growing.values() if of == community)
        if kept + growing > quota.community_bytes or self._space.free() < quota.upload_free:
            raise RefusedError("no-space")

    async def pieces(self, file: File) -> AsyncIterator[bytes]:
        """The content, at the pace of the line. Raises OSError."""
        source = await self._aside((self.folder / file.id).open, "rb")
        try:
            while piece := await self._aside(source.read, PIECE):
                await self._pace.take(len(piece))
                yield piece
        finally:
            await self._aside(source.close)

    def delete(self, ids: list[str]) -> None:
        """Of content whose entry is gone."""
        for file_id in ids:
            with suppress(OSError):
                (self.folder / file_id).unlink(missing_ok=True)

    def sweep(self, known: set[str], older_than: float) -> None:
        """Content without an entry: what a portal that was killed left behind."""
        for path in self.folder.iterdir():
            with suppress(OSError):
                if path.name not in known and path.stat().st_mtime < older_than:
                    path.unlink()


def find(connection: sqlite3.Connection, community: str, file_id: str, user: str) -> File | None:
    """The file, for the one who sent it and the one who got it; for anybody else there is none."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM files WHERE id = ? AND community = ? AND ? IN (sender, recipient)",  # noqa: S608
        (file_id, community, user),
    ).fetchone()
    return File(*row) if row else None


def of_conversation(connection: sqlite3.Connection, community: str, conversation: str) -> list[File]:
    """The newest ones, oldest first."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM files WHERE community = ? AND conversation = ? ORDER BY at DESC LIMIT ?",  # noqa: S608
        (community, conversation, PAGE),
    )
    return [File(*row) for row in found][::-1]


def all_ids(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT id FROM files")}


def _used(connection: sqlite3.Connection, community: str) -> int:
    row = connection.execute("SELECT files FROM usage WHERE community = ?", [community]).fetchone()
    return row[0] if row else 0


def _put(connection: sqlite3.Connection, file: File, most: int) -> None:
    """Asked again, now that others may have come before."""
    if _used(connection, file.community) + file.size > most:
        raise RefusedError("no-space")
    met(connection, file.community, file.sender, file.recipient, file.at)
    connection.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(file))


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660), "wb")


def _append(target: BinaryIO, digest: hashlib._Hash, piece: bytes) -> None:
    digest.update(piece)
    target.write(piece)
