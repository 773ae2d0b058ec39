"""Certificates by the operator's own orders, from Pebble: the whole operator, and the real appliance, whose HAProxy
answers the challenges from the files that the operator wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.api import Api
from support.fake_agent import FakeAgent, FakeAppliance, fake_agent, free_base_port
from support.levels import left_out_if_missing
from support.names import knowing
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.pebble import Pebble, pebble
from support.site import Site, site

ADDRESS = "10.89.0.1"
OWN, ACME, BETA, PORTAL, LOST = "mcs.test", "acme.mcs.test", "beta.mcs.test", "meet.acme.test", "lost.mcs.test"
GOOD = (OWN, ACME, BETA, PORTAL)


@dataclass
class Lab:
    """Everything together. ``pod``: the stand-in agent."""

    api: Api
    operator: Operator
    server: Pebble
    site: Site
    pod: FakeAgent


@contextmanager
def lab(api: Api, folder: Path, **acme: Any) -> Iterator[Lab]:
    """An instance that orders, with a community that has a portal, and links acme and beta."""
    with left_out_if_missing():
        within = knowing(dict.fromkeys((*GOOD, LOST), ADDRESS), folder)
    with site(api) as served:
        (folder / "pebble").mkdir()
        with pebble(folder / "pebble", served.http, GOOD) as server:
            operator = Operator(api.kubeconfig, folder / "operator.log", within=within)
            operator.start()
            base = free_base_port()
            tls = {"acme": server.acme(**acme)}
            links = [a_link("acme"), a_link("beta")]
            try:
                api.create(
                    an_instance(vpn={"slots": 6, "basePort": base}, tls=tls), a_community(portalDomain=PORTAL), *links
                )
                with fake_agent(api, base) as agent:
                    agent.appliance = FakeAppliance(api, "mcs")
                    agent.appliance.answers_challenges = True
                    agent.addresses |= dict.fromkeys((*GOOD, LOST), ADDRESS)
                    yield Lab(api, operator, server, served, agent)
            finally:
                operator.stop()


def ready(api: Api, kind: str, name: str, *, timeout: float = 90) -> str:
    return str(api.wait_condition(kind, name, "CertificateReady", "True", "Issued", timeout))
