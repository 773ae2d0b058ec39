"""The webhook's HTTP: it answers reviews, and everything else in plain words and with the right code."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.admission import Answer, Operation, Request, review
from mcs_operator.handlers.webhook import (
    LIMITS,
    MOST_VALUES,
    NoReviewError,
    Webhook,
    _parsed,
    _request,
    _told,
    build_app,
)
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.known import Known
from mcs_operator.kube.names import Names
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS
from mcs_operator.pki.mint import mint_ca, mint_client
from mcs_operator.pki.webhook import WebhookCertificate, issue
from support.objects import a_community, a_link, an_instance
from support.ports import free_port
from support.worlds import NOW

Post = Callable[..., Any]
PATH = "/validate/" + "a" * 64


def review_of(body: Any, operation: str = "CREATE", **more: Any) -> dict[str, Any]:
    kind = {"group": "mcs.tvox.io", "version": "v1alpha1", "kind": body["kind"]}
    request = {"uid": "u-1", "kind": kind, "operation": operation, "namespace": "demo", "name": "a", "object": body}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | more}


async def _lets_in(_: Request, __: bool) -> Answer:
    return Answer()


class Served:
    """The webhook, served, with answers that the test sets."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.may_ask = False
        self.answer = Answer()
        self.broken = False
        self.ready = True
        self.path = PATH

    async def review(self, request: Request, may_ask: bool) -> Answer:
        self.asked.append(request)
        self.may_ask = may_ask
        if self.broken:
            raise RuntimeError("a secret of ours")
        return self.answer

    def app(self) -> web.Application:
        return build_app(self.review, lambda: self.ready, lambda: self.path)


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
async def post(served: Served) -> AsyncIterator[Post]:
    async with TestServer(served.app()) as server, ClientSession() as session:

        async def post(body: Any, path: str = PATH) -> tuple[int, Any]:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            async with session.post(server.make_url(path), data=data) as response:
                text = await response.text()
                return response.status, json.loads(text) if response.content_type == "application/json" else text

        yield post


async def test_what_is_not_refused_is_allowed(served: Served, post: Post) -> None:
    status, answer = await post(review_of(a_link("a"), "UPDATE", oldObject=a_link("a", enabled=False)))
    assert status == 200
    assert answer["response"] == {"uid": "u-1", "allowed": True}
    (asked,) = served.asked
    assert (asked.kind, asked.operation, asked.namespace, asked.name) == (Kind.LINK, Operation.UPDATE, "demo", "a")
    assert asked.old is not None


async def test_refusals_and_warnings_are_passed_on(served: Served, post: Post) -> None:
    served.answer = Answer(("spec.a: 1: no", "spec.b: 2: no"), ("spec.c: mind",))
    _, answer = await post(review_of(a_link("a")))
    response = answer["response"]
    assert response["allowed"] is False
    assert response["status"] == {"code": 422, "reason": "Invalid", "message": "spec.a: 1: no; spec.b: 2: no"}
    assert response["warnings"] == ["spec.c: mind"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        [],
        {},
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {}},
        review_of(a_link("a"), kind={"group": "apps", "kind": "Deployment"}),
        review_of(a_link("a"), "DELETE"),
        review_of(a_link("a"), object=None),
        review_of(a_link("a"), oldObject="text"),
    ],
)
async def test_what_is_no_review_is_a_bad_request(post: Post, body: Any) -> None:
    status, text = await post(body)
    assert status == 400
    assert "Traceback" not in text
    assert len(text) < 100


async def test_an_unknown_path_is_never_an_allowance(served: Served, post: Post) -> None:
    assert (await post(review_of(a_link("a")), "/other"))[0] == 404
    assert (await post(review_of(a_link("a")), "/"))[0] == 404
    assert not served.asked


async def test_before_the_world_is_listed_it_does_not_judge(served: Served, post: Post) -> None:
    served.ready = False
    assert (await post(review_of(a_link("a"))))[0] == 503
    assert not served.asked


async def test_a_failure_shows_nothing_of_its_reason(served: Served, post: Post) -> None:
    served.broken = True
    status, text = await post(review_of(a_link("a")))
    assert status == 500
    assert "secret" not in text


async def test_an_object_of_five_mebibytes_is_taken_and_one_of_nine_is_not(post: Post) -> None:
    large = a_link("a")
    large["metadata"]["annotations"] = {"x": "y" * 5 * 1024**2}
    assert (await post(review_of(large)))[0] == 200
    large["metadata"]["annotations"] = {"x": "y" * 9 * 1024**2}
    assert (await post(review_of(large)))[0] == 413


@pytest.mark.parametrize(("kib", "may_ask"), [(1, True), (300, False)])
async def test_for_a_large_body_nobody_is_asked_as_the_other_large_ones_wait_for_it(
    served: Served, post: Post, kib: int, may_ask: bool
) -> None:
    body = a_link("a")
    body["metadata"]["annotations"] = {"x": "y" * kib * 1024}
    assert (await post(review_of(body)))[0] == 200
    assert served.may_ask is may_ask


async def test_without_the_registered_path_nobody_is_answered_and_nothing_is_read(served: Served, post: Post) -> None:
    for path in ("/validate", "/validate/", PATH[:-1], PATH + "x", PATH + "/", "/validate/%ff", "/validate/\u00fc"):
        assert (await post(review_of(a_link("a")), path))[0] == 404, path
    served.path = ""
    assert (await post(review_of(a_link("a"))))[0] == 404, "none is registered yet"
    assert (await post(review_of(a_link("a")), "/"))[0] == 404
    assert not served.asked


async def test_a_large_body_of_a_stranger_is_refused_before_it_is_sent(served: Served) -> None:
    async with TestServer(served.app()) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 7000000\r\n\r\n" + b"x" * 1000)
        async with asyncio.timeout(3):
            assert b" 404 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param(b"[" * 60_000, "nested too deeply", id="60,000 brackets"),
        pytest.param(b'{"a":' * 60_000, "nested too deeply", id="60,000 objects"),
        pytest.param(b"[" + b"0," * 1_000_000 + b"0]", "more than 60000 values", id="a million numbers"),
        pytest.param(b"[" + b"[]," * 500_000 + b"0]", "more than 60000 values", id="half a million lists"),
        pytest.param(b"1" * 100_000, "no JSON", id="a number of 100,000 digits"),
    ],
)
async def test_what_would_take_long_to_parse_is_refused_at_once(post: Post, body: bytes, what: str) -> None:
    begun = time.process_time()
    status, text = await post(body)
    assert (status, what in text) == (400, True), text
    assert time.process_time() - begun < 0.5


def test_the_most_that_is_parsed_takes_a_moment() -> None:
    """The event loop stands meanwhile: 20 ms on an idle machine; three times that where others compute as well."""
    body = b"{" + b",".join(b'"k%d":1' % number for number in range(MOST_VALUES - 1)) + b"}"

    def seconds() -> float:
        begun = time.process_time()
        _parsed(body)
        return time.process_time() - begun

    assert min(seconds() for _ in range(5)) < 0.05


async def test_forty_bodies_of_seven_megabytes_are_taken_two_at_a_time() -> None:
    large = a_link("a")
    large["metadata"]["annotations"] = {"x": "y" * 7 * 1024**2}
    data = json.dumps(review_of(large)).encode()
    before = resident()
    app = build_app(_lets_in, lambda: True, lambda: PATH)
    async with TestServer(app) as server:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"

        def post() -> bytes:
            with socket.create_connection((server.host, server.port), timeout=60) as connection:
                connection.sendall(head.encode())
                connection.sendall(data)
                return connection.recv(15)

        with ThreadPoolExecutor(40) as pool:
            loop = asyncio.get_running_loop()
            told = await asyncio.gather(*(loop.run_in_executor(pool, post) for _ in range(40)))
    assert set(told) == {b"HTTP/1.1 200 OK"}
    assert resident() - before < 100, "forty of them are 280 MiB"


def resident() -> float:
    """The most MiB that this process, which is the client as well, had so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


# ------------------------------------------------------------------------------------------------------------ the port


def put(folder: Path, issued: WebhookCertificate) -> None:
    for name, text in (("tls.crt", issued.serving.cert_pem), ("tls.key", issued.serving.key_pem)):
        (folder / "new").write_text(text)
        (folder / "new").replace(folder / name)


def trusting(issued: WebhookCertificate) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=issued.trusted)


@asynccontextmanager
async def serving(folder: Path, client_ca: Path | None = None) -> AsyncIterator[Callable[[ssl.SSLContext], Any]]:
    """The webhook on a port of its own; asks it with this trust, and gives the status or the error's name."""
    port = free_port()
    webhook = Webhook(port, folder, _lets_in, lambda: True, lambda: PATH, client_ca)
    task = asyncio.create_task(webhook.run())

    async def ask(trust: ssl.SSLContext) -> int | str:
        try:
            async with (
                ClientSession() as session,
                session.post(
                    f"https://localhost:{port}{PATH}", data=json.dumps(review_of(a_link("a"))), ssl=trust
                ) as answer,
            ):
                return answer.status
        except ClientError as error:
            return type(error).__name__

    try:
        yield ask
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_told(ask: Callable[[ssl.SSLContext], Any], trust: ssl.SSLContext, wanted: Any) -> None:
    async with asyncio.timeout(20):
        while await ask(trust) != wanted:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)


async def test_it_serves_once_its_certificate_is_there_and_follows_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcs_operator.handlers.webhook.RELOAD_EVERY", 0.05)
    first, second = (issue(["localhost"], datetime.now(UTC)) for _ in range(2))
    async with serving(tmp_path) as ask:
        assert await ask(trusting(first)) == "ClientConnectorError", "there is no certificate yet"
        put(tmp_path, first)
        await until_told(ask, trusting(first), 200)
        (tmp_path / "tls.crt").write_text(second.serving.cert_pem)  # half of a pair
        await asyncio.sleep(0.3)
        assert await ask(trusting(first)) == 200
        put(tmp_path, second)
        await until_told(ask, trusting(second), 200)


async def test_with_a_clients_ca_only_its_clients_are_answered(tmp_path: Path) -> None:
    issued, clients = issue(["localhost"], datetime.now(UTC)), mint_ca("api-servers", datetime.now(UTC))
    put(tmp_path, issued)
    (tmp_path / "ca.crt").write_text(clients.cert_pem)
    mine = mint_client(clients, "api-server", datetime.now(UTC))
    (tmp_path / "mine").write_text(mine.cert_pem + mine.key_pem)
    trust = trusting(issued)
    trust.load_cert_chain(tmp_path / "mine")
    async with serving(tmp_path, tmp_path / "ca.crt") as ask:
        await until_told(ask, trust, 200)
        assert await ask(trusting(issued)) != 200


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


def _models() -> list[Any]:
    """One object of each kind that its model takes, so that the rules behind it are reached."""
    return [a_link("new", vpnAddress="198.18.254.17"), a_community(users=["a", "b"]), an_instance(drainSeconds=9)]


def _odd_store(odd: Any) -> Store:
    """A store with one object of each kind, and with the strange thing everywhere in one more of each."""
    store = Store(wake=lambda _: None)
    for number, (resource, body) in enumerate(zip((LINKS, COMMUNITIES, INSTANCES), _models(), strict=True)):
        spec = dict.fromkeys(("instanceRef", "communityRef", "users", "vpn", "network", "tier", "nodeSelector"), odd)
        for name, changed in (("mcs", {}), ("odd", spec)):
            metadata = {"name": name, "namespace": "demo", "uid": f"{number}{name}", "resourceVersion": "1"}
            status = {"users": {"served": odd, "notServed": odd}}
            store.put(resource, {"metadata": metadata, "spec": body["spec"] | changed, "status": status})
    return store


@given(
    odd=_json,
    stored=_json,
    field=st.sampled_from(["spec", "status", "metadata", "kind"]),
    at=st.sampled_from(["domain", "instanceRef", "communityRef", "vpnAddress", "users", "vpn", "network", "tier", "x"]),
    which=st.integers(0, 2),
    operation=st.sampled_from(["CREATE", "UPDATE", "x"]),
    whole=st.booleans(),
)
@settings(max_examples=int(os.environ.get("MCS_FUZZ", "400")), deadline=None, suppress_health_check=list(HealthCheck))
def test_no_body_ever_makes_it_fail(
    odd: Any, stored: Any, field: str, at: str, which: int, operation: str, whole: bool
) -> None:
    """Through the rules themselves, beside a store with strange things in it: an answer or a bad request.

    One part of an object that is otherwise good is anything, so that most of them pass the model and reach a rule.
    """
    known = Known(_odd_store(stored), Names(Store(wake=lambda _: None), pytest.fail))
    body = _models()[which]
    old = {**body, "spec": {**body["spec"], "domain": "before.test"}}
    new = odd if whole and field == "kind" else {**body, field: odd} if whole else _with(body, at, odd)
    asked = review_of(body, operation, object=new, oldObject=old if operation == "UPDATE" else None)
    try:
        answer = _told(asked, review(_request(asked), known, NOW))
    except NoReviewError:
        return
    assert answer["response"]["uid"] == "u-1"


def _with(body: Any, at: str, odd: Any) -> Any:
    return {**body, "spec": {**body["spec"], at: odd}}


@pytest.mark.parametrize("which", [0, 1, 2])
def test_each_kind_reaches_its_rules(which: int) -> None:
    """Else the test above would pass by never coming so far."""
    body, store = _models()[which], _odd_store(None)
    body["metadata"]["name"] = "another"
    body["spec"] |= {"users": [{"name": f"u{n}"} for n in range(999)]} if body["kind"] == "Community" else {}
    asked = review_of(body)
    answer = _told(asked, review(_request(asked), Known(store, Names(store, pytest.fail)), NOW))
    assert "status" in answer["response"] or "warnings" in answer["response"]


def test_there_is_room_for_the_connections_of_a_busy_api_server() -> None:
    """It has 200 requests in flight that change something, by default, and dials where no connection is idle: 155 were
    seen with 64 in flight. One that is ended for another is a review that nobody made."""
    assert LIMITS.per_peer >= 200 * 155 / 128
    assert LIMITS.connections > LIMITS.per_peer, "and for somebody else"
