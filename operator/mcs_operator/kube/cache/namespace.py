"""Everything that is known of one namespace, to read. The store alone writes to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcs_operator.kube.cache.child import Child
from mcs_operator.kube.parse.bounds import mapping
from mcs_operator.kube.parse.names import instance_of_pod, place_of_name
from mcs_operator.kube.parse.ours import named, passwords_sources, users_sources
from mcs_operator.kube.resources import CONFIG_MAPS, INSTANCES, PODS, SECRETS, Object, Resource

Key = tuple[Resource, str]
"""Kind and name."""


_TLS_SECRETS = (("tls", "secretRef"), ("tls", "acme", "accountSecretRef"), ("vpn", "caSecretRef"))


@dataclass(frozen=True, slots=True)
class Sighting:
    """What came of a look for a Secret by its name, at this time of the monotonic clock. ``labels`` is None where it is
    not there, or where nobody knows: the API server did not say (``failed``)."""

    at: float
    labels: Mapping[str, str] | None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """What objects of ours name: nothing else that is foreign is ever read or held."""

    tls_secrets: frozenset[str]
    users_files: frozenset[tuple[str, str]]
    """Kind and name."""
    passwords: frozenset[str]


@dataclass(slots=True)
class NamespaceCache:
    """``ours`` are our three kinds in full, ``children`` what we made, or read.

    ``observed``: the versions of the children that the last World was made of, less those that we took away ourselves.
    ``missed``: Secrets that were looked for by name. ``names``: what our objects name; None where it has to be
    collected anew.
    """

    ours: Mapping[Key, Object]
    children: Mapping[Key, Child]
    observed: Mapping[Key, str]
    missed: Mapping[str, Sighting]
    names: Named | None = None

    def concerns(self, child: Child) -> bool:
        """Whether a change of this child can matter: a certificate, or a file of users or passwords, that none of our
        objects names cannot."""
        return child.is_ours or self.names_users(child) or self.names_passwords(child) or self._names_certificate(child)

    def reads(self, child: Child) -> bool:
        """Whether its body is read as one of ours, or as a certificate: not where it bears our label and has the name
        of nothing of ours. Users and passwords are read by `usersfiles` and `passwords`."""
        return (child.is_ours and self._has_a_name_of_ours(child)) or self._names_certificate(child)

    def _has_a_name_of_ours(self, child: Child) -> bool:
        if child.resource is PODS:  # large ones, of which anybody may make any number
            return (INSTANCES, instance_of_pod(child.name)) in self.ours
        return child.resource not in (SECRETS, CONFIG_MAPS) or place_of_name(child.resource, child.name) is not None

    def names_users(self, child: Child) -> bool:
        """Whether this is a users file that a Community names."""
        return child.lists_users and (child.resource.kind, child.name) in self.named().users_files

    def names_passwords(self, child: Child) -> bool:
        """Whether this is a Secret with passwords that a Community names; perhaps of another Community by its label,
        which may just have been changed."""
        return child.has_passwords and child.name in self.named().passwords

    def _names_certificate(self, child: Child) -> bool:
        return child.resource is SECRETS and child.name in self.named().tls_secrets

    def named(self) -> Named:
        """What tls.secretRef and the like, vpn.caSecretRef, usersFrom and passwordsFrom of our objects name."""
        if self.names is None:
            specs = [mapping(body.get("spec")) for body in self.ours.values()]
            tls = {named(spec, *path, "name") for spec in specs for path in _TLS_SECRETS}
            users = {source for spec in specs for source in users_sources(spec)}
            passwords = {source for spec in specs for source in passwords_sources(spec)}
            self.names = Named(frozenset(tls - {""}), frozenset(users), frozenset(passwords))
        return self.names
