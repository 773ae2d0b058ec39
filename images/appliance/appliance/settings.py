"""WHAT THE ENVIRONMENT SAYS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.limits import Limits, of_this_container
from appliance.media import Media, pod_address


@dataclass(frozen=True)
class Settings:
    """What the environment says; the defaults are those of the pod.

    `poll`: seconds between two looks at the manifest. The kubelet swaps a projected volume by a link; polling needs no
    inotify instance (128 per user on a whole node) and costs one small read. `patience`: seconds that an incomplete set
    may last before it is reported, since the volume's sources may arrive one by one.
    """

    config_dir: Path
    data_dir: Path
    run_dir: Path
    home: Path
    instance: str
    contract_port: int
    http_port: int
    https_port: int
    tvox_port: int
    haproxy: str
    poll: float
    patience: float
    limits: Limits
    media_port: int = 10000
    turn_port: int = 3478
    pod_address: str | None = None
    programs: Path = Path("/opt/appliance/bin")
    solvers_on_loopback: bool = False

    @staticmethod
    def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
        home = Path(__file__).resolve().parent.parent
        return Settings(
            config_dir=Path(env.get("MCS_CONFIG_DIR", "/etc/mcs")),
            data_dir=Path(env.get("MCS_DATA_DIR", "/var/lib/mcs")),
            run_dir=_writable([env.get("MCS_RUN_DIR", "/run/appliance"), "/tmp/appliance"]),
            home=home,
            instance=env.get("MCS_INSTANCE", ""),
            contract_port=int(env.get("MCS_CONTRACT_PORT", "21000")),
            http_port=int(env.get("MCS_HTTP_PORT", "80")),
            https_port=int(env.get("MCS_HTTPS_PORT", "443")),
            tvox_port=int(env.get("MCS_TVOX_PORT", "80")),
            haproxy=env.get("MCS_HAPROXY", "/usr/sbin/haproxy"),
            poll=float(env.get("MCS_POLL_SECONDS", "1")),
            patience=float(env.get("MCS_PATIENCE_SECONDS", "5")),
            limits=of_this_container(),
            media_port=int(env.get("MCS_MEDIA_PORT", "10000")),
            turn_port=int(env.get("MCS_TURN_PORT", "3478")),
            pod_address=env.get("MCS_POD_ADDRESS"),
            programs=Path(env.get("MCS_PROGRAMS", str(home / "bin"))),
            solvers_on_loopback=env.get("MCS_SOLVERS_ON_LOOPBACK") == "1",
        )

    def for_media(self, public_address: str) -> Media:
        """What the parts for calls agree on."""
        return Media(
            self.home, self.run_dir, self.data_dir, self.instance, self.media_port, self.turn_port, self.https_port,
            self.pod_address or pod_address(public_address), self.limits.memory, self.programs,
        )  # fmt: skip

    def for_haproxy(self) -> dict[str, str]:
        """The variables that haproxy.cfg uses. Threads: as many as this container may use, at most the tier's four."""
        return {
            "MCS_RUN_DIR": str(self.run_dir),
            "MCS_PAGES": str(self.home / "pages"),
            "MCS_INSTANCE": "".join(letter for letter in self.instance if letter.isalnum() or letter in "-."),
            "MCS_HTTP_PORT": str(self.http_port),
            "MCS_HTTPS_PORT": str(self.https_port),
            "MCS_TVOX_PORT": str(self.tvox_port),
            "MCS_THREADS": str(min(4, len(os.sched_getaffinity(0)))),
            **self.limits.for_haproxy(),
        }

    @property
    def last_good(self) -> Path:
        return self.data_dir / "last-good.json"


def _writable(candidates: list[str]) -> Path:
    """The first of these directories that can be had: a read-only root has only the mounted ones."""
    for candidate in candidates:
        path = Path(candidate)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(path, os.W_OK | os.X_OK):
                return path
        except OSError:
            continue
    raise SystemExit(f"no writable run directory: {', '.join(candidates)}")
