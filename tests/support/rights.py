"""A service account with exactly the rights that the chart gives, and what the API server says it did with them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.api import ROOT, Api, Object

FILES = ROOT / "charts" / "mcs-operator" / "files"
ACCOUNT = "mcs-operator"
_ALL_OVER = ("in-all-namespaces", "in-no-namespace")
Use = tuple[str, str, str]
"""API group, resource (with subresource), verb."""


@dataclass(frozen=True)
class Account:
    """``kubeconfig`` is its own. ``namespace`` is where it lives, and where its Lease is."""

    namespace: str
    kubeconfig: Path
    audit_log: Path | None
    mark: int

    @property
    def user(self) -> str:
        """Its name in the audit log."""
        return f"system:serviceaccount:{self.namespace}:{ACCOUNT}"

    def requests(self) -> Iterator[Object]:
        """Its requests about objects since it was made, from the audit log."""
        assert self.audit_log is not None, "this API server has no audit log that is known"
        with self.audit_log.open("rb") as log:
            log.seek(self.mark)
            for line in log:
                if not line.endswith(b"\n"):  # it is being written
                    return
                entry = json.loads(line)
                if entry["user"].get("username") == self.user and "objectRef" in entry:
                    yield entry

    def used(self) -> set[Use]:
        """What it did. A server-side apply that created something needed the verb create too."""
        found = set()
        for entry in self.requests():
            about = entry["objectRef"]
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            verbs = {entry["verb"]}
            if entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201:
                verbs.add("create")
            found |= {(about.get("apiGroup", ""), resource, verb) for verb in verbs}
        return found

    def refused(self) -> list[str]:
        """What it tried and may not do. A namespace on its way out, or a quota, answers 403 too: no lack of a right."""
        return [
            f"{entry['verb']} {entry['requestURI']}"
            for entry in self.requests()
            if entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
        ]


def granted() -> set[Use]:
    """What the chart grants where the operator serves all namespaces."""
    rules = [rule for name in (*_ALL_OVER, "in-own-namespace") for rule in _rules(name)]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _rules(where: str) -> list[Object]:
    rules: list[Object] = yaml.safe_load((FILES / f"rights-{where}.yaml").read_text())
    return rules


@contextmanager
def confined(server: Api, namespace: str, folder: Path, served: Sequence[str] = ()) -> Iterator[Account]:
    """An account in a namespace that is there, with the chart's rights and no other, as long as the context lasts.

    ``served``: the namespaces whose instances it serves; none: all.
    """
    cluster_role = f"{ACCOUNT}-{namespace}"
    bodies = list(_objects(namespace, cluster_role, served))
    home = server.within(namespace)
    for place in (namespace, *served):
        there = [body for body in bodies if body["metadata"].get("namespace", namespace) == place]
        server.within(place).kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(there))
    try:
        token = home.kubectl("create", "token", ACCOUNT, "--duration=4h").strip()
        kubeconfig = folder / "operator.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(kubeconfig_of(server.kubeconfig, token)))
        log = _audit_log(server.kubeconfig)
        yield Account(namespace, kubeconfig, log, log.stat().st_size if log else 0)
    finally:
        server.kubectl(
            "delete", "--ignore-not-found", f"clusterrole/{cluster_role}", f"clusterrolebinding/{cluster_role}"
        )


def _objects(namespace: str, cluster_role: str, served: Sequence[str]) -> Iterator[Object]:
    local = {"name": ACCOUNT, "namespace": namespace}
    wide = ("where-namespaces-are-listed", "in-no-namespace") if served else _ALL_OVER
    instances = [
        ("Role", {"name": f"{ACCOUNT}-instances", "namespace": name}, ("in-all-namespaces",)) for name in served
    ]
    subject = {"kind": "ServiceAccount", **local}
    rbac = "rbac.authorization.k8s.io"
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": local}
    for kind, metadata, where in (
        ("ClusterRole", {"name": cluster_role}, wide),
        ("Role", local, ("in-own-namespace",)),
        *instances,
    ):
        rules = [rule for name in where for rule in _rules(name)]
        yield {"apiVersion": f"{rbac}/v1", "kind": kind, "metadata": metadata, "rules": rules}
        yield {
            "apiVersion": f"{rbac}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": kind, "name": metadata["name"]},
            "subjects": [subject],
        }


def kubeconfig_of(admin: Path, token: str) -> Object:
    """The administrator's way to the server, with another user."""
    given: Any = yaml.safe_load(admin.read_text())
    context = next(c["context"] for c in given["contexts"] if c["name"] == given["current-context"])
    cluster: Object = next(c["cluster"] for c in given["clusters"] if c["name"] == context["cluster"])
    if "certificate-authority" in cluster:
        cluster = cluster | {"certificate-authority": str((admin.parent / cluster["certificate-authority"]).resolve())}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": ACCOUNT}}],
        "current-context": "it",
    }


def _audit_log(kubeconfig: Path) -> Path | None:
    """Where the API server writes it: MCS_AUDIT_LOG, or beside the kubeconfig of a control plane of our own."""
    named = os.environ.get("MCS_AUDIT_LOG")
    path = Path(named) if named else kubeconfig.parent / "log" / "audit.log"
    return path if path.is_file() else None
