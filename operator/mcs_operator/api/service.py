"""The service state: whether new sessions are taken. The words are those of session border controllers."""

from __future__ import annotations

from enum import StrEnum


class ServiceState(StrEnum):
    """What the user declares."""

    IN_SERVICE = "InService"
    OUT_OF_SERVICE = "OutOfService"


class ObservedServiceState(StrEnum):
    """What the appliance says."""

    IN_SERVICE = "InService"
    DRAINING = "Draining"
    OUT_OF_SERVICE = "OutOfService"
