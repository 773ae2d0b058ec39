"""The fixed set of files in a slot Secret, and the revision, which is their checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

SLOT_FILES = ("DEFAULT", "ca.crt", "enabled", "firewall.nft", "server.conf", "tls-crypt.key", "tls.crt", "tls.key")
"""The fixed set of a slot, in the order in which its revision is computed."""

FINGERPRINTS = "fingerprints.json"
"""A further entry of the Secret, which the slot ignores: what is known of its TVox's certificates."""

PREVIOUS = ("previous.crt", "previous.key")
"""Entries of a profile Secret while a rotation waits for the TVox: what it has until then."""

_PINS = re.compile(r"<peer-fingerprint>\n(.*?)</peer-fingerprint>", re.DOTALL)


def slot_revision(files: Mapping[str, str]) -> str:
    """SHA-256 that names a slot's set, lower-case hex; the supervisor computes it as ``sha256sum FILES | sha256sum``.

    Other keys are ignored; a missing file raises KeyError.
    """
    lines = (f"{hashlib.sha256(files[name].encode()).hexdigest()}  {name}\n" for name in SLOT_FILES)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def pins_in(server_conf: str) -> tuple[str, ...]:
    """Fingerprints that a ``server.conf`` accepts: what is left to go by where the profile Secret is lost."""
    block = _PINS.search(server_conf)
    lines = (line.split("#")[0].strip() for line in block[1].splitlines()) if block else ()
    return tuple(line for line in lines if line)
