"""WHAT WAS WRITTEN: messages of two, and of a call. Who may read is asked before; here they are kept and found."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from portal.clock import iso
from portal.ids import in_call
from portal.limits import PAGE
from portal.people import met, remember
from portal.refusals import RefusedError

OVERHEAD = 200
"""Bytes that a message takes beside its text; the triggers of the database count with the same."""
_COLUMNS = "id, community, conversation, sender, recipient, body, at"


@dataclass(frozen=True, slots=True)
class Message:
    """`recipient` is None in a call: whoever is in it."""

    id: str
    community: str
    conversation: str
    sender: str
    recipient: str | None
    body: str
    at: float

    def other_than(self, user: str) -> str:
        """With whom this user has it: of two the other one, in a call who wrote."""
        return self.recipient if self.recipient is not None and user == self.sender else self.sender

    def shown_to(self, user: str) -> dict[str, Any]:
        """As a page takes it: a conversation of two is named by the other one."""
        named = self.conversation if self.recipient is None else self.other_than(user)
        return {"id": self.id, "conversation": named, "from": self.sender, "text": self.body, "at": iso(self.at)}


def write(connection: sqlite3.Connection, message: Message, most: int) -> None:
    """Raises RefusedError when the community has written as much as it may have."""
    used = connection.execute("SELECT chat FROM usage WHERE community = ?", [message.community]).fetchone()
    if (used[0] if used else 0) + len(message.body.encode()) + OVERHEAD > most:
        raise RefusedError("no-space")
    if message.recipient is None:
        remember(connection, message.community, message.sender)
    else:
        met(connection, message.community, message.sender, message.recipient, message.at)
    row = (message.id, message.community, message.conversation, message.sender, message.recipient, message.body)
    connection.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, message.at))


def read(
    connection: sqlite3.Connection, community: str, conversation: str, before: str | None, until: float | None = None
) -> tuple[list[Message], str | None]:
    """A page of messages, oldest first, and what to ask the next one with. `until`: what came later is not theirs."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE community = ? AND conversation = ? AND id < ? AND at <= ?"  # noqa: S608
        " ORDER BY id DESC LIMIT ?",
        (community, conversation, before or "g", 1e18 if until is None else until, PAGE + 1),
    ).fetchall()
    messages = [Message(*row) for row in found[:PAGE]]
    messages.reverse()
    return messages, messages[0].id if len(found) > PAGE else None


@dataclass(frozen=True)
class Reader:
    """One who is or was in a call: he reads what was written until he left."""

    until: float | None


def reader(connection: sqlite3.Connection, community: str, call_id: str, user: str) -> Reader | None:
    row = connection.execute(
        "SELECT until FROM call_members WHERE call = ? AND community = ? AND user = ?", (call_id, community, user)
    ).fetchone()
    return Reader(row[0]) if row else None


def read_call(
    connection: sqlite3.Connection, community: str, call_id: str, user: str, before: str | None
) -> tuple[list[Message], str | None] | None:
    """None for who was never in it."""
    allowed = reader(connection, community, call_id, user)
    return read(connection, community, in_call(call_id), before, allowed.until) if allowed else None
