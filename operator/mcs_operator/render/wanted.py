"""What rendering and writing add to the plan, in the words of the conditions table, for statuses. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from mcs_operator.api.conditions import Reason
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.pod import sizing
from mcs_operator.domain.pod.rollout import Rollout
from mcs_operator.domain.rules.logins import logins_changed
from mcs_operator.domain.rules.users import communities_of
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status import Wanted, refused
from mcs_operator.render.changes import Decision
from mcs_operator.render.render import Desired


def wanted(decision: Decision, outcome: Outcome, rollout: Rollout) -> Wanted:
    """Of what was rendered, and what came of writing it."""
    world, plan, keys, desired = decision.world, decision.plan, decision.keys, decision.desired
    return Wanted(
        revisions=desired.revisions,
        sizing=sizing.size(plan.instance) if plan.instance else None,
        rollout=rollout,
        rolled_back=_rolled_back(desired),
        problems=_problems(keys, desired, outcome),
        failures=tuple(outcome.failures.values()),
        foreign=_foreign(desired, outcome),
        rendered=frozenset(f"{manifest.kind} {manifest.name}" for manifest in desired.manifests),
        defects=desired.defects,
        certificates={**refused.certificates(world, plan), **keys.serving.problems},
        untaken=refused.whole_set(world, desired.checksums),
        authority=keys.problem,
        fingerprints={name: link_keys.fingerprints for name, link_keys in keys.links.items()},
        unwritten=unwritten_users(world, outcome),
        unwritten_logins=unwritten_logins(world, outcome),
        queue=decision.queue,
        certified=frozenset(site.domain for site in (*keys.serving.certificates, *keys.serving.portals)),
    )


def _rolled_back(desired: Desired) -> Verdict | None:
    found = desired.fallback
    if found is None or found.refused is None:
        return None
    message = (
        f"image {found.refused.image} did not become ready ({found.refused.why}); the media goes on with "
        f"{found.image}. Declare another image; the same one is tried again only after that"
    )
    return Verdict(Reason.ROLLED_BACK, message)


def unwritten_users(world: World, outcome: Outcome) -> dict[str, str]:
    """What kept users from being written, by Community."""
    return _unwritten(world, outcome, communities_of)


def unwritten_logins(world: World, outcome: Outcome) -> dict[str, str]:
    """What kept passwords from being written, by Community."""
    return _unwritten(world, outcome, logins_changed)


def _unwritten(
    world: World, outcome: Outcome, concerned: Callable[[str, Mapping[str, bytes], str], set[str]]
) -> dict[str, str]:
    """``concerned``: communities of which there is something else in a file than before."""
    found: dict[str, str] = {}
    for shard in outcome.unwritten:
        what = f"{shard.kind} {shard.name}"
        text = outcome.failures.get(what, f"{what} has to settle first")
        for file, encoded in shard.body["data"].items() if shard.kind == "Secret" else ():
            wanted = base64.b64decode(encoded).decode()
            found |= dict.fromkeys(concerned(file, world.shards, wanted), text)
    return found


def _problems(keys: Keys, desired: Desired, outcome: Outcome) -> dict[str, Verdict]:
    """What kept a link's objects from being rendered or written, in the words of the conditions table."""
    problems = {
        name: Verdict(Reason.PENDING, text) for name, text in (*keys.damaged.items(), *desired.failures.items())
    }
    problems |= {name: Verdict(Reason.PENDING, text) for name, text in outcome.errors.items()}
    problems |= {name: Verdict(Reason.RECONCILE_FAILED, text) for name, text in desired.link_defects.items()}
    for name, secret in outcome.taken.items():
        what = f"Secret {secret}"
        message = outcome.foreign.get(what, f"{what} exists and is not the operator's; delete or rename it")
        problems[name] = Verdict(Reason.NAME_TAKEN, f"{message}, or rename the link")
    return problems


def _foreign(desired: Desired, outcome: Outcome) -> tuple[str, ...]:
    """Why objects of the instance itself are not taken for the operator's."""
    links = {f"{manifest.kind} {manifest.name}" for manifest in desired.manifests if manifest.link}
    return tuple(why for what, why in outcome.foreign.items() if what not in links)
