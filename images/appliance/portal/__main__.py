"""`python3 -m portal`: serves until SIGTERM.

python3 -m portal backup PATH             a consistent copy of the database, also while the portal runs
python3 -m portal forget COMMUNITY/USER   erases all that is kept of a user
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp

from portal import limits, server, tools
from portal.settings import Settings


def main(arguments: list[str]) -> int:
    settings = Settings.from_environment()
    match arguments:
        case []:
            handler = logging.StreamHandler(sys.stdout)
            handler.setFormatter(server.Discreet("%(levelname)s %(name)s: %(message)s"))
            logging.basicConfig(level=logging.INFO, handlers=[handler])
            limits.keep_address_space_small()
            return asyncio.run(server.run(settings))
        case ["backup", target]:
            return _told(lambda: tools.backup(settings, Path(target)))
        case ["forget", key] if "/" in key:
            return _told(lambda: tools.forget(settings, key))
    print(__doc__.strip(), file=sys.stderr)
    return 2


def _told(do: Callable[[], str]) -> int:
    try:
        print(do())
    except (sqlite3.Error, OSError, aiohttp.ClientError) as why:
        print(f"not done: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
