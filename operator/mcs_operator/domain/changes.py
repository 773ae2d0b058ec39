"""Changes: everything that is to be done in one namespace, as frozen data.

`render.changes` makes them, `kube.executor` carries them out, and a dry run only tells them. So what is foretold and
what is done cannot be two things.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.domain.manifest import Manifest, Object
from mcs_operator.domain.pod.restart import Restart, Step
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
    """Have the appliance take no new calls. ``since`` is noted at the pod; None: it is noted there already, and the
    appliance has forgotten it."""

    since: datetime | None = None


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


PodStep = StartDraining | StopDraining | Replace
"""What is done to the running pod. A new kind needs a case in `kube.executor`, which the type checker asks for."""


def told_step(step: PodStep) -> str:
    """In words, after the name of the pod."""
    match step:
        case StartDraining():
            return "starts to drain"
        case StopDraining(out_of_service=True):
            return "goes on draining, out of service"
        case StopDraining():
            return "stops draining"
        case Replace():
            return "is replaced"


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

    ``restart`` is the decision that ``step`` comes from, ``again`` the seconds until the pod is to be looked at again.
    """

    pod: str = ""
    poke: Poke | None = None
    restart: Restart = field(default_factory=lambda: Restart(Step.NOTHING))
    step: PodStep | None = None
    again: float | None = None
