"""`kubectl mcs add` and `import` against a real API server: fifty by one command, none by a broken file."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.api import Api, Object
from support.fake_agent import fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.plugin import write_plugin

pytestmark = pytest.mark.integration

Run = Callable[..., "subprocess.CompletedProcess[str]"]
FIFTY = [f"c{number:02}" for number in range(50)]


@pytest.fixture
def run(api: Api, tmp_path: Path) -> Run:
    """The plugin in the test's namespace."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_plugin(folder)

    def run(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["kubectl", "mcs", *arguments, f"--kubeconfig={api.kubeconfig}", f"--namespace={api.namespace}"],
            env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
            cwd=tmp_path,
            text=True,
            capture_output=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def instance(api: Api, operator: Operator) -> Object:
    """One with a slot for each of them, and a few more."""
    return api.create(an_instance(vpn={"slots": 56, "basePort": free_base_port()}))


def a_file(tmp_path: Path, *more: str) -> str:
    path = tmp_path / "customers.csv"
    rows = [f"{name},{name}.mcs.test,anna.{name} bea.{name}" for name in FIFTY]
    path.write_text("\n".join(["name,domain,users", *rows, *more]) + "\n")
    return str(path)


def served(api: Api) -> dict[str, str]:
    """Each link, and whether it is accepted."""
    return {
        body["metadata"]["name"]: next(c["status"] for c in body["status"]["conditions"] if c["type"] == "Accepted")
        for body in api.list("TVoxLink")
    }


def test_fifty_customers_come_by_one_command_and_all_are_ready(
    api: Api, run: Run, instance: Object, tmp_path: Path
) -> None:
    begun = time.monotonic()
    done = run("import", a_file(tmp_path), "--apply")
    print(f"fifty customers, checked, created and accepted: {time.monotonic() - begun:.1f} s")
    with fake_agent(api, instance["spec"]["vpn"]["basePort"]):
        api.kubectl("wait", "tvl,communities", "--all", "--for=condition=Ready", "--timeout=120s", timeout=130)
    assert served(api) == dict.fromkeys(FIFTY, "True")
    assert len(api.list("Community")) == 50
    assert "100 of 100  TVoxLink/c49" in done.stderr
    assert "50 of 50 accepted" in done.stderr
    assert "  c07.mcs.test.  CNAME  mcs.test." in done.stdout.splitlines()
    assert f"  kubectl mcs profile --namespace={api.namespace} c07 --file c07.ovpn" in done.stdout.splitlines()


def test_what_was_interrupted_goes_on_and_changes_nothing_that_is_there(
    api: Api, run: Run, instance: Object, tmp_path: Path
) -> None:
    file = a_file(tmp_path)
    run("import", file, "--apply")
    for name in FIFTY[30:]:
        api.delete("TVoxLink", name)
    api.delete("Community", "c40")
    before = api.get("Community", "c00")["metadata"]["resourceVersion"]
    done = run("import", file, "--apply")
    assert "79 of 100 objects are there already, and stay as they are" in done.stderr
    assert "21 of 21  TVoxLink/c49" in done.stderr
    assert served(api) == dict.fromkeys(FIFTY, "True")
    assert api.get("Community", "c00")["metadata"]["resourceVersion"] == before


def test_a_broken_row_is_named_and_nothing_is_applied(api: Api, run: Run, instance: Object, tmp_path: Path) -> None:
    done = run("import", a_file(tmp_path, "late,late,x", "twin,c03.mcs.test,"), "--apply", expect=1)
    assert "customers.csv, line 52, column domain: 'late': must be a full domain name" in done.stderr
    assert "customers.csv, line 53, column domain: 'c03.mcs.test' stands in line 5 too" in done.stderr
    assert "2 things are wrong: nothing was written" in done.stderr
    assert api.list("TVoxLink") == api.list("Community") == []


def test_what_only_the_cluster_knows_is_known_before_anything_is_written(
    api: Api, run: Run, instance: Object, tmp_path: Path
) -> None:
    api.create(a_community("old"), a_link("old", community="old", domain="c03.mcs.test"))
    api.create(a_community("c07", users=("somebody",)))
    api.wait_condition("TVoxLink", "old", "Accepted", "True")
    address = api.get("TVoxLink", "old")["status"]["vpnAddress"]
    (tmp_path / "customers.csv").write_text(
        "name,domain,users,vpn address,community\n"
        f"c03,c03.mcs.test,,,\nc04,c04.mcs.test,,{address},\nold,other.mcs.test,,,\nc07,c07.mcs.test,anna,,\n"
        + "".join(f"x{n},x{n}.mcs.test,,,c08\n" for n in range(60))
    )
    done = run("import", str(tmp_path / "customers.csv"), "--apply", expect=1)
    for line in (
        "line 2, column domain: c03.mcs.test is in use",
        f"line 3, column vpnAddress: {address} is used by another TVoxLink",
        "line 4, column domain: TVoxLink/old is there already, with 'c03.mcs.test'",
        "line 5, column users: Community/c07 is there already, without anna; add them to it",
        "none of the instance's 56 slots (spec.vpn.slots) is free",
    ):
        assert line in done.stderr, line
    assert [body["metadata"]["name"] for body in api.list("TVoxLink")] == ["old"]


def test_one_customer_is_added_with_all_that_is_left_to_do(api: Api, run: Run, instance: Object) -> None:
    done = run(
        *("add", "acme", "--domain=acme.mcs.test", "--user=anna", "--portal-domain=meet.acme.test"),
        *("--vpn-address=198.18.254.9", "--apply"),
    )
    assert api.get("TVoxLink", "acme")["status"]["vpnAddress"] == "198.18.254.9"
    assert api.get("Community", "acme")["spec"]["portalDomain"] == "meet.acme.test"
    (password,) = (line for line in done.stdout.splitlines() if "kubectl mcs password" in line)
    run(*password.split()[2:4], password.split()[-1])
    assert api.find("Secret", "acme-passwords")
    wrong = run("add", "bolt", "--domain=acme.mcs.test", "--apply", expect=1)
    assert wrong.stderr.startswith("--domain: acme.mcs.test is in use")


def test_without_an_instance_nobody_is_added(api: Api, run: Run) -> None:
    done = run("add", "acme", "--domain=acme.mcs.test", "--apply", expect=1)
    assert f"there is not an MCSInstance in namespace {api.namespace}; create it first" in done.stderr
