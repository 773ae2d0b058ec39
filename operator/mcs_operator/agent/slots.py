"""What the supervisors of the slots say: ``link-NNN/state.json`` below the run volume.

One ``stat`` per slot and second, and a read only where that changed: 250 slots cost less than a millisecond. (inotify
would do too here, where it is one instance; a poll cannot lose an event and sees a late volume.)

A slot writes into its own folder as root, so nothing there is believed beyond its own state: no links are followed,
only regular files of a sensible size are read.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mcs_operator.agent.tunnel import Slot
from mcs_operator.domain.linkstate import MAX_MESSAGE, MAX_TOKEN, SlotState
from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER, link_name

log = logging.getLogger(__name__)

_MAX_STATE = 16 * 1024


class Slots:
    """Looks at all slots, and tells which ones say something new."""

    def __init__(self, run: Path) -> None:
        self._files = {n: str(run / link_name(n) / "state.json") for n in range(FIRST_NUMBER, LAST_NUMBER + 1)}
        self._seen: dict[int, tuple[int, int, int]] = {}

    def changed(self) -> Iterator[tuple[int, Slot]]:
        """Number and state of each slot whose file changed since the last look."""
        for number in self._files:
            slot = self.look(number)
            if slot is not None:
                yield number, slot

    def look(self, number: int) -> Slot | None:
        """The state of this slot if it changed since the last look; None where it did not, or cannot be read."""
        try:
            found = os.stat(self._files[number], follow_symlinks=False)  # noqa: PTH116 - a third of Path.stat's time
        except OSError:
            return None  # not provisioned, or its container has not started yet: no news
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        if self._seen.get(number) == mark or not stat.S_ISREG(found.st_mode):
            return None
        try:
            slot = parse(_read(self._files[number]))
        except (OSError, ValueError) as error:
            log.warning("slot %d: state.json cannot be read: %s", number, type(error).__name__)
            slot = None
        self._seen[number] = mark
        return slot


def _read(file: str) -> bytes:
    # Not blocking: opening a named pipe that was put in the file's place would stop the agent.
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(descriptor, _MAX_STATE)
    finally:
        os.close(descriptor)


def parse(raw: bytes) -> Slot:
    """The supervisor's word as a value; ValueError if it is none."""
    said = json.loads(raw)
    if not isinstance(said, dict):
        raise ValueError("not an object")
    revision, error = said.get("revision"), said.get("error")
    return Slot(
        state=SlotState(str(said.get("state"))),
        revision=str(revision)[:MAX_TOKEN] if revision else None,
        error=str(error)[:MAX_MESSAGE] if error else None,
    )
