"""All keys of a namespace, old and newly minted: what rendering takes its keys from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.shards import ServedCertificate
from mcs_operator.domain.facts.keys import AcmeAccount, Authority, KeyPair
from mcs_operator.domain.facts.orders import Issuable
from mcs_operator.domain.facts.world import AgentCredentials, Fingerprint, Profile
from mcs_operator.domain.rules.pins import accepted
from mcs_operator.domain.rules.verdict import Verdict


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """Everything that one link's files are rendered from. ``profile`` is None where it is lost: then only the
    slot's side exists, and keeps the certificate pinned that the TVox has.

    ``ca`` is the CA's certificate beside the server's. A CA that was renewed with the same key arrives there with the
    next server certificate, and not on 250 links at once.
    """

    server: KeyPair
    tls_crypt: str = field(repr=False)
    fingerprints: tuple[Fingerprint, ...]
    profile: Profile | None
    ca: str

    @property
    def revoked(self) -> bool:
        """Whether no certificate of the TVox is accepted any more: its process must not run."""
        return not accepted(self.fingerprints)

    @property
    def pins(self) -> tuple[str, ...]:
        """What the server's configuration accepts; of a revoked link, whose process is stopped, the revoked one: a
        configuration without a pin would accept every certificate of the CA."""
        return tuple(pin.sha256 for pin in accepted(self.fingerprints) or self.fingerprints)


@dataclass(frozen=True, slots=True)
class Serving:
    """Certificates of the FQDNs, those of ``portals`` by themselves. ``problems``: whose certificate cannot be served,
    by kind and name; where there is a last good one, that is among them. ``issuable``: the names for which nobody
    brings one, in the order in which they are ordered for. ``issued``: when a name got its first one by an order, also
    of names that nobody has any more: the server counts them all."""

    certificates: tuple[ServedCertificate, ...] = ()
    problems: Mapping[tuple[Kind, str], Verdict] = field(default_factory=dict)
    portals: tuple[ServedCertificate, ...] = ()
    issuable: tuple[Issuable, ...] = ()
    issued: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys of a namespace, old and new.

    ``authority`` is the instance's own CA, to be kept in a Secret; None where it is lost, or is the user's. ``ca`` is
    the certificate alone, which also a slot's Secret tells. ``problem``: why nothing can be signed. ``damaged``: why a
    link has no keys although something can be signed, by its name. ``due``: when there will be something to do about
    keys although nothing happens. ``defects``: links at whose keys the operator fails, and where. ``account``: by which
    certificates are ordered, where spec.tls.acme is declared; ``account_problem``: why there is none.
    """

    authority: Authority | None = None
    ca: str | None = None
    agent: AgentCredentials | None = None
    links: Mapping[str, LinkKeys] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)
    serving: Serving = field(default_factory=Serving)
    problem: Verdict | None = None
    due: datetime | None = None
    defects: Mapping[str, str] = field(default_factory=dict)
    account: AcmeAccount | None = None
    account_problem: str = ""
