"""What the commands show, as pure data made from objects as the API server returns them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from mcs_operator.api.annotations import moment
from mcs_operator.api.conditions import ConditionStatus, Reason, Type, find_condition
from mcs_operator.domain.rules.advice import Advice
from mcs_operator.kube.resources import Object
from mcs_operator.settings import MAX_LINKS

_BAD_IF_TRUE = (Type.STALLED, Type.RESTART_PENDING, Type.ROTATION_PENDING)
"""Abnormal-true conditions; of all others False is what a person has to look at."""
_COUNTED = {"accepted": "accepted", "up": "connected", "rejected": "rejected"}
_NO_TROUBLE = ("Disabled", "Revoked", Reason.WAITING, Reason.NOT_CONFIGURED)
"""Waiting: a restart that waits for its hour needs nobody; it is shown as planned. NotConfigured: no portal is asked
for."""


def condition(body: Object, type: str) -> Mapping[str, Any]:
    """One condition of an object; empty where it is not set."""
    return find_condition(_conditions(body), type)


def attention(body: Object) -> list[str]:
    """What a person should look at, a sentence each; empty where all is well."""
    found = []
    for each in _conditions(body):
        type, status, reason = each.get("type"), each.get("status"), each.get("reason")
        bad = ConditionStatus.TRUE if type in _BAD_IF_TRUE or str(type).endswith("Pressure") else ConditionStatus.FALSE
        wrong = status in (bad, ConditionStatus.UNKNOWN)
        as_declared = reason in _NO_TROUBLE or (type == Type.IN_SERVICE and status == ConditionStatus.FALSE)
        if wrong and type != Type.RECONCILING and not as_declared:
            message = each.get("message")
            found.append(f"{type}={status} {reason}{f': {message}' if message else ''}")
    return found


def link_row(body: Object) -> dict[str, Any]:
    """One TVoxLink."""
    spec, status = body["spec"], body.get("status") or {}
    connected, tunnel = condition(body, Type.CONNECTED), status.get("tunnel") or {}
    return {
        "name": body["metadata"]["name"],
        "domain": spec.get("domain"),
        "community": (spec.get("communityRef") or {}).get("name"),
        "slot": status.get("slot"),
        "address": status.get("vpnAddress"),
        "port": status.get("port"),
        "ready": condition(body, Type.READY).get("status"),
        "service": status.get("serviceState"),
        "connected": connected.get("status"),
        "reason": _reason(body),
        "since": tunnel.get("since"),
        "peer": tunnel.get("peer"),
        "flaps": tunnel.get("flaps"),
        "version": tunnel.get("clientVersion"),
    }


def _reason(body: Object) -> str | None:
    """Why it is not connected, or else what its tunnel says."""
    ready = condition(body, Type.READY)
    reason = (ready if ready.get("status") != ConditionStatus.TRUE else condition(body, Type.CONNECTED)).get("reason")
    return str(reason) if reason else None


def instance_view(instance: Object, links: Iterable[Object], communities: Iterable[Object]) -> dict[str, Any]:
    """An MCSInstance with everything of its own that needs attention."""
    status, name, namespace = instance.get("status") or {}, *_place(instance)
    mine = [
        b
        for b in (*communities, *links)
        if (b["spec"].get("instanceRef") or {}).get("name") == name and b["metadata"].get("namespace") == namespace
    ]
    return {
        "name": name,
        "namespace": namespace,
        "domain": instance["spec"].get("domain"),
        "tier": instance["spec"].get("tier"),
        "ready": condition(instance, Type.READY).get("status"),
        "service": _service(instance),
        "links": status.get("links") or {},
        "users": status.get("users") or {},
        "bandwidth": status.get("bandwidth") or {},
        "node": status.get("node"),
        "podUID": status.get("podUID"),
        "image": status.get("image"),
        "planned": [
            {"cause": d.get("cause"), "for": d.get("plannedFor"), "message": d.get("message")}
            for d in status.get("disruptions") or []
        ],
        "attention": attention(instance),
        "customers": [
            {"kind": b["kind"], "name": b["metadata"]["name"], "attention": found}
            for b in mine
            if (found := attention(b))
        ],
    }


def _place(body: Object) -> tuple[str, str]:
    return body["metadata"]["name"], body["metadata"]["namespace"]


def interruption_rows(instance: Object) -> list[dict[str, Any]]:
    """The last interruptions of an MCSInstance, the newest first."""
    return [
        {
            "begun": one.get("begun"),
            "over": one.get("over"),
            "seconds": _seconds(one.get("begun"), one.get("over")),
            "cause": one.get("cause"),
            "connections": one.get("connections", 0),
            "links": one.get("links", 0),
            "before": one.get("before"),
            "after": one.get("after"),
        }
        for one in (instance.get("status") or {}).get("interruptions") or []
    ]


def _seconds(begun: object, over: object) -> int | None:
    first, last = moment(str(begun)), moment(str(over))
    return int((last - first).total_seconds()) if first and last else None


def _service(body: Object) -> str | None:
    """The service state, and what is to be said about it: how many go on, and until when."""
    state = (body.get("status") or {}).get("serviceState")
    message = condition(body, Type.IN_SERVICE).get("message")
    return f"{state}: {message}" if state and message else state


def _conditions(body: Object) -> list[dict[str, Any]]:
    return (body.get("status") or {}).get("conditions") or []


def progress(body: Object) -> list[str]:
    """What the conditions say while something is under way."""
    found = [condition(body, type) for type in (Type.RESTART_PENDING, Type.RECONCILING, Type.STALLED)]
    return [f"{c['reason']}: {c.get('message') or '-'}" for c in found if c.get("status") == ConditionStatus.TRUE]


def restart_waits(body: Object) -> str:
    """For what a restart that was asked for waits; "" where none does."""
    pending = condition(body, Type.RESTART_PENDING)
    asked = [d for d in (body.get("status") or {}).get("disruptions") or [] if d.get("cause") == "RestartRequested"]
    return str(pending.get("message")) if asked and pending.get("reason") == Reason.WAITING else ""


def profile_of(secret: Object, link: str) -> str | None:
    """The .ovpn of a profile Secret; None where it has none, or something that is no text."""
    entry = (secret.get("data") or {}).get(f"{link}.ovpn")
    try:
        return base64.b64decode(entry, validate=True).decode() if entry else None
    except ValueError:
        return None


def status_text(view: Mapping[str, Any]) -> str:
    """An instance's view for a person."""
    links, users = view["links"], view["users"]
    counted = ", ".join(f"{links.get(name, '?')} {word}" for name, word in _COUNTED.items())
    lines = [
        f"MCSInstance {view['name']} in namespace {view['namespace']}: {view['domain']}, tier {view['tier']}",
        f"  Ready   {view['ready'] or 'Unknown'}",
        f"  Service {view['service'] or 'Unknown'}",
        f"  Links   {counted}, at most {links.get('capacity', '?')}",
        f"  Users   {users.get('served', '?')} of {users.get('capacity', '?')} served",
        f"  Pod     {view['podUID'] or '-'} on node {view['node'] or '-'}, image {view['image'] or '-'}",
    ]
    lines += [f"  Planned {one['for'] or '(not known when)'}: {one['message']}" for one in view["planned"]]
    lines += [f"  ! {sentence}" for sentence in view["attention"]]
    lines += [f"  ! {c['kind']}/{c['name']}: {sentence}" for c in view["customers"] for sentence in c["attention"]]
    return "\n".join(lines if view["attention"] or view["customers"] else [*lines, "  nothing needs attention"])


def advice_data(advice: Advice) -> dict[str, Any]:
    """What to plan, in numbers; all but the first are of one instance."""
    machine = advice.machine
    return {
        "instances": advice.instances,
        "tier": advice.tier,
        "users": advice.users,
        "links": advice.links,
        "cpuCores": machine.cpu_millicores // 1000,
        "memoryGB": machine.memory_bytes // 1000**3,
        "diskGB": machine.disk_gigabytes,
        "nicMegabits": machine.nic_megabits,
        "bandMegabits": advice.megabits,
        "connections": advice.connections,
        "spec": advice.spec,
    }


def advice_text(advice: Advice) -> str:
    """The same for a person."""
    data = advice_data(advice)
    each = "" if advice.instances == 1 else ", each:"
    spec = "\n".join(f"    {key}: {value}" for key, value in advice.spec.items())
    return f"""\
{advice.instances} MCSInstance{"" if advice.instances == 1 else "s"}, tier {advice.tier}{each}
  Users    {advice.users} of {advice.machine.users}
  Links    {advice.links} of {MAX_LINKS}
  Machine  {data["cpuCores"]} cores, {data["memoryGB"]} GB, {data["diskGB"]} GB SSD, NIC {data["nicMegabits"]} Mb/s
  Band     {advice.megabits} Mb/s, which carries {advice.connections} connections at the same time
  spec:
{spec}"""
