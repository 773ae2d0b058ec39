"""Everything that is rendered, as text to be read in a diff: three network modes, both tiers, two customers.

`golden/host-port-1000.yaml` has all of it; each other file is the difference from that one. Secrets are decoded; keys
and certificates are placeholders. After an intended change write the files anew, and read the diff:

    MCS_GOLDEN=write .venv/bin/pytest -q tests/unit/render/test_golden.py
"""

from __future__ import annotations

import base64
import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcs_operator.domain.decide import decide
from mcs_operator.render.render import render
from mcs_operator.settings import Settings
from support.worlds import community, given, instance, keys_for, link

GOLDEN = Path(__file__).parent / "golden"
WHOLE = "host-port-1000"
CASES = {
    WHOLE: ("HostPort", "UpTo1000"),
    "host-network-1000": ("HostNetwork", "UpTo1000"),
    "load-balancer-1000": ("LoadBalancer", "UpTo1000"),
    "host-port-10000": ("HostPort", "UpTo10000"),
    "host-network-10000": ("HostNetwork", "UpTo10000"),
    "load-balancer-10000": ("LoadBalancer", "UpTo10000"),
}


class _Text(yaml.SafeDumper):
    """Texts of several lines as such, no anchors: to be read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _as_block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Text.add_representer(str, _as_block)


def rendered(mode: str, tier: str) -> dict[str, Any]:
    """All manifests by kind and name; Secrets decoded."""
    world = given(
        instance(
            network={"mode": mode}, tier=tier, resources=None, vpn={"slots": 2}, publicAddress="203.0.113.10"
        ),
        community("acme", users=["anna", {"name": "bo", "functions": ["Audio"]}]),
        link("acme", age=2),
        link("globex", age=1, protocol="TCP", allowedSources=["198.51.100.0/24", "192.0.2.7/32"]),
    )  # fmt: skip
    plan = decide(world)
    return {f"{m.kind} {m.name}": readable(m.body) for m in render(world, plan, keys_for(plan), Settings()).manifests}


def readable(body: Mapping[str, Any]) -> dict[str, Any]:
    if body["kind"] != "Secret":
        return dict(body)
    decoded = {name: base64.b64decode(text).decode() for name, text in body["data"].items()}
    return {name: decoded if name == "data" else value for name, value in body.items()}


def text_of(objects: Mapping[str, Any]) -> str:
    return "".join(
        f"# {name}\n---\n" + yaml.dump(body, Dumper=_Text, sort_keys=True, width=120, allow_unicode=True)
        for name, body in sorted(objects.items())
    )


def wanted(case: str) -> str:
    text = text_of(rendered(*CASES[case]))
    if case == WHOLE:
        return text
    whole = text_of(rendered(*CASES[WHOLE]))
    return "".join(difflib.unified_diff(whole.splitlines(True), text.splitlines(True), WHOLE, case))


def file_of(case: str) -> Path:
    return GOLDEN / (f"{case}.yaml" if case == WHOLE else f"{case}.diff")


@pytest.mark.parametrize("case", CASES)
def test_what_is_rendered_is_what_was_read_and_agreed_to(case: str) -> None:
    file = file_of(case)
    if os.environ.get("MCS_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(wanted(case))
    assert wanted(case) == file.read_text(), "intended? This file's head says how to write it anew"


def test_no_golden_file_is_left_of_a_case_that_is_gone() -> None:
    assert set(GOLDEN.iterdir()) == set(map(file_of, CASES))


def test_each_mode_and_each_tier_differs_from_the_one_that_is_written_whole() -> None:
    for case in CASES:
        assert wanted(case), case


def test_slots_of_this_template_are_told_from_those_whose_supervisor_restarts_openvpn_for_a_firewall() -> None:
    """By the hash that their part had: where it is the same, 250 slots would be given today's firewall at once."""
    annotations = rendered(*CASES[WHOLE])["StatefulSet mcs"]["spec"]["template"]["metadata"]["annotations"]
    assert json.loads(annotations["mcs.tvox.io/parts"])["slots"] != "267d7207"


def test_a_change_of_one_word_would_be_seen() -> None:
    objects = rendered(*CASES[WHOLE])
    slot = objects["Secret mcs-link-002"]
    changed = slot | {"data": slot["data"] | {"server.conf": slot["data"]["server.conf"].replace("ping 3", "ping 4")}}
    assert text_of(objects | {"Secret mcs-link-002": changed}) != text_of(objects)
