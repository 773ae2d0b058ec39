"""What one process of the agent leaves to the next, in the run volume, which lives as long as the pod.

Without it a restarted agent would report every link that is down as never connected, and no flaps: 250 statuses would
be written for nothing, and wrongly. No slot can see this folder. Losing it is no failure: OpenVPN is asked anyway.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from mcs_operator.agent import foreign
from mcs_operator.agent.board import Board

log = logging.getLogger(__name__)

EVERY = 1.0
_MAX_SIZE = 4 * 2**20


class Memory:
    """A file that is replaced as a whole."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._written: dict[str, Any] = {}
        self._complained = False

    def read(self) -> dict[str, Any]:
        """What was written last; nothing if there is nothing of use."""
        try:
            with self._file.open("rb") as file:
                raw = file.read(_MAX_SIZE + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("the memory of a former agent cannot be read: %s", error.strerror)
            return {}
        content = foreign.parsed(raw) if len(raw) <= _MAX_SIZE else None
        if not isinstance(content, dict):
            log.warning("the memory of a former agent makes no sense: every link begins anew")
            return {}
        return content

    def write(self, content: dict[str, Any]) -> None:
        """Replace it, if it changed."""
        if content == self._written:
            return
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(content))
        draft.replace(self._file)
        self._written = content

    def write_if_possible(self, content: dict[str, Any]) -> None:
        """The same; a volume that cannot be written to is said once."""
        try:
            self.write(content)
        except OSError as error:
            if not self._complained:
                log.warning("links are not remembered over a restart of the agent: %s", error.strerror)
            self._complained = True


async def keep(memory: Memory, board: Board, every: float = EVERY) -> None:
    """Write what the board knows, whenever that changed."""
    while True:
        await asyncio.sleep(every)
        memory.write_if_possible(board.remembered())
