"""Changes: everything that is to be done in one namespace, as frozen data.

`render.changes` makes them, `kube.executor` carries them out, and a dry run only tells them. So what is foretold and
what is done cannot be two things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.domain.facts.world import Size
from mcs_operator.domain.manifest import Manifest, Object
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.status.events import Note


@dataclass(frozen=True, slots=True)
class Removal:
    """One Secret of a link that is to go, in the version that was decided about. ``why`` is half a sentence."""

    secret: str
    why: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """An identity that is to go. The ``links`` get its number, and have to wait until it is gone: otherwise both would
    have that number for good. ``note`` is told once it is gone."""

    removal: Removal
    links: tuple[str, ...] = ()
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """One entry of a Secret that is written. All else in that Secret is left alone."""

    secret: str
    entry: str
    text: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done about objects, in the order of the fields: what differs is written first and what is left over
    is taken away then, so that nobody is without.

    ``instance`` and ``uid`` are those of the MCSInstance that is served; empty where there is none. ``leftovers`` are
    slots of an earlier instance, ``displaced`` slots that are no longer their link's. ``unmanaged`` are Secrets with
    identities that no manifest is about: they are to have the ``owners``, and keep what is in them. ``prune``: whatever
    the instance controls and no manifest is about is to go. ``errors``: why some of this could not be worked out.
    """

    namespace: str
    now: datetime
    instance: str = ""
    uid: str = ""
    leftovers: tuple[Removal, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()
    marks: tuple[Mark, ...] = ()
    manifests: tuple[Manifest, ...] = ()
    displaced: tuple[Removal, ...] = ()
    unmanaged: tuple[str, ...] = ()
    owners: tuple[Object, ...] = ()
    prune: bool = False
    errors: tuple[Exception, ...] = ()

    @property
    def removals(self) -> tuple[Removal, ...]:
        """All of those, with their reasons."""
        return (*self.leftovers, *(forgotten.removal for forgotten in self.forgotten), *self.displaced)


@dataclass(frozen=True, slots=True)
class StartDraining:
    """Have the appliance take no new calls. ``since`` is noted at the pod, with the ``cause``; None: it is noted there
    already, and the appliance has forgotten it. ``until``: when it ends at the latest; None: nobody knows."""

    since: datetime | None = None
    cause: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeepDraining:
    """It drains. Its users are told ``until`` when at the latest, where that has become another time."""

    until: datetime


@dataclass(frozen=True, slots=True)
class StopDraining:
    """Have the appliance take calls again. ``noted``: the pod says that it drains, which is taken away.
    ``out_of_service``: only that, as the instance is to take no calls anyway."""

    noted: bool
    out_of_service: bool = False


@dataclass(frozen=True, slots=True)
class Replace:
    """Delete the pod of this UID, so that the StatefulSet makes the next one. ``note`` is told before: what ended
    everybody's calls must never be a riddle."""

    uid: str
    instance: str
    note: Note


@dataclass(frozen=True, slots=True)
class SetImages:
    """Give containers of the pod of this UID other images, by name. The kubelet replaces these containers and leaves
    all others alone. ``annotations`` are changed with them; ``note`` is told before. ``exits``: slots that exit at once
    when they are asked to, and have to be told that before."""

    uid: str
    instance: str
    images: Mapping[str, str]
    annotations: Mapping[str, str | None]
    note: Note | None
    exits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Resize:
    """Give the media another size while it runs. ``annotations`` are changed before: should it fail in between, the pod
    is compared by its size all the same."""

    uid: str
    size: Size
    annotations: Mapping[str, str | None]


PodStep = StartDraining | KeepDraining | StopDraining | Replace | SetImages | Resize
"""What is done to the running pod. A new kind needs a case in `kube.executor`, which the type checker asks for."""


def told_step(step: PodStep) -> str:
    """In words, after the name of the pod."""
    match step:
        case StartDraining():
            return "starts to drain"
        case KeepDraining():
            return "goes on draining"
        case StopDraining(out_of_service=True):
            return "goes on draining, out of service"
        case StopDraining():
            return "stops draining"
        case Replace():
            return "is replaced"
        case SetImages(images=images):
            return f"containers are replaced: {', '.join(f'{name} by {image}' for name, image in images.items())}"
        case Resize():
            return "is given another size while it runs"


@dataclass(frozen=True, slots=True)
class Poke:
    """Wake the kubelet, so that the pod takes what is mounted. ``target`` is the state of the mounts, ``annotated`` is
    what the pod was last woken for. ``behind``: the pod has not taken all of it."""

    target: str
    annotated: str
    behind: bool


@dataclass(frozen=True, slots=True)
class PodChanges:
    """What is to be done about the running pod, once its template and what it mounts are written.

    ``rollout`` is the decision that ``step`` comes from, ``again`` the seconds until the pod is to be looked at again.
    ``notes``: annotations of the pod that are changed before the step; None takes one away. ``ledger``: annotations of
    the StatefulSet, about interruptions that begin with the step or are over.
    """

    pod: str = ""
    poke: Poke | None = None
    rollout: Rollout = field(default_factory=lambda: Rollout(Step.NOTHING))
    step: PodStep | None = None
    again: float | None = None
    notes: Mapping[str, str | None] = field(default_factory=dict)
    ledger: Mapping[str, str] = field(default_factory=dict)
