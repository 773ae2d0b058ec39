"""What changing a field costs. Declared beside each field of the models, so that nobody can add one without saying."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

IMPACT_KEY = "x-mcs-impact"
IMMUTABLE_KEY = "x-mcs-immutable"


class Impact(StrEnum):
    """The costs, cheapest first. The one list of them: what is predicted and explained is looked up by it."""

    HOT = "Hot"
    """Nothing is interrupted: no call, no tunnel."""
    IN_PLACE = "InPlace"
    """The running media container is given another size; nobody notices. Where the cluster cannot do that, the media
    pod is replaced, at its hour."""
    THIS_LINK = "ThisLink"
    """The tunnel of this one link is restarted, about a second; nobody else notices."""
    NEW_PROFILE = "NewProfile"
    """The profile that is installed at the TVox is useless from now on: the tunnel stays down until somebody uploads
    the new one there. Nobody else notices."""
    MEDIA_RESTART = "MediaRestart"
    """The media container alone is replaced, in its pod: calls end, tunnels stay up."""
    RESTART = "Restart"
    """The field is in the pod template: the media pod is replaced, which ends every call of every customer."""

    @property
    def sentence(self) -> str:
        """How `kubectl explain` says it."""
        return {
            Impact.HOT: "Changing it: hot, nothing is interrupted.",
            Impact.IN_PLACE: "Changing it: in place, nobody notices (before Kubernetes 1.33, and with less memory "
            "before 1.34: restarts the media pod).",
            Impact.THIS_LINK: "Changing it: restarts this link's tunnel only, about a second.",
            Impact.NEW_PROFILE: "Changing it: cuts the TVox off until its new profile is uploaded to it "
            "(`kubectl mcs profile <link>`).",
            Impact.MEDIA_RESTART: "Changing it: restarts the media container, which ends every call; tunnels stay up.",
            Impact.RESTART: "Changing it: restarts the media pod, which ends every call of every customer.",
        }[self]


def dearest(impacts: Iterable[Impact]) -> Impact | None:
    """The one that costs most; None where there is none."""
    return max(impacts, key=list(Impact).index, default=None)


LIST_ATOMIC: Mapping[str, Any] = {"x-kubernetes-list-type": "atomic"}
"""A list with one owner: whoever applies it replaces the whole."""
LIST_SET: Mapping[str, Any] = {"x-kubernetes-list-type": "set"}
"""Each value once; several owners may each add theirs."""
MAP_ATOMIC: Mapping[str, Any] = {"x-kubernetes-map-type": "atomic"}
"""A map or a union with one owner: two appliers' halves put together would mean what neither of them asked for."""


def list_map(key: str) -> Mapping[str, Any]:
    """A list of objects, each with its own ``key``; several owners may each add theirs."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def impact(value: Impact, schema: Mapping[str, Any] | None = None, *, immutable: str = "") -> dict[str, Any]:
    """The ``json_schema_extra`` of a field: its impact, and further schema keys such as LIST_SET.

    ``immutable`` says since when it is: "always", "once set". On a sub-object all holds for the fields below that do
    not declare their own. An immutable field has an impact all the same: it says what the value decides, and stays
    right should a later version allow the change.
    """
    return {IMPACT_KEY: value.value, **({IMMUTABLE_KEY: immutable} if immutable else {}), **(schema or {})}
