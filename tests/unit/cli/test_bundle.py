"""A support bundle, from objects and logs as an API server gives them: nothing secret in the bytes of the archive."""

from __future__ import annotations

import base64
import io
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcs_operator.cli.access import Cluster
from mcs_operator.cli.bundle import Bundle, collect
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import PODS, SECRETS, Object, Resource
from support.objects import a_community, a_link, an_instance
from support.worlds import KEY

ROUNDS = max(20, int(os.environ.get("MCS_FUZZ", "1000")) // 20)
OURS = {"app.kubernetes.io/managed-by": "mcs-operator"}


class FakeApi:
    """What a namespace has, and what its containers said."""

    def __init__(self, bodies: list[Object], logs: dict[str, str]) -> None:
        self.bodies, self.logs = bodies, logs

    async def list(self, resource: Resource, **query: Any) -> tuple[list[Object], str]:
        if resource is SECRETS and not query.get("metadata_only"):
            raise AssertionError("the data of Secrets is not asked for")
        if resource is PODS and query["namespace"] == "nowhere":
            raise ApiError(403, "Forbidden", 'pods is forbidden: User "me" cannot list, token=hunter2hunter2')
        return [body for body in self.bodies if body["kind"] == resource.kind], "1"

    async def log(self, namespace: str, pod: str, container: str, *, lines: int) -> str:
        if container not in self.logs:
            raise ApiError(404, "NotFound", "no such container")
        return self.logs[container]


async def bundled(bodies: list[Object], operator_namespace: str = "demo", **logs: str) -> Bundle:
    for body in bodies:
        body["metadata"].setdefault("namespace", "demo")
    cluster = Cluster(FakeApi(bodies, logs), "demo")  # type: ignore[arg-type]
    return await collect(
        cluster, operator_namespace=operator_namespace, lines=5, version="1", moment="now", told=lambda _: None
    )


def pod(name: str = "mcs-0", labels: dict[str, str] = OURS, **container: Any) -> Object:
    found = {"name": "agent", "image": "x", "command": ["agent"], **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [found]},
    }


def config_map(name: str, data: Any, labels: dict[str, str] | None = None, owner: str = "") -> Object:
    metadata: Object = {"name": name, "labels": labels or {}}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner}]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def noted(body: Object, **notes: str) -> Object:
    return body | {"metadata": body["metadata"] | {"annotations": notes}}


def said(body: Object, message: str) -> Object:
    condition = {"type": "Ready", "status": "False", "reason": "UsersInvalid", "message": message}
    return body | {"status": {"conditions": [condition]}}


def event(note: str) -> Object:
    return {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": note}


def terminated(message: str) -> Object:
    state = {"terminated": {"exitCode": 1, "message": message}}
    return pod() | {"status": {"containerStatuses": [{"name": "media", "lastState": state}]}}


ANYWHERE: list[Callable[[str], Object]] = [
    lambda s: noted(an_instance(), note=s),
    lambda s: noted(a_link("acme"), **{"kubectl.kubernetes.io/last-applied-configuration": f'{{"x": "{s}"}}'}),
    lambda s: config_map("anything", {"a": s}),
    lambda s: config_map("anything", {"a": [s]}),
    lambda s: config_map("mcs-links", {"users-x.yaml": s}, OURS),
    lambda s: config_map("mcs-links", {"links.json": s}, OURS, "MCSInstance"),
    lambda s: config_map("mcs-links", {"links.json": f'{{"password": "{s}"}}'}, OURS, "MCSInstance"),
    lambda s: config_map("mcs-links", s, OURS, "MCSInstance"),
    lambda s: pod(env=[{"name": "HTTPS_PROXY", "value": s}]),
    lambda s: pod(env=[{"name": "MCS_TOKEN", "value": s}]),
    lambda s: pod("other", {}, env=[{"name": "SLOT", "value": s}]),
    lambda s: pod("other", {}, args=["--key", s]),
    lambda s: pod("other", {}, command=["sh", "-c", s]),
    lambda s: pod(args=["--client-secret", s, "--verbose"]),
    lambda s: pod(args=[f"--client-secret={s}"]),
    terminated,
    lambda s: (
        a_community("acme") | {"spec": {"instanceRef": {"name": "mcs"}, "users": [{"name": s, "displayName": s}]}}
    ),
    lambda s: a_community("acme") | {"spec": {"instanceRef": {"name": "mcs"}, "users": s}},
    lambda s: {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x"},
        "data": {"a": s},
        "stringData": {"a": s},
    },
    lambda s: {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"password": s}},
    lambda s: said(an_instance(), f"dialling http://me:{s}@proxy failed"),
    lambda s: event(f'{{"client_secret": "{s}"}}'),
]


def in_the_archive(bundle: Bundle, folder: Path) -> str:
    target = folder / "b.tar.gz"
    bundle.write(target, "b")
    with tarfile.open(target) as archive:
        members = [archive.extractfile(member) for member in archive.getmembers()]
        return "".join(f.read().decode() for f in members if f) + " ".join(archive.getnames())


async def test_a_secret_is_not_in_the_bundle_wherever_it_is_planted(tmp_path: Path) -> None:
    chance = random.Random(11)  # noqa: S311 - repeatable, and no secret
    letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    for number in range(ROUNDS):
        value = "".join(chance.choice(letters) for _ in range(chance.randint(8, 60)))
        bodies = [place(value) for place in ANYWHERE]
        for unique, body in enumerate(bodies):
            body["metadata"] = body["metadata"] | {"name": f"{body['metadata']['name']}{unique}"}
        bundle = await bundled([*bodies], agent=f"Authorization: Basic {base64.b64encode(value.encode()).decode()}")
        text = in_the_archive(bundle, tmp_path) if number < 3 else "".join(bundle.files.values())
        raw = base64.b64encode(value.encode()).decode().rstrip("=")[:-1]
        assert value not in text
        assert raw not in text


@pytest.mark.parametrize("place", range(len(ANYWHERE)))
async def test_each_place_for_itself(place: int) -> None:
    bundle = await bundled([ANYWHERE[place]("hunter2Hunter2")])
    assert "hunter2" not in "".join(bundle.files.values()).lower()


@pytest.mark.parametrize("width", [10, 40, 64, 79, 80, 200])
async def test_a_key_is_gone_however_wide_its_lines_are(width: int) -> None:
    joined = "".join(KEY.splitlines()[1:-1]) * 3
    rows = "\n".join(joined[i : i + width] for i in range(0, len(joined), width))
    for key in (f"-----BEGIN EC PRIVATE KEY-----\n{rows}\n-----END EC PRIVATE KEY-----\n", KEY):
        bundle = await bundled(
            [said(an_instance(), f"the appliance says: {key}"), event(key), config_map("a", {"k": key})]
        )
        text = "".join(bundle.files.values())
        assert not [row for row in key.splitlines() if not row.startswith("-") and len(row) > 9 and row in text]
        assert "PRIVATE KEY" not in text.replace("private keys", "")


async def test_users_are_named_nowhere_also_not_in_messages_and_logs() -> None:
    file = config_map(
        "staff", {"users.yaml": "- {name: carla.verdi, displayName: Carla Verdi}"}, {"mcs.tvox.io/users": "true"}
    )
    community = a_community("acme", users=("anna.rossi", {"name": "bruno", "displayName": "Bruno Bianchi"}))
    bodies = [
        said(community, "user 'anna.rossi' is listed twice; Bruno Bianchi, carla.verdi"),
        file,
        a_link("acme"),
        event("not served, from 'dora' on"),
        pod(),
    ]
    bundle = await bundled(bodies, agent='{"user": "anna.rossi", "display": "Carla Verdi"} bruno logged in at acme')
    text = "".join(bundle.files.values()).lower()
    for name in ("anna", "rossi", "bruno", "bianchi", "carla", "verdi", "dora"):
        assert name not in text, name
    assert "logged in at acme" in text


async def test_what_helps_is_in_it() -> None:
    links = config_map(
        "mcs-links", {"links.json": '{"acme": {"slot": 2, "domain": "acme.mcs.test"}}'}, OURS, "MCSInstance"
    )
    noted_link = noted(a_link("acme"), **{"mcs.tvox.io/rotate-requested-at": "2026-03-01T12:00:00Z"})
    ours = pod(env=[{"name": "MCS_BASE_PORT", "value": "21000"}, {"name": "SLOT", "value": "17"}], args=["--verbose"])
    bundle = await bundled([an_instance(), noted_link, links, ours], agent="link-002 is up\n")
    assert bundle.files["logs/mcs-0/agent.log"] == "link-002 is up\n"
    assert "2026-03-01T12:00:00Z" in bundle.files["objects/TVoxLink/acme.yaml"]
    assert "acme.mcs.test" in bundle.files["objects/ConfigMap/mcs-links.yaml"]
    found = yaml.safe_load(bundle.files["objects/Pod/mcs-0.yaml"])["spec"]["containers"][0]
    assert [one["value"] for one in found["env"]] == ["21000", "17"]
    assert found["args"] == ["--verbose"]
    assert "MCSInstance mcs in namespace demo" in bundle.files["overview.txt"]


async def test_what_cannot_be_read_is_named_and_ends_nothing() -> None:
    bundle = await bundled([pod(), a_link("acme")], operator_namespace="nowhere")
    assert any("log of demo/mcs-0, container agent" in line for line in bundle.missing)
    assert any("pods of namespace nowhere: pods is forbidden" in line for line in bundle.missing)
    assert any("no pod of the operator in namespace nowhere" in line for line in bundle.missing)
    assert "hunter2" not in bundle.files["missing.txt"]
    assert (await bundled([])).files["missing.txt"].startswith("no pod of the operator")


def test_the_archive_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    target.write_text("of before")
    target.chmod(0o644)
    bundle = Bundle()
    bundle.add("a.txt", "words")
    bundle.write(target, "b")
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(fileobj=io.BytesIO(target.read_bytes())) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.mode) == ("b/a.txt", 0o600)
