"""Builders of our three kinds, small enough for a laptop; any field can be given, and what matters stands in a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from support.api import Object

API_VERSION = "mcs.tvox.io/v1alpha1"
INSTANCE = "mcs"


def an_instance(name: str = INSTANCE, *, node: str = "mcs-node", address: str = "10.89.0.1", **spec: Any) -> Object:
    """An MCSInstance with 6 slots and little of everything."""
    return _object(
        "MCSInstance",
        name,
        {
            "domain": "mcs.test",
            "tier": "UpTo1000",
            "image": "localhost/mcs/appliance:dev",
            "publicAddress": address,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "storage": {"size": "1Gi"},
            "vpn": {"slots": 6},
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"cpu": "1", "memory": "512Mi"},
            },
            "retain": {"storage": "Delete", "pki": "Delete"},
            "drainSeconds": 1,
        }
        | spec,
    )


def a_community(
    name: str = "acme", *, instance: str = INSTANCE, users: Sequence[str | Object] = (), **spec: Any
) -> Object:
    """A Community; a user is a name, or all that the API has for one."""
    known: Object = {"instanceRef": {"name": instance}, "defaultFunctions": ["Audio", "Chat"]}
    if users:
        known["users"] = [{"name": user} if isinstance(user, str) else user for user in users]
    return _object("Community", name, known | spec)


def a_link(
    name: str, *, instance: str = INSTANCE, community: str = "acme", domain: str | None = None, **spec: Any
) -> Object:
    """A TVoxLink at <name>.mcs.test."""
    return _object(
        "TVoxLink",
        name,
        {
            "instanceRef": {"name": instance},
            "communityRef": {"name": community},
            "domain": domain or f"{name}.mcs.test",
        }
        | spec,
    )


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
