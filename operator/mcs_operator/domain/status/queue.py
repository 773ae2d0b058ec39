"""Which certificates are to be ordered: the names without one, what failed of them, and what keeps an order from being
begun. Told in statuses, and followed beside the reconciliation. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcs_operator.api.conditions import Kind, Reason, Type, find_condition
from mcs_operator.contract.lookup import Lookup
from mcs_operator.domain.facts.orders import Attempt, Issuable
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.issuance import Queue, dates, read_back
from mcs_operator.domain.rules.verdict import Verdict

NOT_ASKED = Verdict(Reason.PENDING, "whether the name leads here is not known yet")
"""Of an operator that has just started, above all."""


def certificate_standing(world: World, kind: Kind, name: str) -> Mapping[str, Any]:
    """The live condition CertificateReady of an object."""
    return find_condition(world.conditions.get((kind, name)), Type.CERTIFICATE_READY)


def queue(world: World, plan: Plan, keys: Keys) -> Queue:
    """What is to be ordered, and when; empty without spec.tls.acme."""
    acme, names = plan.instance.spec.tls.acme if plan.instance else None, keys.serving.issuable
    if acme is None or not names:
        return Queue()
    attempts = {one.domain: known for one in names if (known := _attempt(world, one))}
    said, per_week = world.orders, acme.certificates_per_week
    holds = ((one.domain, _held(world, plan, keys, one)) for one in names)
    return Queue(
        names={one.domain: one for one in names},
        attempts=attempts,
        dates=dates(names, attempts, per_week, world.now, keys.serving.issued, said.begun, said.suggested),
        held={domain: verdict for domain, verdict in holds if verdict},
    )


def _held(world: World, plan: Plan, keys: Keys, one: Issuable) -> Verdict | None:
    """Why no order is begun for a name: it would fail, and count at the server."""
    if keys.account is None:
        if one.kind is Kind.INSTANCE:
            return Verdict(Reason.ISSUER_NOT_READY, keys.account_problem)
        return Verdict(Reason.PENDING, "waits for the account; CertificateReady of the MCSInstance says why")
    if world.report is None:
        return Verdict(Reason.AGENT_UNREACHABLE, "the link agent in the media pod does not answer")
    media = world.report.media
    if media is None:
        return Verdict(Reason.PENDING, "the appliance does not answer the link agent")
    if media.acmeThumbprint is None:
        return Verdict(Reason.NOT_SUPPORTED, f"{media_of(world)} answers no challenge of ACME")
    if media.acmeThumbprint != keys.account.thumbprint:
        return Verdict(Reason.PENDING, "the appliance does not answer for the account yet")
    address, known = plan.instance.spec.public_address if plan.instance else "", world.lookups.get(one.domain, Lookup())
    if known.pod is None or known.operator is None:
        return NOT_ASKED
    if not known.leads_to(address):
        return Verdict(Reason.NOT_RESOLVED, f"{one.domain}: an order is begun once DomainResolved is True")
    return None


def media_of(world: World) -> str:
    """Who would have to say it, where the media says nothing of the kind: as the beginning of a sentence."""
    image = f"media image {world.pod.image}" if world.pod else "the media image"
    return f"{image}, or the link agent of this pod,"


def _attempt(world: World, one: Issuable) -> Attempt | None:
    """What failed, by this process' word, or by that of the one before: its condition."""
    if one.domain in world.orders.tried:
        return world.orders.failed.get(one.domain)
    standing = certificate_standing(world, one.kind, one.name)
    return read_back(one.domain, str(standing.get("message", "")), world.now)
