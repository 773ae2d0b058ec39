"""Certificates, and other files that belong together, followed while they are in use: a Secret's files are exchanged
under a port that goes on serving."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


RELOAD_EVERY = 5.0
"""Seconds between looks at the files of a certificate."""


class FollowingContext(ssl.SSLContext):
    """A server's context that gives every new connection to the newest one.

    Loading a new pair into a context that is in use may take the certificate and then fail at the key.
    """

    newest: ssl.SSLContext | None = None

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """For the newest."""
        if self.newest is None:
            raise ssl.SSLError("there is no certificate yet")
        return self.newest.wrap_bio(*arguments, **options)


def server_context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """With this pair; with ``client_ca`` only for clients with a certificate of it. OSError where it is unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Followed:
    """Files that belong together, and what is made of them. ``take`` makes it; it is taken up whole, or not at all."""

    def __init__(self, files: list[Path], take: Callable[[], None], what: str) -> None:
        self._files, self._take, self._what = files, take, what
        self._seen: list[tuple[int, int]] | None = None

    def marks(self) -> list[tuple[int, int]]:
        """Which files these are now. OSError names the one that is missing."""
        return [(found.st_mtime_ns, found.st_ino) for found in (file.stat() for file in self._files)]

    def first(self) -> None:
        """Take them up, and let through what is wrong with them."""
        seen = self.marks()
        self._take()
        self._seen = seen

    def reload(self) -> bool:
        """Take up changed files. The present ones stay where the new are bad, which is said once for each change."""
        try:
            marks = self.marks()
            if marks == self._seen:
                return False
            self._seen = marks
            self._take()
        except FileNotFoundError:
            return False  # not there yet, or between two versions
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            log.warning("%s: the changed files are not usable, the former stay: %s", self._what, type(error).__name__)
            return False
        return True
