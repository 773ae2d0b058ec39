"""What the appliance is told, put together as the kubelet mounts it and the appliance checks it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from support.api import Api, Refused
from support.waiting import until

_SHARD = re.compile(r"(users-\d\d|certs-\d)$")


def mounted(api: Api, instance: str = "mcs") -> dict[str, bytes]:
    """Every file at /etc/mcs."""
    found: dict[str, bytes] = {}
    for secret in api.list("Secret"):
        if _SHARD.fullmatch(str(secret["metadata"]["name"]).removeprefix(f"{instance}-")):
            found |= {name: base64.b64decode(text) for name, text in (secret.get("data") or {}).items()}
    for part in ("links", "manifest"):
        config = api.find("ConfigMap", f"{instance}-{part}") or {}
        found |= {name: text.encode() for name, text in (config.get("data") or {}).items()}
    return found


def complete_set(api: Api, instance: str = "mcs") -> dict[str, Any]:
    """The set that the manifest vouches for, parsed, by file name; AssertionError while it is not complete."""
    files = mounted(api, instance)
    assert "manifest.json" in files, "there is no manifest yet"
    named = json.loads(files["manifest.json"])["files"]
    broken = [name for name, sha in named.items() if hashlib.sha256(files.get(name, b"")).hexdigest() != sha]
    assert not broken, f"not as the manifest says: {broken}"
    return {name: json.loads(files[name]) for name in named}


def users(api: Api) -> dict[str, Any]:
    """Users that the appliance serves: ``community/name`` to the functions."""
    listed = [user for name, file in complete_set(api).items() if name.startswith("users-") for user in file["users"]]
    found = {f"{user['community']}/{user['name']}": user["functions"] for user in listed}
    assert len(found) == len(listed), "a user is listed twice"
    return found


def certificates(api: Api) -> dict[str, str]:
    """Certificates that the appliance serves: domain to chain."""
    files = [file for name, file in complete_set(api).items() if name.startswith("certs-")]
    return {entry["domain"]: entry["certificate"] for file in files for entry in file["certificates"]}


def until_served(api: Api, what: dict[str, Any], *, read: Any, timeout: float = 60) -> None:
    """Wait until what is ``read`` (`users` or `certificates`) is exactly this."""

    def look() -> bool:
        try:
            found = read(api)
        except Refused as refused:
            raise AssertionError(str(refused)) from refused
        assert found == what, f"served: {sorted(found)[:20]}; wanted: {sorted(what)[:20]}"
        return True

    until(f"the appliance is told of {len(what)}", look, timeout)
