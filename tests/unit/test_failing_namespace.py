"""Whatever the operator fails at in a namespace: it says so there, and what does not depend on it goes on.

The story is the real one, with real keys; only the API server is in memory, and one part of it is broken by the test.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from mcs_operator import following
from mcs_operator import reconcile as module
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.observe import MISSED_SECONDS
from mcs_operator.kube.report import Reporter
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS, PODS, SECRETS
from mcs_operator.media.agents import Agents
from mcs_operator.media.lookups import Lookups
from mcs_operator.reconcile import Reconciler
from mcs_operator.render import changes as changing
from mcs_operator.render import render as rendering
from mcs_operator.settings import ANNOTATION_REVOKE, LABEL_MANAGED_BY, OPERATOR, Settings
from support.memory import MemoryApi, Object
from support.objects import a_community, a_link, an_instance
from support.worlds import NOW


class BrokenError(Exception):
    """What nobody thought of. Its text has a secret in it."""

    def __init__(self) -> None:
        super().__init__("-----BEGIN PRIVATE KEY-----")


def breaks(*_: Any, **__: Any) -> Any:
    raise BrokenError


class Demo:
    """A namespace with an instance, a community and two links, and whoever reconciles it."""

    def __init__(self) -> None:
        self.api, self.now = MemoryApi(), NOW
        self.store = Store(wake=lambda _: None)
        api: Any = self.api
        agents = Agents(wake=lambda _: None)
        lookups = Lookups(agents.resolve, breaks, wake=lambda _: None)
        reporter = Reporter(api, self.store, Recorder(api, "test"))
        self.reconciler = Reconciler(api, self.store, agents, lookups, reporter, Settings(), clock=lambda: self.now)
        self.put(INSTANCES, an_instance())
        self.put(COMMUNITIES, a_community(users=["ann"]))
        for name in ("acme", "bolt"):
            self.put(LINKS, a_link(name))

    def put(self, resource: Any, body: Object, **metadata: Any) -> None:
        body["metadata"] |= {"namespace": "demo"} | metadata
        self.api.add(self.store, resource, body)

    def run(self) -> Exception | None:
        """Reconcile once, a second later; what it raised."""
        self.now += timedelta(seconds=1)
        self.api.writes.clear()
        try:
            asyncio.run(self.reconciler("demo"))
        except Exception as error:
            return error
        return None

    def settle(self) -> None:
        for _ in range(3):
            assert self.run() is None
        assert self.api.writes == []

    def revoke(self, name: str, at: datetime) -> None:
        text = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        self.put(LINKS, a_link(name), generation=1, annotations={ANNOTATION_REVOKE: text})

    def condition(self, resource: Any, name: str, type: str) -> tuple[str, str, str]:
        body = self.api.find(resource, name) or {}
        for found in (body.get("status") or {}).get("conditions") or []:
            if found["type"] == type:
                return found["status"], found["reason"], found["message"]
        return "", "", ""

    def stalled(self) -> tuple[str, str, str]:
        return self.condition(INSTANCES, "mcs", "Stalled")

    def runs(self, name: str) -> bool:
        """Whether the slot of this link is told to run."""
        labels = {"mcs.tvox.io/link": name}
        slots = [
            body
            for (kind, _, its), body in self.api.objects.items()
            if kind is SECRETS and "-link-" in its and labels.items() <= body["metadata"]["labels"].items()
        ]
        return bool(slots) and base64.b64decode(slots[0]["data"]["enabled"]) == b"true"


@pytest.fixture
def demo() -> Demo:
    demo = Demo()
    demo.settle()
    assert demo.runs("acme") and demo.runs("bolt")
    assert demo.stalled()[:2] == ("False", "NotStalled")
    return demo


PARTS = [
    "build_quota",
    "build_authority",
    "build_agent",
    "build_shards",
    "build_services",
    "build_network_policy",
    "build_volume_claim",
    "build_stateful_set",
]
STEPS = ["decide", "complete", "render", "with_newest_identities", "without_leftovers", "changes"]
LATER_STEPS = [
    (following, "expiries"),
    (following, "names_to_ask"),
    (module, "all_statuses"),
    (module, "wanted"),
    (module, "pod_changes"),
    (changing, "decide_rollout"),
    (changing, "identity_owners"),
    (changing, "identity_json"),
]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_cannot_be_made_is_told_and_the_rest_is_done(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(rendering, part, breaks)
    demo.revoke("acme", demo.now)
    demo.put(LINKS, a_link("cara"))
    kept = {key for key in demo.api.objects if key[0] is not LINKS}

    assert demo.run() is None

    assert not demo.runs("acme")
    assert demo.runs("bolt") and demo.runs("cara")
    assert kept <= set(demo.api.objects), "what cannot be made is not taken away"
    status, reason, message = demo.stalled()
    assert (status, reason) == ("True", "ReconcileFailed")
    assert "BrokenError in " in message and "PRIVATE KEY" not in message
    assert len(demo.reconciler.failures) == 1

    monkeypatch.undo()
    demo.run()
    assert demo.stalled()[:2] == ("False", "NotStalled")
    assert not demo.reconciler.failures
    demo.settle()


def test_nothing_is_signed_with_a_ca_that_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its profiles would be uploaded, and void at the next run, which makes another one."""
    demo = Demo()
    monkeypatch.setattr(rendering, "build_authority", breaks)
    for _ in range(2):
        assert demo.run() is None
    assert [name for kind, _, name in demo.api.objects if kind is SECRETS and "users" not in name] == []
    assert demo.stalled()[:2] == ("True", "ReconcileFailed")
    monkeypatch.undo()
    demo.settle()
    assert demo.runs("acme") and demo.runs("bolt")


@pytest.mark.parametrize("step", STEPS)
def test_when_nothing_can_be_decided_or_made_who_is_revoked_is_stopped_all_the_same(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(module, step, breaks)
    demo.revoke("acme", demo.now)

    assert isinstance(demo.run(), BrokenError)
    assert not demo.runs("acme")
    assert demo.runs("bolt")
    assert demo.stalled()[1] == "NotStalled", "once may be chance"

    assert isinstance(demo.run(), BrokenError)
    status, reason, message = demo.stalled()
    assert (status, reason) == ("True", "ReconcileFailed")
    assert "BrokenError in " in message and "PRIVATE KEY" not in message
    assert demo.condition(INSTANCES, "mcs", "Accepted")[0] == "True", "all else stays as it was last told"

    for _ in range(3):
        demo.run()
        assert [write for write in demo.api.writes if "Event" not in write] == [], "it is told once"

    monkeypatch.undo()
    assert demo.run() is None
    assert demo.stalled()[:2] == ("False", "NotStalled")
    assert not demo.runs("acme")
    demo.settle()


@pytest.mark.parametrize(("where", "step"), LATER_STEPS)
def test_a_step_that_fails_keeps_no_revocation_from_being_written(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, where: ModuleType, step: str
) -> None:
    monkeypatch.setattr(where, step, breaks)
    demo.revoke("acme", demo.now)
    demo.run()
    assert not demo.runs("acme")
    assert demo.runs("bolt")


def test_where_it_cannot_be_decided_what_becomes_of_the_pod_it_is_poked_for_a_revocation_all_the_same(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.put(PODS, {"metadata": {"name": "mcs-0", "labels": {LABEL_MANAGED_BY: OPERATOR}}})
    assert demo.run() is None
    monkeypatch.setattr(module, "pod_changes", breaks)
    demo.revoke("acme", demo.now)
    assert isinstance(demo.run(), BrokenError)
    assert "merge Pod/mcs-0" in demo.api.writes
    demo.run()
    assert "merge Pod/mcs-0" not in demo.api.writes


@pytest.mark.parametrize("part", ["build_identity", "build_slot"])
def test_what_fails_at_one_link_stays_with_it(demo: Demo, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    builds = getattr(rendering, part)

    def breaks_for_acme(instance: Any, plan: Any, *more: Any, **named: Any) -> Any:
        return breaks() if plan.link.name == "acme" else builds(instance, plan, *more, **named)

    monkeypatch.setattr(rendering, part, breaks_for_acme)
    demo.revoke("bolt", demo.now)
    assert demo.run() is None
    assert not demo.runs("bolt")
    assert demo.runs("acme"), "it goes on with what it has"
    assert demo.condition(LINKS, "acme", "Stalled")[:2] == ("True", "ReconcileFailed")
    assert demo.condition(LINKS, "bolt", "Stalled")[:2] == ("False", "NotStalled")
    assert demo.stalled()[0] == "False"
    demo.run()
    assert [write for write in demo.api.writes if "Event" not in write] == []


def refuses(what: str, error: Exception) -> Callable[[str, str, str], Exception | None]:
    """Trouble with one object, whatever is done to it."""
    return lambda verb, kind, name: error if what == f"{kind}/{name}" and verb != "get" else None


SERVER = [
    pytest.param(ApiError(403, "Forbidden", "a policy says no"), id="refused"),
    pytest.param(ApiError(500, "InternalError", "etcd"), id="server error"),
    pytest.param(ApiError(0, "NoAnswer", "the API server does not answer: reset"), id="no answer"),
    pytest.param(BrokenError(), id="what nobody thought of"),
]


OBJECTS = [
    "Secret/mcs-ca",
    "Secret/mcs-agent",
    "Secret/acme-profile",
    "Secret/bolt-profile",
    "ConfigMap/mcs-links",
    "ConfigMap/mcs-manifest",
    "Service/mcs",
    "StatefulSet/mcs",
]


@pytest.mark.parametrize("error", SERVER)
@pytest.mark.parametrize("what", OBJECTS)
def test_an_object_that_cannot_be_written_keeps_nobody_revoked_connected(
    demo: Demo, what: str, error: Exception
) -> None:
    assert what in {f"{kind.kind}/{name}" for kind, _, name in demo.api.objects}
    demo.api.trouble = refuses(what, error)
    for (kind, _, name), body in list(demo.api.objects.items()):  # so that it has to be written
        if f"{kind.kind}/{name}" == what:
            body["metadata"]["annotations"]["mcs.tvox.io/applied"] = "another"
            demo.api.add(demo.store, kind, body)
    demo.revoke("acme", demo.now)
    demo.run()
    assert not demo.runs("acme")
    assert demo.runs("bolt")


def test_a_slot_that_somebody_made_immutable_is_stopped_all_the_same(demo: Demo) -> None:
    immutable = ApiError(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
    demo.api.trouble = lambda verb, kind, name: immutable if name == "mcs-link-002" and verb == "apply" else None
    demo.revoke("acme", demo.now)
    demo.run()
    assert not demo.runs("acme")


def test_errors_of_the_api_server_are_told_when_they_last(demo: Demo) -> None:
    """They are everybody's, and a thousand namespaces would be written for each hiccup."""
    demo.api.trouble = lambda verb, kind, name: ApiError(500, "InternalError", "ann") if verb == "get" else None
    demo.revoke("acme", demo.now)
    secret = demo.api.find(SECRETS, "mcs-link-003")
    assert secret
    changed = demo.api.add(Store(wake=lambda _: None), SECRETS, secret)
    demo.store.put(SECRETS, {"metadata": changed["metadata"]})  # a watch told of it, and it has to be read
    for _ in range(4):
        assert isinstance(demo.run(), ApiError)
        assert demo.stalled()[1] == "NotStalled"
    demo.run()
    assert demo.stalled()[:2] == ("True", "ReconcileFailed")
    assert "500 InternalError" in demo.stalled()[2] and "ann" not in demo.stalled()[2]


def test_without_an_instance_whatever_is_there_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = Demo()
    demo.store.drop(INSTANCES, "demo", "mcs", "uid-MCSInstance-mcs")
    demo.settle()
    monkeypatch.setattr(module, "decide", breaks)
    for _ in range(2):
        demo.run()
    assert demo.condition(LINKS, "acme", "Stalled")[:2] == ("True", "ReconcileFailed")
    assert demo.condition(COMMUNITIES, "acme", "Stalled")[:2] == ("True", "ReconcileFailed")


def test_a_pull_secret_that_is_not_there_is_told_and_looked_for_until_it_is(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.put(INSTANCES, an_instance(imagePullSecrets=[{"name": "registry"}]), generation=2)
    demo.settle()
    assert demo.condition(INSTANCES, "mcs", "Reconciling")[:2] == ("True", "PullSecretNotFound")
    pause = asyncio.run(demo.reconciler("demo"))
    assert pause is not None and pause <= MISSED_SECONDS, "no watch will tell that it came"
    metadata = {"name": "registry", "namespace": "demo"}
    demo.api.add(Store(wake=lambda _: None), SECRETS, {"metadata": metadata, "type": "kubernetes.io/dockerconfigjson"})
    later = time.monotonic() + MISSED_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    demo.run()
    assert demo.stalled()[:2] == ("False", "NotStalled")
    assert demo.api.writes == ["status MCSInstance/mcs"]
