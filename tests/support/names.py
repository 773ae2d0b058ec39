"""Public names as the operator's own resolver knows them: a hosts file that only its process sees.

No test may ask the world for the names of its customers: it would wait for an answer, or get one.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from support.api import Api
from support.cluster import MissingError

_BIND = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"'


def knowing(addresses: Mapping[str, str | Sequence[str]], folder: Path) -> list[str]:
    """A command prefix: what it starts knows these names, and no other one in the world; others once `hosts` in the
    folder is written anew, in place.

    MissingError where this machine does not allow that.
    """
    hosts, switch = folder / "hosts", folder / "nsswitch.conf"
    hosts.write_text(hosts_file(addresses))
    switch.write_text("hosts: files\n")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    prefix = ["unshare", "--mount", *user, "sh", "-c", _BIND, str(hosts), str(switch)]
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise MissingError("there is no unshare here, to give a process a hosts file of its own") from None
    if tried.returncode:
        raise MissingError(f"a process cannot have a hosts file of its own here: {tried.stderr.strip()}")
    return prefix


def hosts_file(addresses: Mapping[str, str | Sequence[str]]) -> str:
    """Each name with its address, or all of them."""
    known = [(name, [them] if isinstance(them, str) else them) for name, them in addresses.items()]
    return "".join(f"{address} {name}\n" for name, them in known for address in them)


def knowing_only(server: Api, folder: Path) -> list[str]:
    """The same for whoever is to know the API server's name alone. No prefix where this machine does not allow it."""
    with suppress(MissingError):
        host = str(urlsplit(server.host).hostname)
        ((*_, address), *_) = socket.getaddrinfo(host, None)
        return knowing({host: str(address[0])}, folder)
    return []
