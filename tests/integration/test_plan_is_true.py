"""What `kubectl mcs plan` foretells is what the operator then does: random changes of random worlds, at an API server.

No kubelet runs here. What a slot and a TVox notice is read from what they are given: a Secret of a slot, a profile, the
pod, and the disruptions that wait for their hour, which is a month away. Who is not served any more says so himself.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcs_operator.api.conditions import WAITING
from support.api import Api, Object, Refused
from support.fake_agent import fake_agent, free_base_port
from support.objects import INSTANCE, a_community, a_link, an_instance
from support.operator import Operator
from support.plugin import write_plugin
from support.pods import NODE, its_node, media_runs, place_pod
from support.snapshots import files, settled
from support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

WORLDS = int(os.environ.get("MCS_PLANS", "2"))
"""Random ones, beside two that are written down; fifteen seconds each, and more on a machine that has other work."""
STEPS = 4
CLASSES = ("Hot", "InPlace", "ThisLink", "NewProfile", "MediaRestart", "Restart")
KINDS = ("MCSInstance", "Community", "TVoxLink")
_DIALLED = re.compile(r"^(proto .*|remote \S+ \d+|cipher .*)$", re.MULTILINE)
SIZES = [
    {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": cpu, "memory": "512Mi"}} for cpu in ("1", "2")
]
NEXT = "localhost/mcs/appliance:next"
MISSING_TLS = {"secretRef": {"name": "not-there"}}
NAMES = {"MCSInstance": (INSTANCE,), "Community": ("acme", "dual"), "TVoxLink": ("acme", "bolt", "cara")}

FIELDS: dict[str, dict[str, list[Any]]] = {
    "TVoxLink": {
        "enabled": [True, False],
        "protocol": ["UDP", "TCP"],
        "allowedSources": [[], ["203.0.113.0/24"], ["198.51.100.7/32", "203.0.113.0/24"]],
        "serviceState": ["InService", "OutOfService"],
        "domain": ["one.mcs.test", "two.mcs.test", "three.mcs.test"],
        "communityRef": [{"name": "acme"}, {"name": "dual"}],
        "vpnAddress": [None, "198.18.254.3"],
        "tls": [{}, MISSING_TLS],
    },
    "Community": {
        "displayName": ["ACME", "ACME Spa"],
        "users": [[{"name": "ann"}], [{"name": "ann"}, {"name": "bob", "functions": ["Audio"]}]],
        "defaultFunctions": [["Audio"], ["Audio", "Video"]],
        "enabled": [True, False],
        "portalDomain": [None, "meet.mcs.test", "one.mcs.test"],
        "tls": [{}, MISSING_TLS],
    },
    "MCSInstance": {
        "domain": ["mcs.test", "mcs2.test"],
        "tier": ["UpTo1000", "UpTo10000"],
        "bandwidth": ["100M", "200M"],
        "drainSeconds": [1, 2],
        "publicAddress": ["10.89.0.1", "10.89.0.2"],
        "communityLimits": [{}, {"users": 100}, {"links": 1}],
        "serviceState": ["InService", "OutOfService"],
        "resources": [*SIZES, None],
        "tolerations": [[], [{"key": "media", "operator": "Exists"}]],
        "imagePullSecrets": [[], [{"name": "registry"}]],
        "network": [{"mediaPort": 10000}, {"mediaPort": 10002}, {"mode": "HostNetwork"}, {"mode": "LoadBalancer"}],
        "portals": [{}, {"quota": "1Gi"}],
        "image": ["localhost/mcs/appliance:dev", NEXT],
        "suspend": [False, False, True],
        "slots": [2, 3, 6],
        "tls": [{}, MISSING_TLS],
    },
}


@dataclass(frozen=True)
class Step:
    """What is to be of an object: created with these fields where there is none, else changed in them; without any, it
    is deleted."""

    kind: str
    name: str
    spec: dict[str, Any] | None = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """A world as it begins, and what then becomes of it."""

    begin: tuple[Step, ...]
    steps: tuple[Step, ...]


def drawn(number: int) -> Story:
    """The same for the same number."""
    dice = random.Random(number)  # noqa: S311 - nothing to guess
    communities = NAMES["Community"][: dice.randint(1, 2)]
    links = NAMES["TVoxLink"][: dice.randint(1, 3)]
    objects = [("MCSInstance", INSTANCE), *(("Community", one) for one in communities)]
    objects += [("TVoxLink", one) for one in links]
    begin = [Step(kind, name, _fields(dice, kind, 3)) for kind, name in objects]
    return Story(tuple(begin), tuple(_step(dice) for _ in range(STEPS)))


def _step(dice: random.Random) -> Step:
    kind = dice.choice(["TVoxLink", "TVoxLink", "MCSInstance", "MCSInstance", "Community"])
    name = dice.choice(NAMES[kind])
    goes = kind != "MCSInstance" and dice.random() < 0.25
    return Step(kind, name, None if goes else _fields(dice, kind, dice.randint(1, 2)))


def _fields(dice: random.Random, kind: str, count: int) -> dict[str, Any]:
    return {name: dice.choice(FIELDS[kind][name]) for name in dice.sample(sorted(FIELDS[kind]), count)}


EACH_CLASS = Story(
    (Step("MCSInstance", INSTANCE), Step("Community", "acme"), *(Step("TVoxLink", one) for one in ("acme", "bolt"))),
    (
        Step("MCSInstance", INSTANCE, {"network": {"mediaPort": 10002}}),
        Step("MCSInstance", INSTANCE, {"slots": 3}),
        Step("MCSInstance", INSTANCE, {"suspend": True}),
        Step("MCSInstance", INSTANCE, {"image": NEXT}),
        Step("MCSInstance", INSTANCE, {"resources": SIZES[1]}),
        Step("MCSInstance", INSTANCE, {"resources": None, "tier": "UpTo10000"}),
        Step("TVoxLink", "acme", {"protocol": "TCP"}),
        Step("TVoxLink", "bolt", {"allowedSources": ["203.0.113.0/24"]}),
        Step("TVoxLink", "cara", {"domain": "bolt.mcs.test"}),
        Step("TVoxLink", "cara", {"domain": "cara.mcs.test", "tls": MISSING_TLS}),
        Step("TVoxLink", "cara", None),
        Step("Community", "acme", {"portalDomain": "meet.mcs.test"}),
        Step("Community", "acme", None),
    ),
)
NOBODY_RUNS = Story(
    (Step("MCSInstance", INSTANCE, {"suspend": True, "slots": 2}), *EACH_CLASS.begin[1:], Step("TVoxLink", "cara")),
    (
        Step("TVoxLink", "acme", {"enabled": False}),
        Step("TVoxLink", "bolt", {"protocol": "TCP"}),
        Step("MCSInstance", INSTANCE, {"image": NEXT, "tier": "UpTo10000"}),
        Step("TVoxLink", "bolt", None),
        Step("MCSInstance", INSTANCE, {"suspend": False}),
    ),
)
"""Its pod is not there, and it is to have a slot for two of three links; then it is."""


@dataclass(frozen=True)
class Seen:
    """What slots, TVoxes and the pod were given, and who is served."""

    slots: dict[str, tuple[str, str]]
    """Of each link with a slot in a pod: whether it runs, and the revision of its set."""
    profiles: dict[str, tuple[str, ...]]
    """Of each link: how its TVox dials, and the certificate that it shows."""
    served: frozenset[str]
    size: Object
    waits: frozenset[str]
    """Impacts of the disruptions that wait."""

    @classmethod
    def of(cls, api: Api) -> Seen:
        secrets = {body["metadata"]["name"]: files(body) for body in api.list("Secret")}
        links = {link["metadata"]["name"]: link for link in api.list("TVoxLink")}
        numbers = {name: (link.get("status") or {}).get("slot") for name, link in links.items()}
        pod, instance = api.find("Pod", f"{INSTANCE}-0"), api.find("MCSInstance", INSTANCE) or {}
        last = instance.get("spec", {}).get("vpn", {}).get("slots", 0) + 1
        slots = {one: secrets.get(f"mcs-link-{n:03d}") for one, n in numbers.items() if n and n <= last}
        texts = {one: secrets[f"{one}-profile"] for one in links if f"{one}-profile" in secrets}
        return cls(
            {name: (slot["enabled"], slot["revision"]) for name, slot in slots.items() if slot and pod},
            {name: (*_dials(text[f"{name}.ovpn"]), text["tls.crt"]) for name, text in texts.items()},
            frozenset(name for name in links if api.condition("TVoxLink", name, "Accepted")[0] == "True"),
            pod["spec"]["containers"][0]["resources"] if pod else {},
            frozenset(one["impact"] for one in (instance.get("status") or {}).get("disruptions", [])),
        )

    @property
    def running(self) -> list[str]:
        """Links with a tunnel, or one that is waited for."""
        return sorted(name for name, (runs, _) in self.slots.items() if runs == "true")


def _dials(profile: str) -> list[str]:
    """All but the second address, which only helps where the first one does not resolve."""
    return _DIALLED.findall(profile)[:2]


@dataclass(frozen=True)
class Outcome:
    """Of a change: its class, and the customers who are interrupted; of a refused one nothing else is said."""

    impact: str
    customers: tuple[str, ...] = ()
    refused: bool = False


REFUSED = Outcome("Hot", (), refused=True)


def done(step: Step, before: Seen, after: Seen) -> Outcome:
    """The class of what was done, and whom it interrupted. Who is deleted, or loses his Community, is not served."""
    found = {"Hot"}
    noticed = [name for name in before.running if after.slots.get(name) != before.slots[name]]
    if step.spec is None:
        noticed = sorted({*noticed, *((before.served - after.served) & {*before.running})})
    if before.size != after.size and before.size and after.size:
        found.add("InPlace")
    if noticed:
        found.add("ThisLink")
    kept = before.profiles.keys() & after.profiles.keys()
    if any(before.profiles[name] != after.profiles[name] for name in kept):
        found.add("NewProfile")
    found |= after.waits - before.waits
    worst = max(found, key=CLASSES.index)
    return Outcome(worst, tuple(before.running if worst in ("MediaRestart", "Restart") else noticed))


def foretold(told: Object) -> Outcome:
    """The same of a plan. A field that costs a customer something costs nothing where he is switched off anyway."""
    if told["refused"]:
        return REFUSED
    classes = [one["impact"] for one in told["fields"]] or ["ThisLink" if told["customers"] else "Hot"]
    worst = max(classes, key=CLASSES.index)
    return Outcome("Hot" if worst == "ThisLink" and not told["customers"] else worst, tuple(told["customers"]))


class World:
    """A namespace, what `kubectl mcs plan` says about it, and what becomes of it. Its pod runs where it is to."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.api, self._folder, self._base = api, folder, free_base_port()
        self._agent = ExitStack()
        write_plugin(folder)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self._agent.close()

    def body(self, step: Step) -> Object:
        """The object as it is to be."""
        live = self.api.find(step.kind, step.name)
        spec = dict((live or self._new(step))["spec"])
        for name, value in (step.spec or {}).items():
            spec[name] = value
        if slots := spec.pop("slots", None):
            spec["vpn"] = {"slots": slots, "basePort": self._base}
        spec = {name: value for name, value in spec.items() if value is not None}
        api_version = self._new(step)["apiVersion"]
        return {"apiVersion": api_version, "kind": step.kind, "metadata": {"name": step.name}, "spec": spec}

    def _new(self, step: Step) -> Object:
        if step.kind == "MCSInstance":
            return an_instance(disruptions=in_a_month(), vpn={"slots": 6, "basePort": self._base})
        return a_community(step.name, users=("ann",)) if step.kind == "Community" else a_link(step.name)

    def plan(self, *bodies: Object, prune: bool = False) -> list[Object]:
        """Of applying these; with ``prune``, of what is deleted because it is not among them."""
        where = (f"--kubeconfig={self.api.kubeconfig}", f"--namespace={self.api.namespace}", "--output=json")
        done = subprocess.run(
            ["kubectl", "mcs", "plan", "-f", "-", *where, *(["--prune"] if prune else [])],
            input="\n---\n".join(json.dumps(body) for body in bodies),
            env=os.environ | {"PATH": f"{self._folder}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1, 3, 4), done.stdout + done.stderr
        told: list[Object] = json.loads(done.stdout)
        return [one for one in told if one["action"] == "deleted"] if prune else told

    def plan_of(self, step: Step) -> Object:
        """What is foretold of a step."""
        rest = [
            {
                "apiVersion": self._new(Step(kind, "x"))["apiVersion"],
                "kind": kind,
                "metadata": {"name": name},
                "spec": spec,
            }
            for kind in KINDS
            for name, spec in ((b["metadata"]["name"], b["spec"]) for b in self.api.list(kind))
            if (kind, name) != (step.kind, step.name)
        ]
        (told,) = self.plan(*rest, prune=True) if step.spec is None else self.plan(self.body(step))
        return told

    def make(self, body: Object) -> None:
        """Create it, or put it in the place of what is there, as a whole."""
        kind, name = body["kind"], body["metadata"]["name"]
        if live := self.api.find(kind, name):
            gone = {one: None for one in live["spec"] if one not in body["spec"]}
            self.api.change(kind, name, **body["spec"], **gone)
        else:
            self.api.create(body)

    def rests(self) -> None:
        """All that is to be done is done. A pod is there, and runs, where the operator wants one."""
        for _ in range(2):
            for kind in KINDS:
                for body in self.api.list(kind):
                    until(f"{kind} {body['metadata']['name']} was seen", lambda body=body: self._was_seen(body))
            settled(self.api, quiet=0.8)
            if not self._begins_to_run():
                return

    def _was_seen(self, body: Object) -> bool:
        live = self.api.get(body["kind"], body["metadata"]["name"])
        told = (live.get("status") or {}).get("conditions") or [{}]
        return bool(told[0].get("observedGeneration") == live["metadata"]["generation"])

    def _begins_to_run(self) -> bool:
        """What controllers and a kubelet do; whether there was no pod before."""
        wanted = (self.api.find("StatefulSet", INSTANCE) or {"spec": {"replicas": 0}})["spec"]["replicas"]
        is_there = self.api.find("Pod", f"{INSTANCE}-0") is not None
        if wanted and not is_there:
            place_pod(self.api, INSTANCE, nodeName=NODE)
            self._agent.enter_context(fake_agent(self.api, self._base))
        if wanted:
            media_runs(self.api, INSTANCE)
        return bool(wanted and not is_there)

    def is_refused(self, kind: str, name: str) -> bool:
        """Whether the operator refuses it for what only a person can change."""
        type_ = {"TVoxLink": "Accepted", "Community": "LoginReady", "MCSInstance": "Ready"}[kind]
        status, reason, _ = self.api.condition(kind, name, type_)
        if kind == "TVoxLink":
            return status == "False" and reason not in WAITING
        return status == "False" and reason in ("DomainTaken", "NamespaceOccupied")


def in_a_month() -> Object:
    begins = datetime.now(UTC) + timedelta(days=40)
    schedule = f"{begins.minute} {begins.hour} {begins.day} {begins.month} *"
    return {"windows": [{"schedule": schedule, "duration": "1h"}]}


@pytest.fixture
def world(api: Api, operator: Operator, tmp_path: Path) -> Iterator[World]:
    if api.find("Node", NODE):
        pytest.skip("a kubelet is there: tests/e2e have what a node sees")
    with its_node(api), World(api, tmp_path) as world:
        yield world


def test_each_class_is_foretold_and_done(world: World) -> None:
    seen = lived(world, EACH_CLASS)
    classes = {*CLASSES} if world.api.resizes_in_place() else {*CLASSES} - {"InPlace"}
    assert {one.impact for one in seen} == classes
    assert REFUSED in seen


def test_where_no_pod_runs_nobody_is_interrupted(world: World) -> None:
    assert {one for one in lived(world, NOBODY_RUNS) if one.customers} == set()


@pytest.mark.parametrize("number", range(WORLDS))
def test_what_plan_foretells_is_what_is_done(world: World, number: int) -> None:
    story = drawn(number)
    print(f"world {number}: {story}")
    lived(world, story)


def lived(world: World, story: Story) -> list[Outcome]:
    """The world from its creation to its end; what was done."""
    created(world, story.begin)
    seen = []
    for step in story.steps:
        seen.append(compared(world, step))
        print(f"{step}: {seen[-1]}")
    return seen


def created(world: World, begin: tuple[Step, ...]) -> None:
    """All at once: nobody is interrupted, and who is told to be refused is."""
    bodies = [world.body(step) for step in begin]
    told = {(one["kind"], one["name"]): one for one in world.plan(*bodies)}
    assert all(foretold(one).impact == "Hot" and not one["customers"] for one in told.values()), told
    for body in bodies:
        world.make(body)
    world.rests()
    for (kind, name), one in told.items():
        assert one["refused"] == world.is_refused(kind, name), (one, world.api.get(kind, name)["status"])


def compared(world: World, step: Step) -> Outcome:
    """Plan a step, make it, and compare; what was done. What only waits is taken back."""
    api, was = world.api, world.api.find(step.kind, step.name)
    if step.spec is None and was is None:
        return Outcome("Hot")
    before = Seen.of(api)
    told = world.plan_of(step)
    try:
        if step.spec is None:
            api.delete(step.kind, step.name, wait=10)
        else:
            world.make(world.body(step))
    except Refused as refusal:
        assert told["refused"], f"{step}: {told}: {refusal}"
        return REFUSED
    world.rests()
    after = Seen.of(api)
    is_refused = step.spec is not None and told["action"] != "unchanged" and world.is_refused(step.kind, step.name)
    outcome = REFUSED if is_refused else done(step, before, after)
    assert foretold(told) == outcome, f"{step}: {told}\n{before}\n{after}"
    if step.kind == "MCSInstance" and before.slots:
        assert (after.slots, after.profiles) == (before.slots, before.profiles), "until its hour nobody notices"
    taken_back(world, told, was, after)
    return outcome


def taken_back(world: World, told: Object, was: Object | None, after: Seen) -> None:
    """What waits for the hour that was foretold; then it waits no more."""
    for waits in (world.api.get("MCSInstance", INSTANCE)["status"] or {}).get("disruptions", []):
        assert waits["plannedFor"] in told["effect"], "the hour that was foretold"
    if after.waits and was:
        world.make(was)
        world.rests()
        assert not world.api.get("MCSInstance", INSTANCE)["status"].get("disruptions")
