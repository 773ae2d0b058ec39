"""What one OpenVPN server says on its management socket, read as events. Pure.

    socket ──► lines ──► Reader.feed(line) ──► Established | Refused | Stir | Noise | Listing ──► whoever follows

OpenVPN 2.6 speaks line by line. Lines that begin with ``>`` come by themselves; any others answer what we ask, and end
with ``END``: ``log 100`` once, then ``status 3``. What was found with 2.6.14, and what the reading rests on:

- ``>CLIENT:ESTABLISHED`` with its ENV lines comes for each client that is let in, also without management-client-auth,
  and carries peer, version and the certificate's SHA-256. There is **no** ``>CLIENT:DISCONNECT`` then. So an end shows
  in the log only (``Inactivity timeout``, ``Connection reset``…), and such a line makes us ask for the list at once. A
  client that says good-bye stays in the list for five or six seconds more.
- At ``verb 3`` OpenVPN logs each question of ours, and nothing else could be found in a slot's log. So we ask for
  ``verb 2``, which has all that is read here. The file says 3 still: another text would restart everybody's tunnel.
- Who was let in before we listened is not announced any more, and the list knows no versions. The log does: OpenVPN
  keeps its last 250 lines. A slot that is enabled runs for up to a second before we look: time enough to connect.
- A client that is thrown out by another with the same certificate leaves no line at all: the list tells. Nor does one
  whose address changes under its tunnel (OpenVPN follows it by its peer ID).
- Log lines of a client that is let in begin with ``name/address:port``, before that with ``address:port``.
- A datagram that was not made with the link's tls-crypt key yields ``tls-crypt unwrap error`` and no client at all.

Everything here may be a stranger's text, and a slot that was broken into speaks in OpenVPN's place. Lines, blocks and
lists are bounded, and so is how much of one socket is read before the others have their turn; what is taken over is
matched against what it must look like; the socket's text is never logged.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from mcs_operator.agent import foreign
from mcs_operator.agent.inputs import Established, Gone, Refusal, Refused, Roster, Session

MAX_BLOCK = 512
"""Clients of one list."""


@dataclass(frozen=True, slots=True)
class Client:
    """A row of OpenVPN's list: a client that is let in, and what passed since."""

    session: Session
    received: int
    """Bytes from the TVox."""
    sent: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The whole list."""

    clients: tuple[Client, ...]

    @property
    def roster(self) -> Roster:
        """The list without its counters."""
        return Roster(tuple(client.session for client in self.clients))


@dataclass(frozen=True, slots=True)
class Stir:
    """Something happened to a client that was let in; only the list tells what."""


@dataclass(frozen=True, slots=True)
class GoodBye:
    """A client said that it leaves: it is in the list for five or six seconds more."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Somebody knocked who does not know the link's tls-crypt key, or does not speak OpenVPN."""


Event = Established | Refused | Listing | Stir | GoodBye | Noise
Heard = Established | Refused | Listing | Noise | Gone

_LOG = re.compile(r">LOG:\d+,[A-Z]*,(?P<text>.*)")
_OF_CLIENT = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]{1,64})/)?(?P<peer>[0-9a-fA-F.:\[\]]{3,50}:\d{1,5}) (?P<text>.*)")
_ENDS = re.compile(
    r"SIG[A-Z0-9]+\[[a-z,-]*\] received, client-instance (?:exiting|restarting)"
    r"|(?:\[[A-Za-z0-9._-]{1,64}\] )?Inactivity timeout \(--ping-restart\), restarting"
    r"|Connection reset, restarting \[-?\d{1,9}\]"
    r"|OCC exit message received by peer"
)
_LEAVES = "CC-EEN exit message received by peer"
_NOT_PINNED = re.compile(
    r"TLS Error: --tls-verify/--peer-fingerprint certificate hash verification failed\. "
    r"\(got certificate fingerprint: (?P<hex>[0-9a-fA-F:]{95})\)"
)
_VERIFY_ERROR = re.compile(
    r"VERIFY (?:KU |EKU |X509NAME )?ERROR(?:: depth=\d+, error=(?P<error>[A-Za-z ,'()-]{1,80}):)?"
)
_NOISE = ("TLS Error: tls-crypt unwrapping failed from ", "WARNING: Bad encapsulated packet length from peer")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9A-Za-z._+~-]{1,32}")
_TOLD = re.compile(
    r"\d+,[A-Z]*,(?:[A-Za-z0-9._-]{1,64}/)?(?P<peer>[0-9a-fA-F.:\[\]]{3,50}:\d{1,5}) "
    rf"peer info: IV_VER=(?P<version>{_VERSION.pattern})"
)
_WANTED = frozenset({"trusted_ip", "trusted_ip6", "trusted_port", "time_unix", "IV_VER", "tls_digest_sha256_0"})
"""What is kept of a client's ENV block, which has a hundred entries, or as many as somebody likes."""


class Reader:
    """Makes events of lines. Keeps only the block that has begun."""

    def __init__(self) -> None:
        self._client: int | None = None
        self._env: dict[str, str] = {}
        self._rows: list[Client] = []
        self._columns: dict[str, int] = {}
        self._told: dict[str, str] = {}
        """What clients said of their version before we listened, by peer."""

    def feed(self, line: str) -> Event | None:
        """The event that this line (without its end) completes, if any."""
        if line.startswith(">LOG:"):
            return _of_log(line)
        if line.startswith(">CLIENT:"):
            return self._of_client(line.removeprefix(">CLIENT:"))
        return self._of_answer(line)

    def _of_client(self, text: str) -> Event | None:
        if text.startswith("ESTABLISHED,"):
            self._client, self._env = _number(text.removeprefix("ESTABLISHED,")), {}
        elif text == "ENV,END":
            client, env, self._client, self._env = self._client, self._env, None, {}
            if client is None:
                return None
            session = _session(client, env)
            # An announcement that makes no sense is no reason to miss the client: the list will tell.
            return Established(session) if session else Stir()
        elif text.startswith("ENV,") and self._client is not None:
            name, _, value = text.removeprefix("ENV,").partition("=")
            if name in _WANTED:
                self._env[name] = value
        return None

    def _of_answer(self, line: str) -> Event | None:
        fields = line.split("\t")
        if fields[0] == "TITLE":
            self._rows, self._columns = [], {}
        elif fields[:2] == ["HEADER", "CLIENT_LIST"]:
            self._columns = {name: index for index, name in enumerate(fields[1:])}
        elif fields[0] == "CLIENT_LIST" and len(self._rows) < MAX_BLOCK:
            client = _row(fields, self._columns, self._told)
            if client:
                self._rows.append(client)
        elif line == "END" and self._columns:
            rows, self._rows, self._columns, self._told = self._rows, [], {}, {}
            return Listing(tuple(sorted(rows, key=lambda row: (row.session.since, row.session.client))))
        elif (told := _TOLD.fullmatch(line)) and (peer := _peer(told["peer"])) and len(self._told) < MAX_BLOCK:
            self._told[peer] = told["version"]
        return None


def _of_log(line: str) -> Event | None:
    match = _LOG.fullmatch(line)
    if not match:
        return None
    text: str = match["text"]
    if text.startswith(_NOISE[0]):
        return Noise()
    about = _OF_CLIENT.fullmatch(text)
    if not about:
        return None
    what = about["text"]
    if about["name"] is not None:
        return GoodBye() if what == _LEAVES else Stir() if _ENDS.fullmatch(what) else None
    if what.startswith(_NOISE[1]):
        return Noise()
    peer = _peer(about["peer"])
    return _refusal(what, peer.rpartition(":")[0]) if peer else None


def _refusal(text: str, host: str) -> Refused | None:
    pin = _NOT_PINNED.match(text)
    if pin:
        return Refused(Refusal.NOT_PINNED, host, f"SHA-256 {pin['hex'].replace(':', '').lower()}")
    error = _VERIFY_ERROR.match(text)
    if not error:
        return None
    why = error["error"] or ""
    if why == "certificate has expired":
        return Refused(Refusal.EXPIRED, host)
    if why == "certificate is not yet valid":
        return Refused(Refusal.NOT_YET_VALID, host)
    return Refused(Refusal.NOT_TRUSTED, host, why)


def _session(client: int, env: dict[str, str]) -> Session | None:
    address, port = env.get("trusted_ip") or env.get("trusted_ip6", ""), env.get("trusted_port", "")
    peer = _peer(f"{address}:{port}")
    since = _time(env.get("time_unix", ""))
    if peer is None or since is None:
        return None
    version, fingerprint = env.get("IV_VER", ""), env.get("tls_digest_sha256_0", "").replace(":", "").lower()
    return Session(
        client=client,
        peer=peer,
        since=since,
        version=version if _VERSION.fullmatch(version) else None,
        fingerprint=fingerprint if _SHA256.fullmatch(fingerprint) else None,
    )


def _row(fields: list[str], columns: dict[str, int], told: dict[str, str]) -> Client | None:
    def field(name: str) -> str:
        index = columns.get(name)
        # The header says HEADER, CLIENT_LIST, names…; a row says CLIENT_LIST, values…
        return fields[index] if index is not None and index < len(fields) else ""

    if not field("Virtual Address"):
        return None  # still in its handshake: anybody
    peer = _peer(field("Real Address"))
    number, since = _number(field("Client ID")), _time(field("Connected Since (time_t)"))
    if peer is None or number is None or since is None:
        return None
    received, sent = _number(field("Bytes Received")) or 0, _number(field("Bytes Sent")) or 0
    return Client(Session(number, peer, since, told.get(peer)), received, sent)


def _number(text: str) -> int | None:
    return foreign.whole(int(text)) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _time(text: str) -> float | None:
    return foreign.seconds(_number(text))


def _peer(text: str) -> str | None:
    """``address:port`` if it is one, IPv6 in brackets, also where it came without them."""
    address, _, port = text.rpartition(":")
    number = _number(port)
    if number is None or number > 65535 or "%" in address:  # a zone may be as long as one likes
        return None
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return None
    return f"[{parsed}]:{number}" if parsed.version == 6 else f"{parsed}:{number}"
