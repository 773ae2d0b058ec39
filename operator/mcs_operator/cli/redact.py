"""What a support bundle leaves out of objects, field by field, before they become a text. Pure.

The data of Secrets does not come this far: the bundle asks the API server for their metadata alone. Here is what else
may hold something that is nobody's business: notes that anybody keeps in annotations, users, what a container is set
to, what it said when it died. Of foreign objects the shape stays, of ours also what the operator wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcs_operator.cli.scrub import LEFT_OUT, Scrubber, is_secret_name
from mcs_operator.kube.resources import Object
from mcs_operator.settings import GROUP, LABEL_MANAGED_BY, LABEL_NAME, OPERATOR

_OF_A_SECRET = ("apiVersion", "kind", "metadata", "type")
_PROGRAM = ("command", "args")
_OUR_FILES = ("-links", "-manifest")
"""Ends of the names of our ConfigMaps: what the agent is told, and which shards there are; no users and no keys."""


def redacted(body: Object, scrubber: Scrubber | None = None) -> Object:
    """An object without what identifies people or opens anything; names, labels, specs and statuses stay."""
    scrubber = scrubber or Scrubber()
    found = {key: value for key, value in body.items() if key != "metadata"}
    kind = body.get("kind")
    if kind == "Secret":
        found = {key: value for key, value in found.items() if key in _OF_A_SECRET}
    elif kind == "ConfigMap":
        found |= {part: _files(body, part, scrubber) for part in ("data", "binaryData") if part in body}
    else:
        found = _Cleaner(scrubber, ours=_is_ours(body)).object(_without_users(found))
    return {**_head(body), "metadata": _metadata(body.get("metadata"), scrubber), **found}


def _head(body: Object) -> Object:
    return {key: body[key] for key in ("apiVersion", "kind") if key in body}


def _is_ours(body: Object) -> bool:
    """Made by the operator, or the operator itself."""
    labels = (body.get("metadata") or {}).get("labels") or {}
    return OPERATOR in (labels.get(LABEL_MANAGED_BY), labels.get(LABEL_NAME))


def _metadata(metadata: Any, scrubber: Scrubber) -> Any:
    """Without the copies and notes of other tools: of an annotation that is not ours the name says enough."""
    if not isinstance(metadata, dict):
        return {}
    found = {key: value for key, value in metadata.items() if key not in ("managedFields", "annotations")}
    if isinstance(notes := metadata.get("annotations"), dict):
        found["annotations"] = {
            key: scrubber.text(str(value)) if key.partition("/")[0] == GROUP else _measured(value)
            for key, value in notes.items()
        }
    return found


def _without_users(body: Object) -> Object:
    spec = body.get("spec")
    if body.get("kind") != "Community" or not isinstance(spec, dict) or "users" not in spec:
        return body
    users = spec["users"]
    return body | {"spec": spec | {"users": f"<{len(users) if isinstance(users, list) else 'some'} users>"}}


def _files(body: Object, part: str, scrubber: Scrubber) -> Any:
    """The files of a ConfigMap: users or whatever, unless it is one that the operator made for an instance."""
    files, metadata = body[part], body.get("metadata") or {}
    if not isinstance(files, dict):
        return LEFT_OUT
    owners = [owner.get("kind") for owner in metadata.get("ownerReferences") or () if isinstance(owner, dict)]
    made = _is_ours(body) and "MCSInstance" in owners and str(metadata.get("name")).endswith(_OUR_FILES)
    return {name: _file(value, scrubber) if made else _measured(value) for name, value in files.items()}


def _file(value: Any, scrubber: Scrubber) -> str:
    """One of ours, which is JSON; what is not has been written by somebody else."""
    try:
        content = json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return _measured(value)
    return json.dumps(_Cleaner(scrubber, ours=True).value("", content), ensure_ascii=False)


class _Cleaner:
    """Goes through the fields of one object."""

    def __init__(self, scrubber: Scrubber, *, ours: bool) -> None:
        self._scrubber, self._ours = scrubber, ours

    def object(self, body: Mapping[str, Any]) -> Object:
        """The same object, cleaned."""
        return {key: self.value(str(key), value) for key, value in body.items()}

    def value(self, key: str, value: Any) -> Any:
        """What stands under a key."""
        if isinstance(value, dict):
            return self._terminated(key, self._variable(value))
        if isinstance(value, list):
            return self._arguments(value) if key in _PROGRAM else [self.value(key, item) for item in value]
        if not isinstance(value, str):
            return LEFT_OUT if is_secret_name(key) and isinstance(value, int) and value > 1 else value
        return LEFT_OUT if is_secret_name(key) else self._scrubber.text(value)

    def _variable(self, value: dict[str, Any]) -> Object:
        """What a person set a variable to is left out; those of ours say what the operator runs with."""
        name = value.get("name")
        if isinstance(name, str) and "value" in value and not self._is_shown(name):
            value = value | {"value": LEFT_OUT}
        return self.object(value)

    def _is_shown(self, name: str) -> bool:
        return name.startswith(_OUR_VARIABLES if self._ours else "MCS_") and not is_secret_name(name)

    def _terminated(self, key: str, value: Object) -> Object:
        """The last words of a container are its log's."""
        return value | {"message": _measured(value["message"])} if key == "terminated" and "message" in value else value

    def _arguments(self, words: list[Any]) -> list[Any]:
        """Of a foreign program how many; of ours without what follows --password."""
        if not self._ours:
            return [_measured(word) for word in words]
        texts = [str(word) for word in words]
        return [
            LEFT_OUT if before.startswith("-") and is_secret_name(before) else self._scrubber.text(word)
            for before, word in zip(["", *texts], texts, strict=False)
        ]


_OUR_VARIABLES = ("MCS_", "SLOT", "VPN_CIDR", "CONTRACT_PORT")


def _measured(value: Any) -> str:
    return f"<{len(value)} characters>" if isinstance(value, str) else LEFT_OUT
