"""A part of the appliance for tests, as `python3 -m gate` or `python3 -m portal`: says what it was asked.

What `/counts` and `/usage` answer is in counts.json and usage.json of the run directory.
"""

import asyncio
import json
import os
import resource
from pathlib import Path

NAME, RUN_DIR = Path(__file__).parent.name, Path(os.environ["MCS_RUN_DIR"])


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    path = head.split(" ")[1]
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])}
    if path in ("/counts", "/usage"):
        body = json.loads((RUN_DIR / f"{path[1:]}.json").read_text())[NAME]
    else:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        mine = sorted(name for name in os.environ if name.startswith("MCS_"))
        body = {"part": NAME, "pid": os.getpid(), "path": path, "headers": headers, "environment": mine}
        body |= {"limit": limit, "nice": os.nice(0)}
    if path == "/hang":
        await asyncio.sleep(30)
    text = json.dumps(body).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(text), text))
    await writer.drain()
    writer.close()


async def main() -> None:
    for socket in (f"{NAME}.sock", f"{NAME}-inner.sock"):
        (RUN_DIR / socket).unlink(missing_ok=True)
        await asyncio.start_unix_server(answer, RUN_DIR / socket)
    await asyncio.Event().wait()


asyncio.run(main())
