"""`kubectl mcs` as people run it, found by kubectl on the PATH, against a real API server with the real operator."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcs_operator.pki import fingerprint
from support.api import Api, Object
from support.fake_agent import FakeAgent, fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.plugin import write_plugin
from support.rights import kubeconfig_of
from support.snapshots import encoded, files, settled
from support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder with the plugin, as an installation has it in its bin."""
    write_plugin(tmp_path)
    return tmp_path


class Plugin:
    """`kubectl mcs` in the test's namespace."""

    def __init__(self, api: Api, folder: Path, kubeconfig: Path | None = None) -> None:
        self._api, self._path = api, f"{folder}:{os.environ['PATH']}"
        self._kubeconfig = kubeconfig or api.kubeconfig

    def __call__(self, *arguments: str, stdin: str = "", expect: int = 0, told: bool = False) -> str:
        """Its output; where it fails, or with ``told``, with what it says beside it."""
        done = subprocess.run(
            [
                "kubectl",
                "mcs",
                *arguments,
                f"--kubeconfig={self._kubeconfig}",
                f"--namespace={self._api.namespace}",
            ],
            input=stdin,
            env=os.environ | {"PATH": self._path},
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == expect, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout if expect in (0, 3, 4) and not told else done.stdout + done.stderr

    def data(self, *arguments: str, stdin: str = "", expect: int = 0) -> Any:
        """Its output as JSON."""
        return json.loads(self(*arguments, "--output=json", stdin=stdin, expect=expect))


@pytest.fixture
def mcs(api: Api, plugins: Path) -> Plugin:
    return Plugin(api, plugins)


@pytest.fixture
def agent(api: Api, operator: Operator) -> Iterator[FakeAgent]:
    """An instance with the links acme and bolt, both programmed."""
    base = free_base_port()
    api.create(an_instance(vpn={"slots": 6, "basePort": base}), a_community(), a_link("acme"), a_link("bolt"))
    with fake_agent(api, base) as agent:
        for name in ("acme", "bolt"):
            api.wait_condition("TVoxLink", name, "Ready", "True", "Programmed")
            api.wait_condition("TVoxLink", name, "DomainResolved", "False", "NotResolved")  # asked a second later
        settled(api)
        yield agent


def planned(mcs: Plugin, *bodies: Object, expect: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mcs.data("plan", "-f", "-", stdin=yaml.safe_dump_all(bodies), expect=expect)
    return found


def test_links_and_status_show_what_the_objects_say(api: Api, mcs: Plugin, agent: FakeAgent) -> None:
    rows = mcs.data("links")
    assert [(row["name"], row["domain"], row["ready"]) for row in rows] == [
        ("acme", "acme.mcs.test", "True"),
        ("bolt", "bolt.mcs.test", "True"),
    ]
    table = mcs("links").splitlines()
    assert table[0].startswith("NAME   DOMAIN")
    assert len(table) == 3
    text = mcs("status", expect=1)  # its customers have not connected yet
    assert f"MCSInstance mcs in namespace {api.namespace}: mcs.test, tier UpTo1000" in text
    assert "! TVoxLink/acme: Connected=False NeverConnected" in text


def test_a_profile_is_fetched_into_a_file_that_nobody_else_reads(
    api: Api, mcs: Plugin, agent: FakeAgent, tmp_path: Path
) -> None:
    wanted = files(api.get("Secret", "acme-profile"))["acme.ovpn"]
    assert mcs("profile", "acme") == wanted
    target = tmp_path / "acme.ovpn"
    mcs("profile", "acme", f"--file={target}")
    assert target.read_text() == wanted
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_what_is_not_there_is_named_with_the_way_to_what_is(mcs: Plugin, namespace: str) -> None:
    said = mcs("profile", "nobody", expect=1)
    assert f"TVoxLink 'nobody' not found in namespace {namespace}" in said


def test_a_plan_tells_who_is_interrupted_and_changes_nothing(api: Api, mcs: Plugin, agent: FakeAgent) -> None:
    before = {kind: api.list(kind) for kind in ("MCSInstance", "Community", "TVoxLink")}
    base = before["MCSInstance"][0]["spec"]["vpn"]["basePort"]
    (new,) = planned(mcs, a_link("cara"), expect=0)
    assert (new["action"], new["customers"]) == ("created", [])
    (tcp,) = planned(mcs, a_link("acme", protocol="TCP"), expect=3)
    assert tcp["customers"] == ["acme"]
    (slots,) = planned(mcs, an_instance(vpn={"slots": 8, "basePort": base}), expect=4)
    assert slots["customers"] == ["acme", "bolt"]
    assert [field["path"] for field in slots["fields"]] == ["spec.vpn.slots"]
    (moved,) = planned(mcs, a_link("acme", instance="other"), expect=1)
    assert moved["refused"]
    assert "spec.instanceRef" in moved["effect"]
    assert {kind: api.list(kind) for kind in before} == before


def test_a_plan_of_many_tells_whom_the_operator_then_refuses(api: Api, mcs: Plugin, agent: FakeAgent) -> None:
    """Six slots, two of which are taken; a domain that is taken, and one that two of them want."""
    new = [a_link(f"n{number}", domain=f"n{number}.mcs.test") for number in range(7)]
    new[1]["spec"]["domain"] = "bolt.mcs.test"
    new[3]["spec"]["domain"] = "n2.mcs.test"
    told = {one["name"]: one["effect"] for one in planned(mcs, *new, expect=1) if one["refused"]}
    api.create(*new)
    for body in new:
        name = body["metadata"]["name"]
        api.wait_condition("TVoxLink", name, "Accepted", "False" if name in told else "True")
    said = {name: api.condition("TVoxLink", name, "Accepted")[2] for name in told}
    assert set(told) == {"n1", "n3", "n6"}
    assert all(said[name].startswith(words) for name, words in told.items()), (told, said)


def test_a_plan_with_prune_names_whom_a_deletion_cuts_off_and_deletes_nothing(
    api: Api, mcs: Plugin, agent: FakeAgent
) -> None:
    base = api.get("MCSInstance", "mcs")["spec"]["vpn"]["basePort"]
    kept = yaml.safe_dump_all([an_instance(vpn={"slots": 6, "basePort": base}), a_community(), a_link("acme")])
    said = mcs("plan", "-f", "-", "--prune", stdin=kept, expect=3)
    assert "TVoxLink/bolt: deleted: the tunnel ends" in said
    assert said.splitlines()[-1] == "3 unchanged, 1 deleted; 1 customer is interrupted"
    assert len(api.list("TVoxLink")) == 2


def test_what_a_plan_with_prune_foretells_is_what_a_deletion_does(api: Api, mcs: Plugin, agent: FakeAgent) -> None:
    base = api.get("MCSInstance", "mcs")["spec"]["vpn"]["basePort"]
    kept = yaml.safe_dump_all([an_instance(vpn={"slots": 6, "basePort": base}), a_link("acme")])
    said = mcs("plan", "-f", "-", "--prune", stdin=kept, expect=3)
    assert "Community/acme: deleted: its users are not served any more; the tunnels stay" in said
    assert "TVoxLink/bolt: deleted: the tunnel ends, and the customer's names are not served; number, keys" in said
    slot, profile = api.get("Secret", "mcs-link-002")["data"], api.get("Secret", "bolt-profile")["data"]
    api.delete("TVoxLink", "bolt", wait=5)
    api.delete("Community", "acme", wait=5)
    api.wait_condition("TVoxLink", "acme", "Accepted", "False", "CommunityNotFound")
    until("the slot is free", lambda: api.find("Secret", "mcs-link-003") is None)
    settled(api)
    assert api.get("Secret", "mcs-link-002")["data"] == slot, "the other tunnel stays"
    api.create(a_community(), a_link("bolt"))
    api.wait_condition("TVoxLink", "bolt", "Ready", "True", "Programmed")
    assert api.get("TVoxLink", "bolt")["status"]["slot"] == 3
    assert api.get("Secret", "bolt-profile")["data"]["bolt.ovpn"] == profile["bolt.ovpn"]


def test_a_plan_tells_which_tvox_is_cut_off_and_why(api: Api, mcs: Plugin, agent: FakeAgent) -> None:
    agent.show(2, fingerprint(files(api.get("Secret", "acme-profile"))["tls.crt"]))
    api.wait_condition("TVoxLink", "acme", "Connected", "True", "Established")
    api.merge_status("TVoxLink", "acme", {"tunnel": {"peer": "203.0.113.9:40000"}})
    (shut,) = planned(mcs, a_link("acme", allowedSources=["198.51.100.0/24"]), expect=3)
    assert "TVoxLink acme is connected from 203.0.113.9, which is in none of these networks" in shut["effect"]
    (tcp,) = planned(mcs, a_link("acme", protocol="TCP"), expect=3)
    assert [field["impact"] for field in tcp["fields"]] == ["NewProfile"]
    assert tcp["effect"].endswith(f"kubectl mcs profile -n {api.namespace} acme")


def test_a_rotation_and_a_revocation_are_asked_for_and_waited_for(api: Api, mcs: Plugin, agent: FakeAgent) -> None:
    old = files(api.get("Secret", "acme-profile"))["acme.ovpn"]
    assert "nothing to take back" in mcs("rotate", "acme", "--undo", expect=1)
    (day,) = re.findall("by ([0-9-]{10}):", mcs("rotate", "acme", told=True))
    assert f"The old one is accepted until {day}T" in api.condition("TVoxLink", "acme", "RotationPending")[2]
    mcs("rotate", "acme", "--undo")
    assert files(api.get("Secret", "acme-profile"))["acme.ovpn"] == old
    time.sleep(1)  # what is asked for in the second of the undoing is undone
    mcs("rotate", "acme")
    assert files(api.get("Secret", "acme-profile"))["acme.ovpn"] != old
    assert api.condition("TVoxLink", "acme", "RotationPending")[:2] == ("True", "NewNotSeen")
    mcs("revoke", "acme", "--yes")
    assert api.condition("TVoxLink", "acme", "RotationPending")[:2] == ("True", "OldRefused")
    assert api.condition("TVoxLink", "bolt", "RotationPending")[0] == "False"


def test_a_restart_is_asked_for(api: Api, mcs: Plugin, agent: FakeAgent) -> None:
    mcs("restart", "mcs", "--yes", "--no-wait")
    assert "mcs.tvox.io/restart-requested-at" in api.get("MCSInstance", "mcs")["metadata"]["annotations"]


def test_a_support_bundle_has_everything_but_what_is_secret(
    api: Api, mcs: Plugin, agent: FakeAgent, tmp_path: Path
) -> None:
    """Every value of every Secret of the namespace, whole and line by line, plain and encoded, is looked for in it."""
    password = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mine"},
        "data": encoded(p="hunter2-hunter2"),
    }
    api.kubectl("apply", "-f", "-", stdin=json.dumps(password))  # client-side: a copy of it is in an annotation
    target = tmp_path / "bundle.tar.gz"
    assert mcs("support-bundle", f"--file={target}") == f"{target}\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    found = unpacked(target)

    assert {"README.txt", "overview.txt", "missing.txt"} <= found.keys()
    for name in ("MCSInstance/mcs", "TVoxLink/acme", "Secret/acme-profile", "StatefulSet/mcs", "Pod/mcs-0"):
        assert f"objects/{name}.yaml" in found, name
    assert "MCSInstance mcs in namespace" in found["overview.txt"]
    assert {"logs/mcs-0/agent.log", "logs/mcs-0/link-002.log"} <= found.keys()  # empty: no kubelet runs here
    assert "logs/mcs-0/link-004.log" not in found, "nobody has that slot"
    assert found["missing.txt"] == "no pod of the operator in namespace mcs-system: --operator-namespace\n"
    whole = "".join(found.values())
    values = [value for secret in api.list("Secret") for value in (secret.get("data") or {}).values()]
    texts = [text for value in values for text in (value, *base64.b64decode(value).decode().splitlines())]
    looked_for = {text.strip() for text in texts if len(text.strip()) >= 12}
    assert len(looked_for) > 100
    assert [text for text in looked_for if text in whole] == []


def unpacked(archive: Path) -> dict[str, str]:
    """Files of an archive, without the folder that they are all in."""
    found = {}
    with tarfile.open(archive) as content:
        for member in content:
            file = content.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode()
    return found


def test_who_may_not_read_everything_gets_a_bundle_of_the_rest(
    api: Api, plugins: Path, agent: FakeAgent, tmp_path: Path
) -> None:
    api.kubectl("create", "role", "looker", "--verb=get,list", "--resource=tvoxlinks.mcs.tvox.io,pods")
    api.kubectl("create", "serviceaccount", "looker")
    api.kubectl("create", "rolebinding", "looker", "--role=looker", f"--serviceaccount={api.namespace}:looker")
    looker = f"--as=system:serviceaccount:{api.namespace}:looker"
    question = ("auth", "can-i", "list", "tvoxlinks.mcs.tvox.io", looker)
    until("he is let in", lambda: api.kubectl(*question, check=False).strip() == "yes")
    kubeconfig = tmp_path / "looker.kubeconfig"
    token = api.kubectl("create", "token", "looker").strip()
    kubeconfig.write_text(yaml.safe_dump(kubeconfig_of(api.kubeconfig, token)))
    target = tmp_path / "bundle.tar.gz"
    Plugin(api, plugins, kubeconfig)("support-bundle", f"--file={target}")
    found = unpacked(target)
    assert "objects/TVoxLink/acme.yaml" in found
    assert not [name for name in found if name.startswith("objects/Secret/")]
    assert 'secrets is forbidden: User "system:serviceaccount:' in found["missing.txt"]


def test_kubectl_completes_commands_and_names(api: Api, agent: FakeAgent, plugins: Path) -> None:
    def completed(*words: str) -> list[str]:
        done = subprocess.run(
            ["kubectl", "__complete", "mcs", *words],
            env=os.environ | {"PATH": f"{plugins}:{os.environ['PATH']}"},
            text=True,
            capture_output=True,
            timeout=60,
            check=True,
        )
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    where = (f"--kubeconfig={api.kubeconfig}", f"--namespace={api.namespace}")
    assert {"rotate", "support-bundle", "size"} <= set(completed(""))
    assert completed("rotate", *where, "a")[0] == "acme"


def test_without_a_cluster_it_says_so_in_one_line(plugins: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [plugins / "kubectl-mcs", "links", f"--kubeconfig={tmp_path / 'nothing'}"],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "no usable kubeconfig" in done.stderr
    assert "Traceback" not in done.stderr
