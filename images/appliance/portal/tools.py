"""What the platform team does beside a running portal: a backup, and to forget a user."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiohttp

from portal import retention, store
from portal.clock import Clock
from portal.files import Files
from portal.settings import Settings
from portal.space import Pace, Space
from portal.store import Store, database


def backup(settings: Settings, target: Path) -> str:
    os.umask(0o077)
    store.backup(database(settings.data_dir), target)
    return f"copied to {target}"


def forget(settings: Settings, key: str) -> str:
    """By the portal, which signs the user out first; where none runs, in the database itself."""
    community, _, user = key.rpartition("/")
    count = asyncio.run(_forget(settings, community, user))
    return f"forgotten: messages, calls, sessions and {count} files"


async def _forget(settings: Settings, community: str, user: str) -> int:
    connector = aiohttp.UnixConnector(str(settings.run_dir / "portal-inner.sock"))
    async with aiohttp.ClientSession("http://portal", connector=connector) as session:
        try:
            async with session.post("/forget", json={"community": community, "user": user}) as answer:
                answer.raise_for_status()
                return int((await answer.json())["files"])
        except aiohttp.ClientConnectorError:
            return await _forget_ourselves(settings, (community, user))


async def _forget_ourselves(settings: Settings, key: tuple[str, str]) -> int:
    path = database(settings.data_dir)
    if not path.exists():
        raise OSError(f"there is no {path}")
    kept, clock = Store(path), Clock()
    await kept.open()
    try:
        space, pace = Space(settings.data_dir, clock.steady), Pace(lambda: 1e9, clock.steady)
        files = Files(settings.data_dir / "portal" / "files", kept, lambda: settings.quota, space, pace)
        return await retention.forget(kept, files, key)
    finally:
        await kept.close()
