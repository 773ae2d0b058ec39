"""One MCS on a real node, as the e2e tests see it: links, sites, tunnels, and whether anybody noticed anything."""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support.api import Api, Object, remove_namespaces
from support.cluster import Node
from support.objects import INSTANCE, a_community, a_link, an_instance
from support.probe import MARGIN, PER_SECOND, Probe, ProbeReport
from support.sites import Site, get_from, get_inside, profile_of
from support.waiting import until

POD = f"{INSTANCE}-0"
COMMUNITY = "acme"
SLOTS = 12
_METRICS = """
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
headers = {"Authorization": "Bearer " + open("/etc/agent/token").read().strip()}
request = urllib.request.Request("https://127.0.0.1:21001/metrics", headers=headers)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
print(opener.open(request, timeout=5).read().decode())
"""


@dataclass(frozen=True)
class Identity:
    """What must not change: the pod, and how often each of its containers was restarted."""

    uid: str
    restarts: dict[str, int]


@dataclass
class _Witness:
    """A probe over a customer's tunnel. ``last``: when his last block ended, in seconds of the monotonic clock."""

    probe: Probe
    per_second: int
    begun: float
    last: float = 0.0


@dataclass
class Mcs:
    """The instance `mcs` in a namespace of its own, and the sites of its customers in the same one."""

    node: Node
    api: Api
    sites: dict[str, Site] = field(default_factory=dict)
    witnesses: dict[str, _Witness] = field(default_factory=dict)

    def link(self, name: str, **spec: Any) -> Object:
        """Apply a link and wait until its slot runs; its status."""
        self.api.apply(self.a_link(name, **spec))
        return self.programmed(name)

    def a_link(self, name: str, **spec: Any) -> Object:
        """A link of this instance, as a person would write it."""
        return a_link(name, community=COMMUNITY, domain=self.domain(name), **spec)

    def domain(self, name: str) -> str:
        """The public name of a customer."""
        return f"{name}.{self.node.zone}"

    def programmed(self, name: str) -> Object:
        """Wait until the slot has what the link's spec says now; the link's status."""
        self.api.wait_condition("TVoxLink", name, "Ready", "True", timeout=30)
        return self.status(name)

    def status(self, name: str) -> Object:
        """The link's status."""
        status: Object = self.api.get("TVoxLink", name)["status"]
        return status

    def connect(self, name: str, timeout: float = 45) -> Object:
        """Install the link's present profile at the customer's TVox, and wait for the tunnel; the link's status."""
        self.visit(name, profile_of(self.api, name))
        return self.dialled_in(name, timeout)

    def dialled_in(self, name: str, timeout: float = 45) -> Object:
        """Wait for the tunnel of the TVox that was visited; the link's status."""
        # First by its own word: the MCS may still have the tunnel of the TVox that was there before.
        until(f"the TVox of {name} has a tunnel", self.sites[name].is_established, timeout, pause=0.5)
        return self.connected(name, timeout=timeout)

    def visit(self, name: str, profile: str) -> Site:
        """Install some profile at a customer's TVox."""
        site = self.sites.setdefault(name, Site(self.api, name))
        site.install(profile)
        return site

    def connected(self, name: str, timeout: float = 45) -> Object:
        """Wait until the link says so; its status."""
        self.api.wait_condition("TVoxLink", name, "Connected", "True", timeout=timeout)
        return self.status(name)

    def remove(self, name: str) -> None:
        """The customer leaves, TVox and all."""
        try:
            self.release(name)
        finally:
            if site := self.sites.pop(name, None):
                site.remove()
            self.api.delete("TVoxLink", name, wait=20)

    def inside(self, url: str, patience: float = 5) -> Any:
        """A web request from the media container."""
        return get_inside(self.api, POD, url, patience=patience)

    def outside(self, domain: str) -> tuple[int, Any]:
        """A web request from outside to a public name: status and body."""
        return get_from(self.node.ip, domain)

    def answers_outside(self, domain: str, status: int, timeout: float = 40) -> Any:
        """Wait until a public name answers with this status; the body."""
        seen: tuple[int, Any] = (0, None)

        def look() -> bool:
            nonlocal seen
            seen = self.outside(domain)
            assert seen[0] == status, seen
            return True

        until(f"http://{domain}/ answers {status}", look, timeout)
        return seen[1]

    def certificate(self, domain: str) -> str:
        """What a browser gets that asks for this public name; empty where the handshake is refused."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection((self.node.ip, 443), timeout=3) as raw,
                context.wrap_socket(raw, server_hostname=domain) as tls,
            ):
                return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True) or b"")
        except OSError:
            return ""

    @property
    def on_host_network(self) -> bool:
        """Whether the media pod shares the node's network."""
        return bool(self.api.get("Pod", POD)["spec"].get("hostNetwork"))

    def run(self, container: str, *command: str) -> str:
        """Output of a command in a container of the media pod."""
        return self.api.kubectl("exec", POD, "-c", container, "--", *command)

    def openvpn_started(self, number: int) -> float:
        """When this slot's openvpn started, in seconds of the epoch, as the kernel knows it."""
        container = f"link-{number:03d}"
        pid = json.loads(self.run(container, "cat", "/run/link/state.json"))["pid"]
        told = self.run(container, "bash", "-c", f"cat /proc/{pid}/stat /proc/uptime; date +%s.%N").splitlines()
        ticks = int(told[0].rsplit(")", 1)[1].split()[19])  # field 22, starttime; the command's name may have spaces
        uptime, now = float(told[1].split()[0]), float(told[2])
        return now - uptime + ticks / 100

    def metrics(self) -> dict[str, float]:
        """The link agent's, as Prometheus would read them, by series."""
        rows = [row.rpartition(" ") for row in self.run("agent", "python3", "-c", _METRICS).splitlines()]
        return {series: float(value) for series, _, value in rows if series and not series.startswith("#")}

    def identity(self) -> Identity:
        """The pod and its restarts, now."""
        pod = self.api.get("Pod", POD)
        statuses = pod["status"]["containerStatuses"]
        return Identity(pod["metadata"]["uid"], {c["name"]: c["restartCount"] for c in statuses})

    @contextmanager
    def unnoticed(self, by: str | Sequence[str], per_second: int = PER_SECOND) -> Iterator[None]:
        """What happens in the block restarts nothing and costs none of these customers a packet.

        They are its witnesses from 5 s before their first block until 5 s after their last one: each has one probe, of
        so many datagrams a second, which runs until `release`. So nothing that a block leaves behind escapes them,
        between the tests either: what is lost after a block is told by the next block, by `release`, or when the
        instance goes. Who does what they are to notice, or counts their bytes, calls `release` first.
        """
        names = [by] if isinstance(by, str) else list(by)
        before = self.identity()
        self._call([name for name in names if name not in self.witnesses], per_second)
        witnesses = [self.witnesses[name] for name in names]
        begun = [(time.monotonic(), witness.probe.told) for witness in witnesses]
        try:
            yield
            assert self.identity() == before
            ended = [(time.monotonic(), witness.probe.told) for witness in witnesses]
            for witness, (since, at_first), (then, told) in zip(witnesses, begun, ended, strict=True):
                witness.probe.assert_lossless_so_far(told)
                witness.last = time.monotonic()
                sent = witness.probe.sent_when(told) - witness.probe.sent_when(at_first)
                # A machine may stand still for a second, which is half of the shortest block.
                assert sent > 0.5 * per_second * (then - since - 1), f"{sent} in {then - since:.1f} s prove nothing"
        except BaseException:
            for name in names:  # the next block is to tell its own losses
                self.witnesses.pop(name).probe.close()
            raise

    def _call(self, names: Sequence[str], per_second: int) -> None:
        probes = {name: Probe(self.api, POD, self.status(name)["vpnAddress"], per_second) for name in names}
        try:
            for probe in probes.values():
                probe.await_first_answer()
        except BaseException:
            for probe in probes.values():
                probe.close()
            raise
        self.witnesses |= {name: _Witness(probe, per_second, time.monotonic()) for name, probe in probes.items()}
        if names:
            time.sleep(MARGIN)

    def release(self, *names: str) -> None:
        """These customers, as far as they are witnesses, have something coming that they will notice: what did they see
        until now?"""
        witnesses = {name: self.witnesses.pop(name) for name in names if name in self.witnesses}
        reports = {}
        try:
            time.sleep(max([0.0, *(witness.last + MARGIN - time.monotonic() for witness in witnesses.values())]))
            for name, witness in witnesses.items():
                lasted = time.monotonic() - witness.begun
                reports[name] = witness.probe.finish(), 0.5 * lasted * witness.per_second
        finally:
            for witness in witnesses.values():
                witness.probe.close()
        for name, (report, _) in reports.items():
            print(f"probe over {name}: {report}")
        for report, at_least in reports.values():
            assert_lossless(report, at_least)

    def forget(self) -> None:
        """Where all is lost already: no probe is left behind."""
        for witness in self.witnesses.values():
            witness.probe.close()


def of_link(found: dict[str, float], name: str, status: Object) -> float:
    """One link's value of a metric."""
    label = f'link="link-{status["slot"]:03d}"'
    return next((value for series, value in found.items() if series.startswith(f"{name}{{") and label in series), 0.0)


@contextmanager
def serving(
    node: Node, server: Api, *, first: str, prepare: Callable[[Mcs], None] = lambda _: None, **spec: Any
) -> Iterator[Mcs]:
    """A ready instance in a namespace of its own, with a first customer who has a tunnel; gone afterwards.

    ``prepare``: what a cluster has to add before anybody can dial in.
    """
    with standing(node, server, **spec) as mcs:
        prepare(mcs)
        mcs.link(first)
        mcs.connect(first)
        yield mcs


@contextmanager
def standing(node: Node, server: Api, **spec: Any) -> Iterator[Mcs]:
    """A ready instance in a namespace of its own that serves nobody yet; gone afterwards."""
    name = f"mcs-e2e-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    mcs = Mcs(node, server.within(name))
    try:
        wanted: dict[str, Any] = {"vpn": {"slots": SLOTS}} | spec
        instance = an_instance(node=node.name, address=node.ip, domain=node.zone, **wanted)
        mcs.api.apply(instance, a_community(COMMUNITY, users=("anna",)))
        mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", timeout=180)
        yield mcs
        mcs.release(*mcs.witnesses)
    finally:
        mcs.forget()
        remove_namespaces(server, name, until_gone=False)


def assert_lossless(report: ProbeReport, at_least: float) -> None:
    """Everything came back, once; and the probe did send at its pace, or else it would have proved nothing."""
    assert report.sent > at_least, f"the probe was too slow to prove anything: {report}"
    assert report.lost == 0 and report.received == report.sent and report.duplicated == 0, str(report)
