"""Solvers of challenges as pods of a cluster: looked up in a DNS that has its habits, reached by a network.

::

    namespace mcs (the appliance, a pod)          namespace cluster
    10.78.0.1 ─────────────── veth ────────────── 10.78.0.2 (the DNS, and who asks), 10.78.1.1 … (the solvers)
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from contract.given import Given, a_link
from contract.subject import Place, Subject, a_solver
from support.appliance import APPLIANCE
from support.cluster import MissingError
from support.cluster_dns import ClusterDns, cluster_dns
from support.lab import Namespace, eventually, missing
from support.levels import left_out_if_missing

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

HOST, PORT = "acme-solver.mcs-demo.svc", 8089
SERVICE = f"{HOST}.cluster.local"
SITE = "tvox-17.example.com"
PATH = "/.well-known/acme-challenge/"
THUMBPRINT = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
RESOLVER = """\
nameserver 10.78.0.2
search mcs-demo.svc.cluster.local svc.cluster.local cluster.local
options ndots:5 timeout:1
"""
AS_IN_A_POD = 'mount --bind "$0" /etc/resolv.conf; mount --bind "$1" /etc/nsswitch.conf; shift; exec "$@"'


@dataclass
class Cluster:
    """The appliance, and what it finds of the cluster."""

    subject: Subject
    given: Given
    dns: ClusterDns
    closing: ExitStack

    def solver(self, number: int, token: str) -> str:
        """A pod that solves a challenge of our site; its address."""
        says = f"{token}.{THUMBPRINT}"
        address, _ = self.closing.enter_context(a_solver(self.subject.place, number, SITE, PATH + token, says, PORT))
        return address

    def solves(self, token: str) -> bool:
        return self.subject.get(SITE, PATH + token).body == f"{token}.{THUMBPRINT}"

    def says(self, reason: str, token: str) -> Callable[[], bool | None]:
        return lambda: self.subject.get(SITE, PATH + token).headers.get("mcs-reason") == reason or None

    def leads_to(self, *addresses: str) -> None:
        """The Service does, and the appliance has seen it."""
        self.dns.known[SERVICE] = list(addresses)
        self.looked_up()

    def looked_up(self) -> None:
        self.dns.asked.clear()
        eventually("it is looked up", lambda: self.solves("any") or SERVICE in self.dns.asked or None)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """The instance names the Service, which nobody knows yet."""
    with ExitStack() as closing:
        # Not tmp_path: the path of a Unix socket must stay below 97 characters.
        root = Path(tempfile.mkdtemp(prefix="mcs-"))
        closing.callback(shutil.rmtree, root, ignore_errors=True)
        with left_out_if_missing():
            if reason := missing():
                raise MissingError(reason)
            if not shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
                raise MissingError("haproxy is not installed (Debian: apt-get install haproxy)")
        pod, around = Namespace("pod"), Namespace("cluster")
        closing.callback(around.close)
        closing.callback(pod.close)
        pod.cable(around, here="10.78.0.1/16", there="10.78.0.2/16", device=("eth0", "pods"))
        for number in range(1, 61):
            around.ip("address", "add", f"10.78.1.{number}/16", "dev", "pods")
        dns = closing.enter_context(cluster_dns(around, "10.78.0.2"))
        subject = started(root, Place("10.78.0.1", "10.78.1", inside=pod, outside=around))
        closing.callback(subject.close)
        given = Given(root / "etc", links=[a_link(subject, 17)])
        given.instance["http01Solver"] = {"host": HOST, "port": PORT}
        subject.takes(given.write())
        yield Cluster(subject, given, dns, closing.enter_context(ExitStack()))


def started(root: Path, place: Place) -> Subject:
    for name in ("etc", "data", "run"):
        (root / name).mkdir()
    for name, text in (("resolv.conf", RESOLVER), ("nsswitch.conf", "hosts: dns\n")):
        (root / name).write_text(text)
    variables = {
        "MCS_CONFIG_DIR": root / "etc", "MCS_DATA_DIR": root / "data", "MCS_RUN_DIR": root / "run",
        "MCS_INSTANCE": "demo", "MCS_POLL_SECONDS": 0.2, "PYTHONDONTWRITEBYTECODE": 1,
    }  # fmt: skip
    assert place.inside is not None
    inside = ["ip", "netns", "exec", place.inside.name, "sh", "-euc", AS_IN_A_POD, root / "resolv.conf"]
    command = [*inside, root / "nsswitch.conf", sys.executable, "-m", "appliance"]
    environment = dict(os.environ) | {name: str(value) for name, value in variables.items()}
    subject = Subject(root, place, [str(word) for word in command], environment, APPLIANCE)
    subject.start()
    return subject


def test_a_service_is_found_by_the_pods_own_resolver_and_each_of_its_solvers_is_asked(cluster: Cluster) -> None:
    eventually("nobody is there", cluster.says("SolverDown", "token-1"))
    cluster.dns.known[SERVICE] = [cluster.solver(number, f"token-{number}") for number in (1, 2)]
    for token in ("token-1", "token-2"):
        eventually(f"{token} is solved", lambda token=token: cluster.solves(token) or None)
    assert all(cluster.solves(token) for token in ("token-1", "token-2") * 10)
    assert cluster.subject.get(SITE, PATH + "token-3").headers["mcs-reason"] == "UnknownChallenge"
    # The name as it stands is asked for last, where it was looked up before anybody knew it.
    assert set(cluster.dns.asked) - {HOST} == {f"{HOST}.{more}" for more in RESOLVER.split("\n")[1].split()[1:]}


def test_sixty_solvers_are_told_by_tcp_and_all_are_asked(cluster: Cluster) -> None:
    """As many as cert-manager has at a time: more than a datagram of the DNS holds."""
    cluster.dns.known[SERVICE] = [cluster.solver(number, f"token-{number}") for number in range(1, 61)]
    eventually("the first is solved", lambda: cluster.solves("token-1") or None)
    assert [number for number in range(1, 61) if not cluster.solves(f"token-{number}")] == []


def test_solvers_that_go_are_forgotten_and_a_pod_that_is_gone_keeps_nobody_waiting(cluster: Cluster) -> None:
    nobody = "10.78.9.9"
    cluster.dns.known[SERVICE] = [nobody, cluster.solver(1, "token-1")]
    eventually("it is solved", lambda: cluster.solves("token-1") or None)
    cluster.dns.known[SERVICE] = [nobody]
    eventually("it is solved no more", cluster.says("SolverDown", "token-1"))


def test_a_service_that_leads_to_another_namespace_is_not_followed(cluster: Cluster) -> None:
    """Of type ExternalName."""
    address = cluster.solver(1, "token-1")
    cluster.dns.known |= {SERVICE: "vault.other.svc.cluster.local", "vault.other.svc.cluster.local": [address]}
    cluster.looked_up()
    eventually("it is refused", cluster.says("SolverDown", "token-1"))
    cluster.leads_to(address)
    eventually("a Service of its own is not", lambda: cluster.solves("token-1") or None)


def test_the_pod_itself_is_asked_at_none_of_its_addresses(cluster: Cluster) -> None:
    """At the port of the contract somebody answers, and whoever asked him would hear 404."""
    cluster.given.instance["http01Solver"] = {"host": HOST, "port": cluster.subject.place.contract}
    cluster.subject.takes(cluster.given.write())
    for own in ("10.78.0.1", "127.0.0.1", "127.0.0.53", "169.254.20.10"):
        cluster.leads_to(own)
        eventually("it was not asked", cluster.says("SolverDown", "token-1"))


def test_another_service_is_asked_as_soon_as_the_set_names_it(cluster: Cluster) -> None:
    cluster.dns.known[SERVICE] = [cluster.solver(1, "token-1")]
    cluster.dns.known["other.mcs-demo.svc.cluster.local"] = [cluster.solver(2, "token-2")]
    eventually("it is solved", lambda: cluster.solves("token-1") or None)
    cluster.given.instance["http01Solver"] = {"host": "other.mcs-demo.svc", "port": PORT}
    cluster.subject.takes(cluster.given.write())
    eventually("the other one solves", lambda: cluster.solves("token-2") or None)
    assert not cluster.solves("token-1")
