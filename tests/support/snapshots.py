"""Whole namespaces at one moment: versions to compare, identities, an export to restore from, and who wrote what."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from support.api import Api, Object
from support.objects import API_VERSION
from support.quota import until_counted
from support.waiting import until

OURS = ("MCSInstance", "Community", "TVoxLink")
CHILDREN = (
    "Secret",
    "ConfigMap",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PersistentVolumeClaim",
    "StatefulSet",
    "Pod",
)
REVIEWS = ("tokenreviews", "subjectaccessreviews")
PLACED_BY_CONTROLLERS = ("Pod", "ReplicaSet")
_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


def versions(api: Api) -> dict[str, str]:
    """resourceVersion of every object in the namespace, by kind/name."""
    kinds = (*OURS, *CHILDREN)
    return {f"{kind}/{name}": version for kind in kinds for name, version in api.versions(kind).items()}


def settled(api: Api, *, quiet: float = 1.5, timeout: float = 60) -> dict[str, str]:
    """Wait until nothing in the namespace changes any more for ``quiet`` seconds; the versions then."""
    last, since = versions(api), time.monotonic()

    def look() -> bool:
        nonlocal last, since
        now = versions(api)
        changed = sorted(name for name in {*now, *last} if now.get(name) != last.get(name))
        if changed:
            last, since = now, time.monotonic()
        assert time.monotonic() - since >= quiet, f"still changing: {changed}"
        return True

    until("the namespace is quiet", look, timeout, pause=0.5)  # eleven lists each
    return last


@dataclass(frozen=True)
class Identity:
    """What a TVox's profile depends on: a change of any of it costs a visit."""

    number: int
    certificate: str
    key: str
    tls_crypt: str
    profile: str


def identities(api: Api) -> dict[str, Identity]:
    """Identity of every link that has one, by the link's name."""
    found = {}
    for secret in api.list("Secret"):
        link = secret["metadata"]["name"].removesuffix("-profile")
        content = files(secret)
        if "identity.json" in content:
            number = json.loads(content["identity.json"])["slot"]
            found[link] = Identity(
                number, content["tls.crt"], content["tls.key"], content["tls-crypt.key"], content[f"{link}.ovpn"]
            )
    return found


def files(secret: Object) -> dict[str, str]:
    """Content of a Secret as text."""
    return {name: base64.b64decode(text).decode() for name, text in (secret.get("data") or {}).items()}


def encoded(**content: str) -> dict[str, str]:
    """Content for a Secret's data."""
    return {name: base64.b64encode(text.encode()).decode() for name, text in content.items()}


def exported(api: Api, kinds: Iterable[str] = (*OURS, "Secret", "ConfigMap")) -> list[Object]:
    """Objects as a backup has them: no status, nothing that the server decides, owners with the UIDs of then."""
    return [
        _portable(kind, body)
        for kind in kinds
        for body in api.list(kind)
        if body["metadata"]["name"] != "kube-root-ca.crt"
    ]


def _portable(kind: str, body: Object) -> Object:
    """Items of a list do not tell their kind themselves."""
    known = {"apiVersion": API_VERSION if kind in OURS else "v1", "kind": kind}
    metadata = {key: value for key, value in body["metadata"].items() if key not in _OF_THE_SERVER}
    return known | {k: v for k, v in body.items() if k not in ("metadata", "status")} | {"metadata": metadata}


@dataclass(frozen=True)
class Asked:
    """One request in the audit log. Times are seconds of the API server's clock: begun, and answered."""

    verb: str
    resource: str
    namespace: str
    name: str
    sub: str
    agent: str
    begun: float
    answered: float

    def __str__(self) -> str:
        return f"{self.verb} {'/'.join(part for part in (self.resource, self.name, self.sub) if part)}"

    @property
    def writes(self) -> bool:
        """Whether it changes something, or tries to. A review is a create of which nothing is stored."""
        return self.verb not in ("get", "list", "watch") and self.resource not in REVIEWS

    @classmethod
    def of(cls, event: dict[str, Any]) -> Asked:
        """One line of the log."""
        at = event.get("objectRef") or {}
        place = (str(at.get(key, "")) for key in ("resource", "namespace", "name", "subresource"))
        times = (datetime.fromisoformat(event[key]).timestamp() for key in _TIMES)
        return cls(str(event["verb"]), *place, str(event.get("userAgent", "")), *times)


_TIMES = ("requestReceivedTimestamp", "stageTimestamp")


class Audit:
    """The API server's audit log: requests since a moment."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._from = log.stat().st_size

    @classmethod
    def of(cls, api: Api) -> Audit | None:
        """Where this server keeps one and tells where."""
        told = os.environ.get("MCS_AUDIT_LOG")
        for log in (Path(told) if told else None, api.kubeconfig.parent / "log" / "audit.log"):
            if log is not None and log.exists():
                return cls(log)
        return None

    def asked(self, namespace: str | None, agent: str = "mcs-operator") -> list[Asked]:
        """Requests of a client in a namespace, or in all, since this object was made."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            whole, _, _ = log.read().rpartition(b"\n")  # the last line may be half written
        lines = whole.decode(errors="replace").splitlines()
        found = (Asked.of(json.loads(line)) for line in lines)
        return [one for one in found if one.agent.startswith(agent) and namespace in (None, one.namespace)]

    def requests(self, namespace: str, agent: str = "mcs-operator") -> list[str]:
        """The same in words: ``create secrets/a`` and so on."""
        return [str(one) for one in self.asked(namespace, agent)]

    def writes(self, namespace: str, agent: str = "mcs-operator") -> list[str]:
        """Those that change something, or try to."""
        return [str(one) for one in self.asked(namespace, agent) if one.writes]


def audited(api: Api) -> Audit:
    """The audit log from now on, when nothing is owed any more: neither by the operator nor by those who count."""
    until_counted(api)  # or the operator counts in the place of the quota's controller, meanwhile
    settled(api, quiet=3, timeout=120)
    audit = Audit.of(api)
    if audit is None:
        pytest.skip("this API server has no audit log that is known")
    return audit


def assert_rests(api: Api, seconds: float = 20) -> None:
    """The operator looks several times, and writes nothing; nor does anybody else change an object."""
    audit, before = audited(api), versions(api)
    time.sleep(seconds)
    assert audit.writes(api.namespace) == []
    assert versions(api) == before
