"""Certificates that are ordered, through the whole story: what is written for one, and that nothing is after that."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

from mcs_operator.contract.linkstate import LinkReport, MediaState
from mcs_operator.contract.lookup import Answer, Lookup
from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.domain.rules.issuance import renewal
from mcs_operator.issuing.issuer import IssuerError, RefusedError
from mcs_operator.issuing.orders import Orders
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.report import Reporter
from mcs_operator.kube.resources import COMMUNITIES, CONFIG_MAPS, INSTANCES, LINKS, SECRETS
from mcs_operator.media.agents import Agents
from mcs_operator.media.lookups import Lookups
from mcs_operator.reconcile import Reconciler
from mcs_operator.settings import Settings, certificate_secret
from support.certificates import chain, key, text_of
from support.memory import MemoryApi, Object
from support.objects import a_community, a_link, an_instance
from support.worlds import NOW, conditions, message, report

RIGHT = Answer(addresses=(IPv4Address("10.89.0.1"),))
SERVER = {"acme": {"server": "https://acme.example.com/directory"}}
OWN, ACME = certificate_secret("mcs", "mcs.test"), certificate_secret("mcs", "acme.mcs.test")


class Place:
    """A namespace in memory, whose appliance has whatever is written, and whose names lead here."""

    def __init__(self) -> None:
        self.memory, self.store, self.now = MemoryApi(), Store(wake=lambda _: None), NOW
        self.answers: dict[str, Exception] = {}
        self.ordered: list[str] = []
        self.confirms = True
        self.declare(tls=SERVER)
        for resource, body in ((COMMUNITIES, a_community()), (LINKS, a_link("acme"))):
            body["metadata"] |= {"namespace": "demo"}
            self.memory.add(self.store, resource, body)
        self.operator = self.an_operator()

    def link(self, domain: str) -> None:
        """Its object, under another name from now on."""
        body = dict(self.memory.find(LINKS, "acme") or {})
        body["spec"] = {**body["spec"], "domain": domain}
        self.memory.add(self.store, LINKS, body)

    def declare(self, **spec: Any) -> None:
        body = an_instance(retain={"pki": "Retain"}, **spec)
        body["metadata"] |= {"namespace": "demo"}
        self.memory.add(self.store, INSTANCES, body)

    def an_operator(self) -> Reconciler:
        place = self

        class Told(Agents):
            def report(self, namespace: str) -> LinkReport | None:
                return report(media=MediaState(acmeThumbprint=place.thumbprint() if place.confirms else None))

        class Known(Lookups):
            def known(self, namespace: str) -> dict[str, Lookup]:
                names = ("mcs.test", "acme.mcs.test", *(f"c{n}.mcs.test" for n in range(10)))
                return dict.fromkeys(names, Lookup(RIGHT, RIGHT))

            def follow(self, namespace: str, pod: str, names: Mapping[str, str]) -> None:
                """Nobody is asked."""

        async def aside(work: Callable[[str], KeyPair], domain: str) -> KeyPair:
            return work(domain)

        async def no_key(namespace: str, name: str) -> str:
            raise IssuerError(name)

        api: Any = self.memory
        agents = Told(wake=lambda _: None)
        orders = Orders(lambda *_: self, no_key, lambda *_: "", lambda _: None, lambda: self.now, aside)  # type: ignore[arg-type, return-value]
        return Reconciler(
            api,
            self.store,
            agents,
            Known(agents.resolve, agents.resolve, wake=lambda _: None),  # type: ignore[arg-type]
            Reporter(api, self.store, Recorder(api, "test")),
            Settings(),
            clock=lambda: self.now,
            orders=orders,
        )

    def thumbprint(self) -> str:
        files = (self.memory.find(CONFIG_MAPS, "mcs-links") or {}).get("data", {})
        return str(json.loads(files.get("instance.json", "{}")).get("acmeThumbprint", ""))

    def order(self, domain: str) -> KeyPair:
        """The server's part."""
        self.ordered.append(domain)
        if domain in self.answers:
            raise self.answers[domain]
        issued = chain(domain, begins=self.now - timedelta(hours=1), ends=self.now + timedelta(days=90))
        return KeyPair(issued, text_of(key()))

    def stop(self) -> None:
        """Nothing is under way."""

    async def run(self) -> list[str]:
        """Reconcile, and let what was begun end; what was written."""
        self.memory.writes.clear()
        await self.operator("demo")
        for resource, namespace, name in list(self.memory.objects):
            self.store.put(resource, self.memory.objects[resource, namespace, name], tls="-acme-" in name)
        await asyncio.sleep(0.02)
        return [write for write in self.memory.writes if "Event/" not in write]

    async def settle(self) -> list[str]:
        """Until nothing is written any more, twice: an order ends between two runs. All that was."""
        found: list[list[str]] = []
        while not found or any(found[-2:]) or len(found) < 2:
            found.append(await self.run())
            assert len(found) < 12, f"it never ends: {found}"
        return [write for run in found for write in run]

    def said(self, kind: Any, name: str) -> tuple[str, str, str]:
        status = (self.memory.find(kind, name) or {})["status"]
        return (*conditions(status)["CertificateReady"], message(status, "CertificateReady"))

    def secret(self, name: str) -> Object | None:
        found: Object | None = self.memory.find(SECRETS, name)
        return found


def told(story: Callable[[Place], Any]) -> Place:
    async def run() -> Place:
        place = Place()
        try:
            await story(place)
        finally:
            await place.operator.following.orders.close()  # type: ignore[union-attr]
            await place.operator.agents.close()
        return place

    return asyncio.run(run())


def test_each_name_gets_a_certificate_which_is_kept_and_served_and_at_rest_nothing_is_written() -> None:
    async def story(place: Place) -> None:
        await place.settle()
        assert sorted(place.ordered) == ["acme.mcs.test", "mcs.test"]
        assert place.said(INSTANCES, "mcs")[:2] == place.said(LINKS, "acme")[:2] == ("True", "Issued")
        for name in (OWN, ACME, "mcs-acme-account"):
            assert place.secret(name), name
        served = [n for (kind, _, n), body in place.memory.objects.items() if kind is SECRETS and "-certs-" in n]
        assert served
        for _ in range(5):
            place.now += timedelta(days=1)
            assert await place.run() == []
        assert len(place.ordered) == 2

    told(story)


def test_a_restart_writes_nothing_orders_nothing_and_keeps_the_account() -> None:
    async def story(place: Place) -> None:
        place.answers["acme.mcs.test"] = RefusedError("dns: no such name")
        await place.settle()
        thumbprint, ordered = place.thumbprint(), list(place.ordered)
        assert place.said(LINKS, "acme")[1] == "OrderFailed"
        await place.operator.following.orders.close()  # type: ignore[union-attr]
        place.operator = place.an_operator()
        for _ in range(3):
            assert await place.run() == []
        assert place.ordered == ordered
        assert place.thumbprint() == thumbprint
        place.now += timedelta(minutes=12)
        del place.answers["acme.mcs.test"]
        await place.settle()
        assert place.said(LINKS, "acme")[1] == "Issued"

    told(story)


def test_a_renewal_writes_its_secret_and_one_shard_and_restarts_nothing() -> None:
    async def story(place: Place) -> None:
        await place.settle()
        before = (place.secret(ACME) or {})["data"]["tls.crt"]
        place.now += timedelta(days=64)
        written = await place.settle()
        assert (place.secret(ACME) or {})["data"]["tls.crt"] != before
        kinds = {write.split(" ")[1].split("/")[0] for write in written}
        assert kinds <= {"Secret", "ConfigMap", "TVoxLink", "MCSInstance"}, written
        assert place.said(LINKS, "acme")[2].endswith(f"renewed by {_renewed(place.now):%Y-%m-%d}")

    told(story)


def _renewed(issued: datetime) -> datetime:
    return renewal("acme.mcs.test", issued - timedelta(hours=1), issued + timedelta(days=90))


def test_a_pod_of_before_is_taken_over_and_nothing_is_ordered_for_it() -> None:
    async def story(place: Place) -> None:
        place.confirms = False
        await place.settle()
        assert place.ordered == []
        assert place.said(LINKS, "acme")[:2] == ("Unknown", "NotSupported")
        place.confirms = True
        await place.settle()
        assert place.said(LINKS, "acme")[:2] == ("True", "Issued")

    told(story)


def test_where_the_secret_cannot_be_written_the_certificate_is_served_and_ordered_once() -> None:
    async def story(place: Place) -> None:
        foreign = {"metadata": {"name": ACME, "namespace": "demo", "labels": {}}, "type": "Opaque", "data": {}}
        place.memory.add(place.store, SECRETS, foreign)
        place.store.drop(SECRETS, "demo", ACME, place.memory.objects[SECRETS, "demo", ACME]["metadata"]["uid"])
        for _ in range(4):
            await place.run()
        assert place.ordered.count("acme.mcs.test") == 1
        shards = [b for (k, _, n), b in place.memory.objects.items() if k is SECRETS and "-certs-" in n]
        assert any(b"acme.mcs.test" in base64.b64decode(text) for b in shards for text in b["data"].values())

    told(story)


def test_who_renames_his_link_again_and_again_uses_up_no_more_than_five_certificates_of_a_week() -> None:
    async def story(place: Place) -> None:
        await place.settle()
        for n in range(10):
            place.link(f"c{n}.mcs.test")
            await place.settle()
            place.now += timedelta(minutes=1)
        assert place.ordered[2:] == ["c0.mcs.test", "c1.mcs.test", "c2.mcs.test", "c3.mcs.test"]
        text = "c9.mcs.test: 5 new names of this object were ordered for within a week; its turn comes on 2026-03-08"
        assert place.said(LINKS, "acme") == ("False", "Pending", text)

    told(story)


def test_what_was_issued_for_a_name_that_is_gone_is_counted_also_by_an_operator_that_starts_anew() -> None:
    async def story(place: Place) -> None:
        place.declare(tls={"acme": {**SERVER["acme"], "certificatesPerWeek": 3}})
        await place.settle()
        place.link("c0.mcs.test")
        await place.settle()
        assert len(place.ordered) == 3
        place.link("c1.mcs.test")
        for _ in range(2):
            await place.settle()
            assert len(place.ordered) == 3
            text = "c1.mcs.test: the server's weekly limit for mcs.test is reached; its turn comes on 2026-03-08"
            assert place.said(LINKS, "acme") == ("False", "Pending", text)
            await place.operator.following.orders.close()  # type: ignore[union-attr]
            place.operator = place.an_operator()

    told(story)


def test_without_a_server_what_was_issued_is_served_on_and_nothing_is_ordered() -> None:
    async def story(place: Place) -> None:
        await place.settle()
        place.declare()
        await place.settle()
        assert place.said(LINKS, "acme")[:2] == ("True", "Provided")
        place.now += timedelta(days=80)
        await place.run()
        assert len(place.ordered) == 2

    told(story)
