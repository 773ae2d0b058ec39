"""What the link agent tells the operator: the wire format of ``GET /v1/links``, shared by both ends.

The agent fills these models, the operator parses them at its door. Unknown fields are ignored, so that an agent of a
newer image may say more than an older operator understands (the pod is never restarted just because the operator was).

Text that a stranger can influence (a client's version, a certificate's name inside a message) is bounded here, once:
whatever the agent let through, a status condition never gets more than this. What is too long is cut, not refused: a
report that is refused is a pod of which nothing is known.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
)

from mcs_operator.settings import ERASURE_ID, FIRST_NUMBER, LAST_NUMBER, MAX_LINKS
from mcs_operator.timestamps import Timestamp

MAX_MESSAGE = 512
"""Longest message in characters; a Kubernetes condition allows 32,768, a person reads less."""
MAX_TOKEN = 64
"""Longest peer address, version or the like; an IPv6 address with a port and a zone needs 60."""

DRAIN_UNTIL = "Drain-Until"
"""Header of the order to drain, to the agent and on to the appliance: by when it is over at the latest, RFC 3339 in
UTC. Whoever is of before does not read it, and takes the order as ever."""
METRICS_PATH = "/metrics"


def metrics_token(token: str) -> str:
    """The token that opens METRICS_PATH and nothing else: made from the agent's own, and not the other way round."""
    return hmac.new(token.encode(), b"metrics", hashlib.sha256).hexdigest()


class SlotState(StrEnum):
    """What a slot's supervisor says about itself in ``state.json``."""

    IDLE = "Idle"
    STARTING = "Starting"
    RUNNING = "Running"
    QUARANTINED = "Quarantined"
    STOPPING = "Stopping"


class TunnelStatus(StrEnum):
    """Status of the condition ``Connected``, in the words of a Kubernetes condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class TunnelReason(StrEnum):
    """Why a tunnel is up, down or not known. The names become reasons of the condition ``Connected``."""

    ESTABLISHED = "Established"
    """Up: OpenVPN has one client whose keys are negotiated."""
    FLAPPING = "Flapping"
    """Up or down (see the status), and lost three times in ten minutes; stays until ten minutes were quiet."""
    NEVER_CONNECTED = "NeverConnected"
    """No client was ever seen on this link in the life of this pod."""
    LOST = "Lost"
    """There was a tunnel; it ended."""
    CERTIFICATE_EXPIRED = "CertificateExpired"
    """Down, and the last one who tried showed a certificate past its validity."""
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    """Down, and the last one who tried has a certificate that is not pinned here, or not of this CA."""
    WRONG_PEER = "WrongPeer"
    """The same certificate is in use at two addresses, which throw each other out by turns."""
    PENDING = "Pending"
    """Status Unknown: the agent has not been able to read this slot's OpenVPN yet."""


def plain(text: str, limit: int) -> str:
    """The text on one line, without control characters or what changes the direction of others, cut to the limit."""
    # Half of a surrogate pair, which JSON can carry, cannot be encoded: it is not printable either.
    return "".join(c if c.isprintable() else " " for c in text[:limit])


Token = Annotated[str, AfterValidator(lambda text: plain(text, MAX_TOKEN))]
Message = Annotated[str, AfterValidator(lambda text: plain(text, MAX_MESSAGE))]
MAX_COUNT = 2**53
"""JSON's readers know numbers as floats; a greater one is nobody's count."""
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TunnelState(_Wire):
    """One link's tunnel as OpenVPN itself reports it. Carries no counters: those are metrics and never wake anybody."""

    status: TunnelStatus = TunnelStatus.UNKNOWN
    reason: TunnelReason = TunnelReason.PENDING
    message: Message = ""
    since: Timestamp | None = None
    """When ``status`` last changed; for an established tunnel the time at which OpenVPN says it came up."""
    peer: Token | None = None
    """Public address and port of the client, ``203.0.113.5:41234``; IPv6 as ``[2001:db8::1]:41234``. While nobody is
    connected, of the last one."""
    clientVersion: Token | None = None  # noqa: N815 - a name of the wire format
    """The client's own word about its OpenVPN version (``2.4.12``); not to be trusted, only shown."""
    flaps: Count = 0
    """Unplanned losses in the life of this pod. A restart for a new configuration is not one."""
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the certificate that the last established client showed, lower hex; ends a rotation's overlap."""


class LinkState(_Wire):
    """One slot: what its supervisor runs, and what its tunnel does."""

    slot: int = Field(ge=FIRST_NUMBER, le=LAST_NUMBER)
    revision: Token | None = None
    """The revision in force (of a quarantined slot: the last good one, which still runs)."""
    state: SlotState
    error: Message | None = None
    """Why the slot is quarantined or not running."""
    tunnel: TunnelState = TunnelState()


MAX_REFUSED = 251
"""Refused certificates that are passed on: one of each link, and the instance's."""
MAX_DOMAIN = 253


class RefusedCertificate(_Wire):
    """A certificate that the appliance does not take, in its own words; what it served for the domain before stays."""

    domain: str
    problem: str


def _told(value: object) -> str | None:
    """A text of an appliance's, bounded and printable; None where it is none."""
    if not isinstance(value, str) or not value:
        return None
    return "".join(c if c.isprintable() else "?" for c in value[:MAX_MESSAGE])


def _refused(value: object) -> list[RefusedCertificate]:
    """Of whatever an appliance says, what is a domain and a text; never an error. The appliance may be compromised."""
    entries = value[:MAX_REFUSED] if isinstance(value, list | tuple) else ()
    found = []
    for entry in (entry.model_dump() if isinstance(entry, RefusedCertificate) else entry for entry in entries):
        domain, problem = (entry.get("domain"), entry.get("problem")) if isinstance(entry, dict) else (None, None)
        told = _told(problem)
        # Printable as well: with half a character in it the whole report could not be sent, about 250 links.
        if isinstance(domain, str) and 0 < len(domain) <= MAX_DOMAIN and domain.isprintable() and told:
            found.append(RefusedCertificate(domain=domain.lower(), problem=told))
    return found


_NUMBERS = {str(number): number for number in range(FIRST_NUMBER, LAST_NUMBER + 1)}


def _out_of_service(value: object) -> dict[int, int] | None:
    """Of whatever an appliance says, numbers of links and of connections; None where it says nothing of the kind."""
    if not isinstance(value, dict):
        return None
    told = ((_NUMBERS.get(str(key)), count) for key, count in value.items())
    return {number: min(count, MAX_COUNT) for number, count in told if number and type(count) is int and count >= 0}


_SIZES = ("cpuMillicores", "memoryBytes")


def _size(value: object) -> dict[str, int] | None:
    """Of whatever an appliance says, the parts of a size; None where it says nothing of the kind."""
    if not isinstance(value, dict):
        return None
    return {name: value[name] for name in _SIZES if type(value.get(name)) is int and 0 < value[name] <= MAX_COUNT}


MAX_PORTALS = 500
"""Portals that the appliance may tell of: more would not fit into its report."""
OBJECT_NAME = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)


def _contract(value: object) -> int:
    """Of whatever an appliance says, the version of the contract that it keeps; 1 where it says none."""
    return value if type(value) is int and 1 <= value <= MAX_COUNT else 1


def _portals(value: object) -> dict[str, int]:
    """Of whatever an appliance says, names of communities, and how many of their users can log in."""
    found: dict[str, int] = {}
    for name, told in value.items() if isinstance(value, dict) else ():
        logins = told.get("logins") if isinstance(told, dict) else told
        if isinstance(name, str) and OBJECT_NAME.fullmatch(name) and type(logins) is int and logins >= 0:
            found[name] = min(logins, MAX_COUNT)
        if len(found) == MAX_PORTALS:
            break
    return found


MAX_ERASED = 50


def _erased(value: object) -> list[str]:
    """Of whatever an appliance says, ids of requests."""
    entries = value[:MAX_ERASED] if isinstance(value, list | tuple) else ()
    return [entry for entry in entries if isinstance(entry, str) and ERASURE_ID.fullmatch(entry)]


THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_SOLVER = re.compile(r"[a-z0-9.-]{1,253}:[0-9]{1,5}", re.ASCII)


def _thumbprint(value: object) -> str | None:
    """Of whatever an appliance says, a SHA-256 in base64url, or that there is none; None where it says nothing of the
    kind."""
    return value if isinstance(value, str) and (not value or THUMBPRINT.fullmatch(value)) else None


def _solver(value: object) -> str | None:
    """Of whatever an appliance says, a host and a port, or that there is none; None where it says nothing of the
    kind."""
    return value if isinstance(value, str) and (not value or _SOLVER.fullmatch(value)) else None


class MediaState(_Wire):
    """The appliance's own ``GET /connections``, passed on."""

    connections: Count = 0
    draining: bool = False
    config: Token | None = None
    """SHA-256 of the checksum manifest (``manifest.json``) whose set of files is in force."""
    users: Count = 0
    links: Count = 0
    error: Message | None = None
    refused: Annotated[list[RefusedCertificate], BeforeValidator(_refused)] = Field(default_factory=list)
    """Certificates that it does not take; an image of before this field tells of them in ``error`` alone."""
    notTaken: Annotated[str | None, BeforeValidator(_told)] = None  # noqa: N815 - a name of the wire format
    """Why the newest set of files is not in force, where that lasts; also of a newer image only."""
    outOfService: Annotated[dict[int, int] | None, BeforeValidator(_out_of_service)] = None  # noqa: N815 - as above
    """Links whose new connections it refuses, by number, and how many of each are open. None: it knows no such thing,
    or the agent between us does not pass it on."""
    size: Annotated[dict[str, int] | None, BeforeValidator(_size)] = None
    """For which size it has laid itself out, with the names of ``instance.json``, as far as it depends on it. None: it
    does not say, or the agent does not pass it on."""
    contract: Annotated[int, BeforeValidator(_contract)] = 1
    """The version of the contract that it keeps: from 2 on it serves portals. 1 also where an agent of before this
    field is between us."""
    portals: Annotated[dict[str, int], BeforeValidator(_portals)] = Field(default_factory=dict)
    """Communities whose portal is served, and how many of their users can log in."""
    erased: Annotated[list[str], BeforeValidator(_erased)] = Field(default_factory=list)
    """Ids of the requests to erase a user's data that are in the set in force, and done."""
    acmeThumbprint: Annotated[str | None, BeforeValidator(_thumbprint)] = None  # noqa: N815 - as above
    """Of the account by which it answers challenges of ACME; empty where there is none. None: it answers no challenge,
    or the agent does not pass it on."""
    http01Solver: Annotated[str | None, BeforeValidator(_solver)] = None  # noqa: N815 - as above
    """To whom it passes challenges on, ``host:port``; empty where there is nobody. None: it passes none on, or the
    agent does not say."""


class LinkReport(_Wire):
    """Answer of ``GET /v1/links``.

    ``version`` grows with every change within one ``epoch``; a new epoch is a new agent process, whose versions start
    anew. A client waits by sending back both; either one being different is answered at once.
    """

    epoch: Token
    version: Count
    links: Annotated[list[LinkState], FailFast(), Field(max_length=MAX_LINKS)] = Field(default_factory=list)
    """Sorted by slot; slots that are idle without a revision are left out. Given up at the first that is wrong: four
    megabytes of errors took ten seconds and a gigabyte of the operator."""
    media: MediaState | None = None
    """None while the appliance does not answer."""
