"""What the appliance keeps on its volume, by the commands of docs/disaster-recovery.md: saved while it runs, lost with
its instance, and put into the volume of a new one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.conftest import node, operator_process, server
from e2e.portal import ALL, with_portal
from ecosystem.kept_data import CONTENT, NAME, TEXT, as_user, documented, kept, put_back, run, served, talk
from support.api import Api
from support.cluster import Node
from support.mcs import POD, Mcs
from support.objects import INSTANCE
from support.operator import Operator
from support.waiting import until

__all__ = ["node", "operator_process", "server"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

NEEDS = "a node. 2 minutes."


def test_messages_and_files_outlive_their_volume(
    node: Node, server: Api, operator_process: Operator, tmp_path: Path
) -> None:
    with with_portal(node, server, {"ada": ALL, "bob": ALL}, vpn={"slots": 2}) as mcs:
        as_user(mcs, "ada", talk)
        assert as_user(mcs, "bob", kept) == ([TEXT], {NAME: CONTENT})
        for line in documented("> data.tar"):
            run(line, mcs, tmp_path)
        make_anew(mcs)
        assert as_user(mcs, "bob", kept) == ([], {}), "it was not lost"
        put_back(mcs, tmp_path, documented("< data.tar"))


def make_anew(mcs: Mcs) -> None:
    """The instance is deleted, its volume with it, and declared again."""
    instance = mcs.api.get("MCSInstance", INSTANCE)
    claim = mcs.api.get("PersistentVolumeClaim", f"{INSTANCE}-data")["metadata"]["uid"]
    mcs.api.allow_deletion(INSTANCE)
    mcs.api.delete("MCSInstance", INSTANCE, wait=60)
    for kind, name in (("Pod", POD), ("PersistentVolumeClaim", f"{INSTANCE}-data")):
        until(f"{name} is gone", lambda kind=kind, name=name: mcs.api.find(kind, name) is None, 60)
    until("its quota is gone", lambda: mcs.api.list("ResourceQuota") == [])
    named = {key: instance[key] for key in ("apiVersion", "kind", "spec")}
    mcs.api.create(named | {"metadata": {"name": INSTANCE}})
    served(mcs)
    assert mcs.api.get("PersistentVolumeClaim", f"{INSTANCE}-data")["metadata"]["uid"] != claim
