"""What came of writing a namespace's objects: one that fails is told, and keeps no other from being written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcs_operator.domain.faults import told
from mcs_operator.domain.manifest import Manifest
from mcs_operator.kube.client import ApiError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What came of it.

    ``taken``: by link, the Secret that it needs, that exists and is not ours. ``foreign``: by object, why one that we
    need is not taken for ours. ``waiting``: what has to go or settle first (an object of a dead owner that the garbage
    collector removes). ``errors`` by link, ``failures`` by object that is no link's in particular. ``writes`` counts
    requests that changed something. ``unwritten`` are shards that could not be written; ``voucher`` is the digest of
    the manifest.json that vouches for what there is of them, where it had to.
    """

    taken: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    writes: int = 0
    unwritten: list[Manifest] = field(default_factory=list)
    voucher: str = ""

    @property
    def settled(self) -> bool:
        """Whether nothing has to be tried again."""
        return not (self.waiting or self.errors or self.failures)

    def note(self, what: str, error: Exception, link: str | None = None) -> None:
        """That this object could not be written: its own matter, so that the rest can go on.

        Where no answer came nothing is known about the object, and nobody's status is turned over for it.
        """
        if isinstance(error, ApiError) and not error.status:
            self.waiting.append(f"{what}: {error.message}")
            return
        if not isinstance(error, ApiError):
            log.error("%s could not be written", what, exc_info=error)
        text = f"{error.reason or error.status}: {error.message}" if isinstance(error, ApiError) else told(error)
        if link:
            self.errors[link] = f"{what}: {text}"
        else:
            self.failures[what] = f"{what}: {text}"

    @contextmanager
    def guarding(self, what: str) -> Iterator[None]:
        """What goes wrong within is noted, and no more."""
        try:
            yield
        except Exception as error:
            self.note(what, error)

    def is_written(self, what: str) -> bool:
        """Whether an object that is no link's (``Secret mcs-ca``) is there as it should be."""
        return what not in self.failures and not any(text.startswith(f"{what}: ") for text in self.waiting)
