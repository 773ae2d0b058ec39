"""What GitOps tools make of objects: the library that Flux judges by, and Argo CD's VM with the Lua shipped here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from support.api import ROOT, Object
from support.cluster import MissingError
from support.levels import left_out_if_missing

HEALTH = ROOT / "manifests" / "argocd" / "health.lua"
SAME = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}
"""Argo CD's word for Flux's."""


@dataclass(frozen=True, slots=True)
class Judged:
    """By each of them."""

    flux: str
    argocd: str
    message: str
    """Argo CD's."""


def judged(objects: Sequence[Object]) -> list[Judged]:
    """What each of these objects is, in the same order. The program is built the first time, in 15 seconds."""
    command = [str(ROOT / "hack" / "tool"), "gitops", str(HEALTH)]
    done = subprocess.run(
        command, input=json.dumps(list(objects)), capture_output=True, text=True, timeout=280, check=False
    )
    with left_out_if_missing():
        if done.returncode == 3:
            raise MissingError(done.stderr)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    return [Judged(a["flux"]["status"], a["argocd"]["status"], a["argocd"]["message"]) for a in answers]
