"""Bills of materials in the form of CycloneDX: from the lock files, as what is installed is what they name by hash, and
from what dpkg says in an image."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]
_NAMESPACE = uuid.UUID("6f1d2c0e-6a55-5d6b-9d0f-6d63732e7476")
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_REQUIRED = re.compile(r"^(?:require )?\s*(?P<name>[\w.~/-]+\.[\w.~/-]+) (?P<version>v[\w.+-]+)", re.MULTILINE)


def bill(name: str, version: str, moment: int, components: Iterable[Component], image: str = "") -> str:
    """The bill of one thing that is released; ``image``: the digest, where it is one. Its serial number follows from
    what is in it."""
    kind = {"type": "container", "hashes": [{"alg": "SHA-256", "content": image.removeprefix("sha256:")}]}
    told = kind if image else {"type": "application"}
    found = sorted({c["bom-ref"]: c for c in components}.values(), key=lambda component: str(component["bom-ref"]))
    body = {
        "metadata": {
            "timestamp": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": told | {"bom-ref": f"{name}@{version}", "name": name, "version": version},
        },
        "components": found,
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return json.dumps(head | body, indent=2) + "\n"


def of_pip(lock: str) -> list[Component]:
    """From a requirements file with hashes: of each package one for each of its files, any of which may be taken."""
    found = []
    for entry in lock.replace("\\\n", " ").splitlines():
        if match := _REQUIREMENT.match(entry):
            hashes = [("SHA-256", text) for text in sorted(_HASH.findall(entry))]
            found.append(_component("pypi", "", normal(match["name"]), match["version"], hashes))
    return found


def normal(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def of_npm(lock: str) -> list[Component]:
    """From a package-lock.json: what ends up in the pages, not what only builds them."""
    found = []
    for path, package in json.loads(lock)["packages"].items():
        if path and not package.get("dev") and not package.get("link"):
            scope, _, name = path.rpartition("node_modules/")[2].rpartition("/")
            hashes = [_of_integrity(text) for text in package.get("integrity", "").split()]
            found.append(_component("npm", scope, name, package["version"], hashes))
    return found


def of_go(module: str) -> list[Component]:
    """From a go.mod, which names all modules of the programs that it builds."""
    found = []
    for match in _REQUIRED.finditer(module):
        place, _, name = match["name"].rpartition("/")
        found.append(_component("golang", place, name, match["version"], []))
    return found


def of_debian(status: str, distribution: str) -> list[Component]:
    """From dpkg's status file: what is installed. Advisories name sources, so the source is told where it differs."""
    found = []
    for stanza in status.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in stanza.splitlines() if not line.startswith(" "))
        if fields.get("Status") != "install ok installed":
            continue
        source, _, its_version = fields.get("Source", "").rstrip(")").partition(" (")
        upstream = f"{source}@{its_version}" if its_version else source
        known = {"arch": fields["Architecture"], "distro": distribution} | ({"upstream": upstream} if upstream else {})
        found.append(_component("deb", "debian", fields["Package"], fields["Version"], [], known))
    return found


def _component(
    kind: str,
    group: str,
    name: str,
    version: str,
    hashes: Iterable[tuple[str, str]],
    qualifiers: Mapping[str, str] = MappingProxyType({}),
) -> Component:
    parts = [*filter(None, group.split("/")), name]
    purl = f"pkg:{kind}/{'/'.join(quote(part, safe='') for part in parts)}@{quote(version, safe='')}"
    if qualifiers:
        purl += "?" + "&".join(f"{key}={quote(qualifiers[key], safe='')}" for key in sorted(qualifiers))
    files = [
        {"type": "distribution", "url": purl, "hashes": [{"alg": algorithm, "content": text}]}
        for algorithm, text in hashes
    ]
    told: Mapping[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "group": group,
        "name": name,
        "version": version,
        "purl": purl,
        "externalReferences": files,
    }
    return {key: value for key, value in told.items() if value}


def _of_integrity(text: str) -> tuple[str, str]:
    algorithm, _, encoded = text.partition("-")
    return f"SHA-{algorithm.removeprefix('sha')}", base64.b64decode(encoded).hex()
