"""Offline, an object is judged as the API server judges it: by the schema of its CRD, its metadata, and the rules."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mcs_operator.api import KINDS
from mcs_operator.api.base import Model
from mcs_operator.api.schema import models
from mcs_operator.cli.schemacheck import MAX_PROBLEMS, check
from support.api import Object
from support.objects import a_community, a_link, an_instance


def problems(body: Object) -> list[str]:
    return [str(problem) for problem in check(next(k for k in KINDS if k.kind == body["kind"]), body)]


def changed(body: Object, path: str, value: Any) -> Object:
    body = copy.deepcopy(body)
    *parents, last = path.split(".")
    place = body
    for part in parents:
        place = place[part]
    place[last] = value
    return body


LONG = "a" * 41


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(a_link("a") | {"spec2": {}}, "spec2: unknown field", id="top level"),
        pytest.param(changed(a_link("a"), "metadata.lables", {}), "metadata.lables: unknown field", id="metadata"),
        pytest.param(a_link("a", alowedSources=[]), "spec.alowedSources: unknown field", id="spec"),
        pytest.param(changed(a_link("a"), "spec.x", None), "spec.x: unknown field", id="unknown, and null"),
        pytest.param(a_link("a") | {"status": {"foo": 1}}, "status.foo: unknown field", id="status"),
        pytest.param(
            a_link("a") | {"status": {"conditions": [{"tipe": "x"}]}},
            "status.conditions[0].tipe: unknown",
            id="in a list",
        ),
        pytest.param(changed(an_instance(), "spec.vpn.slot", 1), "spec.vpn.slot: unknown field", id="below"),
        pytest.param(
            a_link(LONG), f"metadata.name: '{LONG}': has 41 characters, and may have at most 40", id="long name"
        ),
        pytest.param(
            an_instance("1mcs"),
            "metadata.name: '1mcs': must be lower case letters, digits and -, a letter first",
            id="digit",
        ),
        pytest.param(a_link("a.b"), "a letter or a digit first, such as acme; no dots", id="dot"),
        pytest.param(a_link("A"), "metadata.name: 'A': must be lower case", id="upper case name"),
        pytest.param(a_link("a\n"), "metadata.name: ", id="line break in a name"),
        pytest.param(changed(a_link("a"), "metadata", None), "metadata.name: is missing", id="no metadata"),
        pytest.param(changed(a_link("a"), "metadata", {}), "metadata.name: is missing", id="empty metadata"),
        pytest.param(changed(a_link("a"), "metadata.name", None), "metadata.name: is missing", id="null name"),
        pytest.param(changed(a_link("a"), "metadata.name", ""), "metadata.name: is missing", id="empty name"),
        pytest.param(changed(a_link("a"), "metadata", "x"), "metadata: 'x': must be an object", id="metadata a text"),
        pytest.param(
            changed(a_link("a"), "metadata.name", 4711),
            "metadata.name: 4711: must be a text, and is a number; put it",
            id="4711",
        ),
        pytest.param(
            changed(a_link("a"), "metadata.namespace", "A"), "metadata.namespace: 'A': must be a namespace", id="ns"
        ),
        pytest.param(changed(a_link("a"), "metadata.namespace", "a" * 64), "must be a namespace", id="long namespace"),
        pytest.param(
            changed(a_link("a"), "metadata.labels", []), "metadata.labels: must be an object", id="labels a list"
        ),
        pytest.param(
            changed(a_link("a"), "metadata.labels", {"a": 1}), "metadata.labels.a: 1: must be a text", id="label 1"
        ),
        pytest.param(changed(a_link("a"), "metadata.labels", {"a b": "c"}), "the key must be a name", id="label key"),
        pytest.param(changed(a_link("a"), "metadata.labels", {"A.com/a": "c"}), "the key must be", id="label's prefix"),
        pytest.param(
            changed(a_link("a"), "metadata.labels", {"a." * 130 + "a/b": "c"}), "the key must be", id="long prefix"
        ),
        pytest.param(changed(a_link("a"), "metadata.labels", {"a": "x" * 64}), "at most 63 letters", id="long value"),
        pytest.param(
            changed(a_link("a"), "metadata.labels", {"a": "b c"}), "at most 63 letters", id="value with a space"
        ),
        pytest.param(
            changed(a_link("a"), "metadata.annotations", {"a": True}), "must be a text, and is true or false", id="true"
        ),
        pytest.param(
            changed(a_link("a"), "metadata.annotations", {"a": "x" * 262144}),
            "has 262145 bytes, and may have at most 262144",
            id="256 KiB of annotations",
        ),
        pytest.param(
            changed(a_link("a"), "metadata.finalizers", ["x y"]),
            "metadata.finalizers[0]: 'x y': must be",
            id="finalizer",
        ),
        pytest.param(changed(a_link("a"), "metadata.finalizers", [5]), "metadata.finalizers[0]: 5", id="finalizer 5"),
        pytest.param(
            changed(a_link("a"), "metadata.ownerReferences", [{}]), "ownerReferences[0].uid: is missing", id="owner"
        ),
        pytest.param(
            changed(a_link("a"), "metadata.ownerReferences", [1]), "ownerReferences[0]: 1: must be", id="owner 1"
        ),
        pytest.param(
            changed(a_link("a"), "metadata.generation", "1"), "metadata.generation: '1': must be a whole", id="gen"
        ),
        pytest.param(
            changed(a_link("a"), "metadata.generation", True), "metadata.generation: true: must be", id="gen true"
        ),
        pytest.param(changed(a_link("a"), "spec", None), "spec: is missing", id="no spec"),
        pytest.param(
            changed(a_link("a"), "spec", []), "spec: must be an object (lines of key: value), and is a list", id="list"
        ),
        pytest.param(changed(a_link("a"), "spec", {}), "spec.instanceRef: is missing", id="empty spec"),
        pytest.param(changed(a_link("a"), "spec.domain", None), "spec.domain: is missing", id="null is missing"),
        pytest.param(
            a_link("a", enabled="yes"), "spec.enabled: 'yes': must be true or false, and is a text", id="text true"
        ),
        pytest.param(a_link("a", protocol="udp"), "spec.protocol: 'udp': choose UDP or TCP", id="enum"),
        pytest.param(a_link("a", protocol=True), "spec.protocol: true: must be a text", id="enum true"),
        pytest.param(a_link("a", domain="A.b.cd"), "spec.domain: 'A.b.cd': must be a full domain name", id="pattern"),
        pytest.param(a_link("a", domain="a.b\n"), "spec.domain", id="pattern and a line break"),
        pytest.param(
            a_link("a", domain=("a" * 60 + ".") * 5 + "de"), "has 307 characters, and may have at most 253", id="long"
        ),
        pytest.param(a_link("a", allowedSources="x"), "spec.allowedSources: 'x': must be a list", id="no list"),
        pytest.param(
            a_link("a", allowedSources=["1.2.3.4/32"] * 2), "allowedSources[1]: it stands twice, first at [0]", id="set"
        ),
        pytest.param(
            a_link("a", allowedSources=[None]), "spec.allowedSources[0]: must be an IPv4 network", id="null in a list"
        ),
        pytest.param(
            a_link("a", allowedSources=[f"10.0.0.{n}/32" for n in range(65)]),
            "has 65 entries, and may have at most 64",
            id="65",
        ),
        pytest.param(
            a_community(users=["a", "b", "a"]), "spec.users[2]: name 'a' stands twice, first at [0]", id="list map"
        ),
        pytest.param(
            an_instance(nodeSelector={f"a{n}": "" for n in range(17)}), "has 17 entries, and may", id="17 labels"
        ),
        pytest.param(
            an_instance(nodeSelector={"a": 1}), "spec.nodeSelector.a: 1: must be a label's value", id="map's value"
        ),
        pytest.param(an_instance(vpn={"slots": 0}), "spec.vpn.slots: 0: must be at least 1", id="minimum"),
        pytest.param(an_instance(vpn={"slots": 251}), "spec.vpn.slots: 251: must be at most 250", id="maximum"),
        pytest.param(
            an_instance(vpn={"slots": True}), "spec.vpn.slots: true: must be a whole number", id="true is no number"
        ),
        pytest.param(an_instance(vpn={"slots": 1.5}), "spec.vpn.slots: 1.5: must be a whole number", id="1.5"),
        pytest.param(
            an_instance(resources={"limits": {"cpu": True}}), "limits.cpu: true: must be cores", id="cpu true"
        ),
        pytest.param(
            an_instance(resources={"limits": {"cpu": "1x"}}), "limits.cpu: '1x': must be cores above 0", id="cpu"
        ),
        pytest.param(
            an_instance(storage={"className": ""}), "spec.storage.className: '': must not be empty", id="empty"
        ),
        pytest.param(an_instance(vpn={"basePort": 9900}), "spec.vpn.basePort: basePort to basePort+251", id="a rule"),
        pytest.param(
            an_instance(resources={"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}),
            "spec.resources.requests.cpu: must not",
            id="more cpu than the limit",
        ),
        pytest.param(
            an_instance(resources={"requests": {"memory": "1.1Gi"}, "limits": {"memory": "1.1G"}}),
            "requests.memory: must not be",
            id="more memory than the limit",
        ),
    ],
)
def test_what_the_api_server_refuses_is_told_with_its_place(body: Object, said: str) -> None:
    found = problems(body)
    assert any(said in line for line in found), found


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(a_link("a" * 40), id="a name of 40"),
        pytest.param(a_link("1a"), id="a link's name may begin with a digit"),
        pytest.param(
            changed(a_link("a"), "metadata.labels", {"example.com/a": "x" * 63, "b": "", "C_d": "e"}), id="labels"
        ),
        pytest.param(changed(a_link("a"), "metadata.labels", None), id="null labels"),
        pytest.param(changed(a_link("a"), "metadata.annotations", {"Example.com/A": "b", "c": None}), id="annotations"),
        pytest.param(changed(a_link("a"), "metadata.annotations", {"a": "x" * 262143}), id="256 KiB"),
        pytest.param(changed(a_link("a"), "metadata.namespace", "a" * 63), id="a namespace of 63"),
        pytest.param(changed(a_link("a"), "metadata.finalizers", ["example.com/a"]), id="a finalizer"),
        pytest.param(
            changed(a_link("a"), "metadata.creationTimestamp", None), id="as kubectl create --dry-run writes it"
        ),
        pytest.param(changed(a_link("a"), "spec.tls", None), id="null is as good as absent"),
        pytest.param(changed(a_link("a"), "spec.tls", {"secretRef": None}), id="null below"),
        pytest.param(a_link("a") | {"status": {"slot": 300}}, id="the status is the operator's"),
        pytest.param(a_link("a") | {"status": None}, id="null status"),
        pytest.param(a_link("a", allowedSources=["1.2.3.4/32", "1.2.3.5/32"]), id="two sources"),
        pytest.param(an_instance(resources={"limits": {"cpu": 2}}), id="cpu as a number"),
        pytest.param(
            an_instance(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "1000m"}}), id="as much as the limit"
        ),
        pytest.param(
            an_instance(resources={"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}), id="nothing to compare"
        ),
        pytest.param(an_instance(vpn={"slots": 250, "basePort": 1024}), id="at the limits"),
        pytest.param(an_instance(vpn={"slots": 2.0}), id="2.0 is 2"),
        pytest.param(changed(a_link("a"), "metadata.finalizers", ["x"]), id="a finalizer without a prefix"),
        pytest.param(a_community(users=[f"u{n}" for n in range(1000)]), id="1,000 users"),
        pytest.param(
            a_community(users=[{"name": "a", "displayName": "Jürgen 👩‍💻"}]), id="a name with letters of its own"
        ),
    ],
)
def test_what_the_api_server_takes_is_valid(body: Object) -> None:
    assert problems(body) == []


def test_no_more_is_told_than_anybody_reads() -> None:
    assert len(problems(a_community(users=[{"name": "X"}] * 1000))) == MAX_PROBLEMS


def test_all_that_is_wrong_is_told_at_once() -> None:
    body = changed(a_link("A", domain="x", protocol="y"), "metadata.lables", {})
    assert [line.partition(":")[0] for line in problems(body)] == [
        "metadata.lables",
        "metadata.name",
        "spec.domain",
        "spec.protocol",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_that_needs_no_stored_object_is_judged_offline(kind: Any) -> None:
    rules = [rule for model in models(kind) if issubclass(model, Model) for rule in model.rules]
    assert [rule.message for rule in rules if rule.holds is None and "oldSelf" not in rule.cel] == []


def test_limits_and_missing_fields_are_told_beside_everything_else() -> None:
    body = changed(an_instance(vpn={"slots": 0, "basePort": 70000, "x": 1}), "spec.image", None)
    assert [line for line in problems(body) if not line.startswith("spec.vpn.x")] == [
        "spec.image: is missing",
        "spec.vpn.slots: 0: must be at least 1",
        "spec.vpn.basePort: 70000: must be at most 65284",
    ]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("metadata.labels", {f"{'a.' * 126}a/b": "c"}, []),
        ("metadata.labels", {f"{'a.' * 126}ab/b": "c"}, ["the key must be a name such as team or example.com/team"]),
        (
            "metadata.ownerReferences",
            [{"apiVersion": "v1", "kind": "", "name": "a", "uid": 5}],
            ["is missing", "is missing"],
        ),
        ("metadata.ownerReferences", [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}], []),
        ("metadata.finalizers", ["example.com/a b"], ["must be a name such as example.com/cleanup"]),
        ("status", {"conditions": "x", "tunnel": []}, []),
        ("status", [], []),
    ],
)
def test_the_edges_of_metadata_and_status(path: str, value: Any, said: list[str]) -> None:
    found = check(KINDS[2], changed(a_link("a"), path, value))
    assert [problem.rule for problem in found] == said


@pytest.mark.parametrize(
    "users", [[{"name": 5}, {"name": 5}], [{"name": ["a"]}, {"name": ["a"]}], [["a"], ["a"]], [{}, {}]]
)
def test_entries_without_a_usable_key_are_told_for_what_they_are(users: list[Any]) -> None:
    found = problems(changed(a_community(), "spec.users", users))
    assert len(found) == 2
    assert not [line for line in found if "stands twice" in line]
