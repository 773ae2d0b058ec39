"""Listed namespaces that are made while the operator starts.

Kopf lists the namespaces, and lists them once more as its watch begins, where it takes notice of none: it means to know
them all. One that was made between the two lists would not be served until somebody changed it.
"""

from __future__ import annotations

from typing import Any

from kopf._core.reactor import observation


def notice_all() -> None:
    """From here on Kopf takes notice of each namespace of its second list; of those that it knows, once more."""
    take = observation.process_discovered_namespace_event

    async def take_all(*, raw_event: Any, **more: Any) -> None:
        await take(raw_event=raw_event | {"type": raw_event["type"] or "ADDED"}, **more)

    observation.process_discovered_namespace_event = take_all
