"""What the operator renders is what the appliance reads: both sides of the contract, without a cluster between them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcs_operator.api import Function
from mcs_operator.contract.digest import digest
from mcs_operator.contract.shards import LARGEST_PEM, ServedCertificate, served_certificate
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.keys import AcmeAccount
from mcs_operator.domain.keyring import Serving
from mcs_operator.domain.manifest import Wave
from mcs_operator.render.render import render
from mcs_operator.settings import Settings
from support.worlds import (
    ACCOUNT,
    HASH,
    NAMESPACE,
    THUMBPRINT,
    community,
    given,
    identity,
    instance,
    keys_for,
    link,
    links,
    ordering,
    passwords,
    portal,
)
from unit.images.appliance_set import certificate, config, handover

CONTRACT = Path(__file__).parents[3] / "docs" / "appliance-contract.md"


def shown(file: str) -> dict[str, Any]:
    """What the page about the contract shows of a file."""
    section = CONTRACT.read_text().split(f"\n`{file}`: ", 1)[1]
    found: dict[str, Any] = json.loads(section.split("```json\n", 1)[1].split("```", 1)[0])
    return found


def keys(value: Any) -> Any:
    """The names in it, of lists those of the first."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value else None


@pytest.mark.parametrize("file", ["instance.json", "links.json", "communities.json"])
def test_a_file_has_exactly_the_names_that_the_page_about_the_contract_shows(tmp_path: Path, file: str) -> None:
    kept = {"retention": {"chat": "720h", "files": "168h"}, "quota": "1Gi"}
    limits = {"calls": 20, "participants": 60}
    declared = instance(portals=kept, communityLimits=limits)
    mounted(tmp_path, declared, portal(), links(1), account=ACCOUNT)
    assert keys(json.loads((tmp_path / file).read_text())) == keys(shown(file))


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({}, {}),
        ({"quota": "2Gi"}, {"quotaBytes": 2 * 1024**3}),
        (
            {"retention": {"chat": "2160h", "files": "1h30m"}, "quota": "0.5Gi"},
            {"chatSeconds": 7_776_000, "fileSeconds": 5400, "quotaBytes": 512 * 1024**2},
        ),
    ],
)
def test_the_portal_is_told_of_its_data_what_is_declared(
    tmp_path: Path, declared: dict[str, Any], told: dict[str, int]
) -> None:
    manifest = mounted(tmp_path, instance(portals=declared))
    assert config.read_set(tmp_path, manifest, None).instance.portals == told


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({}, {}),
        ({"users": 5, "links": 2}, {}),
        ({"users": 5, "calls": 4}, {"calls": 4}),
        ({"calls": 4, "participants": 20}, {"calls": 4, "participants": 20}),
    ],
)
def test_the_portal_is_told_how_many_calls_each_community_may_have(
    tmp_path: Path, declared: dict[str, Any], told: dict[str, int]
) -> None:
    found = config.read_set(tmp_path, mounted(tmp_path, instance(communityLimits=declared)), None)
    assert found.instance.community_limits == told
    assert handover.set_document(found)["instance"].get("communityLimits", {}) == told
    assert ("communityLimits" in json.loads((tmp_path / "instance.json").read_text())) == bool(told)


def test_who_declares_nothing_of_portals_has_the_files_of_before(tmp_path: Path) -> None:
    mounted(tmp_path, instance(), portal())
    assert "portals" not in json.loads((tmp_path / "instance.json").read_text())


def mounted(
    directory: Path,
    *things: Any,
    certificates: tuple[ServedCertificate, ...] = (),
    account: AcmeAccount | None = None,
) -> bytes:
    """Mount what is rendered of a world; the manifest."""
    world = given(*things)
    plan = decide(world)
    keys = replace(keys_for(plan), serving=Serving(certificates), account=account)
    for manifest in render(world, plan, keys, Settings()).manifests:
        if manifest.wave not in (Wave.SHARD, Wave.CHECKSUMS):
            continue
        for name, text in manifest.body["data"].items():
            content = base64.b64decode(text) if manifest.kind == "Secret" else text.encode()
            assert len(content) <= 1024 * 1024, f"no Secret holds {name}"
            (directory / name).write_bytes(content)
    found = config.read_manifest(directory)
    assert found is not None
    return found


def test_the_thumbprint_of_the_account_is_taken_and_its_key_is_in_no_file(tmp_path: Path) -> None:
    manifest = mounted(tmp_path, ordering(), account=ACCOUNT)
    assert config.read_set(tmp_path, manifest, None).instance.acme_thumbprint == THUMBPRINT
    assert not any(b"SECRET" in file.read_bytes() for file in tmp_path.iterdir())


def test_who_solves_challenges_is_a_service_of_the_instances_own_namespace(tmp_path: Path) -> None:
    manifest = mounted(tmp_path, instance(tls={"http01": {"serviceRef": {"name": "acme-solver"}}}))
    told = config.read_set(tmp_path, manifest, None).instance
    assert told.http01_solver == config.Solver(f"acme-solver.{NAMESPACE}.svc", 8089)


def test_without_an_account_the_file_about_the_instance_is_to_the_byte_as_it_always_was(tmp_path: Path) -> None:
    mounted(tmp_path, instance())
    said = (tmp_path / "instance.json").read_text()
    assert "acme" not in said and "http01" not in said


def test_an_instance_without_anybody_is_a_complete_set(tmp_path: Path) -> None:
    manifest = mounted(tmp_path, instance())
    found = config.read_set(tmp_path, manifest, None)
    assert found.config == digest(manifest.decode())
    assert (found.instance.name, found.instance.domain) == ("mcs", "mcs.test")
    assert (found.links, found.users, found.certificates, found.problems) == ((), 0, (), ())


def test_links_users_and_communities_arrive(tmp_path: Path) -> None:
    off = community("off", enabled=False, users=("x",))
    things = [instance(), community(users=("ann", "bob")), off, link("a", age=9), link("b", enabled=False, age=8)]
    manifest = mounted(tmp_path, things, link("c", community="off"), identity("a", 17))
    found = config.read_set(tmp_path, manifest, None)
    assert {entry.name: (entry.number, entry.domain, entry.address, entry.open) for entry in found.links} == {
        "a": (17, "a.mcs.test", "198.18.254.17", True),
        "b": (2, "b.mcs.test", "198.18.254.2", False),
        "c": (3, "c.mcs.test", "198.18.254.3", False),
    }
    assert (found.users, found.problems) == (2, ())


def test_who_is_out_of_service_arrives_as_that(tmp_path: Path) -> None:
    manifest = mounted(tmp_path, instance(), community(), link("a"), link("b", serviceState="OutOfService", age=9))
    found = config.read_set(tmp_path, manifest, None)
    assert {entry.name: (entry.open, entry.in_service) for entry in found.links} == {
        "a": (True, True),
        "b": (True, False),
    }


def test_a_set_with_portals_and_passwords_arrives_also_where_nobody_knows_of_them(tmp_path: Path) -> None:
    """An image of before reads what it knows, and goes on taking everybody's changes."""
    there = passwords("passwords", f"ada:{HASH}")
    pair = certificate("meet.acme.test")
    site = served_certificate(pair["domain"], pair["certificate"], pair["key"])
    things = [instance(), portal(), there, link("a")]
    found = config.read_set(tmp_path, mounted(tmp_path, things, certificates=(site,)), None)
    assert ([entry.name for entry in found.links], found.users, found.problems) == (["a"], 1, ())
    (file,) = tmp_path.glob("logins-*.json")
    assert HASH in file.read_text()


def test_the_largest_instance_arrives(tmp_path: Path) -> None:
    people = [
        {"name": f"u{n:0>60}", "displayName": '"\\é😀' * 32, "functions": [f.value for f in Function]}
        for n in range(1000)
    ]
    crowds = [community(f"c{n}{'x' * 38}", users=people) for n in range(10)]
    found = config.read_set(
        tmp_path, mounted(tmp_path, instance(tier="UpTo10000"), crowds, community(), links(250)), None
    )
    assert (len(found.links), found.users, found.problems) == (250, 10_000, ())


def test_the_largest_passwords_arrive_beside_the_largest_users(tmp_path: Path) -> None:
    names = [f"u{n:0>60}" for n in range(1000)]
    longest = f"$argon2id$v=19$m=65536,t=4,p=4${'A' * 86}${'A' * 86}"
    there = [passwords(f"p{n}", "".join(f"{u}:{longest}\n" for u in names), of=f"c{n}{'x' * 38}") for n in range(10)]
    people = [{"name": name, "displayName": "\U0001f600" * 128} for name in names]
    crowds = [portal(f"c{n}{'x' * 38}", secrets=[f"p{n}"], users=people) for n in range(10)]
    found = config.read_set(tmp_path, mounted(tmp_path, instance(tier="UpTo10000"), crowds, there), None)
    assert (found.users, found.problems) == (10_000, ())
    listed = [entry for f in tmp_path.glob("logins-*.json") for entry in json.loads(f.read_text())["logins"]]
    assert len(listed) == 10_000


def test_certificates_arrive_as_they_are(tmp_path: Path) -> None:
    entries = [certificate(f"{name}.mcs.test") for name in ("a", "b")]
    pairs = tuple(served_certificate(e["domain"], f"# comment\n{e['certificate']}", e["key"]) for e in entries)
    manifest = mounted(tmp_path, instance(), community(), link("a"), link("b"), certificates=pairs)
    found = config.read_set(tmp_path, manifest, None)
    assert {c.domain: c.pem for c in found.certificates} == {
        e["domain"]: f"{e['certificate']}{e['key']}".strip() for e in entries
    }
    assert not found.spoiled and not found.problems


@pytest.mark.parametrize(("more", "taken"), [(0, True), (1, False)])
def test_both_sides_have_the_same_limit(tmp_path: Path, more: int, taken: bool) -> None:
    assert LARGEST_PEM == config.LARGEST_PEM
    pem = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    chain = pem.format("A" * (LARGEST_PEM - len(pem) - len(key) + 2 + more))
    pair = ServedCertificate("a.mcs.test", chain, key)
    manifest = mounted(tmp_path, instance(), community(), link("a"), certificates=(pair,))
    found = config.read_set(tmp_path, manifest, None)
    assert [c.domain for c in found.certificates] == (["a.mcs.test"] if taken else [])
    assert not found.spoiled and not found.problems, "what is too large is not even given to it"
