"""A fake link agent, for where no kubelet runs: an HTTPS server that speaks the agent's real wire format.

It stands in for the pod alone, never for the operator: it takes its certificate and token from the Secret that the
operator made, reads the slot Secrets from the API server as a kubelet would mount them, and says that each slot runs
what its Secret has. What a TVox shows on the wire is said by the test, and what the pod's DNS knows.
"""

from __future__ import annotations

import json
import random
import socket
import ssl
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcs_operator.contract.exits import ExitAtOnce
from mcs_operator.contract.linkstate import (
    DRAIN_UNTIL,
    LinkReport,
    LinkState,
    MediaState,
    SlotState,
    TunnelReason,
    TunnelState,
    TunnelStatus,
)
from mcs_operator.contract.lookup import Answer, Failure, Question, Resolution
from mcs_operator.pki import fingerprint
from support.api import Api
from support.pods import place_pod
from support.shards import mounted
from support.snapshots import files, identities
from support.waiting import until

LOOK_SECONDS = 0.2


def free_base_port() -> int:
    """A spec.vpn.basePort whose agent port, one above it, is free here."""
    while True:
        base = random.randrange(22_000, 32_000)  # noqa: S311 - any will do
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", base + 1))
            except OSError:
                continue
            return base


class FakeAppliance:
    """What the agent passes on of an appliance. ``open``: connections that are open, by link. ``orders``: to drain, and
    to end it, as they came; ``until``: by when the last one is over, as it said.
    ``knows_service_states``: whether it is of a version that does. ``contract``: which one it keeps; from 2 on it
    serves portals. ``answers_challenges``: whether it knows those of ACME."""

    def __init__(self, api: Api, instance: str) -> None:
        self.open: dict[int, int] = {}
        self.orders: list[str] = []
        self.until = ""
        self.knows_service_states = True
        self.contract = 1
        self.answers_challenges = False
        self._draining = False
        self._api, self._instance, self._name = api, instance, f"{instance}-links"

    def order(self, method: str, until: str) -> None:
        """POST or DELETE /drain."""
        self.until = until
        self.orders.append(method)
        self._draining = method == "POST"

    def restart(self) -> None:
        """Its container ends, and another one begins."""
        self.open, self._draining = {}, False

    def state(self) -> MediaState:
        """What it says of itself, of the newest set of files."""
        files = (self._api.find("ConfigMap", self._name) or {}).get("data") or {}
        links, own = (json.loads(files.get(name, "{}")) for name in ("links.json", "instance.json"))
        out = [entry["number"] for entry in links.get("links", []) if entry.get("serviceState") == "OutOfService"]
        left = {number: self.open.get(number, 0) for number in out} if self.knows_service_states else None
        portals = self._portals() if self.contract > 1 else {}
        return MediaState(
            connections=sum(self.open.values()),
            draining=self._draining,
            outOfService=left,
            contract=self.contract,
            portals=portals,
            erased=self._erased() if self.contract > 1 else [],
            acmeThumbprint=own.get("acmeThumbprint", "") if self.answers_challenges else None,
            http01Solver=_solver(own) if self.answers_challenges else None,
        )

    def _erased(self) -> list[str]:
        """What is asked of it is done at once."""
        files = [json.loads(text) for text in mounted(self._api, self._instance).values()]
        return [entry["id"] for file in files for entry in file.get("erasures", [])]

    def _portals(self) -> dict[str, int]:
        """Of communities with a portal that has a certificate: how many hashes there are."""
        there = {name: json.loads(text) for name, text in mounted(self._api, self._instance).items()}
        domains = {c["domain"] for name, f in there.items() if name.startswith("certs-") for c in f["certificates"]}
        hashes = Counter(e["community"] for name, f in there.items() if name.startswith("logins-") for e in f["logins"])
        listed = there.get("communities.json", {"communities": []})["communities"]
        return {entry["name"]: hashes[entry["name"]] for entry in listed if entry.get("portalDomain") in domains}


def _solver(own: Mapping[str, Any]) -> str:
    named = own.get("http01Solver")
    return f"{named['host']}:{named['port']}" if named else ""


class FakeAgent:
    """The agent of one instance. ``revisions``: what each slot ran, one after the other, by number. ``addresses``: what
    the pod's DNS knows, by name; ``asked``: the names of each question about it. ``is_outdated``: whether it
    cannot be asked that. ``appliance``: the one that answers; None where
    none does. ``exits``: which slots were told to exit at once, time after time. ``is_cut_off``: whether what it says
    reaches nobody."""

    def __init__(self, api: Api) -> None:
        self.appliance: FakeAppliance | None = None
        self.revisions: defaultdict[int, list[str]] = defaultdict(list)
        self.addresses: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.exits: list[tuple[int, ...]] = []
        self.is_outdated = False
        self.is_cut_off = False
        self._api = api
        self._shown: dict[int, str] = {}
        self._links: list[LinkState] = []
        self._media: MediaState | None = None
        self._version = 0
        self._looking = threading.Lock()
        self._changed = threading.Condition()
        self._ended = threading.Event()

    def show(self, number: int, certificate: str) -> None:
        """The TVox of this link connects with the certificate of this fingerprint, ``AA:BB:…``."""
        self._shown[number] = certificate.replace(":", "").lower()

    def connect(self, link: str) -> None:
        """The TVox of this link connects with the profile that the link has now."""
        known = identities(self._api)[link]
        self.show(known.number, fingerprint(known.certificate))

    def restarts(self, number: int) -> int:
        """How often the slot's process was started anew, as the Secrets are now: what came and went between two looks
        was never mounted."""
        self._look()
        return len(self.revisions[number]) - 1

    def follow(self) -> None:
        """Read the slot Secrets until the end, and tell what changed."""
        while not self._ended.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._looking:
            links = [self._state(files(secret)) for secret in self._api.list("Secret", "mcs.tvox.io/slot")]
            media = self.appliance.state() if self.appliance else None
            if (links, media) != (self._links, self._media):
                with self._changed:
                    self._links, self._media, self._version = links, media, self._version + 1
                    self._changed.notify_all()

    def _state(self, slot: dict[str, str]) -> LinkState:
        number = int(slot["DEFAULT"].split()[1].rsplit(".", 1)[1])
        if self.revisions[number][-1:] != [slot["revision"]]:
            self.revisions[number].append(slot["revision"])
        shown = self._shown.get(number)
        up = bool(shown) and slot["enabled"] == "true" and shown in slot["server.conf"].replace(":", "").lower()
        tunnel = TunnelState(
            status=TunnelStatus.TRUE if up else TunnelStatus.FALSE,
            reason=TunnelReason.ESTABLISHED if up else TunnelReason.NEVER_CONNECTED,
            fingerprint=shown,
        )
        state = SlotState.RUNNING if slot["enabled"] == "true" else SlotState.IDLE
        return LinkState(slot=number, revision=slot["revision"], state=state, tunnel=tunnel)

    def report(self, query: dict[str, list[str]]) -> LinkReport:
        """The answer to ``GET /v1/links``, at once where the client is behind."""
        known = int(query.get("version", ["-1"])[0])
        deadline = time.monotonic() + float(query.get("wait", ["0"])[0])
        with self._changed:
            while self._version == known and not self._ended.is_set() and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            while self.is_cut_off and not self._ended.is_set():
                self._changed.wait(LOOK_SECONDS)
            return LinkReport(epoch="fake", version=self._version, links=self._links, media=self._media)

    def resolve(self, question: Question) -> Resolution:
        """The answer to ``POST /v1/resolve``."""
        self.asked.append(question.names)
        none = Answer(failure=Failure.NOT_FOUND)
        known = {name: Answer(addresses=(IPv4Address(text),)) for name, text in self.addresses.items()}
        return Resolution(answers={name: known.get(name, none) for name in question.names})

    def end(self) -> None:
        """Let everybody go who waits."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()


@contextmanager
def fake_agent(api: Api, base_port: int, instance: str = "mcs", *, is_ready: bool = False) -> Iterator[FakeAgent]:
    """The agent in the instance's pod, whose status says that it is here and that the media is ready; with
    ``is_ready`` also that the agent is."""
    credentials = until("the agent's Secret", lambda: api.find("Secret", f"{instance}-agent"))
    place_pod(api, instance)
    ready = {"name": "media", "ready": True, "restartCount": 0, "image": "", "imageID": "", "state": {"running": {}}}
    told = [ready, ready | {"name": "agent"}] if is_ready else [ready]
    address = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "containerStatuses": told}
    agent = FakeAgent(api)
    server = _Server(("127.0.0.1", base_port + 1), _Handler)
    server.agent, server.token = agent, files(credentials)["token"]
    server.socket = _context(files(credentials)).wrap_socket(server.socket, server_side=True)
    threads = [threading.Thread(target=server.serve_forever, args=(0.1,)), threading.Thread(target=agent.follow)]
    for thread in threads:
        thread.start()
    try:
        api.merge_status("Pod", f"{instance}-0", address)
        yield agent
    finally:
        agent.end()
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()


def _context(credentials: dict[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tls.crt", "tls.key"):
            (Path(folder) / name).write_text(credentials[name])
        context.load_cert_chain(Path(folder) / "tls.crt", Path(folder) / "tls.key")
    return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    agent: FakeAgent
    token: str

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """The path that an operator asks for, all the time."""
        url = urlsplit(self.path)
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._answer(401, {})
        elif url.path == "/v1/links":
            self._answer(200, self.server.agent.report(parse_qs(url.query)).model_dump(mode="json"))
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        """The other one."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._answer(401, {})
        elif self.path == "/v1/resolve" and not self.server.agent.is_outdated:
            question = Question.model_validate_json(body)
            self._answer(200, self.server.agent.resolve(question).model_dump(mode="json"))
        elif self.path == "/v1/drain" and self.server.agent.appliance:
            self.server.agent.appliance.order(self.command, self.headers.get(DRAIN_UNTIL, ""))
        elif self.path == "/v1/exit-at-once":
            self.server.agent.exits.append(ExitAtOnce.model_validate_json(body).slots)
            self._answer(200, {})
        else:
            self._answer(404, {})

    do_DELETE = do_POST  # noqa: N815 - as the standard library wants it

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Nothing."""
