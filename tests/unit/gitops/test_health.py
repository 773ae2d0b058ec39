"""What Flux and Argo CD make of every object that there can be: judged by Flux's own library, and by the Lua that this
repository ships, in the VM that Argo CD runs it in.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mcs_operator.api import KINDS
from mcs_operator.api.conditions import Kind
from support.api import ROOT, Object
from support.gitops import HEALTH, SAME, Judged, judged
from support.stories import STORIES, before_the_operator_comes, programmed_links, tunnels

API_VERSION = "mcs.tvox.io/v1alpha1"


def an_object(kind: Kind, status: dict[str, Any], generation: int = 1) -> Object:
    metadata = {"name": "x", "namespace": "demo", "generation": generation}
    return {"apiVersion": API_VERSION, "kind": kind.value, "metadata": metadata, "spec": {}, "status": status}


def said(status: dict[str, Any], type: str) -> tuple[str, str]:
    """Of an object at which the operator fails from the start, nothing but that is said."""
    told = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    return told[type] if told.get("Stalled", ("", ""))[1] != "ReconcileFailed" else told.get(type, ("False", ""))


@pytest.fixture(scope="module")
def everything() -> list[tuple[dict[str, Any], Judged]]:
    """The status of every object that the operator has seen, and what it is taken for."""
    told = [told for story in STORIES if story is not before_the_operator_comes for told in story()]
    return list(zip([status for _, status in told], judged([an_object(*one) for one in told]), strict=True))


def test_success_is_never_told_of_what_is_not_ready(everything: list[tuple[dict[str, Any], Judged]]) -> None:
    ready = [said(status, "Ready")[0] for status, seen in everything if seen.flux == "Current"]
    assert ready
    assert set(ready) == {"True"}


def test_what_is_ready_and_waits_for_nobody_is_a_success(everything: list[tuple[dict[str, Any], Judged]]) -> None:
    calm = [
        seen.flux
        for status, seen in everything
        if [said(status, type)[0] for type in ("Ready", "Reconciling", "Stalled")] == ["True", "False", "False"]
    ]
    assert calm
    assert set(calm) == {"Current"}


def test_what_only_a_person_can_change_fails_at_once_instead_of_at_the_time_out(
    everything: list[tuple[dict[str, Any], Judged]],
) -> None:
    for status, seen in everything:
        if said(status, "Stalled")[0] == "True" and said(status, "Reconciling")[0] == "False":
            assert seen.flux == "Failed", status


def test_whatever_is_in_progress_says_for_what_it_waits(everything: list[tuple[dict[str, Any], Judged]]) -> None:
    for status, seen in everything:
        if seen.flux == "InProgress":
            assert "True" in (said(status, "Reconciling")[0], said(status, "Stalled")[0]), status
            assert seen.message


def test_argo_cd_says_the_same_as_flux(everything: list[tuple[dict[str, Any], Judged]]) -> None:
    assert {SAME[seen.flux] for _, seen in everything} == {"Healthy", "Progressing", "Degraded"}
    for status, seen in everything:
        assert seen.argocd == SAME[seen.flux], status


def test_an_object_that_no_operator_has_seen_is_in_progress() -> None:
    """From its creation on: nobody takes it for a kind without conditions, which would be a success at first sight."""
    seen = judged([an_object(*one) for one in before_the_operator_comes()])
    assert [(one.flux, one.argocd) for one in seen] == [("InProgress", "Progressing")] * 3


def test_a_change_that_the_operator_has_not_seen_is_in_progress_whatever_was_said_before() -> None:
    told = [(kind, status) for kind, status in programmed_links() if "observedGeneration" in status]
    seen = judged([an_object(kind, status, generation=status["observedGeneration"] + 1) for kind, status in told])
    assert {(one.flux, one.argocd) for one in seen} == {("InProgress", "Progressing")}


def test_a_tvox_that_has_not_connected_holds_no_pipeline_up_and_is_named() -> None:
    told = [(kind, s) for kind, s in tunnels() if kind is Kind.LINK and said(s, "Connected")[1] == "NeverConnected"]
    seen = judged([an_object(*one) for one in told])
    assert {(one.flux, one.argocd) for one in seen} == {("Current", "Healthy")}
    assert all("tunnel: NeverConnected" in one.message for one in seen)


def test_the_config_map_has_the_script_for_each_kind() -> None:
    body = yaml.safe_load((ROOT / "manifests" / "argocd" / "argocd-cm.yaml").read_text())
    keys = {f"resource.customizations.health.mcs.tvox.io_{kind.kind}" for kind in KINDS}
    assert body["data"] == dict.fromkeys(keys, HEALTH.read_text())
