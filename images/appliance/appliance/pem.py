"""PEM TEXTS: their blocks, found in one pass whatever the text is. No cryptography here."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BEGIN, _DASHES = "-----BEGIN ", "-----"
_LABEL = re.compile(r"[A-Z0-9][A-Z0-9 ]{0,63}")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Label and lines of each block, in order, without blank lines: one would end the command that carries it.

    Ends at the first block that is not whole. Each character is looked at a bounded number of times: a pattern over the
    whole text would take minutes for a megabyte of beginnings without an end, and Python's lock with it.
    """
    position = 0
    while (start := text.find(_BEGIN, position)) >= 0:
        label, _, _ = text[start + len(_BEGIN) : start + len(_BEGIN) + 80].partition(_DASHES)
        position = start + len(_BEGIN)
        if not _LABEL.fullmatch(label):
            continue
        ending = f"-----END {label}-----"
        end = text.find(ending, position)
        if end < 0:
            return
        position = end + len(ending)
        lines = (line.strip() for line in text[start:position].splitlines())
        yield label, "\n".join(line for line in lines if line)
