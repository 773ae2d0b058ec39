"""What users write: the three kinds as models, the single source of the CRDs.

Nothing here knows Kubernetes' client or decides anything; an object is parsed once, at the door.
"""

from mcs_operator.api.acme import Acme, InstanceTls
from mcs_operator.api.base import (
    InvalidObjectError,
    KubernetesObject,
    Metadata,
    Problem,
    Reference,
    StatusCondition,
    Tls,
)
from mcs_operator.api.changes import Change, changes, impacts, restart_fields, template_fields
from mcs_operator.api.community import (
    Authentication,
    Community,
    CommunitySpec,
    CommunityStatus,
    Function,
    PasswordsSource,
    User,
    UsersSource,
)
from mcs_operator.api.impact import Impact
from mcs_operator.api.instance import (
    MCSInstance,
    MCSInstanceSpec,
    NetworkMode,
    RetentionPolicy,
    Tier,
)
from mcs_operator.api.instancestatus import MCSInstanceStatus
from mcs_operator.api.link import Protocol, TVoxLink, TVoxLinkSpec, TVoxLinkStatus
from mcs_operator.api.resources import ResourceAmounts, Resources
from mcs_operator.api.service import ObservedServiceState, ServiceState
from mcs_operator.api.tolerations import Toleration
from mcs_operator.api.vpn import TunDevice

KINDS: tuple[type[KubernetesObject], ...] = (MCSInstance, Community, TVoxLink)
"""The three kinds, in the order in which people create them."""

__all__ = [
    "KINDS",
    "Acme",
    "Authentication",
    "Change",
    "Community",
    "CommunitySpec",
    "CommunityStatus",
    "Function",
    "Impact",
    "InstanceTls",
    "InvalidObjectError",
    "KubernetesObject",
    "MCSInstance",
    "MCSInstanceSpec",
    "MCSInstanceStatus",
    "Metadata",
    "NetworkMode",
    "ObservedServiceState",
    "PasswordsSource",
    "Problem",
    "Protocol",
    "Reference",
    "ResourceAmounts",
    "Resources",
    "RetentionPolicy",
    "ServiceState",
    "StatusCondition",
    "TVoxLink",
    "TVoxLinkSpec",
    "TVoxLinkStatus",
    "Tier",
    "Tls",
    "Toleration",
    "TunDevice",
    "User",
    "UsersSource",
    "changes",
    "impacts",
    "restart_fields",
    "template_fields",
]
