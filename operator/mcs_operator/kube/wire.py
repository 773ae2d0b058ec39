"""Answers of the API server as they come over the wire, parsed within bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcs_operator.kube.errors import ApiError, answered
from mcs_operator.kube.resources import Object


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """``type`` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    object: Object


async def next_event(response: Any) -> WatchEvent | None:
    """The next line of a watch; None at its end."""
    with answered():
        line = await response.content.readline()
        event = json.loads(line) if line else None
        if not event:
            return None
        if not (isinstance(event, dict) and isinstance(event.get("object"), dict)):
            raise ValueError("a line of the watch is no event")
    return WatchEvent(str(event.get("type")), event["object"])


class TooLargeError(Exception):
    """An answer that is larger than the caller can hold."""


async def bytes_of(response: Any, at_most: int | None) -> bytes:
    """The whole body; TooLargeError where it is more than ``at_most`` bytes: the rest is not read."""
    if at_most is None:
        whole: bytes = await response.read()
        return whole
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > at_most:
            response.close()
            raise TooLargeError
    return bytes(parts)


def parsed(raw: bytes) -> Object:
    """The object that an answer is."""
    with answered():
        answer = json.loads(raw)
        if not isinstance(answer, dict):
            raise ValueError("the answer is no object")
    return answer


def plural(path: str) -> str:
    """The kind in a path, as in ``/apis/apps/v1/namespaces/demo/statefulsets/mcs``."""
    parts = path.split("/")[3 if path.startswith("/api/") else 4 :]
    if not parts:
        return "discovery"
    return parts[2] if parts[0] == "namespaces" and len(parts) > 2 else parts[0]


def error_of(status: int, headers: Mapping[str, str], raw: bytes) -> ApiError:
    """What an answer that is no success says."""
    try:
        answer = json.loads(raw)
        reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))
        causes = _causes(answer.get("details"))
    except (ValueError, AttributeError):
        reason, message, causes = "", raw.decode(errors="replace"), frozenset()
    after = headers.get("Retry-After", "")
    return ApiError(status, reason, message, float(after) if after.isdigit() else None, causes)


def _causes(details: object) -> frozenset[str]:
    listed = details.get("causes") if isinstance(details, dict) else None
    known = listed if isinstance(listed, list) else []
    return frozenset(str(one["reason"]) for one in known if isinstance(one, dict) and "reason" in one)
