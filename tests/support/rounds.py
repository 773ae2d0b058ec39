"""A namespace in memory: one reconciliation after the other with the real keys, and a clock of the test's own.

Between two rounds there is nothing but the Secrets that the first one rendered, parsed back as from the API server: so
what a decision has to remember has to be in them.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mcs_operator.api import MCSInstance, TVoxLink
from mcs_operator.api.conditions import Kind
from mcs_operator.contract.linkstate import SlotState, TunnelReason, TunnelState, TunnelStatus
from mcs_operator.contract.slotfiles import pins_in
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.keys import Authority
from mcs_operator.domain.facts.world import (
    AgentCredentials,
    Damaged,
    DamagedProfile,
    Profile,
    SlotSecret,
    TlsSecret,
    World,
)
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.rules.restored import with_newest_identities
from mcs_operator.domain.status import Wanted, all_statuses
from mcs_operator.kube.parse import parse_body
from mcs_operator.kube.resources import SECRETS
from mcs_operator.pki import believed, complete, fingerprint
from mcs_operator.render.render import render
from mcs_operator.settings import Settings
from support.worlds import NAMESPACE, NOW, community, instance, pod, report, state

Files = dict[str, str]


@dataclass
class Rounds:
    """The namespace. ``shown``: the fingerprint that each link's TVox showed last, lower hex, by the link's name."""

    links: list[TVoxLink]
    instance: MCSInstance = field(default_factory=instance)
    now: datetime = NOW
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    tls: dict[str, TlsSecret] = field(default_factory=dict)
    restarts: Counter[str] = field(default_factory=Counter)
    keys: Keys = field(default_factory=Keys)
    statuses: Mapping[tuple[Kind, str], dict[str, Any]] = field(default_factory=dict)
    _ran: dict[int, str] = field(default_factory=dict)

    def round(self, **later: float) -> Rounds:
        """Reconcile once; ``later`` as of timedelta (``days=30``) from the round before."""
        self.now += timedelta(**later)
        world = with_newest_identities(believed(self.world()))
        plan = decide(world)
        self.keys = keys = complete(world, plan)
        desired = render(world, plan, keys, Settings())
        assert not desired.failures, desired.failures
        self.secrets |= {m.name: m.body for m in desired.manifests if m.kind == "Secret"}
        self._count(desired.revisions)
        wanted = Wanted(
            revisions=desired.revisions,
            authority=keys.problem,
            fingerprints={name: link_keys.fingerprints for name, link_keys in keys.links.items()},
        )
        running = [
            state(
                number,
                revision,
                state=SlotState.RUNNING if self.slot_of(number)["enabled"] == "true" else SlotState.IDLE,
                tunnel=TunnelState(status=TunnelStatus.FALSE, reason=TunnelReason.NEVER_CONNECTED),
            )
            for number, revision in desired.revisions.items()
        ]
        self.statuses = all_statuses(replace(world, report=report(*running)), plan, wanted)
        return self

    def _count(self, revisions: Mapping[int, str]) -> None:
        for link_name, link_keys in self.keys.links.items():
            number = link_keys.profile.number if link_keys.profile else self.number(link_name)
            if self._ran.get(number, revisions[number]) != revisions[number]:
                self.restarts[link_name] += 1
            self._ran[number] = revisions[number]

    def world(self) -> World:
        parsed = [parse_body(SECRETS, body) for body in self.secrets.values()]
        slots = [found for found in parsed if isinstance(found, SlotSecret)]
        wrong = [found for found in parsed if isinstance(found, Damaged)]
        name = self.instance.name
        up = {slot.link: slot.number for slot in slots}
        tunnels = [
            state(up[link], None, tunnel=TunnelState(fingerprint=shown))
            for link, shown in self.shown.items()
            if link in up
        ]
        return World(
            namespace=NAMESPACE,
            now=self.now,
            instances=(self.instance,),
            communities=(community(),),
            links=tuple(self.links),
            authorities={name: found for found in parsed if isinstance(found, Authority)},  # noqa: B035 - at most one
            agents={name: found for found in parsed if isinstance(found, AgentCredentials)},  # noqa: B035 - as above
            profiles={found.link: found for found in parsed if isinstance(found, Profile)},
            damaged=tuple(found for found in parsed if isinstance(found, DamagedProfile)),
            damaged_objects=tuple(found for found in wrong if not found.foreign),
            ignored=tuple(found for found in wrong if found.foreign),
            blocked={found.slot: found.name for found in wrong if found.slot},
            slots={(slot.instance, slot.number): slot for slot in slots},
            tls_secrets=self.tls,
            pod=pod(),
            report=report(*tunnels),
        )

    # --- what a user does ---

    def ask(self, name: str, annotation: str, text: str | None = None) -> None:
        """Annotate a link, with the present time where no other text is given."""
        at = next(at for at, link in enumerate(self.links) if link.name == name)
        link, text = self.links[at], f"{self.now:%Y-%m-%dT%H:%M:%SZ}" if text is None else text
        metadata = link.metadata.model_copy(update={"annotations": {**link.annotations, annotation: text}})
        self.links[at] = link.model_copy(update={"metadata": metadata})

    def show(self, name: str) -> None:
        """The TVox of this link takes the profile that is there now, and connects."""
        self.shown[name] = fingerprint(self.profile(name)["tls.crt"]).replace(":", "").lower()

    # --- what is there ---

    def number(self, name: str) -> int:
        """Number of a link."""
        return int(next(s for s in self.secrets if self._is_slot_of(s, name))[-3:])

    def slot(self, name: str) -> Files:
        """Files of a link's slot Secret."""
        return self.slot_of(self.number(name))

    def slot_of(self, number: int) -> Files:
        """Files of a slot Secret."""
        return _files(self.secrets[f"{self.instance.name}-link-{number:03d}"])

    def profile(self, name: str) -> Files:
        """Files of a link's profile Secret."""
        return _files(self.secrets[f"{name}-profile"])

    def pins(self, name: str) -> tuple[str, ...]:
        """Fingerprints that a link's server accepts; nothing where its process does not run."""
        slot = self.slot(name)
        return pins_in(slot["server.conf"]) if slot["enabled"] == "true" else ()

    def current(self, name: str) -> str:
        """Fingerprint of the certificate in a link's profile."""
        return fingerprint(self.profile(name)["tls.crt"])

    def status(self, name: str) -> dict[str, Any]:
        """What the link is told."""
        return self.statuses[Kind.LINK, name]

    def _is_slot_of(self, secret: str, name: str) -> bool:
        labels = self.secrets[secret]["metadata"]["labels"]
        return labels.get("mcs.tvox.io/link") == name and "mcs.tvox.io/slot" in labels


def _files(body: dict[str, Any]) -> Files:
    return {name: base64.b64decode(text).decode() for name, text in body["data"].items()}
