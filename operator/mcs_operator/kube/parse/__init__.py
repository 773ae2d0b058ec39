"""The door: everything that others wrote is taken in here, by total functions.

What comes back is a value, or a named damage that a condition tells; nothing raises, and nothing is decoded, nested or
kept beyond the bounds of `bounds`. Our objects are known by their exact name, type and content; a label says only where
to look. Whether a certificate is what its Secret says is asked in `pki.belief`: nothing here knows certificates.
"""

from __future__ import annotations

from mcs_operator.domain.facts.keys import AcmeAccount, Authority
from mcs_operator.domain.facts.world import (
    AgentCredentials,
    Damaged,
    DamagedProfile,
    Pod,
    Profile,
    Pull,
    SlotSecret,
    TlsSecret,
)
from mcs_operator.domain.rules.quota import Usage
from mcs_operator.kube.parse.bounds import mapping, text
from mcs_operator.kube.parse.pod import read_pod
from mcs_operator.kube.parse.quota import usage_of
from mcs_operator.kube.parse.secret import read_secret
from mcs_operator.kube.resources import PODS, RESOURCE_QUOTAS, SECRETS, Object, Resource

Parsed = (
    AcmeAccount
    | AgentCredentials
    | Authority
    | Damaged
    | DamagedProfile
    | Pod
    | Profile
    | Pull
    | SlotSecret
    | TlsSecret
    | Usage
    | None
)


def parse_body(resource: Resource, body: Object) -> Parsed:
    """The few fields of a child that decisions need, or what is wrong with it; None for what is only compared."""
    if resource is PODS:
        return read_pod(body)
    if resource is RESOURCE_QUOTAS:
        return usage_of(body)
    if resource is SECRETS:
        metadata = mapping(body.get("metadata"))
        labels = {key: value for key, value in mapping(metadata.get("labels")).items() if isinstance(value, str)}
        return read_secret(text(metadata.get("name")), text(body.get("type")), labels, body)
    return None
