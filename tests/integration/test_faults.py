"""An API server that throttles, cuts watches or is restarted: nothing is asked again and again, nothing is missed, and
what was well is not written anew.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcs_operator.kube.cache.watch import SCOPES
from support.api import Api, Object
from support.cluster import CLUSTER, MissingError
from support.levels import left_out_if_missing
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.proxy import NOTHING, Proxy, Seen, failure, pass_on
from support.quota import create_quota
from support.snapshots import files, settled
from support.waiting import until

WATCHES = len(SCOPES)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def proxy(server: Api, operator_process: Operator, tmp_path: Path) -> Iterator[Proxy]:
    """The way of this test's operator to the API server. The session's own one is stopped meanwhile."""
    operator_process.stop()
    proxy = Proxy(server.kubeconfig, tmp_path)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def served(api: Api, proxy: Proxy, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A namespace with two customers, quiet, served through the proxy: its versions."""
    operator = Operator(proxy.folder / "proxied.kubeconfig", tmp_path / "operator.log")
    api.create(an_instance(), a_community(), a_link("acme"), a_link("bolt"))
    operator.start()
    api.wait_condition("TVoxLink", "bolt", "Accepted", "True")
    yield settled(api)
    proxy.rule = pass_on
    operator.stop()


def test_where_writes_are_throttled_each_is_tried_a_few_times_and_done_in_the_end(
    api: Api, proxy: Proxy, served: dict[str, str]
) -> None:
    async def throttled(seen: Seen) -> Object | None:
        return failure(429, "TooManyRequests", retry_after=2) if seen.writes else None

    proxy.rule = throttled
    proxy.seen.clear()
    begun = time.monotonic()
    api.create(a_link("cara"))

    def tries() -> int:
        """In this namespace: those of the tests before are just being deleted, and each object that goes is an event
        that ends their back-off."""
        own = [seen for seen in proxy.writes if f"/namespaces/{api.namespace}/" in seen.path]
        return max(Counter(f"{seen.method} {seen.path}" for seen in own).values(), default=0)

    until("a write is tried for the third time", lambda: tries() >= 3, 60)
    assert time.monotonic() - begun > 4, "two seconds were asked for, and it waits longer each time"
    proxy.rule = pass_on
    api.wait_condition("TVoxLink", "cara", "Accepted", "True", timeout=30)
    now = settled(api)
    until("its slot is there", lambda: "mcs-link-004" in {s["metadata"]["name"] for s in api.list("Secret")})
    others = {name for name in served if name.startswith(("Secret/", "TVoxLink/", "StatefulSet/", "Service/"))}
    assert {name for name in others if now.get(name) != served[name]} == set()


def test_watches_that_are_cut_miss_nothing_and_nothing_is_written_for_them(
    api: Api, proxy: Proxy, served: dict[str, str]
) -> None:
    for _ in range(2):
        until("all is watched", lambda: proxy.watches >= WATCHES, 20)
        proxy.cut()
    until("all is watched", lambda: proxy.watches >= WATCHES, 20)
    assert settled(api) == served
    proxy.cut()
    api.delete("Secret", "mcs-link-002")
    api.change("TVoxLink", "bolt", allowedSources=["192.0.2.0/24"])
    until("it is repaired", lambda: api.find("Secret", "mcs-link-002"), 30)
    until("it is done", lambda: "192.0.2.0/24" in str(files(api.get("Secret", "mcs-link-003"))), 30)


def test_watches_that_end_as_soon_as_they_begin_are_not_begun_all_the_time(
    api: Api, proxy: Proxy, served: dict[str, str]
) -> None:
    async def ended(seen: Seen) -> Object | None:
        return NOTHING if is_ours(seen) else None

    proxy.rule = ended
    proxy.cut()
    time.sleep(2)
    proxy.seen.clear()
    time.sleep(6)
    begun = Counter(f"{seen.path}?{selector(seen)}" for seen in proxy.seen if is_ours(seen))
    assert begun
    assert max(begun.values()) <= 6, begun
    proxy.rule = pass_on
    api.delete("Secret", "mcs-link-002")
    until("it is repaired", lambda: api.find("Secret", "mcs-link-002"), 60)


def is_ours(seen: Seen) -> bool:
    """A watch of ours: those of Kopf, of our three kinds and of their definitions, have no pause to be set."""
    return "watch" in seen.query and seen.agent.startswith("mcs-operator")


def selector(seen: Seen) -> str:
    return seen.query.get("labelSelector", "") + seen.query.get("fieldSelector", "")


def test_an_api_server_that_is_killed_and_comes_back_finds_the_operator_at_its_work(
    server: Api, api: Api, operator: Operator
) -> None:
    record = server.kubeconfig.parent / "run" / "kube-apiserver.json"
    with left_out_if_missing():
        if not record.exists():
            raise MissingError("this API server is not ours to kill")
    api.create(an_instance(), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    before, mark = settled(api), operator.log.stat().st_size

    os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)
    time.sleep(5)
    said = operator.since(mark)
    subprocess.run(
        [CLUSTER, "apiserver-up", "--env"],
        env=os.environ | {"MCS_CLUSTER_DIR": str(server.kubeconfig.parents[1])},
        capture_output=True,
        check=True,
    )
    # The controllers wait before they watch again, and the next test would be without them.
    create_quota(api, "pods", {"pods": "9"})

    assert operator.runs
    assert 0 < len(said.splitlines()) < 150, said[-4000:]
    api.create(a_link("bolt"))
    api.wait_condition("TVoxLink", "bolt", "Accepted", "True", timeout=45)
    now = settled(api)
    hot = {"ConfigMap/mcs-links", "ConfigMap/mcs-manifest", "MCSInstance/mcs"}
    assert {name for name in before if now.get(name) != before[name]} <= hot
    api.delete("Secret", "mcs-link-002")
    until("the children are watched again", lambda: api.find("Secret", "mcs-link-002"), 45)
