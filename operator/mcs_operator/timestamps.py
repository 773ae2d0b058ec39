"""Times as Kubernetes writes them: RFC 3339 in UTC, of whole seconds (metav1.Time) or of microseconds (MicroTime)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, WithJsonSchema


def rfc3339(moment: datetime) -> str:
    """``2026-11-29T06:11:37Z``. Finer ones differ after a round trip through the API server, and cost a write."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(moment: datetime) -> str:
    """``2026-11-29T06:11:37.000000Z``, as Leases and Events have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _whole_seconds_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:  # the first and the last day of all, in another zone
        raise ValueError("no calendar has this time") from None


Timestamp = Annotated[
    datetime,
    AfterValidator(_whole_seconds_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""RFC 3339, UTC, whole seconds, as Kubernetes writes it."""
