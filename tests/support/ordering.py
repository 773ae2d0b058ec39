"""What orders events: something that can only be seen when all that came before it was dealt with.

A test that sleeps and then finds nothing changed would also pass where the change is merely late.
"""

from __future__ import annotations

import secrets

from support.api import Api
from support.objects import a_community


def all_is_handled(api: Api, timeout: float = 60) -> str:
    """Wait until the operator has dealt with all that happened in this namespace before; the name of what told it.

    One run at a time reconciles a namespace, and it looks at all of it. So when a Community that belongs to nobody,
    created now, is told so, everything from before is decided about and written. That is the one write that it costs.
    """
    name = f"marker-{secrets.token_hex(3)}"
    api.create(a_community(name, instance="nobody"))
    api.wait_condition("Community", name, "Accepted", "False", "InstanceNotFound", timeout)
    return name


def without(marker: str, told: list[str]) -> list[str]:
    """Requests, less those that `all_is_handled` itself has caused."""
    return [request for request in told if marker not in request]
