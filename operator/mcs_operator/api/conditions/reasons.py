"""The words of conditions: on which kinds, of which types, with which status, for which reasons."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The three kinds that carry conditions."""

    INSTANCE = "MCSInstance"
    COMMUNITY = "Community"
    LINK = "TVoxLink"


class Type(StrEnum):
    """Condition types."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    ACCEPTED = "Accepted"
    PROGRAMMED = "Programmed"
    CONNECTED = "Connected"
    IN_SERVICE = "InService"
    SIZED = "Sized"
    RESTART_PENDING = "RestartPending"
    CAPACITY_PRESSURE = "CapacityPressure"
    ROTATION_PENDING = "RotationPending"
    DOMAIN_RESOLVED = "DomainResolved"
    LOGIN_READY = "LoginReady"
    CERTIFICATE_READY = "CertificateReady"


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Condition reasons."""

    # The same on every kind
    PENDING = "Pending"
    PROGRESSING = "Progressing"
    RECONCILED = "Reconciled"
    NOT_STALLED = "NotStalled"
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    INSTANCE_NOT_FOUND = "InstanceNotFound"
    RECONCILE_FAILED = "ReconcileFailed"
    # MCSInstance
    SERVING = "Serving"
    MEDIA_NOT_READY = "MediaNotReady"
    SLOTS_NOT_RUNNING = "SlotsNotRunning"
    NAMESPACE_OCCUPIED = "NamespaceOccupied"
    IDENTITY_LOST = "IdentityLost"
    OBJECT_DAMAGED = "ObjectDamaged"
    OBJECTS_IGNORED = "ObjectsIgnored"
    PROFILES_DIFFER = "ProfilesDiffer"
    NETWORK_TAKEN = "NetworkTaken"
    CA_NOT_FOUND = "CaNotFound"
    CA_INVALID = "CaInvalid"
    PULL_SECRET_NOT_FOUND = "PullSecretNotFound"  # noqa: S105 - a reason, and no password
    WINDOW_INVALID = "WindowInvalid"
    AS_TIER = "AsTier"
    BELOW_TIER = "BelowTier"
    RESIZE_DEFERRED = "ResizeDeferred"
    RESIZE_INFEASIBLE = "ResizeInfeasible"
    ROLLED_BACK = "RolledBack"
    UP_TO_DATE = "UpToDate"
    POD_OUTDATED = "PodOutdated"
    DRAINING = "Draining"
    SUSPENDED = "Suspended"
    NO_NODE_FITS = "NoNodeFits"
    NODE_NOT_READY = "NodeNotReady"
    WAITING = "Waiting"
    PULLING = "Pulling"
    IMAGE_NOT_PULLED = "ImageNotPulled"
    IN_SERVICE = "InService"
    OUT_OF_SERVICE = "OutOfService"
    NOT_CONFIRMED = "NotConfirmed"
    SUFFICIENT = "Sufficient"
    NEARLY_FULL = "NearlyFull"
    ALMOST_FULL = "AlmostFull"
    # Community
    SERVED = "Served"
    USERS_INVALID = "UsersInvalid"
    USERS_NOT_FOUND = "UsersNotFound"
    TIER_EXCEEDED = "TierExceeded"
    COMMUNITY_LIMIT_EXCEEDED = "CommunityLimitExceeded"
    NOT_CONFIGURED = "NotConfigured"
    NOT_SUPPORTED = "NotSupported"
    NO_PASSWORDS = "NoPasswords"
    PASSWORDS_INVALID = "PasswordsInvalid"
    PASSWORDS_NOT_FOUND = "PasswordsNotFound"
    # TVoxLink
    CAPACITY_EXCEEDED = "CapacityExceeded"
    ADDRESS_TAKEN = "AddressTaken"
    ADDRESS_OUT_OF_RANGE = "AddressOutOfRange"
    ADDRESS_IMMUTABLE = "AddressImmutable"
    DOMAIN_TAKEN = "DomainTaken"
    COMMUNITY_NOT_FOUND = "CommunityNotFound"
    INSTANCE_MISMATCH = "InstanceMismatch"
    NAME_TAKEN = "NameTaken"
    NO_FREE_SLOT = "NoFreeSlot"
    NOT_ACCEPTED = "NotAccepted"
    PROGRAMMED = "Programmed"
    QUARANTINED = "Quarantined"
    PROFILE_LOST = "ProfileLost"
    CERTIFICATE_INVALID = "CertificateInvalid"
    CERTIFICATE_NOT_FOUND = "CertificateNotFound"
    DISABLED = "Disabled"
    REVOKED = "Revoked"
    NEW_NOT_SEEN = "NewNotSeen"
    OLD_REFUSED = "OldRefused"
    AGENT_UNREACHABLE = "AgentUnreachable"
    ESTABLISHED = "Established"
    NEVER_CONNECTED = "NeverConnected"
    LOST = "Lost"
    FLAPPING = "Flapping"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    WRONG_PEER = "WrongPeer"
    # Of all kinds: their public names
    RESOLVED = "Resolved"
    NOT_RESOLVED = "NotResolved"
    WRONG_ADDRESS = "WrongAddress"
    RESOLVER_UNAVAILABLE = "ResolverUnavailable"
    AGENT_OUTDATED = "AgentOutdated"
    # … and their certificates
    PROVIDED = "Provided"
    ISSUED = "Issued"
    ORDER_FAILED = "OrderFailed"
    RENEWAL_FAILED = "RenewalFailed"
    ISSUER_NOT_READY = "IssuerNotReady"
