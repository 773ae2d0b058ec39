"""What the agent hears about one link, from OpenVPN and from the slot's supervisor: the inputs of `Link.after`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from mcs_operator.contract.linkstate import SlotState


class Refusal(Enum):
    """Why OpenVPN turned a client away who knew the link's tls-crypt key (so: no mere stranger).

    A client that refuses *our* certificate just falls silent (measured: over UDP the server hears of no alert), so that
    there is no reason for it here.
    """

    EXPIRED = auto()
    NOT_YET_VALID = auto()
    NOT_PINNED = auto()
    NOT_TRUSTED = auto()


@dataclass(frozen=True, slots=True)
class Session:
    """One client that OpenVPN let in."""

    client: int
    """OpenVPN's client ID: unique within one OpenVPN process."""
    peer: str
    """``address:port`` on the Internet."""
    since: float
    version: str | None = None
    fingerprint: str | None = None

    def is_same(self, other: Session) -> bool:
        """Whether both are one client of one process: IDs begin anew with each process, hence also the time."""
        return self.client == other.client and abs(self.since - other.since) <= 2

    @property
    def host(self) -> str:
        """The peer without its port, which changes with every attempt and says nothing about a place."""
        return self.peer.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class Established:
    """OpenVPN announced a new client, at the moment its keys were negotiated."""

    session: Session


@dataclass(frozen=True, slots=True)
class Roster:
    """OpenVPN's whole list of clients that are let in, oldest first."""

    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """OpenVPN turned a client away for his certificate."""

    why: Refusal
    host: str
    detail: str = ""

    def __str__(self) -> str:
        """The refusal as the link's condition tells it."""
        detail = f" ({self.detail})" if self.detail else ""
        match self.why:
            case Refusal.EXPIRED:
                return f"{self.host} was refused: its certificate has expired{detail}"
            case Refusal.NOT_YET_VALID:
                return f"{self.host} was refused: its certificate is not valid yet, or a clock is wrong{detail}"
            case Refusal.NOT_PINNED:
                return f"{self.host} was refused: its certificate is not this link's present one{detail}"
            case Refusal.NOT_TRUSTED:
                return f"{self.host} was refused: its certificate is not of this instance{detail}"
            case _:
                assert_never(self.why)


@dataclass(frozen=True, slots=True)
class Gone:
    """The management connection ended: the OpenVPN process is gone, or does not answer."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What the supervisor says: ``state.json``."""

    state: SlotState
    revision: str | None = None
    error: str | None = None
    pid: int | None = None
    """OpenVPN's process. A new firewall is a new revision of the same process, and ends nothing."""
    dropped: int | None = None
    """Packets of sources that are not allowed that the slot's firewall has dropped; looked at while nobody is heard."""


Input = Established | Roster | Refused | Gone | Slot
