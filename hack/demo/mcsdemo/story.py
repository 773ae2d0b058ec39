"""The story of the demo, step by step. Everything it claims it has looked at: it ends with what did not hold."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from mcsdemo import call, operator
from mcsdemo.telling import Teller
from support.api import ROOT, Api, Object, remove_namespaces, samples
from support.cluster import Node
from support.probe import MARGIN, PER_SECOND, ProbeReport, probing
from support.sites import Site, get_from, get_inside, profile_of

NAMESPACE, INSTANCE = "mcs-demo", "mcs"
POD = f"{INSTANCE}-0"
FIRST, SECOND, THIRD, FOURTH = "acme", "globex", "initech", "umbrella"
CUSTOMERS = (FIRST, SECOND, THIRD, FOURTH)
LATER = {THIRD: "third-customer", FOURTH: "fourth-customer"}
"""Who comes while others are served, and the folder of his samples."""
READ_BY_PEOPLE = "mcs,communities,tvl,pods,secrets,configmaps,services,pvc"


class Demo:
    """One run against one cluster."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.server = Api(node.kubeconfig)
        self.api = self.server.within(NAMESPACE)
        self.teller = Teller()
        self.failures = 0
        self.logins: call.Logins | None = None

    def run(self) -> bool:
        """The whole story; whether everything held."""
        step = self.teller.step
        with step("The operator is installed by its chart"):
            self.install_operator()
        with step("A platform team applies an instance, two customers and their links"):
            self.apply_samples()
        with step("The media pod comes up, with eight idle slots for links"):
            self.await_instance()
        with step("Two customers upload their profiles, and their TVoxes dial in"):
            for link in (FIRST, SECOND):
                self.install_site(link)
            for link in (FIRST, SECOND):
                self.await_tunnel(link)
        with step("Traffic goes through both tunnels, each to its own TVox"):
            for link in (FIRST, SECOND):
                self.show_traffic(link)
        with step("A third customer is added while a probe runs through the first one's tunnel"):
            self.add_third()
        if call.is_possible():
            with step("Two people of the first customer talk in two browsers, while others come and go"):
                self.show_call()
        else:
            self.teller.say("No call: there is no Chromium here, or no Playwright.")
        with step("The state of everything"):
            self.show_all()
        self.teller.timings()
        return not self.failures

    def install_operator(self) -> None:
        """By its chart, CRDs included."""
        operator.install(self.node.kubeconfig)
        self.teller.say(f"Deployment {operator.DEPLOYMENT} in namespace {operator.NAMESPACE}: two replicas, one leads")

    def apply_samples(self) -> None:
        """manifests/samples/demo, at this node. Who came later in a run before goes first: every run adds him."""
        for link in LATER:
            self.remove(link)
        for body in samples("demo"):
            self.api.apply(self._here(body))
            self.teller.say(f"{body['kind']} {body['metadata']['name']}")

    def remove(self, link: str) -> None:
        """With his TVox; where he is not there, nothing."""
        if self.api.find("TVoxLink", link) is None:
            return
        self.teller.say(f"{link} is removed")
        self.site(link).remove()
        for body in samples(LATER[link]):
            self.api.delete(body["kind"], body["metadata"]["name"], wait=30)

    def await_instance(self) -> None:
        """Until the media container serves."""

        def look() -> tuple[bool | None, str]:
            status, _, message = self.api.condition("MCSInstance", INSTANCE, "Ready")
            return (True if status == "True" else None), message or "waiting for the operator"

        self.teller.wait("MCSInstance mcs", look, 180)
        pod = self.api.get("Pod", POD)
        slots = sum(c["name"].startswith("link-") for c in pod["spec"]["containers"])
        self.teller.say(f"Ready. Pod {POD}, UID {pod['metadata']['uid']}, {slots} slots")
        for name in (FIRST, SECOND):
            self.await_condition("TVoxLink", name, "Ready", 60)
            self.teller.say(self._place_of(name))

    def install_site(self, link: str) -> None:
        """A stand-in TVox, in a namespace of its own, with the profile that the operator made."""
        site, profile = self.site(link), profile_of(self.api, link)
        if site.runs_with(profile):
            self.teller.say(f"pod {site.pod} in namespace {site.api.namespace} has the profile already")
            return
        labels = {"pod-security.kubernetes.io/enforce": "privileged"}
        metadata = {"name": site.api.namespace, "labels": labels}
        self.server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        site.install(profile)
        self.teller.say(f"Secret {link}-profile -> pod {site.pod} in namespace {site.api.namespace}")

    def await_tunnel(self, link: str) -> None:
        """Until the TVox and the operator say so; the operator may still mean a TVox that was there before."""

        def look() -> tuple[bool | None, str]:
            return (True if self.site(link).is_established() else None), "it dials in"

        self.teller.wait(f"TVox of {link}", look, 60)
        self.await_condition("TVoxLink", link, "Connected", 60)
        status = self.api.get("TVoxLink", link)["status"]
        tunnel = status.get("tunnel", {})
        peer, version = tunnel.get("peer"), tunnel.get("clientVersion")
        self.teller.say(f"{link}: Connected, {status['vpnAddress']} from {peer}, OpenVPN {version}")

    def show_traffic(self, link: str) -> None:
        """HTTP from the media container, and from outside by name; both must meet this customer's TVox."""
        address = self.api.get("TVoxLink", link)["status"]["vpnAddress"]
        domain = self.api.get("TVoxLink", link)["spec"]["domain"]
        inside: Any = get_inside(self.api, POD, f"http://{address}/")
        self.prove(f"media container -> http://{address}/ -> {_tvox(inside)}", _tvox(inside) == link)

        def look() -> tuple[Any, str]:
            status, body = get_from(self.node.ip, domain)
            return (body if status == 200 else None), f"{status} {str(body)[:60]}"

        outside = self.teller.wait(f"http://{domain}/", look, 40)
        self.prove(f"outside -> {self.node.ip} -> http://{domain}/ -> {_tvox(outside)}", _tvox(outside) == link)

    def add(self, link: str) -> None:
        """A customer who is new, from `kubectl apply` to traffic through his tunnel."""
        begun = time.monotonic()
        self.api.apply(*samples(LATER[link]))
        self.await_condition("TVoxLink", link, "Ready", 60)
        self.teller.say(f"kubectl apply -> slot runs: {time.monotonic() - begun:.1f} s. {self._place_of(link)}")
        self.install_site(link)
        self.await_tunnel(link)
        self.show_traffic(link)

    def add_third(self) -> None:
        """The promise: same pod, no restart, no packet lost."""
        address = self.api.get("TVoxLink", FIRST)["status"]["vpnAddress"]
        before = self.identity()
        self.teller.say(f"{PER_SECOND} datagrams a second from the media to {FIRST}'s TVox ({address}) and back")
        with probing(self.api, POD, address) as probe:
            self.add(THIRD)
            time.sleep(MARGIN)
            report = probe.finish()
        after = self.identity()
        self.prove(f"same pod: UID {after['uid']}", before["uid"] == after["uid"])
        restarts = sum(after["restarts"].values())
        same = before["restarts"] == after["restarts"]
        self.prove(
            f"no container restarted ({len(after['restarts'])} containers, {restarts} restarts, as before)", same
        )
        at_pace = report.sent > 0.5 * PER_SECOND * report.seconds  # or it would prove nothing
        self.prove(
            _lossless(report), report.lost == report.duplicated == 0 and report.sent == report.received and at_pace
        )

    def show_call(self) -> None:
        """The promise once more, by voice and picture: a customer is added, one removed, and one changed."""
        logins = call.open_portal(self.api)
        self.await_condition("Community", FIRST, "LoginReady", 60)
        self.teller.say(f"Community {FIRST}: portal https://{call.PORTAL}/, two logins, a certificate; no restart")
        before = self.identity()
        received = asyncio.run(call.call_while(self.node.ip, logins, self.others_come_and_go))
        self.teller.say(f"both see and hear each other: {received['begun']:.1f} s after Bruno accepted")
        after = self.identity()
        same = before["restarts"] == after["restarts"] and before["uid"] == after["uid"]
        self.prove(f"same pod: UID {after['uid']}, and no container restarted", same)
        audio, video, lost = (round(received[kind]) for kind in ("audio", "video", "lost"))
        at_pace = audio > 40 * received["seconds"] and video > received["seconds"]  # or it would prove nothing
        text = f"Bruno received {audio} audio and {video} video packets, {lost} lost, in {received['seconds']:.0f} s"
        self.prove(text, lost == 0 and at_pace)
        picture, clip = (f"{(call.LEFT / name).relative_to(ROOT)}" for name in (call.PICTURE, call.CLIP))
        self.teller.say(f"a picture of it: {picture}, and a clip: {clip}")
        self.logins = logins

    def others_come_and_go(self) -> None:
        """Initech leaves and umbrella comes; globex is disabled and enabled again, and its TVox comes back."""
        self.api.change("TVoxLink", SECOND, enabled=False)
        self.remove(THIRD)
        self.api.change("TVoxLink", SECOND, enabled=True)
        self.add(FOURTH)
        self.await_tunnel(SECOND)
        time.sleep(MARGIN)

    def show_all(self) -> None:
        """What is in the cluster now."""
        self.teller.show(self.api.kubectl("get", READ_BY_PEOPLE))
        self.teller.show(self.api.kubectl("get", "pods", "-A", "-l", "app.kubernetes.io/name=tvox"))

    def identity(self) -> Object:
        """The pod's UID and every container's restarts."""
        pod = self.api.get("Pod", POD)
        restarts = {c["name"]: c["restartCount"] for c in pod["status"]["containerStatuses"]}
        return {"uid": pod["metadata"]["uid"], "restarts": restarts}

    def await_condition(self, kind: str, name: str, type: str, timeout: float) -> None:
        """Until a condition is True."""

        def look() -> tuple[bool | None, str]:
            status, reason, message = self.api.condition(kind, name, type)
            return (True if status == "True" else None), f"{reason} {message}".strip() or "waiting for the operator"

        self.teller.wait(f"{name}: {type}", look, timeout)

    def prove(self, text: str, holds: bool) -> None:
        """One thing that was to be shown."""
        self.failures += not self.teller.proved(text, holds)

    def site(self, link: str) -> Site:
        """The place of a customer."""
        return Site(self.server.within(f"site-{link}"), link)

    def _place_of(self, link: str) -> str:
        status = self.api.get("TVoxLink", link)["status"]
        return f"{link}: slot {status['slot']}, VPN address {status['vpnAddress']}, port {status['port']}"

    def _here(self, body: Object) -> Object:
        """A sample at this node: the samples name the node that hack/cluster makes, and kind's is another."""
        if body["kind"] == "MCSInstance":
            body["spec"]["publicAddress"] = self.node.ip
            body["spec"]["nodeSelector"] = {"kubernetes.io/hostname": self.node.name}
        return body


def clean(node: Node, say: Teller) -> None:
    """Remove all that the demo made. The CRDs stay: others may have objects of theirs."""
    server = Api(node.kubeconfig)
    namespaces = [NAMESPACE, *(f"site-{link}" for link in CUSTOMERS)]
    remove_namespaces(server, *namespaces, progress=say.waiting)
    say.say("namespaces removed: " + ", ".join(namespaces))
    # Last: until here it served the objects that were going.
    operator.uninstall(node.kubeconfig)
    remove_namespaces(server, operator.NAMESPACE, progress=say.waiting)  # gone, so that the demo can be run again
    say.say(f"operator uninstalled, namespace {operator.NAMESPACE} removed")


def _tvox(answer: Any) -> str:
    return str(answer.get("tvox")) if isinstance(answer, dict) else str(answer)[:100]


def _lossless(report: ProbeReport) -> str:
    lost = f"{report.lost} lost" + (f" (numbers {report.lost_numbers})" if report.lost else "")
    return (
        f"probe over {FIRST}'s tunnel: {report.sent} sent, {report.received} back, {lost}, "
        f"longest gap {report.longest_gap * 1000:.0f} ms, in {report.seconds:.0f} s"
    )
