"""What is read from annotations: times by which a user asks for something, and what the operator noted as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def moment(text: str) -> datetime | None:
    """RFC 3339, in UTC; None for nothing, and for what is no time: a typing error must not cost anybody anything."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC, the first and the last day of all may be on no calendar
        return None


def asked_at(annotations: Mapping[str, str], key: str) -> datetime | None:
    """When something was asked for, in whole seconds: as fine as the times that it is compared with are kept.

    With the fraction, a request of 12:00:00.5 would still be later than the certificate that it led to at 12:00:00.9,
    which is noted down as of 12:00:00; and so one after the other would be made.
    """
    found = moment(annotations.get(key, ""))
    return found.replace(microsecond=0) if found else None


def noted_object(text: str) -> dict[str, Any]:
    """What the operator noted as a JSON object; an empty one where somebody has edited it to something else."""
    try:
        said = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
