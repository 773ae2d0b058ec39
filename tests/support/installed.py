"""The operator's own manifests (manifests/install.yaml) at an API server without a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from support.api import ROOT, Api, Object
from support.waiting import until

MANIFESTS = ROOT / "manifests" / "install.yaml"
_PROTECTION = "mcs-operator-deletion-protection"


def available(deployment: Object) -> Object:
    """What the Deployment's controller says when all replicas run."""
    count = deployment["spec"]["replicas"]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
    told = {"Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
    conditions = [{"type": type, "status": "True", "reason": reason} for type, reason in told.items()]
    return {"observedGeneration": deployment["metadata"]["generation"], "conditions": conditions, **counts}


def of_operator(home: Api) -> dict[str, str]:
    """Versions of what the manifests have, for the whole cluster and in the operator's namespace."""
    kinds = "crd,clusterrole,clusterrolebinding,validatingwebhookconfiguration,validatingadmissionpolicy,"
    kinds += "validatingadmissionpolicybinding,deployment,serviceaccount,role,rolebinding,networkpolicy,service"
    columns = "custom-columns=K:.kind,N:.metadata.name,V:.metadata.resourceVersion"
    lines = [line.split() for line in home.kubectl("get", kinds, "--no-headers", "-o", columns).splitlines()]
    return {f"{kind}/{name}": version for kind, name, version in lines}


@contextmanager
def deletion_protection(api: Api) -> Iterator[None]:
    """In force as long as the block lasts. An instance `mcs` with links up is there: it is tried with that."""
    rendered = yaml.safe_load_all(MANIFESTS.read_text())
    text = yaml.safe_dump_all([body for body in rendered if body and body["metadata"]["name"] == _PROTECTION])
    delete = ("delete", "mcsinstance", "mcs", "--dry-run=server")

    def refuses() -> bool:
        return _PROTECTION in api.kubectl(*delete, check=False, merge=True)

    api.kubectl("apply", "-f", "-", stdin=text)
    until("the policy is in force", refuses, 30)
    try:
        yield
    finally:
        api.kubectl("delete", "-f", "-", stdin=text)
        until("the policy is in force no more", lambda: not refuses(), 30)
