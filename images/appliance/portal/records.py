"""WHO CALLED IN VAIN, AND WHICH CALLS THERE ARE: what is kept of calls in the database."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from portal import foreign
from portal.calls import IN, Call, Member
from portal.limits import PAGE
from portal.people import remember
from portal.rights import MEDIA


@dataclass(frozen=True, slots=True)
class MissedCall:
    id: str
    call: str
    caller: str
    media: str
    at: float


def put_missed(connection: sqlite3.Connection, community: str, user: str, missed: MissedCall) -> None:
    """The newest ones of each user are kept."""
    remember(connection, community, user, missed.caller)
    row = (missed.id, community, user, missed.call, missed.caller, missed.media, missed.at)
    connection.execute("INSERT INTO missed VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute(
        "DELETE FROM missed WHERE community = ? AND user = ? AND id NOT IN"
        " (SELECT id FROM missed WHERE community = ? AND user = ? ORDER BY id DESC LIMIT ?)",
        (community, user, community, user, PAGE),
    )


def get_missed(connection: sqlite3.Connection, community: str, user: str) -> list[MissedCall]:
    found = connection.execute(
        "SELECT id, call, caller, media, at FROM missed WHERE community = ? AND user = ? ORDER BY id DESC LIMIT ?",
        (community, user, PAGE),
    )
    return [MissedCall(*row) for row in found]


@dataclass(frozen=True)
class Kept:
    """A call as the database takes it: made at once, since the call itself goes on meanwhile."""

    id: str
    community: str
    state: str
    ended: bool
    joined: tuple[tuple[str, bool], ...]
    """Who was in it at some time, and whether he is so now."""

    @staticmethod
    def of(call: Call) -> Kept:
        joined = tuple((one.user, one.state == IN) for one in call.members.values() if one.joined)
        return Kept(call.id, call.community, keep(call), call.ended, joined)


def put_call(connection: sqlite3.Connection, kept: Kept, now: float) -> None:
    connection.execute(
        "INSERT INTO calls VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended = excluded.ended",
        (kept.id, kept.community, now, now if kept.ended else None, "" if kept.ended else kept.state),
    )
    for user, is_in in kept.joined:
        remember(connection, kept.community, user)
        connection.execute(
            "INSERT INTO call_members VALUES (?, ?, ?, ?) ON CONFLICT (call, user) DO UPDATE SET"
            " until = CASE WHEN excluded.until IS NULL THEN NULL ELSE coalesce(until, excluded.until) END",
            (kept.id, kept.community, user, None if is_in else now),
        )


def get_calls(connection: sqlite3.Connection, now: float) -> list[Call]:
    """The calls that were going on when the portal ended."""
    found = connection.execute("SELECT id, community, state FROM calls WHERE ended IS NULL").fetchall()
    return [call for call_id, community, kept in found if (call := recalled(call_id, community, kept, now))]


def close_others(connection: sqlite3.Connection, going_on: list[str], now: float) -> None:
    """What cannot be recalled has ended: nobody is in it any more."""
    for (call_id,) in connection.execute("SELECT id FROM calls WHERE ended IS NULL").fetchall():
        if call_id not in going_on:
            connection.execute("UPDATE calls SET ended = ?, state = '' WHERE id = ?", (now, call_id))
            connection.execute("UPDATE call_members SET until = ? WHERE call = ? AND until IS NULL", (now, call_id))


def keep(call: Call) -> str:
    members = [[one.user, one.state, one.joined, sorted(one.seen)] for one in call.members.values()]
    kept = {"media": call.media, "caller": call.caller, "members": members, "connected": sorted(call.connected)}
    return json.dumps(kept)


def recalled(call_id: str, community: str, kept: str, now: float) -> Call | None:
    """The call that keep() wrote; None for anything else."""
    found = foreign.document(kept) or {}
    try:
        call = Call(call_id, community, found["media"], found["caller"], now, now)
        for user, state, joined, seen in found["members"]:
            call.members[user] = Member(user, state, now, joined, dict.fromkeys(seen, now))
        call.connected = frozenset((user, session) for user, session in found["connected"])
    except (KeyError, TypeError, ValueError):
        return None
    call.told = frozenset(member.user for member in call.live())
    return call if call.media in MEDIA and call.live() else None
