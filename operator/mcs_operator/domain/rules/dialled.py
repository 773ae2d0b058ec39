"""Where the TVoxes of an instance dial, by what they were given: their profiles, and the slots that answer them.

``vpn.basePort``, ``vpn.cidr`` and, while links exist, ``domain`` do not change in the life of an instance. An instance
that is deleted and created again (`kubectl replace --force`, Flux's ``force``) begins another life, but the TVoxes have
the profiles of the former one. So what identities have goes before what is declared, and nothing of them is rewritten.
Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mcs_operator.api import MCSInstance
from mcs_operator.contract.openvpn import Where
from mcs_operator.domain.facts.world import Profile, SlotSecret
from mcs_operator.domain.rules import messages

T = TypeVar("T", int, str)


@dataclass(frozen=True, slots=True)
class Dialled:
    """What most identities of an instance have, where that is not what the instance declares; None where it is.

    ``found`` are the differences, in words.
    """

    base_port: int | None = None
    cidr: str | None = None
    domain: str | None = None
    found: tuple[str, ...] = ()

    def on(self, instance: MCSInstance) -> MCSInstance:
        """The instance with the port and network that its TVoxes know. Not with the domain: it is the site's name as
        well, and each profile has the public address beside it."""
        known = {"base_port": self.base_port, "cidr": self.cidr}
        vpn = instance.spec.vpn.model_copy(update={name: value for name, value in known.items() if value is not None})
        return instance.model_copy(update={"spec": instance.spec.model_copy(update={"vpn": vpn})})


def dialled(
    instance: MCSInstance, profiles: Iterable[Profile], slots: Iterable[SlotSecret], alive: Collection[str]
) -> Dialled:
    """How the instance's identities differ from it. ``alive``: names of its links that exist.

    What most of them have counts: a single profile that somebody has edited is put right, as ever, and changes nothing
    for the others.
    """
    by_link = {slot.link: slot.where for slot in slots if slot.instance == instance.name}
    mine = [p for p in profiles if p.instance == instance.name]
    agreed = {p.link: where for p in mine if (where := _agreed(p.where, by_link.get(p.link)))}
    known = list(agreed.values())
    known = known or ([where for where in by_link.values() if where] if not mine else [])
    # A domain may change while no links exist: a profile that waits for its link gets the new one when that comes back.
    held = {p.link for p in mine if p.released is None and p.link in alive}
    names = [where.domain for link, where in agreed.items() if where.domain and link in held]
    vpn = instance.spec.vpn
    base_port = _usual(Counter(where.base_port for where in known), vpn.base_port)
    cidr = _usual(Counter(where.cidr for where in known if where.cidr), vpn.cidr)
    domain = _usual(Counter(names), instance.spec.domain)
    differences: Mapping[str, tuple[object, object]] = {
        "spec.vpn.basePort": (vpn.base_port, base_port),
        "spec.vpn.cidr": (vpn.cidr, cidr),
        "spec.domain": (instance.spec.domain, domain),
    }
    found = tuple(
        messages.profiles_differ(field, str(declared), str(there), len(known))
        for field, (declared, there) in differences.items()
        if there is not None
    )
    return Dialled(base_port, cidr, domain, found)


def _agreed(profile: Where | None, slot: Where | None) -> Where | None:
    """What a link's two Secrets say; None where one of them was edited, or neither can be read."""
    if profile is None or slot is None:
        return profile
    same = profile.base_port == slot.base_port and slot.cidr in (profile.cidr, "")
    return profile if same else None


def _usual(counted: Counter[T], declared: T) -> T | None:
    """What more identities have than have the declared value; None where that is the usual one."""
    if not counted:
        return None
    value, count = max(counted.items(), key=lambda item: (item[1], str(item[0])))
    return value if value != declared and count > counted[declared] else None
