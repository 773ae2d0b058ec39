"""Makes what the gate reads, and gives its modules."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

APPLIANCE = Path(__file__).resolve().parents[3] / "images" / "appliance"
if str(APPLIANCE) not in sys.path:  # the image's program is no part of the operator's package
    sys.path.insert(0, str(APPLIANCE))

from gate import functions, line, participants, portal, rooms, sdp, served, server, signalling  # noqa: E402
from gate import gate as story  # noqa: E402

__all__ = [
    "ALL", "APPLIANCE", "CALL", "MEET", "a_set", "description", "functions", "line", "participants", "portal", "rooms",
    "sdp", "served", "server", "signalling", "story",
]  # fmt: skip

ALL = ("Audio", "Video", "Chat", "DesktopSharing", "FileSharing")
MEET = "meet.acme.example.com"
CALL = "0123456789abcdef0123456789abcdef"


def a_set(
    *users: tuple[str, str, tuple[str, ...]],
    public: str = "203.0.113.10",
    bandwidth: int | None = None,
    closed: tuple[str, ...] = (),
) -> bytes:
    """set.json: communities acme and globex with portals, initech without; (community, user, functions)."""
    portals: dict[str, str | None] = {"acme": MEET, "globex": "meet.globex.example.com", "initech": None}
    content: dict[str, Any] = {
        "config": "0" * 64,
        "instance": {"name": "demo", "domain": "mcs.example.com", "publicAddress": public, "mediaPort": 10000},
        "communities": [
            {"name": name, "displayName": name.title(), "portal": host, "open": name not in closed}
            for name, host in portals.items()
        ],
        "users": [[community, user, user.title(), list(does)] for community, user, does in users],
    }
    if bandwidth is not None:
        content["instance"]["bandwidthMbps"] = bandwidth
    return json.dumps(content).encode()


def description(*media: str, ending: str = "\r\n") -> str:
    """An offer with sections such as "video sendonly"; a bare kind has no direction."""
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
    for number, said in enumerate(media):
        kind, *directions = said.split(" ")
        lines += [f"m={kind} 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", f"a=mid:{number}"]
        lines += [f"a={direction}" for direction in directions]
    return ending.join(lines) + ending
