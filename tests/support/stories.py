"""Worlds that bring about every condition of the closed table, and what their objects are told. No I/O but reading the
CRDs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import yaml

from mcs_operator.api import Impact
from mcs_operator.api.base import PENDING_STATUS
from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.contract.linkstate import MediaState, SlotState, TunnelReason, TunnelState, TunnelStatus
from mcs_operator.contract.lookup import Answer, Failure, Lookup
from mcs_operator.contract.openvpn import Where
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.nodes import CordonedNode
from mcs_operator.domain.facts.orders import Attempt, Orders
from mcs_operator.domain.facts.world import Damaged, Fingerprint, Resize, ResizeReason, Unreadable
from mcs_operator.domain.pod.disruptions import Cause, Disruption
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.pod.sizing import size
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status import Wanted, all_statuses
from mcs_operator.domain.status.faults import failed_status
from mcs_operator.domain.status.patience import PATIENCE
from support.api import ROOT
from support.worlds import (
    HASH,
    NOW,
    THUMBPRINT,
    community,
    given,
    identity,
    instance,
    link,
    links,
    ordering,
    passwords,
    pin,
    pod,
    portal,
    profile,
    queued,
    report,
    slot,
    state,
    users_file,
)

Told = tuple[Kind, dict[str, Any]]
"""Kind and status of one object."""
WANTED = Wanted(revisions={17: "r17"})
ACME = [community(), link("a"), identity("a", 17)]
SERVED = [instance(), ACME, pod()]
FILE = {"usersFrom": [{"configMapRef": {"name": "staff"}}]}
LATER = NOW + timedelta(days=7)


def said(*things: Any, wanted: Wanted = WANTED, **more: Any) -> Iterator[Told]:
    """What every object of this world is told."""
    world = given(*things, **more)
    for (kind, _), status in all_statuses(world, decide(world), wanted).items():
        yield kind, status


def said_of_orders(*things: Any, **more: Any) -> Iterator[Told]:
    """What every object of this world is told, whose instance orders certificates."""
    options = {key: more.pop(key) for key in ("account", "issued") if key in more}
    world = given(*things, **more)
    yield from said(*things, **more, wanted=Wanted(revisions={}, queue=queued(world, **options)))


def before_the_operator_comes() -> Iterator[Told]:
    """What the API server itself says at creation."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        crd = yaml.safe_load(file.read_text())
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        yield Kind(crd["spec"]["names"]["kind"]), schema["properties"]["status"]["default"]


def instances() -> Iterator[Told]:
    yield from said(SERVED, report(state(17, "r17")))
    yield from said(instance(age=9), instance("second"))
    yield from said(instance(), pod(media_ready=False, media_problem="ImagePullBackOff"))
    yield from said(instance(), pod(slots_lack="mcs/link:1"), report())
    yield from said(SERVED, ca=False)
    yield from said(instance(), wanted=Wanted(revisions={}, sizing=size(instance())))
    damaged = Damaged("Secret", "mcs-agent", "cannot be read: token missing, too long or no text")
    copied = Damaged("Secret", "acme-backup-profile", "is a copy of Secret acme-profile", foreign=True)
    yield from said(SERVED, report(), damaged_objects=(damaged,))
    yield from said(SERVED, report(), ignored=(copied,))
    yield from said(SERVED, report(), wanted=Wanted(revisions={}, foreign=("why",)))
    for reason in (Reason.CA_NOT_FOUND, Reason.CA_INVALID):
        yield from said(SERVED, report(), wanted=Wanted(revisions={}, authority=Verdict(reason, "why")))
    for reason in (Reason.CERTIFICATE_NOT_FOUND, Reason.CERTIFICATE_INVALID):
        for kind, name in ((Kind.INSTANCE, "mcs"), (Kind.LINK, "a")):
            problem = {(kind, name): Verdict(reason, "why")}
            wanted = Wanted(revisions={17: "r17"}, certificates=problem)
            yield from said(SERVED, report(state(17, "r17")), wanted=wanted)
    for count in (200, 238):
        yield from said(instance(), community(), links(count))
    yield from said(SERVED, elsewhere={"mcs.test": Kind.LINK})
    yield from said(SERVED, missing_pull_secrets={"mcs": ("registry",)})
    never = {"windows": [{"schedule": "0 2 30 2 *", "duration": "2h"}]}
    yield from said(instance(disruptions=never), report())
    yield from said(instance(vpn={"slots": 250, "cidr": "10.244.0.0/24"}), networks=(Network("10.244.0.0/16", "Pods"),))
    yield from said(instance(), replace(profile("a", 17), where=Where(23000)))
    yield from out_of_service()
    for reason in ResizeReason:
        yield from said(instance(), pod(resize=Resize(reason, "Node didn't have enough capacity: cpu")), report())
    yield from said(SERVED, report(), wanted=Wanted(revisions={}, rolled_back=Verdict(Reason.ROLLED_BACK, "why")))
    image = Disruption(Cause.MEDIA_IMAGE, Impact.MEDIA_RESTART, "the media is to run image mcs:2", NOW)
    for rollout in (
        Rollout(Step.WAIT_TO_BE_ASKED, ("agent",)),
        Rollout(Step.WAIT_FOR_GATE, disruptions=(image,), waits="waits until nobody talks"),
        Rollout(Step.WAIT_FOR_IMAGE, disruptions=(image,), current=image, waits="node a pulls mcs:2 first"),
        Rollout(Step.CANNOT_PULL, disruptions=(image,), current=image, waits="node a cannot pull it: not found"),
        Rollout(Step.START_DRAINING, disruptions=(image,), current=image),
    ):
        yield from said(SERVED, wanted=Wanted(revisions={}, rollout=rollout))
    for cordoned in (CordonedNode("mcs-node", ready=True, others=()), CordonedNode("mcs-node", ready=False)):
        yield from said(SERVED, cordoned=cordoned)
    yield from said(instance(suspend=True), ACME)


def out_of_service() -> Iterator[Told]:
    """An instance and a link: what the appliance says of each, in the order of the table."""
    out = [instance(serviceState="OutOfService"), community(), identity("a", 17), pod()]
    link_out, runs = link("a", serviceState="OutOfService"), state(17, "r17")
    takes_all, refuses_all = MediaState(outOfService={}), MediaState(draining=True, outOfService={17: 0})
    lets_end = MediaState(draining=True, connections=2, outOfService={17: 2})
    for media in (takes_all, refuses_all, lets_end, MediaState(), None):
        yield from said(out, link_out, report(runs, media=media))
    yield from said(out, link_out)
    yield from said(SERVED, report(runs, media=refuses_all))


def communities() -> Iterator[Told]:
    yield from said(instance(), community(users=("a",)))
    yield from said(instance(), community(enabled=False))
    yield from said(community())
    yield from said(instance(), community(**FILE))
    yield from said(instance(), community(**FILE), users_file("staff", "{"))
    crowd = [{"name": f"u{n}"} for n in range(1000)]
    yield from said(instance(), community("big", age=9, users=crowd), community(users=("one",)))
    yield from said(instance(communityLimits={"users": 1}), community(users=("one", "two")))
    unwritten = Wanted(revisions={}, unwritten={"acme": "Secret mcs-users-03: Forbidden: exceeded quota"})
    yield from said(instance(), community(users=("one",)), wanted=unwritten)


def portals() -> Iterator[Told]:
    """Of who can log in: what somebody can mend, then what the appliance says."""
    there, site = passwords("passwords", f"ada:{HASH}"), "meet.acme.test"
    wanted = Wanted(revisions={}, certified=frozenset({site}))
    yield from said(instance(), portal())
    yield from said(instance(), portal(), passwords("passwords", "ada:secret"))
    yield from said(instance(), portal(secrets=()))
    yield from said(instance(domain=site), portal(), there)
    yield from said(instance(), portal(enabled=False), there)
    yield from said(instance(), portal(), there)
    unwritten = Wanted(revisions={}, certified=wanted.certified, unwritten_logins={"acme": "Secret mcs-users-03"})
    yield from said(instance(), portal(), there, wanted=unwritten)
    yield from said(instance(suspend=True), portal(), there, wanted=wanted)
    yield from said(instance(), portal(), there, wanted=wanted)
    for media in (None, MediaState(), MediaState(contract=2), MediaState(contract=2, portals={"acme": 1})):
        yield from said(instance(), portal(), there, pod(), report(media=media), wanted=wanted)
    right, wrong = (Answer(addresses=(IPv4Address(text),)) for text in ("10.89.0.1", "192.0.2.9"))
    for pod_says in (right, wrong, *(Answer(failure=failure) for failure in Failure)):
        yield from said(instance(), portal(), pod(), report(), lookups={site: Lookup(pod_says, right)})
    yield from said(instance(), portal(), pod(), report())
    for reason in (Reason.CERTIFICATE_NOT_FOUND, Reason.CERTIFICATE_INVALID):
        problem = {(Kind.COMMUNITY, "acme"): Verdict(reason, "why")}
        yield from said(instance(), portal(), wanted=Wanted(revisions={}, certificates=problem))


def certificates() -> Iterator[Told]:
    served = [ordering(), portal(), link("a"), identity("a", 17), pod()]
    names = ("mcs.test", "meet.acme.test", "a.mcs.test")
    yield from said(*served[1:], instance(), report(), wanted=Wanted(revisions={}, certified=frozenset(names)))
    yield from said(*served[1:], instance(tls={"secretRef": {"name": "wildcard"}}), report())
    yield from said_of_orders(served, account=None)
    for media in (MediaState(), MediaState(acmeThumbprint="")):
        yield from said_of_orders(served, report(media=media))
    yield from said_of_orders(served)
    confirmed = report(media=MediaState(acmeThumbprint=THUMBPRINT))
    yield from said_of_orders(served, confirmed)
    right = Answer(addresses=(IPv4Address("10.89.0.1"),))
    resolved = dict.fromkeys(names, Lookup(right, right))
    wrong = Answer(addresses=(IPv4Address("192.0.2.9"),))
    yield from said_of_orders(served, confirmed, lookups=dict.fromkeys(names, Lookup(right, wrong)))
    yield from said_of_orders(served, confirmed, lookups=resolved)
    failed = Orders(failed={name: Attempt(1, NOW, "dns") for name in names}, tried=frozenset(names))
    for issued in (False, True):
        yield from said_of_orders(served, confirmed, lookups=resolved, orders=failed, issued=issued)
    yield from said_of_orders(served, confirmed, lookups=resolved, issued=True)


def refused_links() -> Iterator[Told]:
    base = [instance(), community()]
    yield from said(base, links(250), link("a"))
    yield from said(instance(vpn={"slots": 1}), community(), link("a", age=9), link("b"))
    yield from said(instance(communityLimits={"links": 1}), community(), link("a", age=9), link("b"))
    yield from said(base, link("holder", age=9), identity("holder", 17), link("a", vpnAddress="198.18.254.17"))
    yield from said(base, link("a", vpnAddress="10.0.0.9"))
    yield from said(base, link("a", vpnAddress="198.18.254.18"), identity("a", 17))
    yield from said(base, link("a", domain="mcs.test"))
    taken = {"a": Verdict(Reason.NAME_TAKEN, "Secret a-profile exists")}
    yield from said(SERVED, report(), wanted=Wanted(revisions={}, problems=taken))


def waiting_links() -> Iterator[Told]:
    yield from said(link("a"))
    yield from said(instance(), link("a"))
    yield from said(instance(), community(instance="other"), link("a"))
    yield from said(instance(vpn={"slots": 15}), ACME, report(), wanted=Wanted(revisions={}))
    lost = [instance(), community(), identity("b", 9), link("b", age=9), link("a")]
    yield from said(lost, report(), ca=False, wanted=Wanted(revisions={9: "r9"}))


def programmed_links() -> Iterator[Told]:
    yield from said(SERVED)
    yield from said(SERVED, report())
    yield from said(SERVED, report(state(17, "r17", state=SlotState.QUARANTINED, error="revision")))
    off = [instance(), community(), link("a", enabled=False), identity("a", 17), pod()]
    yield from said(off, report(state(17, "r17", state=SlotState.IDLE)))
    yield from said(instance(), community(), link("a"), slot(17, "a"), report(state(17, "r17")))


def what_has_been_missing_for_long() -> Iterator[Told]:
    """Looked at when it went missing, and when patience is over."""
    missing = Wanted({17: "r17"}, certificates={(Kind.LINK, "a"): Verdict(Reason.CERTIFICATE_NOT_FOUND, "why")})
    no_ca = Wanted({17: "r17"}, authority=Verdict(Reason.CA_NOT_FOUND, "why"))
    no_certificate = Wanted({}, certificates={(Kind.INSTANCE, "mcs"): Verdict(Reason.CERTIFICATE_NOT_FOUND, "why")})
    of_a_portal = Wanted({}, certificates={(Kind.COMMUNITY, "acme"): Verdict(Reason.CERTIFICATE_NOT_FOUND, "why")})
    served = given(SERVED, report(state(17, "r17")))
    for world, wanted in (
        (served, missing),
        (served, no_ca),
        (given(instance(), pod(), report()), no_certificate),
        (given(instance(), pod(), report(), missing_pull_secrets={"mcs": ("registry",)}), Wanted({})),
        (given(instance(), community(**FILE)), WANTED),
        (given(instance(), portal()), of_a_portal),
    ):
        first = all_statuses(world, decide(world), wanted)
        live = {key: status["conditions"] for key, status in first.items()}
        later = replace(world, now=NOW + PATIENCE, conditions=live)
        for (kind, _), status in all_statuses(later, decide(later), wanted).items():
            yield kind, status


def rotated_links() -> Iterator[Told]:
    old = Fingerprint(pin("old"), LATER, created=NOW - timedelta(days=9))
    new = Fingerprint(pin("new"), LATER, created=NOW, deadline=LATER)
    revoked = Fingerprint(pin("gone"), LATER, created=NOW, revoked=NOW)
    for known in ((old, new), (new,)):
        yield from said(SERVED, report(state(17, "r17")), wanted=Wanted({17: "r17"}, fingerprints={"a": known}))
    stopped = report(state(17, "r17", state=SlotState.IDLE))
    yield from said(SERVED, stopped, wanted=Wanted({17: "r17"}, fingerprints={"a": (revoked,)}))


def tunnels() -> Iterator[Told]:
    for up in TunnelStatus:
        for reason in TunnelReason:
            yield from said(SERVED, report(state(17, "r17", tunnel=TunnelState(status=up, reason=reason))))


def public_names() -> Iterator[Told]:
    right, wrong = (Answer(addresses=(IPv4Address(text),)) for text in ("10.89.0.1", "192.0.2.9"))
    answers = [right, wrong, *(Answer(failure=failure) for failure in Failure)]
    for pod_says in answers:
        known = Lookup(pod_says, right)
        yield from said(SERVED, report(state(17, "r17")), lookups={"mcs.test": known, "a.mcs.test": known})


def what_the_operator_fails_at() -> Iterator[Told]:
    defect = Wanted(revisions={17: "r17"}, defects=("the appliance's files: KeyError",))
    yield from said(SERVED, report(state(17, "r17")), wanted=defect)
    problem = {"a": Verdict(Reason.RECONCILE_FAILED, "the link's keys: KeyError")}
    yield from said(SERVED, report(state(17, "r17")), wanted=Wanted(revisions={17: "r17"}, problems=problem))
    yield Kind.COMMUNITY, failed_status(Kind.COMMUNITY, PENDING_STATUS, 1, "KeyError", NOW)


def unreadable_objects() -> Iterator[Told]:
    for kind in Kind:
        yield from said(Unreadable(kind, "strange", 1, "spec.tier: 'Huge'"))


STORIES: tuple[Callable[[], Iterator[Told]], ...] = (
    before_the_operator_comes,
    instances,
    communities,
    portals,
    certificates,
    refused_links,
    waiting_links,
    programmed_links,
    what_has_been_missing_for_long,
    rotated_links,
    tunnels,
    public_names,
    what_the_operator_fails_at,
    unreadable_objects,
)
