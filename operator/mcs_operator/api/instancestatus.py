"""Status of an MCSInstance: what the operator observed."""

from __future__ import annotations

from pydantic import Field

from mcs_operator.api.base import Model, Status
from mcs_operator.api.disruptions import DisruptionStatus, InterruptionStatus
from mcs_operator.api.fields import Bandwidth
from mcs_operator.api.impact import LIST_ATOMIC, list_map
from mcs_operator.api.service import ObservedServiceState
from mcs_operator.settings import MAX_LINKS


class LinkCounts(Model):
    """TVoxLinks of the instance."""

    accepted: int = Field(default=0, ge=0, description="TVoxLinks that are served.")
    up: int = Field(default=0, ge=0, description="TVoxLinks whose tunnel is up. Absent while the link agent is silent.")
    rejected: int = Field(default=0, ge=0, description="TVoxLinks that are not accepted; each says why.")
    capacity: int = Field(default=MAX_LINKS, ge=0, description="Slots: TVoxLinks that can be served.")
    left: int = Field(default=0, ge=0, description="TVoxLinks that still fit.")


class UserCounts(Model):
    """Users of the instance."""

    served: int = Field(default=0, ge=0, description="Enabled users of all Communities that are served.")
    capacity: int = Field(default=0, ge=0, description="Users that the tier carries.")
    left: int = Field(default=0, ge=0, description="Users that still fit.")


class BandwidthStatus(Model):
    """The site's Internet band."""

    total: Bandwidth | None = Field(default=None, description="Bits per second, declared or the tier's.")
    connections: int = Field(default=0, ge=0, description="Connections that fit into it, at 60 KB/s each.")


class MCSInstanceStatus(Status):
    """What the operator observed."""

    links: LinkCounts | None = Field(default=None, description="TVoxLinks of the instance.")
    users: UserCounts | None = Field(default=None, description="Users of all Communities.")
    bandwidth: BandwidthStatus | None = Field(default=None, description="What the site's Internet band carries.")
    service_state: ObservedServiceState | None = Field(
        default=None,
        description="Whether the appliance takes new sessions. Draining: no new ones, and open ones go on. Not set "
        "where nobody confirms it; condition InService says why.",
    )
    node: str | None = Field(default=None, max_length=253, description="Node that the media pod runs on.")
    pod_uid: str | None = Field(
        default=None,
        alias="podUID",
        max_length=64,
        description="UID of the media pod: as long as it stays the same, nothing restarted it.",
    )
    image: str | None = Field(default=None, max_length=512, description="Media image that runs, by digest if known.")
    disruptions: tuple[DisruptionStatus, ...] = Field(
        default=(),
        max_length=8,
        description="What is to interrupt customers and waits, see spec.disruptions; empty where nothing is.",
        json_schema_extra=dict(list_map("cause")),
    )
    interruptions: tuple[InterruptionStatus, ...] = Field(
        default=(),
        max_length=10,
        description="The last ten interruptions that the operator made, the newest first. What happened by itself, "
        "such as a node that died, is not among them.",
        json_schema_extra=dict(LIST_ATOMIC),
    )
