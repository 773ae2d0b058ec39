"""Two replicas: one acts, the other takes over, and nobody acts before it knows the whole world."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest

from conftest import fresh_namespace
from mcs_operator.kube.lease import PERIOD, RENEW_WITHIN
from support.api import Api, Object
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.ordering import all_is_handled, without
from support.ports import free_port
from support.proxy import Proxy, Seen, failure, pass_on
from support.quota import until_counted
from support.scraping import Reader
from support.snapshots import Audit, audited, settled
from support.waiting import until

pytestmark = pytest.mark.integration

ON_THE_WAY = 0.25
"""Seconds from the moment at which a write is sent until the test's proxy notes it, on a busy machine."""


class Replica:
    """An operator that knows itself to be one of several."""

    def __init__(self, api: Api, name: str, folder: Path) -> None:
        self.name = name
        self.api = api
        self.operator = Operator(api.kubeconfig, folder / f"{name}.log", POD_NAMESPACE=api.namespace, POD_NAME=name)
        self.port, self.metrics_port = free_port(), free_port()
        self.reader: Reader | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Replica:
        """Start, and wait until it has listed the world, whether it leads or not."""
        self.process = self.operator.begin(f"--health-port={self.port}", f"--metrics-port={self.metrics_port}")
        until(f"{self.name} is ready", lambda: self.asked("/readyz") == 200, 60)
        return self

    def metrics(self) -> list[str]:
        """Its metrics, without the comments."""
        if self.reader is None:
            self.reader = Reader(self.api, self.api.namespace)
        return [line for line in self.reader.read(self.metrics_port).splitlines() if not line.startswith("#")]

    def asked(self, path: str) -> int:
        """Status of one of its probes; 0 where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    @property
    def leads(self) -> bool:
        lease = self.api.find("Lease", "mcs-operator")
        return lease is not None and lease["spec"].get("holderIdentity") == self.name

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)


@pytest.fixture
def home(server: Api, operator_process: Operator) -> Iterator[Api]:
    """The operator's own namespace. The session's operator, which leads without a Lease, is stopped meanwhile."""
    operator_process.stop()
    for name in fresh_namespace(server):
        yield server.within(name)


@pytest.fixture
def replicas(home: Api, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """One that leads, and one that waits."""
    first = Replica(home, "mcs-operator-a", tmp_path).start()
    until("the first one leads", lambda: first.leads, 15)
    second = Replica(home, "mcs-operator-b", tmp_path).start()
    yield first, second
    for replica in (first, second):
        if replica.operator.runs:
            replica.signal(signal.SIGCONT)
        replica.operator.stop()
        if replica.reader:
            replica.reader.remove()


def accepted(api: Api, name: str, within: float) -> float:
    begun = time.monotonic()
    api.wait_condition("TVoxLink", name, "Accepted", "True", "Accepted", within)
    return time.monotonic() - begun


# --- who acts ---


def test_of_two_replicas_one_acts_and_both_are_ready(api: Api, replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme", 30)
    assert [first.leads, second.leads] == [True, False]
    assert [second.asked("/healthz"), second.asked("/readyz")] == [200, 200]
    assert "leading" not in second.operator.since(0)
    assert "not settled" not in second.operator.since(0)
    place = f'namespace="{api.namespace}",mcs_instance="mcs"'
    server = f'mcs_link_server_certificate_expiry_timestamp_seconds{{{place},link="link-002"}} '
    until("the leader tells when certificates end", lambda: any(row.startswith(server) for row in first.metrics()), 10)
    assert "mcs_operator_leader 0" in second.metrics()
    of_instances = [row for row in second.metrics() if not row.startswith("mcs_operator_")]
    assert of_instances == [], "who does not act tells of itself alone, or every instance would be there twice"
    api.delete("TVoxLink", "acme", wait=10)
    until("a link that is gone is told no more", lambda: not any(row.startswith(server) for row in first.metrics()), 10)


def test_a_leader_that_is_killed_is_followed_in_less_than_15_seconds(
    api: Api, replicas: tuple[Replica, Replica]
) -> None:
    first, second = replicas
    api.create(an_instance(), a_community())
    settled(api)
    begun = time.monotonic()
    first.operator.kill()
    api.create(a_link("acme"))
    until("the second one leads", lambda: second.leads, 20)
    leads = time.monotonic()
    assert leads - begun < 15
    accepted(api, "acme", 30)
    assert time.monotonic() - leads < 10


def test_a_leader_that_ends_is_followed_at_once_and_nothing_is_written_twice(
    api: Api, replicas: tuple[Replica, Replica]
) -> None:
    first, second = replicas
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme", 30)
    before = settled(api)
    begun = time.monotonic()
    first.operator.stop()
    until("the second one leads", lambda: second.leads, 20)
    assert time.monotonic() - begun < 8, "sooner than the Lease of one that is killed can be taken"
    api.create(a_link("beta"))
    accepted(api, "beta", 30)
    now = settled(api)
    assert {name for name in before if now[name] != before[name]} <= {"MCSInstance/mcs", "ConfigMap/mcs-links",
                                                                      "ConfigMap/mcs-manifest"}  # fmt: skip


@pytest.mark.timeout(120)
def test_a_leader_that_hung_for_a_while_acts_no_more(api: Api, replicas: tuple[Replica, Replica]) -> None:
    """A node that was suspended, or a process that was swapped out: it wakes up in another's time."""
    first, second = replicas
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme", 30)
    until_counted(api)
    settled(api, quiet=3)  # or it owes something when it is stopped, which the second one writes
    first.signal(signal.SIGSTOP)
    until("the second one leads", lambda: second.leads, 20)
    audit = Audit.of(api)
    before = settled(api)
    first.signal(signal.SIGCONT)
    assert first.process
    assert first.process.wait(20) == 1
    assert second.leads
    assert settled(api) == before
    if audit:
        assert audit.writes(api.namespace) == []


def test_the_only_thing_that_two_idle_replicas_write_is_the_lease(
    api: Api, home: Api, replicas: tuple[Replica, Replica]
) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme", 30)
    audit, begun = audited(api), time.monotonic()
    until("the Lease was renewed three times", lambda: len(audit.writes(home.namespace)) >= 3, 30)
    assert audit.requests(api.namespace) == []
    assert set(audit.writes(home.namespace)) == {"update leases/mcs-operator"}
    assert len(audit.writes(home.namespace)) <= (time.monotonic() - begun) / PERIOD + 2


# --- and never two ---


@pytest.fixture
def throttled(server: Api, home: Api, tmp_path: Path) -> Iterator[tuple[Proxy, Replica]]:
    """A replica that leads, and its way to the API server."""
    proxy = Proxy(server.kubeconfig, tmp_path)
    there = server.within(home.namespace)
    there.kubeconfig = proxy.start()
    replica = Replica(there, "mcs-operator-a", tmp_path).start()
    until("it leads", lambda: replica.leads, 15)
    yield proxy, replica
    proxy.rule = pass_on
    replica.operator.stop()
    proxy.stop()


def asks_for_the_lease(seen: Seen) -> bool:
    return "/leases/" in seen.path


def writes_a_secret(seen: Seen, api: Api) -> bool:
    return seen.writes and f"/namespaces/{api.namespace}/secrets" in seen.path


def a_crowd(links: int = 30) -> list[Object]:
    """Work for a while on a slow server: links of which each has two Secrets, 16 at a time."""
    return [an_instance(vpn={"slots": links}), a_community(), *(a_link(f"link-{number}") for number in range(links))]


@pytest.mark.timeout(180)
def test_a_lease_that_is_lost_in_the_midst_of_writes_ends_them_at_once(
    api: Api, throttled: tuple[Proxy, Replica]
) -> None:
    """Another replica may lead from then on: one write that comes late undoes what it has written."""
    proxy, replica = throttled

    async def slow(seen: Seen) -> Object | None:
        if asks_for_the_lease(seen) and silent:
            return failure(500, "InternalError")
        if writes_a_secret(seen, api):
            await asyncio.sleep(2)  # the next 16 begin while the Lease is good for five seconds more at least
        return None

    silent = False
    proxy.rule = slow
    api.create(*a_crowd(60))
    until("it writes", lambda: sum(writes_a_secret(seen, api) for seen in proxy.seen) >= 10, 60)
    silent, ended = True, time.monotonic()
    renewed = max(seen.begun for seen in proxy.writes if asks_for_the_lease(seen) and seen.begun < ended)
    assert replica.process
    assert replica.process.wait(30) == 1
    written = [seen for seen in proxy.writes if f"/{api.namespace}/" in seen.path]
    assert [seen for seen in written if seen.begun > ended], "it wrote while the Lease was still good"
    assert [seen.begun - renewed for seen in written if seen.begun > renewed + RENEW_WITHIN + ON_THE_WAY] == []


@pytest.mark.timeout(180)
def test_a_server_that_is_slow_to_write_costs_nobody_the_lease(api: Api, throttled: tuple[Proxy, Replica]) -> None:
    """Renewals have connections of their own: behind 16 writes of ten seconds each they would come too late."""
    proxy, replica = throttled

    async def slow(seen: Seen) -> Object | None:
        if writes_a_secret(seen, api):
            await asyncio.sleep(12)
        return None

    proxy.rule = slow
    api.create(*a_crowd())

    def waiting() -> int:
        return sum(writes_a_secret(seen, api) and not seen.answered for seen in proxy.seen)

    until("all its connections wait", lambda: waiting() >= 16, 60)
    begun = time.monotonic()
    until("a Lease's life is over", lambda: time.monotonic() - begun > RENEW_WITHIN + PERIOD, 30)
    assert waiting() >= 14, "it waited all the time"
    assert replica.operator.runs
    assert "not leading any more" not in replica.operator.since(0)
    renewals = [seen for seen in proxy.writes if asks_for_the_lease(seen) and seen.begun > begun]
    assert len(renewals) >= 3


# --- who knows ---


@pytest.fixture
def proxied(server: Api, operator_process: Operator, tmp_path: Path) -> Iterator[tuple[Proxy, Operator]]:
    """An operator, not started yet, and its way to the API server."""
    operator_process.stop()
    proxy = Proxy(server.kubeconfig, tmp_path)
    operator = Operator(proxy.start(), tmp_path / "operator.log")
    yield proxy, operator
    proxy.rule = pass_on
    operator.stop()
    proxy.stop()


def populated(api: Api, operator: Operator) -> dict[str, str]:
    """Everything there is, as a first operator left it; then that one goes."""
    users = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "staff", "labels": {"mcs.tvox.io/users": "true"}},
        "data": {"users.yaml": "[{name: ann}]"},
    }
    file = {"usersFrom": [{"configMapRef": {"name": "staff"}}]}
    links = [a_link("acme"), a_link("wished", vpnAddress="198.18.254.7")]
    api.create(users, an_instance(), a_community(**file), *links)
    operator.start()
    api.wait_condition("Community", "acme", "Ready", "True", "Served")
    accepted(api, "wished", 15)
    before = settled(api)
    operator.stop()
    return before


@pytest.mark.timeout(180)
def test_a_store_that_is_still_filling_prunes_allocates_and_refuses_nothing(
    api: Api, proxied: tuple[Proxy, Operator]
) -> None:
    """Each LIST is slow, and fails once: whatever is missing in between, nothing is decided about half a world."""
    proxy, operator = proxied
    before = populated(api, operator)
    api.create(a_link("new"))  # so that there is something to decide at once
    failed: set[str] = set()

    async def slow(seen: Seen) -> Object | None:
        if not seen.lists:
            return None
        await asyncio.sleep(0.4)
        key = f"{seen.path}?{seen.query}"
        if "limit" in seen.query and key not in failed:
            failed.add(key)
            return failure(500, "InternalError")
        return None

    proxy.seen.clear()
    proxy.rule = slow
    operator.begin()
    accepted(api, "new", 120)
    listed = [seen for seen in proxy.seen if seen.lists and "limit" in seen.query]
    kinds = {"mcsinstances", "communities", "tvoxlinks", "secrets", "configmaps", "services", "statefulsets", "pods",
             "persistentvolumeclaims", "networkpolicies", "resourcequotas", "poddisruptionbudgets"}  # fmt: skip
    beside = {"nodes", "servicecidrs", "customresourcedefinitions"}
    assert {seen.plural for seen in listed} == kinds | beside, "what networks there are, and Kopf's look at our kinds"
    assert len(failed) >= len(kinds)
    assert min(seen.begun for seen in proxy.writes) > max(seen.answered for seen in listed if seen.plural in kinds)

    now = settled(api)
    mine = {"TVoxLink/new", "Secret/new-profile", "Secret/mcs-link-003"}
    hot = {"ConfigMap/mcs-links", "ConfigMap/mcs-manifest", "MCSInstance/mcs"}
    assert {name for name in {*before, *now} if before.get(name) != now.get(name)} == mine | hot


@pytest.mark.parametrize("kind", ["secrets", "tvoxlinks"])
def test_as_long_as_one_kind_is_not_listed_nothing_is_written(
    api: Api, proxied: tuple[Proxy, Operator], kind: str
) -> None:
    proxy, operator = proxied
    before = populated(api, operator)

    async def hangs(seen: Seen) -> Object | None:
        return failure(503, "ServiceUnavailable") if seen.lists and seen.plural == kind else None

    proxy.seen.clear()
    proxy.rule = hangs
    port = free_port()
    operator.begin("--health-port", str(port))
    until("it asks", lambda: sum(seen.plural == kind for seen in proxy.seen if seen.lists) >= 3, 30)
    assert proxy.writes == []
    with pytest.raises(urllib.error.HTTPError) as told:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=20)
    assert told.value.code == 503
    proxy.rule = pass_on
    until("it has listed the world", lambda: operator.since(0).count("the world is listed") == 2, 40)
    marker = all_is_handled(api)
    written = [seen.path for seen in proxy.writes if f"/{api.namespace}/" in seen.path]
    assert without(marker, written) == []
    assert settled(api) == before | {f"Community/{marker}": ANY}
