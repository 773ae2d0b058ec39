"""A server of certificates that is hostile or broken: whatever it answers, an order ends, in words, and in time."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mcs_operator.domain.facts.keys import AcmeAccount
from mcs_operator.issuing.client import AcmeClient
from mcs_operator.issuing.issuer import Issuer, IssuerError, RefusedError
from mcs_operator.issuing.network import LONGEST_BODY
from mcs_operator.pki.mint import mint_ca, mint_https
from support.certificates import key, text_of

KEY = text_of(key("account"))
Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """HTTPS at loopback; ``answers`` by path, ``asked`` what was asked for."""

    port: int
    ca: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}/{path}"

    def client(self, seconds: float = 5.0) -> AcmeClient:
        issuer = Issuer(self.url("dir"), AcmeAccount(KEY, ""), ca_pem=self.ca)
        return AcmeClient(issuer, "", seconds=seconds)

    def works(self) -> None:
        """As a server does, up to the new order."""
        places = {name: self.url(name) for name in ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")}
        self.answers = {
            "dir": said(places),
            "newNonce": said({}),
            "newAccount": said({"status": "valid"}, 201, Location=self.url("account/1")),
        }


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        request.send_response(status)
        kind = "application/problem+json" if status >= 400 else "application/json"
        for name, value in {"Content-Type": kind, "Replay-Nonce": "bm9uY2U", **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)

    return answer


def problem(code: str, detail: str, status: int = 403, **headers: str) -> Answer:
    return said({"type": f"urn:ietf:params:acme:error:{code}", "detail": detail}, status, **headers)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    now = datetime.now(UTC)
    ca = mint_ca("test", now)
    pair = mint_https(ca, "acme", ["127.0.0.1"], now, 2)
    (tmp_path / "crt").write_text(pair.cert_pem)
    (tmp_path / "key").write_text(pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            path = self.path.lstrip("/")
            found.asked.append(path)
            found.answers.get(path, said({}, 404))(self)

        do_GET = do_POST = do_HEAD = _any  # noqa: N815 - names of the library

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    class Https(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that went away is none."""

    listening = Https(("127.0.0.1", 0), Handler)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    found = Server(listening.server_address[1], ca.cert_pem)
    found.works()
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    yield found
    listening.shutdown()
    thread.join()
    listening.server_close()


def drip(request: BaseHTTPRequestHandler) -> None:
    """A byte now and then, for ever."""
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    try:
        while True:
            request.wfile.write(b" ")
            request.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize(
    "answer",
    [
        said(b"{"),
        said(b"\xff\xfe"),
        said([]),
        said({}),
        said({"newNonce": 7, "newAccount": [], "newOrder": None}),
        said({}, 500),
        said(b"<html>", 502),
        problem("serverInternal", "x" * 5000, 500),
        said(b" " * (LONGEST_BODY + 1)),
        said(b"[" * 100_000),
        said({}, 302, Location="https://127.0.0.1:1/dir"),
        drip,
    ],
)
def test_whatever_the_directory_is_the_order_ends_in_words(server: Server, answer: Answer) -> None:
    server.answers["dir"] = answer
    begun = time.monotonic()
    with pytest.raises((IssuerError, RefusedError)) as told:
        server.client(2.0).order("a.example.com")
    assert time.monotonic() - begun < 8
    assert str(told.value)
    assert "PRIVATE" not in str(told.value)
    assert "object at 0x" not in str(told.value)


def test_a_redirect_leads_nowhere(server: Server) -> None:
    server.answers["dir"] = said({}, 302, Location=server.url("elsewhere"))
    with pytest.raises((IssuerError, RefusedError)):
        server.client().order("a.example.com")
    assert "elsewhere" not in server.asked


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "", "//x"])
def test_no_address_is_asked_that_is_not_https(server: Server, place: str) -> None:
    places = dict.fromkeys(("newNonce", "newAccount", "newOrder"), place)
    server.answers["dir"] = said(places)
    with pytest.raises((IssuerError, RefusedError)):
        server.client().order("a.example.com")
    assert server.asked == ["dir"]


def test_what_the_server_refuses_has_its_words_and_when_to_come_again(server: Server) -> None:
    server.answers["newOrder"] = problem("rateLimited", "too many certificates (50)", 429, Retry_After="86400")
    with pytest.raises(RefusedError, match=r"rateLimited: too many certificates") as told:
        server.client().order("a.example.com")
    assert told.value.again is not None
    assert timedelta(hours=23) < told.value.again - datetime.now(UTC) < timedelta(hours=25)


@pytest.mark.parametrize(
    ("asked", "understood"),
    [
        ("60", True),
        ("Wed, 21 Oct 2099 07:28:00 GMT", True),
        ("9" * 5000, True),
        ("soon", False),
        ("-1", False),
        ("٣", False),
        ("Wed, 99 Foo 9999 99:99:99 GMT", False),
    ],
)
def test_when_to_come_again_is_read_or_left_alone(server: Server, asked: str, understood: bool) -> None:
    server.answers["newOrder"] = problem("rateLimited", "x", 429, Retry_After=asked.encode().decode("latin-1"))
    with pytest.raises(RefusedError) as told:
        server.client().order("a.example.com")
    assert (told.value.again is not None) == understood


@pytest.mark.parametrize("code", ["accountDoesNotExist", "userActionRequired"])
def test_what_no_other_name_would_be_without_is_the_servers(server: Server, code: str) -> None:
    server.answers["newOrder"] = problem(code, "no")
    client = server.client()
    for _ in range(2):
        with pytest.raises(IssuerError, match=code):
            client.order("a.example.com")
    assert server.asked.count("newAccount") == 2, "the account is looked for again"


def test_an_account_that_is_there_is_used(server: Server) -> None:
    server.answers["newAccount"] = said({"status": "valid"}, 200, Location=server.url("account/1"))
    server.answers["newOrder"] = problem("rejectedIdentifier", "not this one")
    client = server.client()
    for _ in range(3):
        with pytest.raises(RefusedError, match="rejectedIdentifier: not this one"):
            client.order("a.example.com")
    assert server.asked.count("newAccount") == 1
    assert server.asked.count("dir") == 1


@pytest.mark.parametrize(
    "answer",
    [
        said({}),
        said({"status": "pending", "authorizations": ["x" * 10], "finalize": 7}, 201),
        said({"status": "ready", "authorizations": [], "finalize": "https://127.0.0.1:1/f"}, 201, Location="no url"),
        said(b"null", 201),
        said(b'"' + b"\\ud800" * 10 + b'"', 201),
        drip,
    ],
)
def test_whatever_an_order_is_it_ends_in_words(server: Server, answer: Answer) -> None:
    server.answers["newOrder"] = answer
    begun = time.monotonic()
    with pytest.raises((IssuerError, RefusedError)) as told:
        server.client(3.0).order("a.example.com")
    assert time.monotonic() - begun < 8
    assert "PRIVATE" not in str(told.value)


@pytest.mark.parametrize("bundle", ["rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_bundle_that_is_none_is_told_and_nothing_is_sent(server: Server, bundle: str) -> None:
    client = server.client()
    client.issuer = Issuer(client.issuer.server, client.issuer.account, ca_pem=bundle)
    with pytest.raises(IssuerError, match="caBundle"):
        client.order("a.example.com")
    assert server.asked == []


def test_who_does_not_lead_any_more_sends_nothing(server: Server) -> None:
    client = server.client()
    client.may_go = lambda: False
    with pytest.raises(IssuerError, match="nothing is ordered"):
        client.order("a.example.com")
    assert server.asked == []


def test_a_server_that_falls_over_one_name_is_there_for_the_others(server: Server) -> None:
    def broken_off(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True

    server.answers["newOrder"] = broken_off
    with pytest.raises(RefusedError, match="broke off"):
        server.client().order("a.example.com")
    server.answers["dir"] = broken_off
    with pytest.raises(IssuerError):
        server.client().order("a.example.com")
