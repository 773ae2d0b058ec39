"""WHICH PARTS, AND HOW: the media server, its relay, the gate and the portal, with their ports, keys and shares.

They are started when the first portal appears, and run until the container ends. An instance without portals would pay
some 300 MB and a tenth of a core for programs that nobody asks; starting them takes two seconds, before anybody knows
of his new portal. They are not ended with the last portal: who removes and adds one must not meet a start each time.

No customer is in any of this: rooms and tokens know them. So none of them is ever started anew because of one.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.parts import Part

MIB = 1024 * 1024
_NOWHERE, _DISCARD = "192.0.2.1", 9
"""An address of documentation, and a port; a UDP socket that is connected sends nothing, and tells its own address."""
INHERITED = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LANG", "HOME", "TMPDIR", "TZ")
"""Variables that every part has of this process."""


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Media:
    """What all parts have to agree on. Keys are made at each start and are nowhere but in memory."""

    home: Path
    run_dir: Path
    data_dir: Path
    instance: str
    media_port: int
    turn_port: int
    https_port: int
    pod_address: str
    memory: int | None = None
    """Bytes that this container may have; None: nobody says."""
    programs: Path = Path("/opt/appliance/bin")
    signal_port: int = field(default_factory=free_port)
    key: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)
    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    turn_secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    def parts(self, env: Mapping[str, str] = os.environ) -> list[Part]:
        """All parts, the media server first. It gets SIGKILL soon: told to stop, it waits for its calls to end."""
        base = {name: env[name] for name in INHERITED if name in env}
        server, relay = self.programs / "livekit-server", self.programs / "relay"
        return [
            Part("livekit", (str(server),), base | self._for_livekit(), server, patience=3.0, deaths=3),
            Part("relay", (str(relay),), base | self._for_relay(), relay),
            self._python("gate", base | self._for_gate()),
            self._python("portal", base | self._for_python()),
        ]

    def _python(self, name: str, environment: dict[str, str]) -> Part:
        command = (sys.executable, "-m", name)
        return Part(name, command, environment, self.home / name, address_space=self.address_space, nice=5)

    @property
    def address_space(self) -> int:
        """Of each part in Python: 400 MiB are libraries and stacks, which are addresses and no memory."""
        return 400 * MIB + (self.memory or 4096 * MIB) // 8

    def _for_python(self) -> dict[str, str]:
        return {
            "MCS_RUN_DIR": str(self.run_dir),
            "MCS_DATA_DIR": str(self.data_dir),
            "MCS_INSTANCE": self.instance,
            "MCS_HTTPS_PORT": str(self.https_port),
            "MCS_WEB_DIR": str(self.home / "web" / "dist"),
        }

    def _for_gate(self) -> dict[str, str]:
        return self._for_python() | {
            "MCS_LIVEKIT_URL": f"http://127.0.0.1:{self.signal_port}",
            "MCS_LIVEKIT_KEY": self.key,
            "MCS_LIVEKIT_SECRET": self.secret,
            "MCS_TURN_SECRET": self.turn_secret,
            "MCS_TURN_PORT": str(self.turn_port),
            "MCS_POD_ADDRESS": self.pod_address,
        }

    def _for_relay(self) -> dict[str, str]:
        return {
            "MCS_RUN_DIR": str(self.run_dir),
            "MCS_POD_ADDRESS": self.pod_address,
            "MCS_MEDIA_PORT": str(self.media_port),
            "MCS_TURN_PORT": str(self.turn_port),
            "MCS_TURN_SECRET": self.turn_secret,
        } | self._go_memory(16)

    def _for_livekit(self) -> dict[str, str]:
        return {"LIVEKIT_CONFIG": json.dumps(self.livekit())} | self._go_memory(4)

    def _go_memory(self, part: int) -> dict[str, str]:
        return {"GOMEMLIMIT": str(self.memory // part)} if self.memory else {}

    def livekit(self) -> dict[str, object]:
        """The media server's configuration. It offers the pod's address alone, never the tunnels' 198.18.254.1; the
        gate writes the public one in its place, since that may change. It logs faults only: all else names users."""
        return {
            "port": self.signal_port,
            "bind_addresses": ["127.0.0.1"],
            "keys": {self.key: self.secret},
            "logging": {"level": "error", "json": False},
            "room": {"auto_create": False, "empty_timeout": 60, "departure_timeout": 60},
            "rtc": {
                "udp_port": self.media_port,
                "tcp_port": 0,
                "use_external_ip": False,
                "node_ip": self.pod_address,
                "ips": {"includes": [f"{self.pod_address}/32"]},
                "enable_loopback_candidate": self.pod_address.startswith("127."),
                # Without one, strangers' servers are told to browsers.
                "stun_servers": [f"{self.pod_address}:{self.turn_port}"],
            },
        }


def pod_address(public_address: str = "") -> str:
    """The address that browsers' packets arrive at: the public one where this host itself has it, as on the network of
    a node with several; else the one by which it reaches the Internet, loopback where there is no way to it."""
    if public_address and _source_for(public_address) == public_address and not public_address.startswith("127."):
        return public_address
    return _source_for(_NOWHERE) or "127.0.0.1"


def _source_for(destination: str) -> str:
    """The address that what is sent there leaves from; empty without a way. One's own is reached from itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((destination, _DISCARD))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
