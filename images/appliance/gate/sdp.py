"""WHAT A SESSION DESCRIPTION SENDS: reads offers and answers, and takes or changes addresses in them.

Whatever the text is, reading ends, in time that grows with its length alone. What another reader might take for
something else (a line end of its own kind, an unknown medium) is not understood, and so is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LARGEST = 512 * 1024
MEDIA = ("audio", "video", "application")
_LINE = re.compile(r"[a-z]=[^\x00\r\n]*")
_SILENT = ("recvonly", "inactive")
_SENDING = ("sendrecv", "sendonly")
_WITH_ADDRESS = ("a=candidate:", "candidate:", "c=", "o=", "a=rtcp:")


@dataclass(frozen=True)
class Section:
    """One medium: `sends` when whoever wrote it may send it. Data channels send no medium."""

    kind: str
    sends: bool


def sections(text: str) -> tuple[Section, ...] | None:
    """The media of a session description; None when it is not understood.

    A section without a direction sends, and so does one that says both: the first word counts for one reader, the last
    for another.
    """
    if len(text) > LARGEST:
        return None
    found: list[tuple[str, list[str]]] = []
    for line in _lines(text):
        if not _LINE.fullmatch(line):
            return None
        if line.startswith("m="):
            kind = line[2:].split(" ", 1)[0]
            if kind not in MEDIA:
                return None
            found.append((kind, []))
        elif found and line.startswith("a="):
            found[-1][1].append(line[2:])
    return tuple(Section(kind, kind != "application" and _sends(attributes)) for kind, attributes in found)


def _sends(attributes: list[str]) -> bool:
    if any(attribute.partition(":")[0].strip() in _SENDING for attribute in attributes):
        return True
    return not any(attribute in _SILENT for attribute in attributes)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def without_candidates(text: str) -> str:
    """Without the addresses that a browser offers. The media server learns them from the packets that come from there;
    told of them it would send to whatever address somebody names, another customer's TVox for instance."""
    return "".join(
        f"{line}\r\n" for line in _lines(text) if not line.lower().startswith(("a=candidate", "a=remote-cand"))
    )


def readdressed(text: str, addresses: dict[str, str]) -> str:
    """A session description, or one candidate, of the media server with other addresses in the place of its own."""
    ending = "\r\n" if "\r\n" in text else "\n"
    return ending.join(_readdressed(line, addresses) for line in text.split(ending))


def _readdressed(line: str, addresses: dict[str, str]) -> str:
    if not line.startswith(_WITH_ADDRESS):
        return line
    return " ".join(addresses.get(word, word) for word in line.split(" "))
