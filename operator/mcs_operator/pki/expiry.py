"""When the certificates of an instance expire, for whoever watches that they are renewed in time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.plan import LinkPlan, Plan
from mcs_operator.domain.rules.pins import accepted, rotation_deadline
from mcs_operator.pki.inspect import not_after, not_before
from mcs_operator.settings import MAX_LINKS


@dataclass(frozen=True, slots=True)
class Expiries:
    """When one instance's certificates expire; those of the links by their number, so at most 250 each.

    ``ca_begins``: since when the CA is valid, as one of the user's may live for months. ``site`` and ``sites``: of
    what is served for the domains of the instance and of links, and since when each is valid (``site_begins``,
    ``sites_begin``), as those of others may live for days or for a year; ``portals`` and ``portals_begin`` the same of
    portals, by community, the 250 that expire first. ``clients``: of the certificates that a TVox may show, the one
    that expires first. ``rotations``: of a link whose TVox has yet to show its new certificate, when the old one is
    refused all the same. A link whose dates are not known (its profile is lost, a certificate is damaged) or of whose
    certificates none is accepted is left out.
    """

    instance: str
    ca: datetime | None = None
    ca_begins: datetime | None = None
    agent: datetime | None = None
    site: datetime | None = None
    site_begins: datetime | None = None
    servers: dict[int, datetime] = field(default_factory=dict)
    clients: dict[int, datetime] = field(default_factory=dict)
    rotations: dict[int, datetime] = field(default_factory=dict)
    sites: dict[int, datetime] = field(default_factory=dict)
    sites_begin: dict[int, datetime] = field(default_factory=dict)
    portals: dict[str, datetime] = field(default_factory=dict)
    portals_begin: dict[str, datetime] = field(default_factory=dict)


def expiries(plan: Plan, keys: Keys) -> Expiries | None:
    """What the keys in force say; None without an instance."""
    if plan.instance is None:
        return None
    served = list(_with_keys(plan.served, keys))
    ca_end = _end_of(keys.ca)
    chains = {site.domain: site.chain for site in (*keys.serving.certificates, *keys.serving.portals)}
    domains = {domain: end for domain, chain in chains.items() if (end := _end_of(chain))}
    begins = {domain: not_before(chains[domain]) for domain in domains}
    numbers = {p.number: p.link.spec.domain for p in plan.served if p.number is not None}
    portals = {name: domain for name, domain in plan.portals_served.items() if domain in domains}
    first = sorted(portals, key=lambda name: (domains[portals[name]], name))[:MAX_LINKS]
    return Expiries(
        instance=plan.instance.name,
        ca=ca_end,
        ca_begins=not_before(keys.ca) if keys.ca and ca_end else None,
        agent=_end_of(keys.agent.tls.cert_pem if keys.agent else None),
        site=domains.get(plan.instance.spec.domain),
        site_begins=begins.get(plan.instance.spec.domain),
        servers={number: end for number, name in served if (end := _end_of(keys.links[name].server.cert_pem))},
        clients={number: end for number, name in served if (end := _client_end(keys, name))},
        rotations={number: end for number, name in served if (end := rotation_deadline(keys.links[name].fingerprints))},
        sites={number: domains[domain] for number, domain in numbers.items() if domain in domains},
        sites_begin={number: begins[domain] for number, domain in numbers.items() if domain in begins},
        portals={name: domains[portals[name]] for name in first},
        portals_begin={name: begins[portals[name]] for name in first},
    )


def _end_of(cert_pem: str | None) -> datetime | None:
    """None also for what cannot be read: somebody's damaged certificate is told at its link, and stops nothing here."""
    try:
        return not_after(cert_pem) if cert_pem else None
    except ValueError:
        return None


def _with_keys(served: Iterable[LinkPlan], keys: Keys) -> Iterable[tuple[int, str]]:
    return ((p.number, p.link.name) for p in served if p.number is not None and p.link.name in keys.links)


def _client_end(keys: Keys, name: str) -> datetime | None:
    dates = [pin.not_after for pin in accepted(keys.links[name].fingerprints) if pin.not_after]
    return min(dates, default=None)
