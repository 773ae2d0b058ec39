"""WHAT OUR PARTS ARE TOLD: files in the run directory, in memory, each replaced whole.

Gate and relay read the set, the portal reads all of it; whoever cannot use what is new goes on with what was there. Who
asks solvers of challenges reads where they are, and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from appliance.config import ConfigSet

SET, LOGINS, MODE, SOLVER = "set.json", "logins.json", "mode.json", "solver.json"


def set_document(current: ConfigSet) -> dict[str, Any]:
    """Who is served. Users of a community without a portal are of no use to anybody there."""
    own, portals = current.instance, {community.name for community in current.people.portals}
    instance = {"name": own.name, "domain": own.domain, "publicAddress": own.public_address}
    optional = {
        "mediaPort": own.media_port, "bandwidthMbps": own.bandwidth_mbps, "portals": own.portals or None,
        "communityLimits": own.community_limits or None,
    }  # fmt: skip
    return {
        "config": current.config,
        "instance": instance | {name: value for name, value in optional.items() if value is not None},
        "communities": [
            {"name": c.name, "displayName": c.display_name, "portal": c.portal, "open": c.open}
            for c in current.people.communities
        ],
        "users": [list(user) for user in current.people.users().values() if user.community in portals],
    }


def logins_document(current: ConfigSet) -> dict[str, Any]:
    """By which hash one logs in: for the portal alone."""
    portals = {community.name for community in current.people.portals}
    logins = [list(login) for login in current.people.logins() if login.community in portals]
    erasures = [list(erasure) for erasure in current.people.erasures if erasure.community in portals]
    return {"config": current.config, "logins": logins} | ({"erasures": erasures} if erasures else {})


def hand_over(current: ConfigSet, run_dir: Path) -> None:
    """Both, the logins first: with the set they are of one moment. Raises OSError."""
    write(run_dir / LOGINS, logins_document(current))
    write(run_dir / SET, set_document(current))


def write(path: Path, document: dict[str, Any]) -> None:
    """Replaces a file that nobody else may read. Raises OSError."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(document, separators=(",", ":")))
    fresh.replace(path)
