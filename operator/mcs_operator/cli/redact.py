"""What a support bundle leaves out of objects and logs. Pure.

The data of Secrets does not come this far: the bundle asks the API server for their metadata alone. Here is what else
may hold something that is nobody's business: copies that kubectl keeps in annotations, users, passwords of proxies, and
keys or tokens in a text.
"""

from __future__ import annotations

import re
from typing import Any

from mcs_operator.kube.client import Object
from mcs_operator.settings import LABEL_MANAGED_BY, OPERATOR

LEFT_OUT = "<left out>"
_COPY = "kubectl.kubernetes.io/last-applied-configuration"
_BLOCK = re.compile(r"-----BEGIN ([^-\n]*(?:PRIVATE KEY|Static key)[^-\n]*)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_TOKEN = re.compile(r"(?i)\b(bearer\s+|token[\"']?\s*[:=]\s*[\"']?|password[\"']?\s*[:=]\s*[\"']?)[^\s\"',}]+")
_LOGIN = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
_JSON_WEB_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+")


def redacted(body: Object) -> Object:
    """An object without what identifies people or opens anything; names, labels, specs and statuses stay."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    notes = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != _COPY}
    metadata = metadata | ({"annotations": notes} if "annotations" in metadata else {})
    found = body | {"metadata": metadata}
    kind = body.get("kind")
    if kind == "Secret":
        found = {key: value for key, value in found.items() if key in ("apiVersion", "kind", "metadata", "type")}
    elif kind == "ConfigMap" and (metadata.get("labels") or {}).get(LABEL_MANAGED_BY) != OPERATOR:
        found |= {part: _measured(body[part]) for part in ("data", "binaryData") if part in body}  # users, or whatever
    elif kind == "Community" and "users" in body["spec"]:
        found["spec"] = body["spec"] | {"users": f"<{len(body['spec']['users'])} users>"}
    elif kind in ("Pod", "StatefulSet"):
        found = _without_environment(found)
    return found


def _without_environment(value: Any) -> Any:
    """Without what a person set a variable to; those of ours say what the operator runs with."""
    if isinstance(value, list):
        return [_without_environment(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "value" in value and not str(value.get("name", "")).startswith("MCS_"):
        return value | {"value": LEFT_OUT}
    return {key: _without_environment(inner) for key, inner in value.items()}


def scrubbed(text: str) -> str:
    """A text without private keys, whole or cut off, and without tokens and passwords."""
    text = _BLOCK.sub(LEFT_OUT, text)
    text = _LOGIN.sub(f"://{LEFT_OUT}@", _JSON_WEB_TOKEN.sub(LEFT_OUT, text))
    return _TOKEN.sub(rf"\g<1>{LEFT_OUT}", text)


def _measured(data: Object) -> Object:
    return {key: f"<{len(value)} characters>" for key, value in data.items()}
