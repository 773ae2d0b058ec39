"""The promise on a real node: customers come, change and go; nobody else loses a packet, and nothing restarts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

import pytest

from support.api import Object
from support.mcs import COMMUNITY, Mcs, of_link
from support.objects import INSTANCE, a_community
from support.operator import Operator
from support.sites import IMAGE, get_from, profile_of
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator")]

FIRST = "acme"
KEPT_OUT = "mcs_link_source_dropped_total"
SOLVER, CHALLENGES, ANSWER = "acme-solver", "/.well-known/acme-challenge/", "x" * 43
OF_CERT_MANAGER = {"acme.cert-manager.io/http01-solver": "true"}
SOLVES = """
import http.server, sys
host, token, answer = sys.argv[1:]
class Solver(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = (self.headers["Host"], self.path) == (host, "/.well-known/acme-challenge/" + token)
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write((token + "." + answer if known else "404 page not found").encode())
http.server.HTTPServer(("", 8089), Solver).serve_forever()
"""
"""As cert-manager's: it knows one name and one token, and says 404 to all else."""
ALL_USERS = """
import glob, json
print(json.dumps([user for file in glob.glob("/etc/mcs/users-*") for user in json.load(open(file))["users"]]))
"""


@pytest.fixture
def initech(mcs: Mcs) -> Iterator[str]:
    """The name of a third customer, who is not there yet and will have gone afterwards."""
    yield "initech"
    mcs.remove("initech")


def test_the_instance_is_ready_and_says_where_it_runs(mcs: Mcs) -> None:
    status = mcs.api.get("MCSInstance", INSTANCE)["status"]
    assert mcs.api.condition("MCSInstance", INSTANCE, "Ready")[:2] == ("True", "Serving")
    assert status["podUID"] == mcs.identity().uid
    assert status["node"] == mcs.node.name


def test_a_link_is_connected_when_the_tunnel_itself_says_so(mcs: Mcs, initech: str) -> None:
    mcs.link(initech)
    mcs.api.wait_condition("TVoxLink", initech, "Connected", "False", "NeverConnected")

    tunnel = mcs.connect(initech)["tunnel"]

    assert mcs.api.condition("TVoxLink", initech, "Connected")[1] == "Established"
    assert re.fullmatch(r"2\.\d+\.\d+\S*", tunnel["clientVersion"])


def test_the_media_reaches_each_customers_own_tvox_through_its_tunnel(mcs: Mcs, globex: str) -> None:
    for name in (FIRST, globex):
        address = mcs.status(name)["vpnAddress"]
        answer = mcs.inside(f"http://{address}/")
        assert (answer["tvox"], answer["local"], answer["peer"]) == (name, address, "198.18.254.1")


def test_each_public_name_leads_from_outside_to_its_own_tvox(mcs: Mcs, globex: str) -> None:
    for name in (FIRST, globex):
        answer = mcs.answers_outside(mcs.domain(name), 200)
        assert (answer["tvox"], answer["host"]) == (name, mcs.domain(name))
    assert mcs.outside(f"nobody.{mcs.node.zone}")[0] == 404


def test_a_customer_is_added_and_nobody_notices(mcs: Mcs, initech: str) -> None:
    with mcs.unnoticed(by=FIRST):
        mcs.link(initech)
        mcs.connect(initech)
        assert mcs.answers_outside(mcs.domain(initech), 200)["tvox"] == initech


def test_a_link_changes_from_udp_to_tcp_and_back_and_nobody_else_notices(mcs: Mcs, globex: str) -> None:
    with mcs.unnoticed(by=FIRST):
        mcs.api.change("TVoxLink", globex, protocol="TCP")
        mcs.programmed(globex)
        assert "proto tcp" in profile_of(mcs.api, globex)
        mcs.connect(globex)
        assert mcs.answers_outside(mcs.domain(globex), 200)["tvox"] == globex
        mcs.api.change("TVoxLink", globex, protocol="UDP")
        mcs.programmed(globex)
        assert "proto udp" in profile_of(mcs.api, globex)
        mcs.connect(globex)


def test_allowed_sources_shut_a_tvox_out_and_in_and_nobody_else_notices(mcs: Mcs, globex: str) -> None:
    source = mcs.status(globex)["tunnel"]["peer"].rsplit(":", 1)[0]
    with mcs.unnoticed(by=FIRST):
        mcs.api.change("TVoxLink", globex, allowedSources=["192.0.2.0/24"])
        mcs.programmed(globex)
        mcs.api.wait_condition("TVoxLink", globex, "Connected", "False", timeout=30)
        slot = mcs.status(globex)
        until("who is kept out is counted", lambda: of_link(mcs.metrics(), KEPT_OUT, slot) > 0, 45, pause=2)
        mcs.api.change("TVoxLink", globex, allowedSources=[f"{source}/32"])
        mcs.programmed(globex)
        mcs.connected(globex)
        mcs.api.change("TVoxLink", globex, allowedSources=None)
        mcs.programmed(globex)


def test_a_link_changes_its_public_name_and_nobody_else_notices(mcs: Mcs, globex: str) -> None:
    new = mcs.domain("globex-spa")
    with mcs.unnoticed(by=FIRST):
        mcs.api.change("TVoxLink", globex, domain=new)
        assert mcs.answers_outside(new, 200)["tvox"] == globex
        mcs.answers_outside(mcs.domain(globex), 404)
        mcs.api.change("TVoxLink", globex, domain=mcs.domain(globex))
        mcs.answers_outside(mcs.domain(globex), 200)


def test_a_link_is_disabled_and_enabled_without_a_visit_to_the_tvox_and_nobody_else_notices(
    mcs: Mcs, globex: str
) -> None:
    with mcs.unnoticed(by=FIRST):
        mcs.api.change("TVoxLink", globex, enabled=False)
        mcs.api.wait_condition("TVoxLink", globex, "Connected", "False", "Disabled")
        mcs.answers_outside(mcs.domain(globex), 503)
        assert slot_state(mcs, globex)["pid"] is None
        mcs.api.change("TVoxLink", globex, enabled=None)
        mcs.connected(globex)
        assert mcs.answers_outside(mcs.domain(globex), 200)["tvox"] == globex


def test_a_customer_who_goes_out_of_service_keeps_his_tunnel_and_nobody_else_notices(mcs: Mcs, globex: str) -> None:
    since = mcs.status(globex)["tunnel"]["since"]
    with mcs.unnoticed(by=FIRST):
        mcs.api.change("TVoxLink", globex, serviceState="OutOfService")
        mcs.answers_outside(mcs.domain(globex), 503)
        mcs.api.wait_condition("TVoxLink", globex, "InService", "False", "OutOfService")
        assert mcs.api.condition("TVoxLink", globex, "Connected")[0] == "True"
        mcs.api.change("TVoxLink", globex, serviceState=None)
        assert mcs.answers_outside(mcs.domain(globex), 200)["tvox"] == globex
        mcs.api.wait_condition("TVoxLink", globex, "InService", "True", "InService")
    assert mcs.status(globex)["tunnel"]["since"] == since


def test_the_whole_appliance_goes_out_of_service_and_no_tunnel_notices(mcs: Mcs, globex: str) -> None:
    with mcs.unnoticed(by=(FIRST, globex)):
        mcs.api.change("MCSInstance", INSTANCE, serviceState="OutOfService")
        mcs.answers_outside(mcs.domain(globex), 503)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "InService", "False", "OutOfService")
        assert mcs.api.condition("MCSInstance", INSTANCE, "Ready")[:2] == ("True", "OutOfService")
        mcs.api.change("MCSInstance", INSTANCE, serviceState=None)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "InService", "True", "InService")
        mcs.answers_outside(mcs.domain(globex), 200)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", "Serving")


def test_a_link_is_deleted_and_nobody_else_notices(mcs: Mcs, initech: str) -> None:
    mcs.link(initech)
    number = mcs.connect(initech)["slot"]
    with mcs.unnoticed(by=FIRST):
        mcs.api.delete("TVoxLink", initech, wait=10)
        mcs.answers_outside(mcs.domain(initech), 404)
        until("the slot's Secret is gone", lambda: mcs.api.find("Secret", secret_of(number)) is None)
        until("the slot is idle", lambda: slot_number(mcs, number)["state"] == "Idle", 20)
    assert slot_number(mcs, number) | {"changed": ""} == {
        "revision": None,
        "pid": None,
        "state": "Idle",
        "error": None,
        "changed": "",
    }


def test_a_changed_community_is_in_the_appliances_files_without_a_restart(mcs: Mcs) -> None:
    def served() -> dict[str, str]:
        return {user["name"]: user["displayName"] for user in json.loads(mcs.run("media", "python3", "-c", ALL_USERS))}

    before = mcs.identity()
    assert "bruno" not in served()

    users = [{"name": "anna", "displayName": "Anna Rossi"}, {"name": "bruno", "displayName": "Bruno Bianchi"}]
    mcs.api.apply(a_community(COMMUNITY, displayName="ACME Spa", users=users))

    until("the users are mounted", lambda: served() == {"anna": "Anna Rossi", "bruno": "Bruno Bianchi"}, 40)
    # The kubelet may bring files of one change one by one.
    until("the community is mounted", lambda: "ACME Spa" in mounted(mcs, "communities.json"), 40)
    until("the appliance has taken them", lambda: has_taken(mcs), 40)
    assert mcs.api.get("MCSInstance", INSTANCE)["status"]["users"]["served"] == 2
    assert mcs.identity() == before


def mounted(mcs: Mcs, name: str) -> str:
    """A file that the operator gives to the appliance."""
    return mcs.run("media", "cat", f"/etc/mcs/{name}")


def has_taken(mcs: Mcs) -> bool:
    """Whether the appliance goes by the whole set that is mounted now."""
    manifest, told = mounted(mcs, "manifest.json"), mcs.inside("http://127.0.0.1:21000/connections")
    assert hashlib.sha256(mounted(mcs, "communities.json").encode()).hexdigest() in manifest, (
        "the manifest is older than communities.json"
    )
    return isinstance(told, dict) and told["config"] == hashlib.sha256(manifest.encode()).hexdigest()


@pytest.fixture
def solvers(mcs: Mcs, globex: str) -> Iterator[dict[str, str]]:
    """Two customers' challenges, each with a pod that solves it, behind one headless Service: tokens by public name."""
    tokens = {mcs.domain(FIRST): "one", mcs.domain(globex): "two"}
    spec = {"clusterIP": "None", "selector": OF_CERT_MANAGER, "ports": [{"name": "http", "port": 8089}]}
    mcs.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": SOLVER}, "spec": spec})
    for domain, token in tokens.items():
        mcs.api.apply(a_solver(domain, token))
    yield tokens
    mcs.api.delete("Service", SOLVER)
    for token in tokens.values():
        mcs.api.delete("Pod", f"{SOLVER}-{token}")


def a_solver(domain: str, token: str) -> Object:
    command = ["python3", "-c", SOLVES, domain, token, ANSWER]
    container = {"name": "solver", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": command}
    metadata = {"name": f"{SOLVER}-{token}", "labels": OF_CERT_MANAGER}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_challenges_are_passed_on_to_the_solvers_of_a_service_and_no_more_and_nobody_notices(
    mcs: Mcs, globex: str, solvers: dict[str, str]
) -> None:
    def answers() -> list[str]:
        return [str(get_from(mcs.node.ip, domain, CHALLENGES + token)[1]) for domain, token in solvers.items()]

    solved = [f"{token}.{ANSWER}" for token in solvers.values()]
    with mcs.unnoticed(by=(FIRST, globex)):
        mcs.api.change("MCSInstance", INSTANCE, tls={"http01": {"serviceRef": {"name": SOLVER, "port": 8089}}})
        until("the solvers answer", lambda: answers() == solved, 60)
        assert all(answers() == solved for _ in range(5))
        mcs.api.change("MCSInstance", INSTANCE, tls=None)
        until("each TVox answers again", lambda: not set(answers()) & set(solved), 40)


def test_the_certificate_of_another_link_is_refused_and_said_so(mcs: Mcs, globex: str, initech: str) -> None:
    mcs.link(initech)
    right, others = profile_of(mcs.api, initech), profile_of(mcs.api, globex)
    since = mcs.status(globex)["tunnel"]["since"]

    mcs.visit(initech, with_part(with_part(right, "cert", others), "key", others))

    mcs.api.wait_condition("TVoxLink", initech, "Connected", "False", "AuthenticationFailed", timeout=60)
    mcs.answers_outside(mcs.domain(initech), 503)
    assert mcs.api.condition("TVoxLink", globex, "Connected")[0] == "True"
    assert mcs.status(globex)["tunnel"]["since"] == since
    mcs.visit(initech, right)
    mcs.connected(initech)
    assert mcs.api.condition("TVoxLink", initech, "Connected")[1] == "Established"


def test_the_operator_said_nothing_of_errors(mcs: Mcs, operator_process: Operator) -> None:
    complaints = [line for line in operator_process.since(0).splitlines() if "[ERROR" in line or "Traceback" in line]
    assert complaints == []


def secret_of(number: int) -> str:
    return f"{INSTANCE}-link-{number:03d}"


def slot_state(mcs: Mcs, link: str) -> dict[str, object]:
    return slot_number(mcs, mcs.status(link)["slot"])


def slot_number(mcs: Mcs, number: int) -> dict[str, object]:
    state: dict[str, object] = json.loads(mcs.run(f"link-{number:03d}", "cat", "/run/link/state.json"))
    return state


def with_part(profile: str, part: str, other: str) -> str:
    """A profile with one inline part taken from another one."""
    block = re.compile(rf"<{part}>.*?</{part}>", re.DOTALL)
    taken = block.search(other)
    assert taken and len(block.findall(profile)) == 1
    return block.sub(lambda _: taken.group(), profile)
