"""One customer who comes, changes and goes, again and again, while others talk."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from e2e.crowd import Crowd
from support.mcs import Mcs
from support.sites import profile_of
from support.waiting import until


def one_round(mcs: Mcs, crowd: Crowd, name: str, site: str) -> float:
    """A customer is added, rotated, disabled, enabled, revoked and removed for good, with the TVox at ``site``.

    Seconds from the creation of the link to a tunnel, by the TVox's own word.
    """
    customer = crowd[site]
    begun = time.monotonic()
    mcs.api.apply(mcs.a_link(name))
    customer.dial(profile_of(mcs.api, name))
    until(f"the TVox of {name} has a tunnel", lambda: customer.has_tunnel, 30, pause=0.02)
    took = time.monotonic() - begun
    mcs.connected(name)

    mcs.api.annotate("TVoxLink", name, rotate_requested_at=_now())
    mcs.api.wait_condition("TVoxLink", name, "RotationPending", "True", "NewNotSeen")
    mcs.programmed(name)  # or he dials the OpenVPN of before, which refuses him, and tries again in 20 s
    customer.dial(profile_of(mcs.api, name))
    mcs.api.wait_condition("TVoxLink", name, "RotationPending", "False", "UpToDate")
    mcs.connected(name)

    mcs.api.change("TVoxLink", name, enabled=False)
    mcs.api.wait_condition("TVoxLink", name, "Connected", "False", "Disabled")
    mcs.api.change("TVoxLink", name, enabled=None)
    mcs.connected(name)

    mcs.api.annotate("TVoxLink", name, revoke_requested_at=_now())
    mcs.api.wait_condition("TVoxLink", name, "Connected", "False", "Revoked")

    remove_for_good(mcs, crowd, name, site)
    return took


def remove_for_good(mcs: Mcs, crowd: Crowd, name: str, site: str) -> None:
    """The customer goes, and so does his identity: his number is the next one's."""
    crowd[site].hang_up()
    secret = f"mcs-link-{mcs.status(name)['slot']:03d}"
    mcs.api.delete("TVoxLink", name, wait=10)
    mcs.api.delete("Secret", f"{name}-profile", wait=10)
    until(f"the slot of {name} is free", lambda: mcs.api.find("Secret", secret) is None, 20)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
