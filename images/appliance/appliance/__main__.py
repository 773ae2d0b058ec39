"""`python3 -m appliance`: runs until SIGTERM, or until HAProxy dies."""

import asyncio
import logging
import sys

from appliance.settings import Settings
from appliance.supervisor import run


def main() -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    return asyncio.run(run(Settings.from_environment()))


if __name__ == "__main__":
    sys.exit(main())
