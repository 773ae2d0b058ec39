"""One namespace with as many faults as its tenant can put there, beside twenty that are well: their new links take the
usual time, and in the hostile one who is revoked is stopped and who is new is served.

Each fault is a few objects, as data: whatever the operator is made of, it meets all of them at once, and again whenever
somebody touches them.
"""

from __future__ import annotations

import base64
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import pytest

from conftest import fresh_namespace
from support.api import Api, Object, Refused
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.snapshots import files
from support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HEALTHY = 20
USUAL, NOISE = 1.5, 0.2
"""A new link may take so many times as long as without the hostile namespace, and so many seconds more: it takes 0.2
where nothing is in the way, of which another process has half for itself now and then."""
OURS = {"app.kubernetes.io/managed-by": "mcs-operator", "mcs.tvox.io/instance": "mcs"}
USERS = {"mcs.tvox.io/users": "true"}
LATE = {"acme": "2", "victim": "3", "off": "4"}
"""The hostile namespace's own links that are well, and their numbers."""


# --- the faults ---


def _secret(name: str, labels: dict[str, str], type: str = "Opaque", **data: bytes) -> Object:
    encoded = {key.replace("__", "."): base64.b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": encoded}


def _config_map(name: str, labels: dict[str, str], **data: str) -> Object:
    named = {key.replace("__", "."): value for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": named}


def copies_with_their_labels(api: Api) -> Iterable[Object]:
    """What `sed` and `kubectl create` make of a backup: every Secret of ours once more, under another name."""
    for body in api.list("Secret", "app.kubernetes.io/managed-by=mcs-operator"):
        metadata = {"name": f"{body['metadata']['name']}-copy", "labels": body["metadata"]["labels"]}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": body["type"], "data": body["data"]}


def objects_that_only_bear_our_labels(_: Api) -> Iterable[Object]:
    yield _config_map("plain", OURS, **{"users-acme.yaml": "- name: anna.rossi\n", "links.json": "{"})
    yield _secret("empty", OURS)
    yield _secret("mcs-users-99", OURS, **{"users-99.json": b"\xff\xfe"})
    yield _secret("mcs-link-099", OURS | {"mcs.tvox.io/link": "ghost", "mcs.tvox.io/slot": "copy"})
    yield _secret("mcs-link-005", OURS | {"mcs.tvox.io/link": "ghost", "mcs.tvox.io/slot": "5e9"})
    deep = {"fingerprints.json": b"[" * 100_000}
    yield _secret("mcs-link-006", OURS | {"mcs.tvox.io/link": "deep", "mcs.tvox.io/slot": "006"}, **deep)
    other = OURS | {"mcs.tvox.io/instance": "other", "mcs.tvox.io/link": "acme", "mcs.tvox.io/slot": "002"}
    yield _secret("other-link-002", other, **{"tls.crt": b"x"})


def identities_that_are_none(_: Api) -> Iterable[Object]:
    keys = {"tls.crt": b"a", "tls.key": b"a", "tls-crypt.key": b"a"}
    for name, text in {
        "infinite": b'{"slot": 1e999, "created": "2026-01-01T00:00:00Z", "fingerprints": []}',
        "nested": b"[" * 60_000,
        "of-text": b'{"slot": "two", "created": 7, "fingerprints": {}}',
        "of-bytes": b"\xff\xfe\x00",
    }.items():
        labels = OURS | {"mcs.tvox.io/link": name}
        yield _secret(f"{name}-profile", labels, **keys, **{"identity.json": text})


def users_files(_: Api) -> Iterable[Object]:
    bomb = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}\n" for n in range(1, 9)
    )
    texts = {
        "deep": "[" * 60_000,
        "bomb": bomb,
        "wrong": "- {}\n" * 150_000,
        "doubled": "- name: ann\n  functions: [Audio]\n  name: bob\n",
        "large": "".join(f"- name: user{n:05d}\n" for n in range(9_000)),
        "long": "- name: " + "x" * 500_000,
    }
    for name, text in texts.items():
        yield _config_map(f"users-{name}", USERS, users__yaml=text)
        yield a_community(f"c-{name}", usersFrom=[{"configMapRef": {"name": f"users-{name}"}}])
    yield _secret("users-wide", USERS, users__yaml="- name: ann\n".encode("utf-16"))
    yield a_community("c-wide", usersFrom=[{"secretRef": {"name": "users-wide"}}])


def certificates(_: Api) -> Iterable[Object]:
    block = b"-----BEGIN CERTIFICATE-----\n" + b"QUFB" * 2_000 + b"\n-----END CERTIFICATE-----\n"
    for name, (chain, key) in {
        "huge": (block * 110, b"x" * 1_000),
        "noise": (b"\xff\x00" * 5_000, b"\xff"),
        "empty": (b"", b""),
    }.items():
        yield _secret(f"tls-{name}", {}, "kubernetes.io/tls", **{"tls.crt": chain, "tls.key": key})
        link = a_link(f"l-{name}", domain=f"l-{name}.hostile.test", tls={"secretRef": {"name": f"tls-{name}"}})
        yield link


FAULTS: tuple[Callable[[Api], Iterable[Object]], ...] = (
    copies_with_their_labels,
    objects_that_only_bear_our_labels,
    identities_that_are_none,
    users_files,
    certificates,
)


# --- the namespaces ---


@pytest.fixture
def healthy(server: Api, operator: Operator) -> Iterator[list[Api]]:
    """Twenty namespaces with an instance each, and a link that is served."""
    lives = [fresh_namespace(server) for _ in range(HEALTHY)]
    apis = [server.within(next(life)) for life in lives]
    for number, api in enumerate(apis):
        api.create(
            an_instance(domain=f"h{number}.test", vpn={"slots": 20}),  # one for each round, however many it takes
            a_community(),
            a_link("first", domain=f"first.h{number}.test"),
        )
    for api in apis:
        api.wait_condition("TVoxLink", "first", "Accepted", "True", timeout=60)
    yield apis
    for life in lives:
        next(life, None)


@pytest.fixture
def hostile(api: Api, operator: Operator) -> Api:
    """A namespace with three links that are served; the faults come later."""
    api.create(an_instance(domain="hostile.test", vpn={"slots": 20}), a_community(users=["ann"]))
    for name, number in LATE.items():
        api.create(a_link(name, domain=f"{name}.hostile.test", vpnAddress=f"198.18.254.{number}"))
    for name in LATE:
        api.wait_condition("TVoxLink", name, "Accepted", "True", timeout=60)
        until(f"{name} has a slot", lambda name=name: slot(api, name), 30)
    return api


def slot(api: Api, name: str) -> dict[str, str]:
    """The files of a link's slot; nothing without one."""
    found = api.find("Secret", f"mcs-link-{int(LATE[name]):03d}")
    return files(found) if found else {}


def is_served(api: Api, name: str) -> bool:
    accepted = api.condition("TVoxLink", name, "Accepted")[0] == "True"
    return accepted and api.find("Secret", f"{name}-profile") is not None


def seconds_to_serve(apis: list[Api], name: str) -> float:
    """How long a new link takes until it has its identity and is told so: the median over the namespaces."""
    taken = []
    for number, api in enumerate(apis):
        begun = time.monotonic()
        api.create(a_link(name, domain=f"{name}.h{number}.test"))
        until(f"{name} is served", lambda api=api: is_served(api, name), 60, pause=0.02)
        taken.append(time.monotonic() - begun)
    return statistics.median(taken)


class Fidget:
    """Touches hostile objects one after the other, for as long as it runs: a tool that annotates whatever it finds."""

    def __init__(self, api: Api, names: list[tuple[str, str]]) -> None:
        self._api, self._names, self._ended = api.within(api.namespace), names, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.touched = 0

    def __enter__(self) -> Fidget:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            kind, name = self._names[self.touched % len(self._names)]
            self.touched += 1
            try:
                self._api.merge(kind, name, {"metadata": {"annotations": {"touched": str(self.touched)}}})
            except Refused:
                continue


def test_twenty_others_do_not_notice_and_who_is_revoked_is_stopped(
    healthy: list[Api], hostile: Api, operator: Operator
) -> None:
    usual = min(seconds_to_serve(healthy, f"before-{round}") for round in range(3))
    pid, mark = operator.pid, operator.log.stat().st_size

    faults = [body for fault in FAULTS for body in fault(hostile)]
    for body in faults:
        hostile.create(body)
    with Fidget(hostile, [(body["kind"], body["metadata"]["name"]) for body in faults]) as fidget:
        beside = seconds_to_serve(healthy, "beside-0")
        for round in range(1, 8):  # what others do on this machine is not in each of them
            if beside <= USUAL * usual + NOISE and fidget.touched > 10:
                break
            beside = min(beside, seconds_to_serve(healthy, f"beside-{round}"))
        assert fidget.touched > 10

        hostile.annotate("TVoxLink", "victim", revoke_requested_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        hostile.change("TVoxLink", "off", enabled=False)
        until("who is revoked is stopped", lambda: slot(hostile, "victim")["enabled"] == "false", 20)
        until("who is disabled is stopped", lambda: slot(hostile, "off")["enabled"] == "false", 20)
        assert slot(hostile, "acme")["enabled"] == "true"
        hostile.create(a_link("new", domain="new.hostile.test"))
        hostile.wait_condition("TVoxLink", "new", "Accepted", "True", timeout=20)
        until("who is new has a profile", lambda: hostile.find("Secret", "new-profile"), 20)

    assert operator.runs and operator.pid == pid, "the same process"
    assert "Traceback" not in operator.since(mark)
    assert beside <= USUAL * usual + NOISE, f"{beside:.2f} s beside the hostile namespace, {usual:.2f} s without it"
