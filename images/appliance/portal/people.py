"""OF WHOM WE KEEP SOMETHING: every user who wrote, called or sent a file, and since when he is in no set any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from portal.ids import pair
from portal.limits import PAGE
from portal.told import Key


def remember(connection: sqlite3.Connection, community: str, *users: str | None) -> None:
    """There is something of these users from now on."""
    for user in users:
        if user is not None:
            connection.execute("INSERT OR IGNORE INTO people VALUES (?, ?, NULL)", (community, user))


def met(connection: sqlite3.Connection, community: str, one: str, other: str, at: float) -> None:
    """These two wrote or sent something to each other."""
    remember(connection, community, one, other)
    for row in ((community, one, other, at), (community, other, one, at)):
        connection.execute(
            "INSERT INTO conversations VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)", row
        )


def conversations(connection: sqlite3.Connection, community: str, user: str) -> list[tuple[str, float, str | None]]:
    """With whom, when last, and which of both wrote or sent it, if that is still kept; the newest first."""
    found = connection.execute(
        "SELECT other, at FROM conversations WHERE community = ? AND user = ? ORDER BY at DESC LIMIT ?",
        (community, user, PAGE),
    ).fetchall()
    return [(other, at, _last_sender(connection, community, pair(user, other))) for other, at in found]


def _last_sender(connection: sqlite3.Connection, community: str, conversation: str) -> str | None:
    """Looked up: a column of its own would be one more than an older image fills."""
    where = (community, conversation)
    newest = [
        *connection.execute(
            "SELECT at, sender FROM messages WHERE community = ? AND conversation = ? ORDER BY id DESC LIMIT 1", where
        ),
        *connection.execute(
            "SELECT at, sender FROM files WHERE community = ? AND conversation = ? ORDER BY at DESC LIMIT 1", where
        ),
    ]
    return max(newest)[1] if newest else None


def note_absent(connection: sqlite3.Connection, present: Callable[[Key], bool], now: float) -> None:
    """Who is not in the set begins to be gone now; who is back was never gone. Writes only what changes."""
    known = connection.execute("SELECT community, user, gone FROM people").fetchall()
    gone = [(now, *row[:2]) for row in known if row[2] is None and not present(row[:2])]
    back = [(None, *row[:2]) for row in known if row[2] is not None and present(row[:2])]
    connection.executemany("UPDATE people SET gone = ? WHERE community = ? AND user = ?", gone + back)


def long_gone(connection: sqlite3.Connection, before: float) -> list[Key]:
    return connection.execute("SELECT community, user FROM people WHERE gone <= ?", [before]).fetchall()


def forget(connection: sqlite3.Connection, community: str, user: str) -> list[str]:
    """Erases all of a user: what he wrote and what was written to him, his files, calls and sessions.

    Gives the ids of the files, whose content is the caller's to delete.
    """
    key = {"community": community, "user": user}
    theirs = "community = :community AND (sender = :user OR recipient = :user)"
    files = [row[0] for row in connection.execute(f"SELECT id FROM files WHERE {theirs}", key)]  # noqa: S608
    for statement in (
        f"DELETE FROM files WHERE {theirs}",  # noqa: S608
        f"DELETE FROM messages WHERE {theirs}",  # noqa: S608
        "DELETE FROM conversations WHERE community = :community AND (user = :user OR other = :user)",
        "DELETE FROM missed WHERE community = :community AND (user = :user OR caller = :user)",
        "DELETE FROM call_members WHERE community = :community AND user = :user",
        "DELETE FROM sessions WHERE community = :community AND user = :user",
        "DELETE FROM people WHERE community = :community AND user = :user",
    ):
        connection.execute(statement, key)
    return files
