"""What the demo prints, with all that differs from run to run taken out: times, identifiers, addresses of pods.

Lines that say what is being waited for differ too (a wait that is short enough is not told), and volumes have columns
by the version of kubectl: both are left out. How wide a column is does not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LEFT_OUT = re.compile(r"^ +… |^ +NAME +STATUS +VOLUME|^ +persistentvolumeclaim/")
_MASKS = (
    (re.compile(r"\x1b\[\d*m"), ""),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"\b\d+ sent, \d+ back, 0 lost, longest gap \d+ ms, in \d+ s"), "<n> sent, all back, 0 lost"),
    (re.compile(r"\b\d+ audio and \d+ video packets, 0 lost, in \d+ s"), "<n> packets, 0 lost"),
    (re.compile(r"^     (anna|bruno): \S{12}$", re.MULTILINE), "<login>"),
    (re.compile(r"\b\d+\.\d+ s\b"), "<seconds>"),
    (re.compile(r"from \d+\.\d+\.\d+\.\d+:\d+"), "from <peer>"),
    (re.compile(r"\b(\d+d)?(\d+h)?(\d+m)?(\d+s)\b|\b\d+m\b|\b\d+[hd]\b"), "<age>"),
    (re.compile(r"OpenVPN \d+\.\d+\.\d+"), "OpenVPN <version>"),
)


@dataclass
class Stage:
    """A numbered step and its lines."""

    title: str
    lines: list[str] = field(default_factory=list)


def masked(text: str, **here: str) -> str:
    """The text with placeholders; ``here``: what is this node's own, by its placeholder."""
    for name, value in here.items():
        text = text.replace(value, f"<{name}>")
    text = "\n".join(line for line in text.splitlines() if not _LEFT_OUT.search(line))
    for pattern, placeholder in _MASKS:
        text = pattern.sub(placeholder, text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def stages(text: str) -> list[Stage]:
    """The steps of a masked transcript; the table of how long they took belongs to the last one."""
    found: list[Stage] = []
    for line in text.splitlines():
        title = re.fullmatch(r"(\d+)\. (.*)", line)
        if title and not line.endswith("<seconds>"):
            found.append(Stage(title[2]))
        elif found and line:
            found[-1].lines.append(line)
    return found
