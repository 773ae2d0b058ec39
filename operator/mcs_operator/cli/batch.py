"""What the operator would refuse of objects that come together, beside those that are there. Pure.

The API server judges each object beside what is stored: of two new links with one domain it finds no fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from mcs_operator.cli import offline
from mcs_operator.cli.files import Document
from mcs_operator.kube.resources import Object

_LONG_AGO = "1970-01-01T00:00:00Z"


def refused_together(new: Sequence[Document], there: Sequence[Object]) -> Mapping[str, list[str]]:
    """Why, by kind and name. All are of one namespace. ``there``: the objects that stay as they are; they were there
    first, and keep what they have. A new one that takes the place of an older one has its age and address."""
    now, places = datetime.now(UTC), {Document("", body).title: body for body in there}
    mine = {document.title: document for document in new}
    stay = [Document("", _as_older(body, body)) for title, body in places.items() if title not in mine]
    come = [
        Document(d.source, _as_older(d.body, places[title]) if title in places else d.body) for title, d in mine.items()
    ]
    found: dict[str, list[str]] = {}
    for finding in offline.together([*stay, *come], now):
        if finding.error and finding.object in mine:
            found.setdefault(finding.object, []).append(finding.message)
    return found


def _as_older(body: Object, stored: Object) -> Object:
    """With the age of what is stored, and for a link with the address that it has."""
    metadata, address = body.get("metadata"), (stored.get("status") or {}).get("vpnAddress")
    if isinstance(metadata, dict):
        created = (stored.get("metadata") or {}).get("creationTimestamp") or _LONG_AGO
        body = body | {"metadata": metadata | {"creationTimestamp": created}}
    if body.get("kind") == "TVoxLink" and address and isinstance(body.get("spec"), dict):
        body = body | {"spec": {"vpnAddress": address} | body["spec"]}
    return body
