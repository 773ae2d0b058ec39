"""The link agent's process: ``python3 -m mcs_operator.agent``. Ends within a second of SIGTERM, with code 0."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from datetime import UTC, datetime

from mcs_operator.agent.agent import Config, run

log = logging.getLogger("mcs_operator.agent")


class JsonLines(logging.Formatter):
    """One JSON object per line; ``extra={"details": {…}}`` of a record becomes its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "details", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


async def _run() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(Config.from_environment(), stop)


def main() -> int:
    """Run; the exit code."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        asyncio.run(_run())
    except (OSError, ValueError) as error:
        # The text of both names files and ports, never their content.
        log.error("the agent cannot run: %s", error)
        return 1
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
