"""The real appliance, which is given what the API server has, as a kubelet would."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.api import Api
from support.appliance import APPLIANCE
from support.ports import free_port
from support.shards import mounted


@dataclass
class Site:
    """``address``: where browsers find it, at ports ``http`` and ``https``."""

    address: str
    http: int
    https: int
    process: subprocess.Popen[bytes]

    def shown(self, domain: str, root: str) -> str:
        """The certificate that a browser gets, which trusts this root and checks the name; empty where it gets none."""
        context = ssl.create_default_context(cadata=root)
        try:
            raw = socket.create_connection((self.address, self.https), 5)
            with raw, context.wrap_socket(raw, server_hostname=domain) as tls:
                return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True) or b"")
        except OSError:
            return ""


@contextmanager
def site(api: Api, within: Sequence[str] = (), address: str = "") -> Iterator[Site]:
    """On loopback, at free ports; or ``within`` what a command becomes, such as a namespace, at 80 and 443 of an
    ``address`` there."""
    root = Path(tempfile.mkdtemp(prefix="mcs-"))
    for name in ("data", "etc", "run"):
        (root / name).mkdir()
    http, https = (80, 443) if address else (free_port(), free_port())
    environment = {
        "MCS_CONFIG_DIR": str(root / "etc"),
        "MCS_DATA_DIR": str(root / "data"),
        "MCS_RUN_DIR": str(root / "run"),
        "MCS_INSTANCE": "mcs",
        "MCS_CONTRACT_PORT": str(free_port()),
        "MCS_HTTP_PORT": str(http),
        "MCS_HTTPS_PORT": str(https),
        "MCS_TVOX_PORT": str(free_port()),
        "MCS_HAPROXY": shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "",
        "MCS_PROGRAMS": str(root),
        "MCS_POLL_SECONDS": "0.1",
        "PATH": os.environ.get("PATH", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [*within, "/usr/bin/python3", "-m", "appliance"]
    process = subprocess.Popen(command, cwd=APPLIANCE, env=environment, start_new_session=True)
    ended = threading.Event()

    def mount() -> None:
        while not ended.wait(0.3):
            for name, content in sorted(mounted(api).items(), key=lambda item: item[0] == "manifest.json"):
                (root / f".{name}").write_bytes(content)
                (root / f".{name}").replace(root / "etc" / name)

    thread = threading.Thread(target=mount)
    thread.start()
    try:
        yield Site(address or "127.0.0.1", http, https, process)
    finally:
        ended.set()
        thread.join()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
        shutil.rmtree(root)
