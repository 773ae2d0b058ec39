"""One object that the operator made, or reads: as little of it as decisions need.

A body is parsed at once into a few fields, and dropped: 50,000 Secrets in full would cost gigabytes.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from mcs_operator.api.passwords import PasswordsFile
from mcs_operator.api.usersfile import UsersFile
from mcs_operator.kube.resources import SECRETS, Object, Resource
from mcs_operator.settings import LABEL_MANAGED_BY, LABEL_PASSWORDS, LABEL_USERS, OPERATOR

OF_OURS = (LABEL_MANAGED_BY, OPERATOR)
OF_USERS = (LABEL_USERS, "true")
OF_PASSWORDS = (LABEL_PASSWORDS, "")
BY_LABEL = (OF_OURS, OF_USERS, OF_PASSWORDS)
"""Labels by which children are listed and watched, with their value, or "" for any; an object may have several."""
TLS = "kubernetes.io/tls"
_MOST_ENTRIES = 64


@dataclass(slots=True)
class Child:
    """One child. Nobody but the store writes to it.

    ``detail`` is what was parsed of version ``parsed``; where that is not ``version``, the body has to be read again.
    ``data`` has a digest for each entry of a Secret's or ConfigMap's data. ``in_sync`` tells which version of it was
    found to fulfil which manifest. ``shard`` has the appliance's files in it, packed. ``users`` is what it says where a
    Community names it as a users file, ``passwords`` where one names it as a Secret with passwords. ``tls``: it is of
    the type that is watched as well. ``left``: the watches by label that it left after this version.
    """

    resource: Resource
    metadata: Object
    tls: bool
    parsed: str = ""
    detail: Any = None
    data: Mapping[str, bytes] = field(default_factory=dict)
    in_sync: str = ""
    shard: Mapping[str, bytes] = field(default_factory=dict)
    users: UsersFile | None = None
    passwords: PasswordsFile | None = None
    left: frozenset[str] = frozenset()

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the object."""
        labels: Mapping[str, str] = self.metadata.get("labels", {})
        return labels

    @property
    def is_ours(self) -> bool:
        """Whether its label says that we made it."""
        return self.labels.get(LABEL_MANAGED_BY) == OPERATOR

    @property
    def lists_users(self) -> bool:
        """Whether its label says that it is a users file."""
        return self.labels.get(LABEL_USERS) == "true"

    @property
    def has_passwords(self) -> bool:
        """Whether its label says that it is a Secret with passwords."""
        return self.resource is SECRETS and LABEL_PASSWORDS in self.labels

    @property
    def passwords_of(self) -> str:
        """The Community whose users' passwords it has, as its label says; empty where it has none."""
        return self.labels.get(LABEL_PASSWORDS, "") if self.has_passwords else ""

    @property
    def watched(self) -> bool:
        """Whether any watch still has it."""
        return self.tls or any(label[0] not in self.left and is_labelled(self.labels, label) for label in BY_LABEL)

    @property
    def may_be_named(self) -> bool:
        """Whether an object of ours may name it, now or later."""
        return self.tls or self.lists_users or self.has_passwords

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.metadata["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the object."""
        return str(self.metadata["namespace"])

    @property
    def uid(self) -> str:
        """UID of the object."""
        return str(self.metadata["uid"])

    @property
    def version(self) -> str:
        """resourceVersion of the object as last seen."""
        return str(self.metadata["resourceVersion"])

    @property
    def stale(self) -> bool:
        """Whether the body changed since it was parsed."""
        return self.parsed != self.version

    def as_fulfilling(self, manifest: str) -> str:
        """What ``in_sync`` is where this very version fulfils the manifest of this hash: whatever somebody else writes
        makes it worth another look."""
        return f"{manifest} {self.version}"

    def fulfils(self, manifest: str) -> bool:
        """Whether this very version was found to fulfil the manifest of this hash."""
        return self.in_sync == self.as_fulfilling(manifest)


def is_labelled(labels: Mapping[str, str], label: tuple[str, str]) -> bool:
    """Whether labels have one of BY_LABEL."""
    key, value = label
    return labels.get(key) == value if value else key in labels


def digests(data: Mapping[str, str]) -> dict[str, bytes]:
    """A digest for each entry of a Secret's or ConfigMap's data, to compare by without keeping what is secret.

    Not of more than any of ours has: a megabyte holds a hundred thousand entries, and their digests twenty times that.
    """
    return {
        sys.intern(name): hashlib.sha256(value.encode(errors="replace")).digest()
        for name, value in islice(data.items(), _MOST_ENTRIES)
        if isinstance(value, str)
    }
