"""Records what a real OpenVPN says on its management socket, for the tests of its reader. Run by hand, as root:

    PYTHONPATH=operator:tests .venv/bin/python tests/unit/agent/record_transcripts.py [SCENARIO...]

Each line of a transcript is the time in seconds since the connection and the line as it came; the commands were those
of the agent itself (`verb 2`, `log on`, `log 100`, and `status 3` whenever its reader wants the list).
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from mcs_operator.agent import management
from mcs_operator.agent.lines import Event, Reader
from unit.agent.openvpn_lab import Lab, why_not

TRANSCRIPTS = Path(__file__).parent / "transcripts"
_RUBBISH = (
    "import socket, os, time\n"
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "for n in range(20): s.sendto(os.urandom(60 + n), ('10.77.0.1', 21017))"
)
_TCP_RUBBISH = (
    "import socket, os, time\n"
    "s = socket.create_connection(('10.77.0.1', 21017)); time.sleep(1); s.send(os.urandom(50)); time.sleep(2)"
)
Scenario = Callable[[Lab], Awaitable[None]]


async def there_before(lab: Lab) -> None:
    """The client connects before anybody reads; see ``record``."""
    await asyncio.sleep(2)


async def never(lab: Lab) -> None:
    await asyncio.sleep(12)


async def clean_exit(lab: Lab) -> None:
    client = lab.start_client("a", "pinned")
    await asyncio.sleep(4)
    client.terminate()
    await asyncio.sleep(8)


async def killed_client(lab: Lab) -> None:
    client = lab.start_client("a", "pinned")
    await asyncio.sleep(4)
    client.kill()
    await asyncio.sleep(15)


async def back_before_its_ghost_is_gone(lab: Lab) -> None:
    client = lab.start_client("a", "pinned")
    await asyncio.sleep(4)
    client.kill()
    lab.start_client("a", "pinned")
    await asyncio.sleep(5)


async def two_places(lab: Lab) -> None:
    lab.start_client("a", "pinned")
    await asyncio.sleep(3)
    lab.start_client("b", "pinned")
    await asyncio.sleep(70)


def refused(who: str) -> Scenario:
    async def scenario(lab: Lab) -> None:
        lab.start_client("a", who)
        await asyncio.sleep(6)

    return scenario


async def noise_on_a_connected_link(lab: Lab) -> None:
    lab.start_client("a", "pinned")
    await asyncio.sleep(4)
    for who in ("stranger", "unpinned", "expired", "foreign"):
        client = lab.start_client("b", who)
        await asyncio.sleep(2)
        client.kill()
    await asyncio.to_thread(lab.python, "b", _RUBBISH)
    await asyncio.sleep(2)


async def tcp_noise_on_a_connected_link(lab: Lab) -> None:
    lab.start_client("a", "pinned")
    await asyncio.sleep(4)
    await asyncio.to_thread(lab.python, "b", _TCP_RUBBISH)
    client = lab.start_client("b", "unpinned")
    await asyncio.sleep(2)
    client.kill()
    await asyncio.sleep(1)


async def killed_server(lab: Lab) -> None:
    lab.start_client("a", "pinned")
    await asyncio.sleep(4)
    lab.kill_server()
    await asyncio.sleep(0.5)


async def stopped_server(lab: Lab) -> None:
    lab.start_client("a", "pinned")
    await asyncio.sleep(4)
    await asyncio.to_thread(lab.kill_server, signal.SIGTERM)
    await asyncio.sleep(0.5)


async def new_keys_every_few_seconds(lab: Lab) -> None:
    lab.start_client("a", "pinned", "--reneg-sec", "4")
    await asyncio.sleep(11)


async def as_an_old_client(lab: Lab) -> None:
    lab.start_client("a", "pinned", "--compat-mode", "2.4.0")
    await asyncio.sleep(4)


async def moved(lab: Lab) -> None:
    """The client's address changes under the tunnel; OpenVPN follows it by its peer ID."""
    lab.start_client("a", "pinned")
    await asyncio.sleep(4)
    own = lab.namespace("a")
    for change in (["add", "10.77.0.13/24"], ["del", "10.77.0.11/24"]):
        process = await asyncio.create_subprocess_exec("ip", "-n", own, "addr", *change, "dev", "eth0")
        await process.wait()
    process = await asyncio.create_subprocess_exec("ip", "-n", own, "addr", "add", "10.77.0.13/24", "dev", "eth0")
    await process.wait()
    await asyncio.sleep(14)


SCENARIOS: dict[str, tuple[str, Scenario]] = {
    "never": ("UDP", never),
    "clean-exit": ("UDP", clean_exit),
    "killed-client": ("UDP", killed_client),
    "tcp-killed-client": ("TCP", killed_client),
    "back-before-its-ghost-is-gone": ("UDP", back_before_its_ghost_is_gone),
    "two-places": ("UDP", two_places),
    "unpinned": ("UDP", refused("unpinned")),
    "tcp-unpinned": ("TCP", refused("unpinned")),
    "foreign": ("UDP", refused("foreign")),
    "expired": ("UDP", refused("expired")),
    "early": ("UDP", refused("early")),
    "stranger": ("UDP", refused("stranger")),
    "noise-on-a-connected-link": ("UDP", noise_on_a_connected_link),
    "tcp-noise-on-a-connected-link": ("TCP", tcp_noise_on_a_connected_link),
    "killed-server": ("UDP", killed_server),
    "stopped-server": ("UDP", stopped_server),
    "new-keys": ("UDP", new_keys_every_few_seconds),
    "old-client": ("UDP", as_an_old_client),
    "moved": ("UDP", moved),
    "there-before": ("UDP", there_before),
    "tcp-there-before": ("TCP", there_before),
}


async def record(name: str) -> None:
    """Play one scenario, and write down what came."""
    protocol, scenario = SCENARIOS[name]
    lines: list[str] = []
    began = time.monotonic()

    class Recorder(Reader):
        def feed(self, line: str) -> Event | None:
            lines.append(f"{time.monotonic() - began:.3f} {line}")
            return super().feed(line)

    management.Reader = Recorder  # type: ignore[attr-defined, misc]
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder), protocol) as lab:
        lab.start_server()
        if scenario is there_before:
            lab.start_client("a", "pinned")
            await asyncio.sleep(3)
            began = time.monotonic()
        reading = asyncio.create_task(management.converse(lab.socket, lambda heard: None))
        await scenario(lab)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    (TRANSCRIPTS / f"{name}.txt").write_text("\n".join(lines).replace(folder, "/run/links") + "\n")
    print(name, len(lines), "lines")


async def main(names: list[str]) -> None:
    """Record these, or all."""
    problem = why_not()
    if problem:
        sys.exit(problem)
    TRANSCRIPTS.mkdir(exist_ok=True)
    for name in names or SCENARIOS:
        await record(name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
