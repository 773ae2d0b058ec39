"""What the supervisors of the slots say: ``link-NNN/state.json`` below the run volume.

One ``stat`` per slot and second, and a read only where that changed: 250 slots cost less than a millisecond. (inotify
would do too here, where it is one instance; a poll cannot lose an event and sees a late volume.)

A slot writes into its own folder as root, so nothing there is believed beyond its own state: no links are followed,
only regular files of a sensible size are read. What cannot be read is told as that slot's error, and as nobody else's.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mcs_operator.agent import foreign
from mcs_operator.agent.inputs import Slot
from mcs_operator.contract.linkstate import MAX_MESSAGE, SlotState
from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER, link_name

log = logging.getLogger(__name__)

_MAX_STATE = 16 * 1024
_MAX_PID = 2**22
UNREADABLE = "what the slot says of itself cannot be read: state.json "
"""How the error of a slot begins whose file is damaged; why follows."""
_STATES = {state.value: state for state in SlotState}


class Slots:
    """Looks at all slots, and tells which ones say something new."""

    def __init__(self, run: Path) -> None:
        self._files = {n: str(run / link_name(n) / "state.json") for n in range(FIRST_NUMBER, LAST_NUMBER + 1)}
        self._seen: dict[int, tuple[int, int, int]] = {}
        self._last: dict[int, Slot] = {}

    def changed(self) -> Iterator[tuple[int, Slot]]:
        """Number and state of each slot whose file changed since the last look."""
        for number in self._files:
            slot = self.look(number)
            if slot is not None:
                yield number, slot

    def look(self, number: int) -> Slot | None:
        """The state of this slot if its file changed since the last look; None where it did not, or is not there."""
        try:
            found = os.stat(self._files[number], follow_symlinks=False)  # noqa: PTH116 - a third of Path.stat's time
        except OSError:
            return None  # not provisioned, or its container has not started yet: no news
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        if self._seen.get(number) == mark:
            return None
        self._seen[number] = mark
        self._last[number] = slot = self._told(number, found)
        return slot

    def _told(self, number: int, found: os.stat_result) -> Slot:
        if not stat.S_ISREG(found.st_mode):
            return self._damaged(number, "is no regular file")
        if found.st_size > _MAX_STATE:
            return self._damaged(number, f"has more than {_MAX_STATE} bytes")
        try:
            raw = _read(self._files[number])
        except OSError as error:
            return self._damaged(number, f"cannot be opened: {error.strerror}")
        slot = parse(raw)
        return self._damaged(number, "is not what a supervisor writes") if slot is None else slot

    def _damaged(self, number: int, why: str) -> Slot:
        """What was known before stands: a file says nothing about the process that carries the tunnel."""
        last = self._last.get(number, Slot(SlotState.QUARANTINED))
        if last.error != UNREADABLE + why:  # once: it may be written anew every millisecond
            log.warning("slot %d: state.json %s", number, why)
        return replace(last, state=SlotState.QUARANTINED, error=UNREADABLE + why)


def _read(file: str) -> bytes:
    # Not blocking: opening a named pipe that was put in the file's place would stop the agent.
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(descriptor, _MAX_STATE)
    finally:
        os.close(descriptor)


def parse(raw: bytes) -> Slot | None:
    """The supervisor's word as a value; None if it is none. Never raises."""
    said = foreign.parsed(raw)
    state = _STATES.get(foreign.plain(said.get("state")) or "") if isinstance(said, dict) else None
    if state is None:
        return None
    return Slot(
        state=state,
        revision=foreign.plain(said.get("revision")),
        error=foreign.plain(said.get("error"), MAX_MESSAGE),
        pid=foreign.whole(said.get("pid"), _MAX_PID),
        dropped=foreign.whole(said.get("dropped")),
    )
