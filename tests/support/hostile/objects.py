"""Bodies as the API server might bring them: good ones of every kind, and generated ones made of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

from mcs_operator.kube.resources import (
    COMMUNITIES,
    CONFIG_MAPS,
    INSTANCES,
    LINKS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    Resource,
)
from mcs_operator.settings import (
    LABEL_INSTANCE,
    LABEL_LINK,
    LABEL_MANAGED_BY,
    LABEL_PASSWORDS,
    LABEL_SLOT,
    LABEL_USERS,
    OPERATOR,
)
from support.hostile import TEXTS, VALUES, disturbed, encoded, nested
from support.objects import a_community, a_link, an_instance
from support.rounds import Rounds
from support.worlds import HASH, NAMESPACE, link

Body = dict[str, Any]
PORTAL: dict[str, Any] = {
    "portalDomain": "meet.acme.test",
    "authentication": {"passwordsFrom": [{"secretRef": {"name": "passwords"}}]},
}
OURS = {LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: "mcs"}
NAMES = (
    "mcs-ca", "mcs-agent", "mcs-metrics", "mcs-link-002", "mcs-link-017", "mcs-link-999", "mcs-link-٠٠٢",
    "acme-profile", "bolt-profile", "acme-backup-profile", "-profile", "-ca", "mcs-users-03", "mcs-certs-1",
    "mcs-links", "mcs-manifest", "list", "tls", "users", "passwords",
)  # fmt: skip
LABELS = (
    OURS, {}, None, [], "x", {LABEL_USERS: "true"}, {LABEL_PASSWORDS: "acme"},
    {LABEL_PASSWORDS: ["acme"]}, OURS | {LABEL_USERS: "true"}, {LABEL_MANAGED_BY: "Helm"},
    OURS | {LABEL_LINK: "acme"}, OURS | {LABEL_LINK: "bolt", LABEL_SLOT: "copy"}, OURS | {LABEL_INSTANCE: None},
    OURS | {LABEL_LINK: "acme", LABEL_SLOT: "002"}, OURS | {LABEL_SLOT: "٠٠٢"}, {LABEL_MANAGED_BY: ["mcs-operator"]},
)  # fmt: skip


def stored(body: Body, version: int, uid: str = "", **metadata: Any) -> Body:
    """As the API server gives it back."""
    name = body["metadata"].get("name", "x")
    known = {"namespace": NAMESPACE, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    known |= {"creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    return body | {"metadata": body["metadata"] | known | metadata}


@cache
def good() -> tuple[tuple[Resource, Body], ...]:
    """One namespace with two links, with real keys, as it lies in the API server."""
    space = Rounds([link("acme", age=2), link("bolt", age=1)]).round()
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": ""}], "slot": 2}
    users = {"name": "users", "labels": {LABEL_USERS: "true"}}
    passwords = {"name": "passwords", "labels": {LABEL_PASSWORDS: "acme"}}
    pod = {
        "metadata": {"name": "mcs-0", "labels": OURS, "annotations": {"mcs.tvox.io/poke": "1"}},
        "spec": {"nodeName": "n", "containers": [{"name": "media", "image": "i"}]},
        "status": {"containerStatuses": [{"name": "media", "ready": False, "state": {"waiting": {"reason": "x"}}}]},
    }
    amounts = {"count/tvoxlinks.mcs.tvox.io": "2", "count/mcsinstances.mcs.tvox.io": "1"}
    quota = {
        "metadata": {"name": "mcs-max-250-tvoxlinks", "labels": OURS},
        "status": {"hard": amounts, "used": amounts},
    }
    tls = {"metadata": {"name": "tls"}, "type": "kubernetes.io/tls", "data": {"tls.crt": "YQ==", "tls.key": "YQ=="}}
    return (
        (INSTANCES, an_instance(tls={"secretRef": {"name": "tls"}}) | {"status": status}),
        (COMMUNITIES, a_community(usersFrom=[{"configMapRef": {"name": "users"}}], **PORTAL) | {"status": status}),
        (LINKS, a_link("acme", tls={"secretRef": {"name": "tls"}}) | {"status": status}),
        (LINKS, a_link("bolt") | {"status": {"links": {"accepted": 1}, "bandwidth": {"connections": 2}}}),
        *((SECRETS, body) for body in space.secrets.values()),
        (CONFIG_MAPS, {"metadata": {"name": "mcs-links", "labels": OURS}, "data": {"links.json": '{"links": []}'}}),
        (CONFIG_MAPS, {"metadata": users, "data": {"users.yaml": "- name: anna.rossi\n"}}),
        (SECRETS, {"metadata": users, "data": {"users.yaml": encoded("- name: anna.rossi\n")}, "type": "Opaque"}),
        (SECRETS, {"metadata": passwords, "data": {".htpasswd": encoded(f"anna.rossi:{HASH}\n")}, "type": "Opaque"}),
        (SECRETS, tls),
        (PODS, pod),
        (RESOURCE_QUOTAS, quota),
        (SERVICES, {"metadata": {"name": "mcs", "labels": OURS}, "spec": {}}),
    )


def bodies(seed: int, count: int) -> Iterator[tuple[Resource, Any]]:
    """So many objects that nobody should write: the same ones for a seed."""
    chance = Random(seed)  # noqa: S311 - repeatable, not secret
    for number in range(count):
        resource, body = chance.choice(good())
        odd: Any = disturbed(chance, stored(body, number + 1), chance.randint(0, 4))
        if chance.random() < 0.3:
            odd = _renamed(chance, odd)
        if chance.random() < 0.03:
            odd = chance.choice([*VALUES, nested(3000), {"metadata": nested(5)}])
        elif chance.random() < 0.85:
            odd = _placed(odd, body, number + 1)
        yield resource, odd


def _renamed(chance: Random, body: Body) -> Body:
    metadata = body["metadata"] if isinstance(body.get("metadata"), dict) else {}
    named = metadata | {"name": chance.choice(NAMES), "labels": chance.choice(LABELS)}
    data = {chance.choice(("identity.json", "tls.crt", "users-x.yaml", "users-03.json")): encoded(chance.choice(TEXTS))}
    return body | {"metadata": named} | ({"data": data} if chance.random() < 0.5 else {})


def _placed(odd: Body, original: Body, version: int) -> Body:
    """With what an API server never leaves out, so that more is read than the envelope."""
    metadata = odd.get("metadata") if isinstance(odd.get("metadata"), dict) else {}
    name = metadata.get("name") if isinstance(metadata.get("name"), str) else original["metadata"]["name"]
    known = {"name": name or "x", "namespace": NAMESPACE, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return odd | {"metadata": metadata | known}
