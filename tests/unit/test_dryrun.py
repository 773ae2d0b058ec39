"""A dry run tells what the next run writes, and writes nothing."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from mcs_operator.__main__ import main
from mcs_operator.dryrun import DryRun
from mcs_operator.following import Following
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.dryrun import DryRunApi
from mcs_operator.kube.errors import NotLeadingError
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.report import Reporter
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS, PODS, SECRETS, Resource
from mcs_operator.media.agents import Agents
from mcs_operator.media.lookups import Lookups
from mcs_operator.reconcile import Reconciler
from mcs_operator.settings import ANNOTATION_RESTART, Settings
from support.memory import MemoryApi, Object
from support.objects import a_community, a_link, an_instance
from support.worlds import NOW

USER = "anna.bauer"


class Wire:
    """A connection on which nothing may be sent."""

    def __init__(self) -> None:
        self.configuration = SimpleNamespace(host="https://api")

    async def update_params_for_auth(self, *_: Any) -> None: ...

    async def call_api(self, method: str, url: str, **_: Any) -> Any:
        raise AssertionError(f"{method} {url}")


class Dry(DryRunApi):
    """Reads from memory."""

    def __init__(self, memory: MemoryApi) -> None:
        wire: Any = Wire()
        super().__init__(wire)
        self.memory = memory

    async def stored(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return await self.memory.get(resource, namespace or "", name)

    async def list(self, resource: Resource, **selected: Any) -> tuple[list[Object], str]:
        return await self.memory.list(resource, **selected)


class Place:
    """A namespace in memory."""

    def __init__(self) -> None:
        self.memory, self.store = MemoryApi(), Store(wake=lambda _: None)

    def put(self, resource: Resource, body: Object, **metadata: Any) -> None:
        body["metadata"] |= {"namespace": "demo"} | metadata
        self.memory.add(self.store, resource, body)

    def crowd(self) -> None:
        self.put(INSTANCES, an_instance())
        self.put(COMMUNITIES, a_community(users=[USER]))
        for name in ("acme", "bolt"):
            self.put(LINKS, a_link(name))

    def reconciler(self, api: Any) -> Reconciler:
        agents = Agents(wake=lambda _: None)
        lookups = Lookups(agents.resolve, agents.resolve, wake=lambda _: None)  # type: ignore[arg-type]
        reporter = Reporter(api, self.store, Recorder(api, "test"))
        return Reconciler(api, self.store, agents, lookups, reporter, Settings(), clock=lambda: NOW)

    def foretold(self) -> list[str]:
        """By a process of its own, which has listed what there is."""
        other = Place()
        other.memory.objects = {key: copy.deepcopy(body) for key, body in self.memory.objects.items()}
        other.memory._version = self.memory._version
        for (resource, _, _), body in other.memory.objects.items():
            other.store.put(resource, copy.deepcopy(body))
        before = {key: copy.deepcopy(body) for key, body in other.memory.objects.items()}
        api = Dry(other.memory)
        lines, is_whole = asyncio.run(DryRun(api, Settings(), other.store).tell(other.reconciler(api), "demo"))
        assert is_whole
        assert other.memory.writes == [] and other.memory.objects == before
        return lines

    def written(self) -> set[str]:
        self.memory.writes.clear()
        asyncio.run(self.reconciler(self.memory)("demo"))
        return objects(self.memory.writes)

    def settle(self) -> None:
        while self.written():
            pass


def objects(lines: Iterable[str]) -> set[str]:
    """Kind and name; Events without what makes their names unique."""
    words = (line.split()[1].rstrip(":") for line in lines)
    return {word.partition(".")[0] if word.startswith("Event/") else word for word in words}


def writes(lines: Iterable[str]) -> list[str]:
    told = (line.removeprefix("demo: ") for line in lines)
    return [line for line in told if line.split()[0] in ("create", "change", "remove")]


@pytest.fixture
def place() -> Place:
    place = Place()
    place.crowd()
    return place


def test_a_new_namespace_is_told_object_by_object_and_then_written_so(place: Place) -> None:
    lines = place.foretold()
    assert "demo: create Secret/acme-profile" in lines
    assert "demo: create StatefulSet/mcs" in lines
    assert "demo: create ResourceQuota/mcs-max-250-tvoxlinks" in lines
    assert "demo: change MCSInstance/mcs status" in lines
    assert objects(writes(lines)) == place.written()
    assert USER not in "\n".join(lines)


def test_of_a_settled_namespace_there_is_nothing_to_tell(place: Place) -> None:
    place.settle()
    assert place.foretold() == ["demo: nothing to do"]


def test_what_changes_and_what_is_removed_is_told_with_its_reason(place: Place) -> None:
    place.settle()
    place.put(LINKS, a_link("bolt", enabled=False), generation=2)
    place.put(LINKS, a_link("cara"))
    _ = place.memory.objects.pop((LINKS, "demo", "acme"))
    place.store.drop(LINKS, "demo", "acme", "uid-TVoxLink-acme")
    lines = place.foretold()
    assert "demo: remove Secret/mcs-link-002: its link has no place there any more" in lines
    assert "demo: change Secret/mcs-link-003" in lines
    assert "demo: change Secret/acme-profile" in lines, "its retention clock starts"
    assert "demo: create Secret/cara-profile" in lines
    assert objects(writes(lines)) == place.written()


def test_what_becomes_of_the_pod_is_told_and_not_done(place: Place) -> None:
    place.settle()
    template = place.memory.objects[_key("StatefulSet", place), "demo", "mcs"]["spec"]["template"]["metadata"]
    pod = {
        "metadata": {"name": "mcs-0", "namespace": "demo", "labels": template["labels"]}
        | {"annotations": template["annotations"], "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "node", "containers": [{"name": "media", "image": "media"}]},
        "status": {"containerStatuses": [{"name": "media", "ready": True, "state": {"running": {}}}]},
    }
    place.put(PODS, pod)
    place.settle()
    asked = (NOW.replace(microsecond=0)).strftime("%Y-%m-%dT%H:%M:%SZ")
    place.put(INSTANCES, an_instance(), generation=1, annotations={ANNOTATION_RESTART: asked})
    lines = place.foretold()
    assert [line for line in lines if line.startswith("demo: pod")] == [
        f"demo: pod mcs-0: starts to drain: annotation {ANNOTATION_RESTART} of MCSInstance mcs asks for it"
    ]
    assert "demo: change Pod/mcs-0" in lines
    assert objects(writes(lines)) == place.written()


def test_a_namespace_that_fails_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> Any:
        raise KeyError(USER)

    api = Dry(place.memory)
    reconciler = place.reconciler(api)
    monkeypatch.setattr(Following, "known", fails)
    lines, is_whole = asyncio.run(DryRun(api, Settings(), place.store).tell(reconciler, "demo"))
    assert not is_whole
    assert len(lines) == 1 and lines[0].startswith("demo: fails: KeyError") and USER not in lines[0]


def test_what_gets_past_the_client_is_not_sent_either() -> None:
    api = Dry(MemoryApi())
    with pytest.raises(NotLeadingError):
        asyncio.run(api.replace(SECRETS, {"metadata": {"namespace": "demo", "name": "a"}}))


def test_a_cluster_that_cannot_be_reached_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["run", "--dry-run"]) == 1
    assert "nothing can be told" in caplog.text


def _key(kind: str, place: Place) -> Resource:
    return next(resource for resource, _, _ in place.memory.objects if resource.kind == kind)
