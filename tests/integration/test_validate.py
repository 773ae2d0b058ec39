"""`kubectl mcs validate` and the API server say the same of every object: each field with each wrong value, and names,
labels, unknown fields and nulls. Files are read as kubectl itself reads them."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from mcs_operator.api import KINDS, Community, KubernetesObject, MCSInstance, TVoxLink
from mcs_operator.api.schema import Schema, plain_schema
from mcs_operator.cli.files import read
from mcs_operator.cli.schemacheck import check
from support.api import Api, Object, Refused
from support.objects import a_community, a_link, an_instance

pytestmark = pytest.mark.integration

STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
PLURALS = {kind.kind: kind.plural for kind in KINDS}

WHOLE: dict[type[KubernetesObject], Object] = {
    MCSInstance: an_instance(
        network={"mode": "HostPort", "mediaPort": 12000},
        storage={"size": "1Gi", "className": "fast"},
        vpn={
            "slots": 6,
            "basePort": 22000,
            "cidr": "198.18.1.0/24",
            "caSecretRef": {"name": "ca"},
            "tunDevice": {"hostPath": "/dev/net/tun"},
        },
        tls={"secretRef": {"name": "web"}},
        bandwidth="100M",
        imagePullSecrets=[{"name": "registry"}],
        retain={"links": "720h", "storage": "Retain", "pki": "Delete"},
        tolerations=[{"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5}],
    ),
    Community: a_community(
        users=[{"name": "anna", "displayName": "Anna", "enabled": True, "functions": ["Audio"]}, {"name": "bea"}],
        displayName="ACME",
        enabled=True,
        usersFrom=[{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
    ),
    TVoxLink: a_link(
        "acme",
        enabled=True,
        protocol="UDP",
        vpnAddress="198.18.254.17",
        allowedSources=["203.0.113.7/32"],
        tls={"secretRef": {"name": "web"}},
    ),
}
VALUES: tuple[Any, ...] = (
    None, "", "x", "X.y", "acme.mcs.test", "acme.mcs.test.", "a.b\n", "Ünï", " ", "1", "100M", "1h30m", "10.0.0.0/24",
    "10.0.0.256", "a" * 254, 0, 1, -1, 250, 251, 3478, 65536, 1.5, 2.0, True, [], ["x"], [None], ["Audio", "Audio"], {},
    {"name": "x"}, {"name": "X"}, {"name": None}, {"x": "y"}, [{}], [{"name": "x"}, {"name": "x"}], 10**20,
    "50m", "8Gi", "0", "/dev/x", "a/b", "\u202e", "a\u0085b",
)  # fmt: skip


def paths(schema: Schema, value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Every place of an object that has everything."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if isinstance(known, dict):
                yield from paths(known, inner, (*path, name))
    elif isinstance(value, list):
        yield from paths(schema["items"], value[0], (*path, 0))


def put(body: Object, path: tuple[Any, ...], value: Any) -> Object:
    changed = copy.deepcopy(body)
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


def without(body: Object, path: tuple[Any, ...]) -> Object:
    changed = copy.deepcopy(body)
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    return changed


def every_field_with_every_value(kind: type[KubernetesObject]) -> Iterator[tuple[str, Object]]:
    whole, schema = WHOLE[kind], plain_schema(kind)["properties"]["spec"]
    for path in paths(schema, whole["spec"], ("spec",)):
        yield f"{path} taken away", without(whole, path)
        for value in VALUES:
            yield f"{path} = {value!r:.40}", put(whole, path, value)


OBJECTS: list[tuple[str, Object]] = [
    *((f"name {name!r:.20}", put(a_link("a"), ("metadata", "name"), name)) for name in (
        "a", "1mcs", "a" * 40, "a" * 41, "a.b", "A", "-a", "a-", "a_b", "", None, 4711, True, [], {})),
    *((f"instance {name!r}", put(an_instance(), ("metadata", "name"), name)) for name in ("a", "1mcs", "a1", "a-")),
    *((f"metadata {key}: {value!r:.30}", put(a_link("a"), ("metadata", key), value)) for key, value in [
        ("lables", {"a": "b"}), ("labels", {"a": "b"}), ("labels", None), ("labels", []), ("labels", "x"),
        ("labels", {"a": 1}), ("labels", {"a": True}), ("labels", {"a": None}), ("labels", {"a b": "c"}),
        ("labels", {"a": "b c"}), ("labels", {"a": "x" * 63}), ("labels", {"a": "x" * 64}), ("labels", {"": "a"}),
        ("labels", {"example.com/a": "b"}), ("labels", {"Example.com/a": "b"}), ("labels", {"a/b/c": "d"}),
        ("labels", {"x" * 63: "a"}), ("labels", {"x" * 64: "a"}), ("labels", {"a": ""}), ("labels", {"a": "-"}),
        ("annotations", {"a": "b"}), ("annotations", {"a": 1}), ("annotations", {"A b": "c"}),
        ("annotations", {"Example.com/A": "b"}), ("annotations", {"a": "x" * 1000}), ("annotations", {"a": None}),
        ("annotations", {"a": "x" * 2**18}), ("annotations", {"a": {"b": "c"}}), ("annotations", []),
        ("generation", 1), ("generation", "1"), ("creationTimestamp", None), ("creationTimestamp", "yesterday"),
        ("finalizers", ["example.com/x"]), ("finalizers", ["x"]), ("finalizers", [1]), ("finalizers", "x"),
        ("ownerReferences", [{}]), ("ownerReferences", [1]),
        ("ownerReferences", [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}]),
        ("name2", "x"), ("uid", 5), ("managedFields", None), ("resourceVersion", ""),
    ]),
    *((f"top {key}: {value!r}", a_link("a") | {key: value}) for key, value in [
        ("spec2", {}), ("data", None), ("status", {"slot": 300}), ("status", {"foo": 1}), ("status", None),
        ("spec", None), ("spec", []), ("spec", {}), ("spec", "x"), ("metadata", "x"),
    ]),
    ("unknown in spec", a_link("a", alowedSources=[])),
    ("unknown null in spec", put(a_link("a"), ("spec", "alowedSources"), None)),
    ("unknown below", put(an_instance(), ("spec", "vpn", "slot"), 4)),
    ("requests above limits", an_instance(resources={"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}})),
    ("requests at limits", an_instance(resources={"requests": {"memory": "1Gi"}, "limits": {"memory": "1024Mi"}})),
    ("memory above", an_instance(resources={"requests": {"memory": "1.1G"}, "limits": {"memory": "1Gi"}})),
    ("memory above by little", an_instance(resources={"requests": {"memory": "1.1Gi"}, "limits": {"memory": "1.1G"}})),
    ("a node's label", an_instance(nodeSelector={"a b": "c"})),
    ("a node's long label", an_instance(nodeSelector={"a" * 64: "c"})),
    ("no node", an_instance(nodeSelector={})),
    ("17 labels", an_instance(nodeSelector={f"a{n}": "b" for n in range(17)})),
    ("no node, balanced", an_instance(nodeSelector={}, network={"mode": "LoadBalancer"})),
    ("latest", an_instance(image="a:latest")),
    ("a digest", an_instance(image="a@sha256:" + "0" * 64)),
    ("1,000 users", a_community(users=[f"u{n}" for n in range(1000)])),
    ("1,001 users", a_community(users=[f"u{n}" for n in range(1001)])),
    ("a user twice", a_community(users=["anna", "anna"])),
    ("a source twice", a_link("a", allowedSources=["10.0.0.0/8", "10.0.0.0/8"])),
    ("both refs", a_community(usersFrom=[{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}])),
]  # fmt: skip


def refusal(api: Api, body: Object) -> str:
    """What the API server says; "" where it would take the object."""
    path = f"/apis/mcs.tvox.io/v1alpha1/namespaces/{api.namespace}/{PLURALS[body['kind']]}"
    try:
        api._ask("POST", path, STRICT, body, "application/json")
    except Refused as refused:
        return f"{refused.status} {refused}"
    return ""


def differences(api: Api, cases: Iterator[tuple[str, Object]]) -> list[str]:
    found = []
    for name, body in cases:
        kind = next(kind for kind in KINDS if kind.kind == body["kind"])
        theirs, ours = refusal(api, body), "; ".join(map(str, check(kind, body)))
        if bool(theirs) != bool(ours):
            found.append(f"{name}: the API server: {theirs[:300] or 'valid'}; validate: {ours[:300] or 'valid'}")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_with_every_value_is_judged_as_by_the_api_server(api: Api, kind: type[KubernetesObject]) -> None:
    assert differences(api, every_field_with_every_value(kind)) == []


def test_names_metadata_and_rules_are_judged_as_by_the_api_server(api: Api) -> None:
    assert differences(api, iter(OBJECTS)) == []


YAML = (
    "{a: yes, b: 0777, c: 0o17, d: 1_000, e: 1:30, f: 1.0, h: 1e3, i: ~, j: 0x1F, k: y, l: On, m: =, o: 0b11, p: 1e}",
    "{q: +1, r: 08, s: 12e03, t: Null, u: !!str 5, v: !!int '7', w: !foo x, x: !!binary aGk=, z: -0, aa: .5, ab: 5.}",
    "{n: 2026-01-01, yy: 123456789012345678901234567890, ac: 2026-03-01T12:00:00Z, 1: a, true: b, 1.5: c, ad: '<<'}",
    "{ae: 0x, af: 0o8, ag: 1__0, ah: _1, aj: 1e400, ak: 0.1e-3, al: -0777, am: +0x1f, an: 9223372036854775807}",
    "\n  a: &x {b: c, d: e}\n  f: {<<: *x, d: g}\n  h: {<<: [*x, {i: j}]}\n  k: *x",
    "\n  a: |\n    one\n    two\n  b: >-\n    folded\n    text\n  c: \"\\u00e9\\n\\x41\"\n  d: 'it''s'\n  ? e\n  : f",
)


@pytest.mark.parametrize("data", YAML)
@pytest.mark.parametrize("form", ["utf-8", "utf-16", "utf-8-sig", "crlf"])
def test_a_file_is_read_as_kubectl_reads_it(tmp_path: Path, data: str, form: str) -> None:
    text = f"apiVersion: mcs.tvox.io/v1alpha1\nkind: Community\nmetadata: {{name: a, labels: {{l: m}}}}\ndata: {data}\n"
    file = tmp_path / "a.yaml"
    file.write_bytes(text.replace("\n", "\r\n").encode() if form == "crlf" else text.encode(form))
    (document,) = read([str(file)])
    assert document.body == by_kubectl(file)


CASES = [
    ("---\n---\n", None),
    ("# nothing\n---\n", None),
    ('{"apiVersion": "mcs.tvox.io/v1alpha1", "kind": "Community", "metadata": {"name": "\\ud83d\\ude00"}}', 1),
    ("apiVersion: mcs.tvox.io/v1alpha1\nkind: Community\nmetadata: {name: a}\n---\n", 1),
    ("a: [", None),
    ("a: .inf", None),
    ("{{ .Values.x }}", None),
    ("- a\n- b", None),
    ("words", None),
]


@pytest.mark.parametrize(("text", "objects"), CASES)
def test_what_kubectl_does_not_take_is_not_taken(tmp_path: Path, text: str, objects: int | None) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    if objects is None:
        assert by_kubectl(file) is None
        with pytest.raises(click.ClickException):
            read([str(file)])
    else:
        assert [document.body for document in read([str(file)])] == [by_kubectl(file)]


def by_kubectl(file: Path) -> Object | None:
    """What kubectl makes of a file, without asking any cluster; None where it does not take it."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig=/dev/null", "label", "--local", "-f", str(file), "l=m", "--overwrite", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        return None
    found: Object = json.loads(done.stdout)
    if "data" not in found:
        found["metadata"].pop("labels", None)
    return found
