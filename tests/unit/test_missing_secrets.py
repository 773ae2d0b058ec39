"""A link whose certificate does not come, through the whole story: what is written, and who looks again."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.report import Reporter
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS
from mcs_operator.media.agents import Agents
from mcs_operator.media.lookups import Lookups
from mcs_operator.reconcile import Reconciler
from mcs_operator.settings import Settings
from support.memory import MemoryApi, Object
from support.objects import a_community, a_link, an_instance
from support.worlds import NOW, conditions


class Demo:
    """A namespace with a link that names a Secret which is not there."""

    def __init__(self) -> None:
        self.api, self.now = MemoryApi(), NOW
        store, api = Store(wake=lambda _: None), self.api
        client: Any = api
        agents = Agents(wake=lambda _: None)
        lookups = Lookups(agents.resolve, agents.resolve, wake=lambda _: None)  # type: ignore[arg-type]
        reporter = Reporter(client, store, Recorder(client, "test"))
        self.reconciler = Reconciler(client, store, agents, lookups, reporter, Settings(), clock=lambda: self.now)
        missing = {"tls": {"secretRef": {"name": "acme-tls"}}}
        for resource, body in (
            (INSTANCES, an_instance()),
            (COMMUNITIES, a_community()),
            (LINKS, a_link("acme", **missing)),
        ):
            body["metadata"] |= {"namespace": "demo"}
            api.add(store, resource, body)

    def look(self, moment: datetime) -> float | None:
        """Reconcile at that moment; seconds after which to look again."""
        self.now = moment
        self.api.writes.clear()
        return asyncio.run(self.reconciler("demo"))

    def link(self) -> Object:
        return (self.api.find(LINKS, "acme") or {})["status"]


def test_who_waits_for_a_secret_is_looked_at_when_patience_ends_which_is_written_once() -> None:
    demo = Demo()
    for seconds in (0, 1, 2):
        demo.look(NOW + timedelta(seconds=seconds))
    assert demo.api.writes == []
    assert conditions(demo.link())["Reconciling"] == ("True", "CertificateNotFound")
    again = demo.look(NOW + timedelta(seconds=3))
    assert again == pytest.approx(117)
    assert demo.api.writes == []

    again = demo.look(NOW + timedelta(seconds=3 + again))
    assert demo.api.writes == ["status TVoxLink/acme"]
    assert conditions(demo.link())["Stalled"] == ("True", "CertificateNotFound")
    assert again and again > 86400, "the next thing to renew"
    demo.look(NOW + timedelta(hours=1))
    assert demo.api.writes == []
