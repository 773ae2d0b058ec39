"""What `kubectl mcs plan` foretells is what the operator then does: random changes of random worlds, at an API server.

No kubelet runs here. What a slot and a TVox notice is read from what they are given: a Secret of a slot, a profile, the
pod, and the disruptions that wait for their hour, which is a month away.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.api import Api, Object
from support.fake_agent import fake_agent, free_base_port
from support.objects import INSTANCE, a_community, a_link, an_instance
from support.operator import Operator
from support.plugin import planned, write_plugin
from support.pods import its_node, media_runs, place_pod
from support.snapshots import files, settled

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

EXAMPLES = int(os.environ.get("MCS_PLANS", "7"))
"""Random ones, beside one of each class; about three seconds each."""
CLASSES = ("Hot", "InPlace", "ThisLink", "NewProfile", "MediaRestart", "Restart")
LINKS = {"acme": 2, "bolt": 3}
_DIALLED = re.compile(r"^(proto .*|remote \S+ \d+|cipher .*)$", re.MULTILINE)
SIZES = [
    {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": cpu, "memory": "512Mi"}} for cpu in ("1", "2")
]
"""Whole: a plan is of a file, which takes away what it does not say, and the change is a patch."""

FIELDS: dict[str, dict[str, list[Any]]] = {
    "TVoxLink": {
        "enabled": [True, False],
        "protocol": ["UDP", "TCP"],
        "allowedSources": [[], ["203.0.113.0/24"], ["198.51.100.7/32", "203.0.113.0/24"]],
        "serviceState": ["InService", "OutOfService"],
    },
    "Community": {
        "displayName": ["ACME", "ACME Spa"],
        "users": [[{"name": "ann"}], [{"name": "ann"}, {"name": "bob", "functions": ["Audio"]}]],
        "defaultFunctions": [["Audio"], ["Audio", "Video"]],
        "enabled": [True, False],
    },
    "MCSInstance": {
        "bandwidth": ["100M", "200M"],
        "drainSeconds": [1, 2],
        "publicAddress": ["10.89.0.1", "10.89.0.2"],
        "communityLimits": [{"users": 100}, {"users": 200}],
        "serviceState": ["InService", "OutOfService"],
        "resources": SIZES,
        "tolerations": [[], [{"key": "media", "operator": "Exists"}]],
        "imagePullSecrets": [[], [{"name": "registry"}]],
        "network": [{"mediaPort": 10000}, {"mediaPort": 10002}],
        "portals": [{"quota": "1Gi"}, {"quota": "2Gi"}],
        "image": ["localhost/mcs/appliance:dev", "localhost/mcs/appliance:next"],
    },
}


@st.composite
def change(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """Kind, name, and one or two fields with what they are to be; it may be what they are."""
    kind = draw(st.sampled_from(["TVoxLink", "TVoxLink", "MCSInstance", "Community"]))
    name = draw(st.sampled_from(sorted(LINKS))) if kind == "TVoxLink" else INSTANCE if kind == "MCSInstance" else "acme"
    names = draw(st.lists(st.sampled_from(sorted(FIELDS[kind])), min_size=1, max_size=2, unique=True))
    return kind, name, {one: draw(st.sampled_from(FIELDS[kind][one])) for one in names}


@dataclass(frozen=True)
class Seen:
    """What slots, TVoxes and the pod were given."""

    slots: dict[str, tuple[str, str]]
    """Of each link: whether it runs, and the revision of its set."""
    profiles: dict[str, tuple[str, ...]]
    """Of each link: how its TVox dials, and the certificate that it shows."""
    size: Object
    waits: frozenset[str] = field(default_factory=frozenset)
    """Impacts of the disruptions that wait."""

    @classmethod
    def of(cls, api: Api) -> Seen:
        secrets = {body["metadata"]["name"]: files(body) for body in api.list("Secret")}
        slots = {name: secrets[f"mcs-link-{number:03d}"] for name, number in LINKS.items()}
        texts = {name: secrets[f"{name}-profile"] for name in LINKS}
        return cls(
            {name: (slot["enabled"], slot["revision"]) for name, slot in slots.items()},
            {name: (*_dials(text[f"{name}.ovpn"]), text["tls.crt"]) for name, text in texts.items()},
            api.get("Pod", f"{INSTANCE}-0")["spec"]["containers"][0]["resources"],
            frozenset(one["impact"] for one in api.get("MCSInstance", INSTANCE)["status"].get("disruptions", [])),
        )


def _dials(profile: str) -> list[str]:
    """All but the second address, which only helps where the first one does not resolve."""
    return _DIALLED.findall(profile)[:2]


def done(before: Seen, after: Seen) -> tuple[str, list[str]]:
    """The class of what was done, and the links whose running OpenVPN was given another set."""
    found = {"Hot"}
    noticed = [name for name, (runs, was) in before.slots.items() if runs == "true" and after.slots[name][1] != was]
    if before.size != after.size:
        found.add("InPlace")
    if noticed:
        found.add("ThisLink")
    if before.profiles != after.profiles:
        found.add("NewProfile")
    found |= after.waits - before.waits
    worst = max(found, key=CLASSES.index)
    return worst, sorted(LINKS) if worst in ("MediaRestart", "Restart") else noticed


def foretold(told: Object) -> tuple[str, list[str]]:
    """The same of a plan. A field that costs a customer something costs nothing where he is switched off anyway."""
    classes = [one["impact"] for one in told["fields"]] or ["Hot"]
    worst = max(classes, key=CLASSES.index)
    return ("Hot" if worst == "ThisLink" and not told["customers"] else worst), told["customers"]


class World:
    """A namespace that runs, and what `kubectl mcs plan` says about it."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.api = api
        write_plugin(folder)
        self._folder = folder

    def plan(self, body: Object) -> Object:
        return planned(self.api, self._folder, body)

    def body(self, kind: str, name: str, spec: dict[str, Any]) -> Object:
        live = self.api.get(kind, name)
        return {
            "apiVersion": live["apiVersion"],
            "kind": kind,
            "metadata": {"name": name},
            "spec": live["spec"] | spec,
        }

    def waits_for_nothing(self) -> bool:
        return not self.api.get("MCSInstance", INSTANCE)["status"].get("disruptions")


def in_a_month() -> Object:
    begins = datetime.now(UTC) + timedelta(days=40)
    schedule = f"{begins.minute} {begins.hour} {begins.day} {begins.month} *"
    return {"windows": [{"schedule": schedule, "duration": "1h"}]}


def test_what_plan_foretells_is_what_is_done(api: Api, operator: Operator, tmp_path: Path) -> None:
    if api.find("Node", "mcs-node"):
        pytest.skip("a kubelet is there: tests/e2e have what a node sees")
    base, world = free_base_port(), World(api, tmp_path)
    api.create(an_instance(disruptions=in_a_month(), vpn={"slots": 6, "basePort": base}), a_community(users=("ann",)))
    for name, number in LINKS.items():
        api.create(a_link(name, vpnAddress=f"198.18.254.{number}"))
        api.wait_condition("TVoxLink", name, "Accepted", "True")
    place_pod(api, INSTANCE, nodeName="mcs-node")
    seen: list[str] = []
    with its_node(api), fake_agent(api, base):
        media_runs(api, INSTANCE)
        for name in LINKS:
            api.wait_condition("TVoxLink", name, "Ready", "True", "Programmed")

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(change())
        @example(("MCSInstance", INSTANCE, {"tolerations": [{"key": "media", "operator": "Exists"}]}))
        @example(("MCSInstance", INSTANCE, {"network": {"mediaPort": 10002}}))
        @example(("MCSInstance", INSTANCE, {"image": "localhost/mcs/appliance:next"}))
        @example(("MCSInstance", INSTANCE, {"resources": SIZES[1]}))
        @example(("TVoxLink", "acme", {"protocol": "TCP"}))
        @example(("TVoxLink", "bolt", {"allowedSources": ["203.0.113.0/24"]}))
        def as_foretold(wanted: tuple[str, str, dict[str, Any]]) -> None:
            seen.append(compared(world, *wanted))

        begun = time.monotonic()
        as_foretold()
        print(f"{len(seen)} changes in {time.monotonic() - begun:.0f} s: {seen}")
    classes = {*CLASSES} if api.resizes_in_place() else {*CLASSES} - {"InPlace"}
    assert set(seen) == classes, "or it would prove little"


def compared(world: World, kind: str, name: str, spec: dict[str, Any]) -> str:
    """Plan a change, make it, and compare; the class of what was done. What only waits is taken back."""
    api, body = world.api, world.body(kind, name, spec)
    settled(api, quiet=0.8)
    before, was = Seen.of(api), {one: api.get(kind, name)["spec"].get(one) for one in spec}
    told = world.plan(body)
    api.change(kind, name, **spec)
    settled(api, quiet=0.8)
    after = Seen.of(api)
    assert foretold(told) == done(before, after), f"{kind} {name} {spec}: {told}"
    if kind == "MCSInstance":
        assert (after.slots, after.profiles) == (before.slots, before.profiles), "until its hour nobody notices"
    for waits in api.get("MCSInstance", INSTANCE)["status"].get("disruptions", []):
        assert waits["plannedFor"] in told["effect"], "the hour that was foretold"
    if after.waits:
        api.change(kind, name, **was)
        settled(api, quiet=0.8)
        assert world.waits_for_nothing()
    return done(before, after)[0]
