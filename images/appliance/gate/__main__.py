"""`python3 -m gate`: runs until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from gate.gate import Gate, Settings
from gate.portal import Portal
from gate.rooms import Rooms
from gate.server import serve


def settings(env: Mapping[str, str] = os.environ) -> Settings:
    """What the supervisor says."""
    return Settings(
        run_dir=Path(env["MCS_RUN_DIR"]),
        livekit_url=env["MCS_LIVEKIT_URL"],
        livekit_key=env["MCS_LIVEKIT_KEY"],
        livekit_secret=env["MCS_LIVEKIT_SECRET"],
        turn_secret=env["MCS_TURN_SECRET"],
        pod_address=env["MCS_POD_ADDRESS"],
        turn_port=int(env.get("MCS_TURN_PORT", "3478")),
        turns_port=int(env.get("MCS_HTTPS_PORT", "443")),
        turn_seconds=int(env.get("MCS_TURN_SECONDS", "600")),
    )


async def run(told: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    rooms = Rooms(told.livekit_url, told.livekit_key, told.livekit_secret)
    await serve(Gate(told, rooms, Portal(told.run_dir / "portal-inner.sock")), stop)


def main() -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(run(settings()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
