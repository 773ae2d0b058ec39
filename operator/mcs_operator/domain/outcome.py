"""What came of carrying out changes: plain data, from which statuses tell it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcs_operator.domain.manifest import Manifest


@dataclass(slots=True)
class Outcome:
    """What came of it.

    ``taken``: by link, the Secret that it needs, that exists and is not ours. ``foreign``: by object, why one that we
    need is not taken for ours. ``waiting``: what has to go or settle first (an object of a dead owner that the garbage
    collector removes). ``errors`` by link, ``failures`` by object that is no link's in particular. ``writes`` counts
    requests that changed something. ``unwritten`` are shards that could not be written; ``checksums`` is the
    digest of the checksum manifest of those that are there, where it had to be another. ``raised``: what nobody thought
    of; the changes after it were not carried out.
    """

    taken: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    writes: int = 0
    unwritten: list[Manifest] = field(default_factory=list)
    checksums: str = ""
    raised: list[Exception] = field(default_factory=list)

    @property
    def open_ends(self) -> list[str]:
        """What has to be tried again."""
        return [*self.waiting, *self.errors.values(), *self.failures.values()]

    @property
    def settled(self) -> bool:
        """Whether nothing has to be tried again."""
        return not self.open_ends

    def is_written(self, what: str) -> bool:
        """Whether an object that is no link's (``Secret mcs-ca``) is there as it should be."""
        if self.raised:
            return False
        return what not in self.failures and not any(text.startswith(f"{what}: ") for text in self.waiting)
