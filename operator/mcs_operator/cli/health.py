"""What `kubectl mcs status` says of a namespace, or of all: every instance, and customers whose instance is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mcs_operator.cli import views
from mcs_operator.cli.access import Cluster
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS, Object


@dataclass(frozen=True, slots=True)
class Health:
    """``place``: where was looked, in words. ``unserved``: sentences about customers that no instance there has."""

    place: str
    instances: Sequence[dict[str, Any]]
    unserved: Sequence[str]

    @property
    def is_well(self) -> bool:
        """Whether nothing needs attention; where there is no MCS at all, nobody is served."""
        troubled = any(view["attention"] or view["customers"] for view in self.instances)
        return bool(self.instances) and not troubled and not self.unserved

    def as_text(self) -> str:
        """For a person."""
        told = [views.status_text(view) for view in self.instances] or [f"There is no MCSInstance in {self.place}."]
        if self.unserved:
            told.append("\n".join(["Customers whose MCSInstance is not there:", *(f"  ! {s}" for s in self.unserved)]))
        return "\n\n".join(told)


async def health_of(cluster: Cluster, instance: str | None) -> Health:
    """Of one instance, or of all that the cluster lists."""
    found = [await cluster.get(INSTANCES, instance)] if instance else await cluster.list(INSTANCES)
    links, communities = await asyncio.gather(cluster.list(LINKS), cluster.list(COMMUNITIES))
    return Health(
        place="any namespace" if cluster.everywhere else f"namespace {cluster.namespace}",
        instances=[views.instance_view(body, links, communities) for body in found],
        unserved=[] if instance else list(_unserved(found, [*communities, *links])),
    )


def _unserved(instances: Sequence[Object], customers: Sequence[Object]) -> Iterator[str]:
    there = {(body["metadata"]["namespace"], body["metadata"]["name"]) for body in instances}
    for body in customers:
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        wanted = (body["spec"].get("instanceRef") or {}).get("name")
        if (namespace, wanted) not in there:
            yield f"{body['kind']}/{name} in namespace {namespace}: MCSInstance {wanted}"
