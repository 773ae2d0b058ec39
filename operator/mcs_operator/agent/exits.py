"""Tells slots that they exit at once, which else wait for their turn: one small file that all of them read.

A slot that finds no such file waits. So whatever goes wrong here costs time, and never jams the container runtime.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path

from mcs_operator.contract.exits import EXIT_FILE, exit_line

log = logging.getLogger(__name__)


class Exits:
    """The file in this folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / EXIT_FILE

    def forget(self) -> None:
        """Take away what a former agent has left."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the stale file %s cannot be removed: %s", EXIT_FILE, error.strerror)

    def allow(self, slots: Iterable[int], seconds: float) -> None:
        """From now on for so many seconds these, and no others. OSError where it cannot be written."""
        new = self._file.with_suffix(".new")
        new.write_text(exit_line(slots, time.time() + seconds))
        new.replace(self._file)  # whole or not at all: 250 slots may read it in this moment
