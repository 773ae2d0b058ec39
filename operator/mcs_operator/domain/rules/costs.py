"""What a change costs customers, in words: for admission and for `plan`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from mcs_operator.api import Impact, MCSInstance, ServiceState, TVoxLink
from mcs_operator.api.changes import changes
from mcs_operator.api.conditions import ConditionStatus, Reason, Type
from mcs_operator.api.fields import seconds

_SOURCES = "spec.allowedSources"
_NO_POD = (Reason.SUSPENDED, Reason.NO_FREE_SLOT)
"""Why a link that has its number runs in no pod."""
RECONNECTS = "this customer's tunnel reconnects once"
LOADED_ANEW = "his slot's firewall is loaded anew, the tunnel stays; in a pod from before an upgrade it reconnects once"
"""A slot of an earlier release restarts its OpenVPN for whatever is new in its set."""


def costs(before: TVoxLink, after: TVoxLink, status: object) -> Iterator[str]:
    """All that the customer will notice. ``status``: of the stored link."""
    lost = tuple(cut_off(before, after, status))
    shut = any(text.startswith(_SOURCES) for text in lost)
    yield from lost
    yield from stopped(before, after, status)
    fields = [f for f in _fields(before, after, Impact.THIS_LINK) if not (shut and f == _SOURCES)]
    if fields and before.spec.enabled and after.spec.enabled and may_run(status):
        yield f"{', '.join(fields)}: {LOADED_ANEW if fields == [_SOURCES] else RECONNECTS}"
    yield from refused(before, after, "this customer")


def has_profile(status: object) -> bool:
    """Whether a link has a profile that a TVox may dial by: not where it is said to be refused, and has no number. Of
    one whose status nobody has written yet it is not known. A status may be anybody's writing."""
    return not isinstance(status, dict) or not status.get("conditions") or bool(status.get("slot"))


def may_run(status: object) -> bool:
    """Whether a link can have a tunnel: it has a profile, and a slot in a pod that is there."""
    return has_profile(status) and not any(_says(status, Type.PROGRAMMED, reason=reason) for reason in _NO_POD)


def is_about_sources_alone(before: TVoxLink, after: TVoxLink) -> bool:
    """Whether nothing but the slot's firewall changes that a tunnel could notice."""
    dear = [change.path for change in changes(before, after) if change.impact is not Impact.HOT]
    return dear == [_SOURCES]


def stopped(before: TVoxLink, after: TVoxLink, status: object) -> Iterator[str]:
    """That the tunnel is switched off, and does not come back by itself."""
    if before.spec.enabled and not after.spec.enabled and may_run(status):
        yield "spec.enabled: this customer's tunnel stops, and stays down until it is true again"


def refused(before: MCSInstance | TVoxLink, after: MCSInstance | TVoxLink, whose: str) -> Iterator[str]:
    """That new sessions are refused from now on: it interrupts nobody, and is noticed all the same."""
    states = before.spec.service_state, after.spec.service_state
    if states == (ServiceState.IN_SERVICE, ServiceState.OUT_OF_SERVICE):
        yield f"spec.serviceState: new sessions of {whose} are refused; open ones and the tunnels go on"


def erased(before: MCSInstance, after: MCSInstance) -> Iterator[str]:
    """What portals keep for a shorter time than before: nobody is interrupted, and nothing brings it back. What is
    declared no more holds for a week still, as an operator of before does not declare it either."""
    declared = after.spec.portals.retention
    old, new = before.spec.portals.retention.in_force(), declared.in_force()
    for what, kept in new.items():
        if seconds(kept) < seconds(old[what]):
            when = "" if getattr(declared, what) else ", seven days from now"
            yield (
                f"spec.portals.retention.{what}: what is older than {kept} is erased for good "
                f"(until now {old[what]}){when}"
            )


def cut_off(before: TVoxLink, after: TVoxLink, status: object) -> Iterator[str]:
    """Why the TVox does not come back by itself, and what to do."""
    if not has_profile(status):
        return
    if address := _shut_out(before, after, connected_peer(status)):
        yield (
            f"{_SOURCES}: TVoxLink {after.name} is connected from {address}, which is in none of these networks: its "
            f"TVox is cut off; add {address}/32"
        )
    if fields := _fields(before, after, Impact.NEW_PROFILE):
        namespace = f" -n {after.namespace}" if after.namespace else ""
        yield (
            f"{', '.join(fields)}: the TVox is cut off until its new profile is uploaded to it: "
            f"kubectl mcs profile{namespace} {after.name}"
        )


def connected_peer(status: object) -> object:
    """Where the TVox of a link is connected from, by its stored status; None where it is not connected: the status
    keeps the last peer of a tunnel that is down. A status may be anybody's writing."""
    if not isinstance(status, dict) or _says(status, Type.CONNECTED, status=ConditionStatus.FALSE):
        return None
    tunnel = status.get("tunnel")
    return tunnel.get("peer") if isinstance(tunnel, dict) else None


def _says(told: object, condition: Type, **parts: str) -> bool:
    """Whether a condition of a stored status has these parts."""
    conditions = told.get("conditions") if isinstance(told, dict) else None
    found = (one for one in (conditions if isinstance(conditions, list) else ()) if isinstance(one, dict))
    wanted = {"type": condition, **parts}
    return any(all(one.get(part) == value for part, value in wanted.items()) for one in found)


def _fields(before: TVoxLink, after: TVoxLink, impact: Impact) -> list[str]:
    return [change.path for change in changes(before, after) if change.impact is impact]


def _shut_out(before: TVoxLink, after: TVoxLink, peer: object) -> IPv4Address | None:
    """Address of the TVox that is connected now, where it is the change that leaves it out."""
    sources = after.spec.allowed_sources
    if not sources or set(sources) == set(before.spec.allowed_sources) or not after.spec.enabled:
        return None
    address = _address(peer)
    is_in = address is not None and any(address in IPv4Network(source, strict=False) for source in sources)
    return None if is_in else address


def _address(peer: object) -> IPv4Address | None:
    """Of an address with a port. Slots listen on IPv4 alone, and a status may be anybody's writing."""
    try:
        return IPv4Address(str(peer).rpartition(":")[0])
    except ValueError:
        return None
