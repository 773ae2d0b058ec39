"""What came of a plan, as far as statuses tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.world import Fingerprint
from mcs_operator.domain.plan import LinkPlan
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.pod.sizing import Sizing
from mcs_operator.domain.rules.issuance import Queue
from mcs_operator.domain.rules.pins import Stage, stage
from mcs_operator.domain.rules.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Wanted:
    """What rendering, sizing and applying add to the plan, as far as statuses tell of it.

    ``revisions`` are the slot revisions wanted, by number; ``rollout`` what becomes of the pod; ``problems`` what kept
    a link's objects from being written, ``failures`` other objects that could not be, ``defects`` what could not even
    be made; ``certificates`` whose certificate cannot be served, and why; ``authority`` why the instance's CA cannot
    sign. ``fingerprints``: the certificates of each link's TVox, by link; a link without any could not be given keys.
    ``unwritten``: why some of a Community's users could not be written, by Community; ``unwritten_logins``: the same of
    their passwords. ``certified``: public names for which there is a certificate; ``queue``: those for which one is
    ordered.
    """

    revisions: Mapping[int, str]
    untaken: str = ""
    """Why the appliance goes on with an older configuration, if it does."""
    sizing: Sizing | None = None
    rollout: Rollout = field(default_factory=lambda: Rollout(Step.NOTHING))
    rolled_back: Verdict | None = None
    """That the media runs another image than is declared, and why."""
    problems: Mapping[str, Verdict] = field(default_factory=dict)
    certificates: Mapping[tuple[Kind, str], Verdict] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    """Why objects that the instance needs, and that are there, are not taken for the operator's."""
    rendered: frozenset[str] = frozenset()
    """What is written, by kind and name: damage of it is mended in this very pass."""
    defects: tuple[str, ...] = ()
    authority: Verdict | None = None
    fingerprints: Mapping[str, tuple[Fingerprint, ...]] = field(default_factory=dict)
    unwritten: Mapping[str, str] = field(default_factory=dict)
    unwritten_logins: Mapping[str, str] = field(default_factory=dict)
    certified: frozenset[str] = frozenset()
    queue: Queue = field(default_factory=Queue)

    def runs(self, link_plan: LinkPlan) -> bool:
        """Whether this link's process should run."""
        return link_plan.link.spec.enabled and not self.is_revoked(link_plan)

    def is_revoked(self, link_plan: LinkPlan) -> bool:
        """Whether no certificate of this link's TVox is accepted any more."""
        return stage(self.fingerprints.get(link_plan.link.name, ())) is Stage.REVOKED
