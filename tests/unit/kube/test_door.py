"""Whatever Kubernetes brings: nothing raises past the door, nothing takes long, nothing is kept without bound.

MCS_FUZZ=100000 makes so many inputs, MCS_FUZZ_SEED others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.decide import decide, without_leftovers
from mcs_operator.domain.rules.restored import with_newest_identities
from mcs_operator.domain.status import Wanted, all_statuses
from mcs_operator.following import names_of
from mcs_operator.handlers.metrics import instances
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.known import Known
from mcs_operator.kube.observe import observe
from mcs_operator.kube.resources import CONFIG_MAPS, INSTANCES, OURS, PODS, SECRETS
from mcs_operator.pki import believed
from support.hostile import encoded
from support.hostile.objects import bodies, good, stored
from support.objects import an_instance
from support.worlds import NAMESPACE, NOW

COUNT, SEED = int(os.environ.get("MCS_FUZZ", "1000")), int(os.environ.get("MCS_FUZZ_SEED", "250"))
ROUND = 50
LONGEST_SECONDS = 0.05
MOST_MEGABYTES = 150
REACHED = {
    *("Authority", "AgentCredentials", "Damaged", "DamagedProfile", "Pod", "Profile", "SlotSecret", "TlsSecret"),
    *("Usage", "Unreadable", "TVoxLink", "UsersFile"),
}
"""What a thousand inputs come to: a fuzz test whose inputs are all refused at the first door tests that door alone."""


class Bodies:
    """An API server that gives what was put into it."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, str], Any] = {}

    async def get(self, resource: Any, _: str, name: str) -> Any:
        return self.known.get((resource, name))

    async def list(self, *_: Any, **__: Any) -> tuple[list[Any], str]:
        return [], "1"


class Slowest:
    """The longest that one call took, in seconds of this thread's own: others work on the machine as well."""

    def __init__(self) -> None:
        self.seconds, self.what = 0.0, ""

    def call(self, what: str, work: Callable[[], Any]) -> Any:
        begun = time.thread_time()
        found = work()
        took = time.thread_time() - begun
        if took > self.seconds:
            self.seconds, self.what = took, what
        return found


def megabytes() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.ERROR)
    yield
    assert not caplog.records


def look(store: Store, api: Any) -> set[str]:
    """Everything that reads the store, down to the statuses; what was found, by type."""
    world = asyncio.run(observe(api, store, NAMESPACE, NOW, None))
    found = {type(child.detail).__name__ for child in store.cache(NAMESPACE).children.values()}
    found |= {type(thing).__name__ for thing in (*world.unreadable, *world.links, *world.users_files.values())}
    world, _ = without_leftovers(with_newest_identities(believed(world)))
    all_statuses(world, decide(world), Wanted(revisions={}))
    known = Known(store, names_of(store, lambda: NOW))
    known.slots(NAMESPACE, "mcs")
    list(known.identities(NAMESPACE, "mcs"))
    list(known.domain_holders(NAMESPACE, "mcs.test"))
    known.is_domain_owned_elsewhere("elsewhere", "mcs.test", Kind.LINK, "acme")
    asyncio.run(known.names.elsewhere(NAMESPACE))
    "".join(instances(store, {}))
    return found


@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(0)
def test_no_body_raises_holds_up_the_others_or_stays() -> None:
    store, api, slowest = Store(wake=lambda _: None), Bodies(), Slowest()
    for number, (resource, body) in enumerate(good()):
        store.take(resource, stored(body, number + 1))
    found = look(store, api)
    before = megabytes()
    for number, (resource, body) in enumerate(bodies(SEED, COUNT), 1):
        if isinstance(body, dict) and isinstance(body.get("metadata"), dict):
            api.known[resource, str(body["metadata"].get("name"))] = body
        take = store.put if resource in OURS or number % 3 == 0 else store.take
        slowest.call(f"{resource.kind} {number}", lambda take=take, r=resource, b=body: take(r, b))
        if number % ROUND == 0:
            found |= look(store, api)
    assert found >= REACHED, "the inputs do not come to every reader"
    assert slowest.seconds < LONGEST_SECONDS, slowest.what
    assert megabytes() - before < MOST_MEGABYTES


@pytest.mark.usefixtures("quiet")
def test_the_largest_objects_that_there_can_be_are_taken_in_at_once() -> None:
    """1 MiB of data: text that is no JSON, brackets, quotes, base64 that ends nowhere."""
    store, slowest = Store(wake=lambda _: None), Slowest()
    for _, body in good()[:4]:
        store.put(OURS[0], stored(body, 1))
    labels = {"app.kubernetes.io/managed-by": "mcs-operator", "mcs.tvox.io/instance": "mcs", "mcs.tvox.io/link": "acme"}
    for number, filling in enumerate(("[", '"', '"\\', "A", "{}", '{"a":', "è", "\n")):
        text = filling * (1024 * 1024 // len(filling.encode()))
        for resource, name, file in (
            (CONFIG_MAPS, "mcs-links", "links.json"),
            (CONFIG_MAPS, "users", "users.yaml"),
            (SECRETS, "acme-profile", "identity.json"),
            (SECRETS, "mcs-link-002", "fingerprints.json"),
            (SECRETS, "mcs-users-03", "users-03.json"),
            (SECRETS, "mcs-ca", "ca.crt"),
        ):
            metadata = {"name": name, "labels": labels | {"mcs.tvox.io/slot": "002"}}
            content = text if resource is CONFIG_MAPS else encoded(text)
            body = stored({"metadata": metadata, "data": {file: content}, "type": "Opaque"}, number + 2)
            slowest.call(f"{name} {filling!r}", lambda r=resource, b=body: store.take(r, b))
    assert slowest.seconds < LONGEST_SECONDS, f"{slowest.what}: {slowest.seconds}"


@pytest.mark.parametrize(
    ("owner", "believed"),
    [
        pytest.param({"uid": "uid-mcs", "controller": True}, True, id="the instance made it"),
        pytest.param({"uid": "uid-mcs"}, False, id="it only belongs to the instance"),
        pytest.param({"uid": "another", "controller": True, "kind": "Job"}, False, id="somebody else made it"),
        pytest.param(None, False, id="nobody made it"),
    ],
)
def test_whether_an_image_is_pulled_is_told_by_pods_that_the_instance_controls(owner: Any, believed: bool) -> None:
    store = Store(wake=lambda _: None)
    store.put(INSTANCES, stored(an_instance(), 1))
    labels = {"app.kubernetes.io/managed-by": "mcs-operator", "mcs.tvox.io/instance": "mcs"}
    metadata: dict[str, Any] = {"name": "mcs-pull-0123abcd", "labels": labels}
    if owner:
        known = {"apiVersion": "mcs.tvox.io/v1alpha1", "kind": "MCSInstance", "name": "mcs"}
        metadata["ownerReferences"] = [known | owner]
    store.take(PODS, stored({"metadata": metadata, "spec": {"containers": [{"name": "pull", "image": "mcs:2"}]}}, 2))
    world = asyncio.run(observe(Bodies(), store, NAMESPACE, NOW, None))  # type: ignore[arg-type]
    assert [pull.image for pull in world.pulls] == (["mcs:2"] if believed else [])
