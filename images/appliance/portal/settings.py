"""WHAT THE ENVIRONMENT SAYS; the supervisor sets it, the defaults are those of the pod."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from portal.limits import SOCKETS, Quota, sockets


@dataclass(frozen=True)
class Settings:
    """`places`: how many sockets there is room for."""

    run_dir: Path
    data_dir: Path
    web_dir: Path
    https_port: int = 443
    quota: Quota = field(default_factory=Quota)
    places: int = SOCKETS

    @staticmethod
    def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
        return Settings(
            run_dir=Path(env.get("MCS_RUN_DIR", "/run/appliance")),
            data_dir=Path(env.get("MCS_DATA_DIR", "/var/lib/mcs")),
            web_dir=Path(env.get("MCS_WEB_DIR", "/opt/appliance/web/dist")),
            https_port=int(env.get("MCS_HTTPS_PORT", "443")),
            places=sockets(),
        )
