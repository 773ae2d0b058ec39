"""`mcs-operator run --dry-run` on a real API server: not one write, and what it tells is what the next run writes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.api import ROOT, Api
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.snapshots import Audit, settled, versions

pytestmark = pytest.mark.integration

PLURALS = {
    "MCSInstance": "mcsinstances",
    "Community": "communities",
    "TVoxLink": "tvoxlinks",
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "Service": "services",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "StatefulSet": "statefulsets",
    "ResourceQuota": "resourcequotas",
    "Event": "events",
}


def dry_run(api: Api) -> list[str]:
    """Its lines about this namespace."""
    done = subprocess.run(
        [sys.executable, "-m", "mcs_operator", "run", "--dry-run"],
        env={
            **os.environ,
            "KUBECONFIG": str(api.kubeconfig),
            "PYTHONPATH": str(ROOT / "operator"),
            "MCS_NAMESPACES": api.namespace,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.removeprefix(f"{api.namespace}: ") for line in done.stdout.splitlines()]


def foretold(lines: list[str]) -> set[str]:
    """As the audit log has it: what is written, and to which subresource. An Event's name is new each time."""
    found = set()
    for action, what, *part in (line.partition(":")[0].split() for line in lines):
        assert action in ("create", "change", "remove"), lines
        kind, _, name = what.partition("/")
        found.add("events" if kind == "Event" else "/".join([PLURALS[kind], name, *part]))
    return found


def written(audit: Audit, api: Api) -> set[str]:
    """What the operator wrote. The quota is completed by its status, which is no write of its own."""
    asked = {one.partition(" ")[2] for one in audit.writes(api.namespace)}
    parts = {one.removesuffix("/status") if one.startswith("resourcequotas/") else one for one in asked}
    return {"events" if one.partition("/")[0] == "events" else one for one in parts}


def test_what_a_dry_run_tells_is_what_the_next_run_writes(api: Api, operator: Operator) -> None:
    audit = Audit.of(api)
    if audit is None:
        pytest.skip("this API server has no audit log that is known")
    operator.stop()
    api.create(an_instance(), a_community(users=("anna",)), a_link("acme"), a_link("bolt"))
    before, audit = versions(api), Audit.of(api)
    assert audit is not None
    told = dry_run(api)
    assert audit.requests(api.namespace), "it looked"
    assert audit.writes(api.namespace) == [] and versions(api) == before
    assert "anna" not in "\n".join(told)
    assert {"create Secret/acme-profile", "create StatefulSet/mcs", "change TVoxLink/bolt status"} <= set(told)

    operator.start()
    api.wait_condition("TVoxLink", "bolt", "Accepted", "True")
    settled(api, quiet=3)
    assert written(audit, api) == foretold(told)

    assert dry_run(api) == ["nothing to do"]
    operator.stop()
    api.change("TVoxLink", "bolt", enabled=False)
    api.delete("TVoxLink", "acme", wait=10)
    told, audit = dry_run(api), Audit.of(api)
    operator.start()
    settled(api, quiet=3)
    assert audit is not None and written(audit, api) == foretold(told)
