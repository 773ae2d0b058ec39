"""A server of certificates that is hostile or broken: whatever it answers, an order ends, in words, and in time."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from acme.client import _renewal_info_path_component
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from mcs_operator.domain.facts.keys import AcmeAccount
from mcs_operator.issuing import network
from mcs_operator.issuing.client import AcmeClient
from mcs_operator.issuing.issuer import Issuer, IssuerError, RefusedError
from mcs_operator.issuing.network import LONGEST_BODY, MOST_ADDRESSES, MOST_BYTES, forbidden
from mcs_operator.pki.mint import mint_ca, mint_https
from support.certificates import key, text_of

KEY = text_of(key("account"))
Answer = Callable[[BaseHTTPRequestHandler], None]
OURS = mint_https(mint_ca("issuer", datetime.now(UTC)), "a", ["a.example.com"], datetime.now(UTC), 90).cert_pem
PLACE = "renewalInfo/" + _renewal_info_path_component(x509.load_pem_x509_certificate(OURS.encode()))


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
        return AcmeClient(issuer, "", loopback=True, seconds=seconds)

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


def drip_head(request: BaseHTTPRequestHandler) -> None:
    """A head that has no end, a byte now and then."""
    send_for_ever(request, b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05)


def go_on(request: BaseHTTPRequestHandler) -> None:
    """HTTP's "go on, I listen", for ever."""
    send_for_ever(request, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.001)


def drip_trailer(request: BaseHTTPRequestHandler) -> None:
    """A body that ends, with trailers that do not."""
    send_for_ever(request, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: y\r\n", 0.01)


def bomb(request: BaseHTTPRequestHandler) -> None:
    """64 MiB in 64 KiB."""
    said(gzip.compress(b" " * 2**26), Content_Encoding="gzip")(request)


def send_for_ever(request: BaseHTTPRequestHandler, first: bytes, then: bytes, pause: float) -> None:
    try:
        request.wfile.write(first)
        while True:
            request.wfile.write(then)
            request.wfile.flush()
            time.sleep(pause)
    except OSError:
        pass


@pytest.mark.parametrize(
    "answer",
    [
        drip_head,
        go_on,
        drip_trailer,
        bomb,
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
    assert time.monotonic() - begun < 4
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


@pytest.mark.parametrize(
    "answer",
    [
        said({}),
        said([]),
        said({"suggestedWindow": {"start": "yesterday", "end": 7}}),
        said(
            {"suggestedWindow": {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59Z"}}, Retry_After="9" * 99
        ),
        said(b"null"),
        said(b"[" * 60_000),
        problem("serverInternal", "no", 500),
        drip,
        bomb,
    ],
)
def test_whatever_is_said_of_a_renewal_the_question_ends(server: Server, answer: Answer) -> None:
    asks_for_renewals(server)
    server.answers[PLACE] = answer
    begun = time.monotonic()
    with suppress(Exception):
        at, again = server.client(3.0).renewal(OURS)
        assert at is None or at.tzinfo
        assert again.tzinfo
    assert time.monotonic() - begun < 8


def test_a_question_about_a_renewal_needs_no_account(server: Server) -> None:
    asks_for_renewals(server)
    window = {"suggestedWindow": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-03T00:00:00Z"}}
    server.answers[PLACE] = said(window, Retry_After="36000")
    at, again = server.client().renewal(OURS)
    assert at and datetime(2026, 1, 2, tzinfo=UTC) <= at <= datetime(2026, 1, 3, tzinfo=UTC)
    assert timedelta(hours=9.9) < again - datetime.now(UTC) < timedelta(hours=10.1)
    assert server.asked == ["dir", PLACE]


def test_a_server_that_says_nothing_of_renewals_is_asked_nothing(server: Server) -> None:
    at, again = server.client().renewal(OURS)
    assert at is None
    assert again > datetime.now(UTC)
    assert server.asked == ["dir"]


def asks_for_renewals(server: Server) -> None:
    places = {name: server.url(name) for name in ("newNonce", "newAccount", "newOrder", "renewalInfo")}
    server.answers["dir"] = said(places)


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


def test_a_server_that_says_ask_again_at_once_is_not_asked_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "MOST_REQUESTS", 20)
    places = {"status": "processing", "authorizations": [], "finalize": server.url("finalize")}
    server.answers["newOrder"] = said({**places, "status": "ready"}, 201, Location=server.url("order"))
    server.answers["finalize"] = said({})
    server.answers["order"] = said(places, 200, Retry_After="0")
    with pytest.raises((IssuerError, RefusedError), match="more than 20 requests"):
        server.client(60.0).order("a.example.com")
    assert len(server.asked) <= 20


@pytest.mark.parametrize("where", ["body", "head"])
def test_what_a_server_tells_in_all_is_bounded(server: Server, where: str) -> None:
    """The library keeps each authorization of an order, and each nonce."""
    places = [server.url(f"authorization/{n}") for n in range(300)]
    order = {"status": "pending", "authorizations": places, "finalize": server.url("finalize")}
    server.answers["newOrder"] = said(order, 201, Location=server.url("order"))
    large = "x" * 50_000
    one = {"status": "pending", "challenges": [], "identifier": {"type": "dns", "value": "a"}}
    answer = said({**one, "x": large}) if where == "body" else said(one, 200, X_Large=large)
    server.answers |= {f"authorization/{n}": answer for n in range(300)}
    with pytest.raises((IssuerError, RefusedError), match=f"more than {MOST_BYTES} bytes for one order"):
        server.client(60.0).order("a.example.com")
    assert len(server.asked) < 100


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("0.0.0.0", "no address of a host"),  # noqa: S104 - nothing binds to it
        ("::", "no address of a host"),
        ("ff02::1", "no address of a host"),
        ("10.0.0.1", ""),
        ("2001:db8::1", ""),
    ],
)
def test_nobody_has_the_operator_ask_itself_or_its_node(address: str, why: str) -> None:
    assert why in forbidden(address, loopback=False)
    assert bool(forbidden(address, loopback=False)) == bool(why)


def test_a_name_that_leads_there_is_not_asked_either(server: Server) -> None:
    client = server.client()
    client.loopback = False
    with pytest.raises(IssuerError, match=r"127\.0\.0\.1 leads to a loopback address, where no server is asked"):
        client.order("a.example.com")
    assert server.asked == []


def test_of_a_name_with_a_thousand_silent_addresses_a_few_are_tried(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def connect(address: tuple[str, int], timeout: float, **_: Any) -> socket.socket:
        tried.append(address)
        raise TimeoutError("timed out")

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"198.51.100.{n % 250}", 443)) for n in range(1000)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(IssuerError, match="does not answer: timed out"):
        server.client().order("a.example.com")
    assert len(tried) == MOST_ADDRESSES


def test_the_largest_key_of_an_account_keeps_nobody_waiting(server: Server) -> None:
    """Whether its factors are primes is reckoned for half a second, in which nothing else of the operator runs."""
    client = server.client()
    pem = text_of(rsa.generate_private_key(public_exponent=65537, key_size=4096))
    client.issuer = Issuer(server.url("dir"), AcmeAccount(pem, ""), ca_pem=server.ca)
    begun = time.thread_time()
    client._network(1.0).session.close()
    assert time.thread_time() - begun < 0.05
    server.answers["newOrder"] = problem("rejectedIdentifier", "not this one")
    with pytest.raises(RefusedError, match="not this one"):
        client.order("a.example.com")


@dataclass
class Proxy:
    """Of HTTP, at loopback; ``connected``: to whom it was asked to connect."""

    port: int
    connected: list[str] = field(default_factory=list)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    class Tunnel(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            found.connected.append(self.path)
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), 5) as server:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=pour, args=(server, self.connection))
                back.start()
                pour(self.connection, server)
                back.join()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    def pour(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Tunnel)
    found = Proxy(listening.server_address[1])
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
    thread.start()
    for name in ("NO_PROXY", "no_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{found.port}")
    yield found
    listening.shutdown()
    thread.join()
    listening.server_close()


def test_by_the_proxy_of_the_environment_every_request_goes_and_the_server_is_known_by_the_same_ca(
    server: Server, proxy: Proxy
) -> None:
    server.answers["newOrder"] = problem("rejectedIdentifier", "not this one")
    client = server.client()
    client.loopback = False  # the proxy is the operator's own, wherever it is
    with pytest.raises(RefusedError, match="not this one"):
        client.order("a.example.com")
    assert set(proxy.connected) == {f"127.0.0.1:{server.port}"}
    assert server.asked[-1] == "newOrder"


def test_a_proxy_does_not_make_another_server_the_right_one(server: Server, proxy: Proxy) -> None:
    client = server.client()
    client.issuer = Issuer(server.url("dir"), AcmeAccount(KEY, ""), ca_pem=mint_ca("other", datetime.now(UTC)).cert_pem)
    with pytest.raises(IssuerError, match="certificate verify failed"):
        client.order("a.example.com")
    assert proxy.connected
    assert server.asked == []


def test_through_a_proxy_an_answer_that_has_no_end_has_one(server: Server, proxy: Proxy) -> None:
    server.answers["dir"] = drip
    begun = time.monotonic()
    with pytest.raises(IssuerError, match="does not answer"):
        server.client(1.0).order("a.example.com")
    assert time.monotonic() - begun < 3
    assert proxy.connected


def test_a_proxy_that_is_not_there_is_told(server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(IssuerError, match="does not answer"):
        server.client().order("a.example.com")
