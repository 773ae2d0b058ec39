"""Builders of what decisions look at: parsed objects, identities, and the World that holds them. No I/O.

`given` puts a World together from whatever it gets, in any order; each object says by its type where it belongs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mcs_operator.api import Community, MCSInstance, TVoxLink
from mcs_operator.api.conditions import Kind
from mcs_operator.api.passwords import PasswordsFile, take_passwords
from mcs_operator.api.usersfile import UsersFile, take_users_file
from mcs_operator.contract.linkstate import LinkReport, LinkState, SlotState, TunnelReason, TunnelState, TunnelStatus
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.keys import AcmeAccount, Authority, KeyPair
from mcs_operator.domain.facts.orders import Issuable
from mcs_operator.domain.facts.world import AgentCredentials, Fingerprint, Pod, Profile, SlotSecret, Unreadable, World
from mcs_operator.domain.keyring import Keys, LinkKeys, Serving
from mcs_operator.domain.plan import LinkPlan, Plan, Verdict
from mcs_operator.domain.rules.issuance import Queue
from mcs_operator.domain.status.queue import queue
from support.objects import INSTANCE, a_community, a_link, an_instance

NAMESPACE = "demo"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nSECRET==\n-----END PRIVATE KEY-----\n"
TLS_CRYPT = "\n".join(
    ["#", "# 2048 bit OpenVPN static key", "#", "-----BEGIN OpenVPN Static key V1-----"]
    + ["0123456789abcdef" * 2] * 16
    + ["-----END OpenVPN Static key V1-----", ""]
)
PAIR = KeyPair(CERTIFICATE, KEY)
AUTHORITY = Authority(CERTIFICATE, KEY)
THUMBPRINT = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
ACCOUNT = AcmeAccount(KEY, THUMBPRINT)


def instance(name: str = INSTANCE, *, age: int = 0, uid: str = "", generation: int = 1, **spec: Any) -> MCSInstance:
    """An instance with 250 slots, ``age`` seconds old at NOW."""
    return MCSInstance.from_object(_stored(an_instance(name, **{"vpn": {"slots": 250}} | spec), age, uid, generation))


def community(
    name: str = "acme", *, age: int = 0, generation: int = 1, users: Iterable[Any] = (), **options: Any
) -> Community:
    """A community ``age`` seconds old at NOW; its users by name, or as in its spec."""
    body = a_community(name, **options)
    if listed := [{"name": user} if isinstance(user, str) else user for user in users]:
        body["spec"]["users"] = listed
    return Community.from_object(_stored(body, age, "", generation))


def link(name: str, *, age: int = 0, uid: str = "", generation: int = 1, **options: Any) -> TVoxLink:
    """A link ``age`` seconds old at NOW."""
    return TVoxLink.from_object(_stored(a_link(name, **options), age, uid, generation))


def links(count: int, **options: Any) -> list[TVoxLink]:
    """So many links, the first one the oldest; their names tell their order."""
    return [link(f"c{number:04d}", age=count - number, **options) for number in range(count)]


def _stored(body: dict[str, Any], age: int, uid: str, generation: int) -> dict[str, Any]:
    name = body["metadata"]["name"]
    created = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid or f"uid-of-{body['kind']}-{name}",
        "creationTimestamp": created,
        "generation": generation,
        "resourceVersion": "1",
    }
    return body | {"metadata": metadata}


def pin(name: str) -> str:
    """A fingerprint, another one for each name."""
    digest = hashlib.sha256(name.encode()).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, 64, 2))


def fingerprint(name: str, **other: Any) -> Fingerprint:
    """A client certificate, a day old at NOW; another one for each name."""
    known: dict[str, Any] = {"created": NOW - timedelta(days=1)}
    return Fingerprint(pin(name), NOW + timedelta(days=7000), **known | other)


def profile(of: str, number: int, *, owner: str = INSTANCE, released: datetime | None = None) -> Profile:
    """The identity of a link."""
    return Profile(
        link=of,
        instance=owner,
        number=number,
        created=NOW - timedelta(days=1),
        released=released,
        fingerprints=(fingerprint(of),),
        client=PAIR,
        tls_crypt=TLS_CRYPT,
    )


def slot(number: int, of: str, *, owner: str = INSTANCE, **other: Any) -> SlotSecret:
    """The slot Secret of a link."""
    return replace(
        SlotSecret(
            number=number,
            instance=owner,
            link=of,
            owner_uid=f"uid-of-TVoxLink-{of}",
            revision="r",
            content="r",
            server=PAIR,
            tls_crypt=TLS_CRYPT,
            ca=CERTIFICATE,
            fingerprints=(fingerprint(of),),
        ),
        **other,
    )


def identity(of: str, number: int, *, owner: str = INSTANCE) -> tuple[Profile, SlotSecret]:
    """Both Secrets of a link that is served."""
    return profile(of, number, owner=owner), slot(number, of, owner=owner)


def users_file(name: str, text: str | None, kind: str = "ConfigMap") -> UsersFile:
    """A labelled ConfigMap or Secret with users."""
    return take_users_file(kind, name, None if text is None else text.encode())


HASH = "$2y$10$" + "a" * 53


def passwords(name: str, text: str | None, of: str = "acme") -> PasswordsFile:
    """A Secret with passwords, labelled for this Community."""
    return take_passwords(name, of, None if text is None else text.encode())


def portal(name: str = "acme", *, secrets: Iterable[str] = ("passwords",), **spec: Any) -> Community:
    """A community with a portal at meet.<name>.test, user ada, and passwords in these Secrets."""
    sources = [{"secretRef": {"name": secret}} for secret in secrets]
    known = {"users": ["ada"], "portalDomain": f"meet.{name}.test", "authentication": {"passwordsFrom": sources}}
    return community(name, **known | spec)


def pod(**other: Any) -> Pod:
    """A media pod that is well."""
    known: dict[str, Any] = {
        "name": f"{INSTANCE}-0",
        "uid": "uid-of-pod",
        "ip": "10.244.0.7",
        "node": "mcs-node",
        "image": "localhost/mcs/appliance:dev",
        "media_ready": True,
        "media_problem": "",
        "terminating": False,
        "created": NOW - timedelta(hours=1),
        "annotations": {},
        "agent_ready": True,
    }
    return Pod(**{key: value for key, value in (known | other).items() if key in Pod.__dataclass_fields__})


def state(number: int, revision: str | None, **other: Any) -> LinkState:
    """What the agent tells of a slot: it runs, and its tunnel is up."""
    up = TunnelState(status=TunnelStatus.TRUE, reason=TunnelReason.ESTABLISHED, since=NOW)
    return LinkState(**({"slot": number, "revision": revision, "state": SlotState.RUNNING, "tunnel": up} | other))


def report(*states: LinkState, **other: Any) -> LinkReport:
    """What the agent tells of all slots."""
    return LinkReport(**({"epoch": "e", "version": 1, "links": list(states)} | other))


def given(*things: Any, now: datetime = NOW, ca: bool = True, **more: Any) -> World:
    """The World with these things in it. ``ca``: whether the instances have their CAs."""
    flat = list(_flat(things))

    def of(kind: type) -> list[Any]:
        return [thing for thing in flat if isinstance(thing, kind)]

    instances = of(MCSInstance)
    known: dict[str, Any] = {
        "namespace": NAMESPACE,
        "now": now,
        "instances": tuple(instances),
        "communities": tuple(of(Community)),
        "links": tuple(of(TVoxLink)),
        "unreadable": tuple(of(Unreadable)),
        "authorities": {i.name: AUTHORITY for i in instances} if ca else {},
        "agents": {i.name: AgentCredentials(PAIR, "token") for i in instances} if ca else {},
        "profiles": {p.link: p for p in of(Profile)},
        "slots": slots_by_key(of(SlotSecret)),
        "users_files": {(f.kind, f.name): f for f in of(UsersFile)},
        "passwords": {p.name: p for p in of(PasswordsFile)},
        "pod": next(iter(of(Pod)), None),
        "report": next(iter(of(LinkReport)), None),
    }
    return World(**(known | more))


def slots_by_key(slots: Iterable[SlotSecret]) -> dict[Any, SlotSecret]:
    """Slot Secrets as a World has them."""
    return {(s.instance, s.number): s for s in slots}


def _flat(things: Iterable[Any]) -> Iterable[Any]:
    for thing in things:
        if isinstance(thing, list | tuple):
            yield from _flat(thing)
        else:
            yield thing


def plans(world: World) -> dict[str, LinkPlan]:
    """What is decided about each link, by name."""
    return {plan.link.name: plan for plan in decide(world).links}


def refusal(world: World, name: str) -> Verdict:
    """Why a link is refused; AssertionError where it is not."""
    verdict = plans(world)[name].refusal
    assert verdict is not None, f"{name} is accepted"
    return verdict


def keys_for(plan: Plan) -> Keys:
    """Keys for everybody who is served, made of nothing: rendering looks at their form alone."""
    return Keys(
        authority=AUTHORITY,
        ca=CERTIFICATE,
        agent=AgentCredentials(PAIR, "token"),
        links={
            p.link.name: LinkKeys(
                PAIR, TLS_CRYPT, (fingerprint(p.link.name),), profile(p.link.name, p.number or 0), CERTIFICATE
            )
            for p in plan.served
        },
    )


def ordering(**acme: Any) -> MCSInstance:
    """An instance that orders certificates by ACME."""
    return instance(tls={"acme": {"server": "https://acme.example.com/directory"} | acme})


def queued(world: World, *, account: AcmeAccount | None = ACCOUNT, issued: bool = False) -> Queue:
    """What is to be ordered in a world in which nobody brings a certificate. ``issued``: each name has one already, of
    90 days, since a day before NOW."""
    plan = decide(world)
    begins, expires = (NOW - timedelta(days=1), NOW + timedelta(days=89)) if issued else (None, None)
    objects = [(Kind.INSTANCE, i.name, i.spec.domain) for i in world.instances[:1]]
    objects += [(Kind.LINK, p.link.name, p.link.spec.domain) for p in plan.served]
    objects += [(Kind.COMMUNITY, name, domain) for name, domain in plan.portals_served.items()]
    names = [Issuable(*of, f"{INSTANCE}-acme-{of[1]}", begins, expires) for of in objects]
    times = {domain: begins for *_, domain in objects if begins}
    problem = "" if account else "Secret 'account' does not exist"
    keys = Keys(account=account, account_problem=problem, serving=Serving(issuable=tuple(names), issued=times))
    return queue(world, plan, keys)


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """(status, reason) by type."""
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def message(status: dict[str, Any], type: str) -> str:
    """Message of one condition."""
    return next(str(c["message"]) for c in status["conditions"] if c["type"] == type)
