"""The door's readers, one by one: what is taken, what is named as damage, and that nothing raises."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.keys import Authority
from mcs_operator.domain.facts.world import (
    AgentCredentials,
    Damaged,
    DamagedProfile,
    Profile,
    SlotSecret,
    TlsSecret,
    Unreadable,
)
from mcs_operator.domain.rules.quota import Usage
from mcs_operator.kube.parse import parse_body
from mcs_operator.kube.parse.bounds import (
    DEEPEST_JSON,
    LONGEST_JSON,
    LONGEST_TEXT,
    UnreadableError,
    count,
    decoded,
    is_too_deep,
    load_json,
    moment,
)
from mcs_operator.kube.parse.metadata import tidy
from mcs_operator.kube.parse.names import Place, Role, place_of_name
from mcs_operator.kube.parse.ours import read, shaped
from mcs_operator.kube.parse.shard import read_shard
from mcs_operator.kube.resources import CONFIG_MAPS, PODS, RESOURCE_QUOTAS, SECRETS
from mcs_operator.render.render import render
from mcs_operator.settings import LABEL_INSTANCE, LABEL_LINK, LABEL_MANAGED_BY, LABEL_SLOT, OPERATOR, Settings
from support.hostile import DEEP, TEXTS, VALUES, encoded
from support.objects import a_community, a_link, an_instance
from support.worlds import community, given, identity, instance, keys_for, link, pin

PIN = pin("acme")
IDENTITY: dict[str, Any] = {
    "link": "acme",
    "instance": "mcs",
    "slot": 17,
    "created": "2026-01-01T00:00:00Z",
    "released": None,
    "fingerprints": [{"sha256": PIN, "notAfter": "2046-01-01T00:00:00Z"}],
}


def secret(name: str, files: dict[str, str], *, type: str = "Opaque", **labels: str | None) -> dict[str, Any]:
    keys = {"instance": LABEL_INSTANCE, "link": LABEL_LINK, "slot": LABEL_SLOT}
    known = {LABEL_MANAGED_BY: OPERATOR} | {keys[label]: value for label, value in labels.items() if value is not None}
    data = {file: encoded(text) for file, text in files.items()}
    return {"metadata": {"name": name, "labels": known}, "type": type, "data": data}


def a_profile(told: Any = IDENTITY, name: str = "acme-profile", **other: Any) -> Any:
    text = told if isinstance(told, str) else json.dumps(told)
    files = {"identity.json": text, "tls.crt": "c", "tls.key": "k", "tls-crypt.key": "t", "acme.ovpn": "o"}
    body = secret(name, files, **({"instance": "mcs", "link": "acme"} | other))
    return parse_body(SECRETS, body)


def a_slot(name: str = "mcs-link-017", files: dict[str, str] | None = None, **labels: str | None) -> Any:
    return parse_body(
        SECRETS, secret(name, files or {}, **({"instance": "mcs", "link": "acme", "slot": "017"} | labels))
    )


# --- bounds ---


@pytest.mark.parametrize(
    "text", [*TEXTS, "[" * (DEEPEST_JSON + 1) + "]" * (DEEPEST_JSON + 1), "x" * (LONGEST_JSON + 1)]
)
def test_json_is_taken_or_refused_and_nothing_else(text: str) -> None:
    try:
        load_json(text)
    except UnreadableError as error:
        assert text[:20] not in str(error) or len(text) < 3


def test_json_may_be_as_deep_as_the_bound_and_brackets_in_texts_do_not_count() -> None:
    assert load_json("[" * DEEPEST_JSON + "]" * DEEPEST_JSON)
    assert load_json(json.dumps("[" * 1000)) == "[" * 1000
    assert load_json(json.dumps({'a"[[[\\': "\\" * 99 + "[" * 99})) == {'a"[[[\\': "\\" * 99 + "[" * 99}
    assert is_too_deep('"' + "[" * DEEP + '"' + "[" * (DEEPEST_JSON + 1))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "9" * 19])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    with pytest.raises(UnreadableError):
        load_json(f'{{"slot": {number}}}')


@pytest.mark.parametrize("value", [*VALUES, "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "٢٠٢٦-01-01T00:00:00Z"])
def test_a_time_is_a_time_of_ours(value: Any) -> None:
    with pytest.raises(UnreadableError):
        moment(value)
    assert moment("2026-01-02T03:04:05Z") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(("length", "taken"), [(0, True), (LONGEST_TEXT, True), (LONGEST_TEXT + 10, False)])
def test_a_file_has_a_longest_length(length: int, taken: bool) -> None:
    if taken:
        assert len(decoded(encoded("x" * length))) == length
    else:
        with pytest.raises(UnreadableError, match="longer"):
            decoded(encoded("x" * length))


@pytest.mark.parametrize("value", [*VALUES, "====", "YQ", base64.b64encode(b"\xff\xfe").decode()])
def test_what_is_no_base64_of_utf_8_is_refused(value: Any) -> None:
    try:
        assert isinstance(decoded(value), str)
    except UnreadableError as error:
        assert str(error)


def test_a_count_is_a_whole_number_of_a_sane_size() -> None:
    assert [count(value, -1) for value in (0, 250, True, 1.0, "1", 10**18, 10**18 - 1, None)] == [
        *(0, 250, -1, -1, -1, -1, 10**18 - 1, -1)
    ]


# --- names ---


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mcs-link-002", Place(Role.SLOT, "mcs", 2)),
        ("mcs-link-251", Place(Role.SLOT, "mcs", 251)),
        ("mcs-link-001", None),
        ("mcs-link-252", None),
        ("mcs-link-17", None),
        ("mcs-link-0017", None),
        ("mcs-link-٠٠٢", None),
        ("mcs-link-017-backup", None),
        ("acme-profile", Place(Role.PROFILE, "acme")),
        ("acme-backup-profile", Place(Role.PROFILE, "acme-backup")),
        ("-profile", None),
        ("mcs-ca", Place(Role.AUTHORITY, "mcs")),
        ("mcs-ca-backup", None),
        ("mcs-users-03", Place(Role.SHARD, "mcs")),
        ("mcs-links", None),
    ],
)
def test_a_secret_is_known_by_its_exact_name(name: str, place: Place | None) -> None:
    assert place_of_name(SECRETS, name) == place


def test_every_secret_and_configmap_that_is_rendered_is_known_by_its_name() -> None:
    world = given(instance(), community(users=["anna"]), [link("acme")], identity("acme", 2))
    plan = decide(world)
    desired = render(world, plan, keys_for(plan), Settings())
    resources = {"Secret": SECRETS, "ConfigMap": CONFIG_MAPS}
    names = [(m.kind, m.name) for m in desired.manifests if m.kind in resources]
    assert len(names) > 7
    assert [name for kind, name in names if place_of_name(resources[kind], name) is None] == []


# --- profiles ---


def test_a_profile_tells_its_names_itself_or_by_its_files() -> None:
    named, today = a_profile(), a_profile({key: IDENTITY[key] for key in IDENTITY if key not in ("link", "instance")})
    assert isinstance(named, Profile) and isinstance(today, Profile)
    assert (named.named, today.named) == (True, False)
    assert (named.link, named.instance, named.number, named.fingerprints[0].sha256) == ("acme", "mcs", 17, PIN)


@pytest.mark.parametrize("text", TEXTS)
def test_a_profile_with_anything_as_its_identity_is_damaged_and_named(text: str) -> None:
    found = a_profile(text)
    assert isinstance(found, DamagedProfile)
    assert found.link == "acme" and found.why and len(found.why) < 300


@pytest.mark.parametrize("key", [key for key in IDENTITY if key != "released"])
@pytest.mark.parametrize("value", [value for value in VALUES if value not in ("", None)])
def test_a_profile_with_anything_anywhere_is_never_an_exception(key: str, value: Any) -> None:
    assert isinstance(a_profile(json.dumps(IDENTITY | {key: value}, default=str)), DamagedProfile | Profile)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"slot": 1}, "2 to 251"),
        ({"slot": 252}, "2 to 251"),
        ({"slot": True}, "2 to 251"),
        ({"slot": 17.0}, "2 to 251"),
        ({"created": "yesterday"}, "time"),
        ({"fingerprints": [{"sha256": "AA"}]}, "fingerprint"),
        ({"fingerprints": [{"sha256": PIN}] * 33}, "more than 32"),
        ({"link": "bolt"}, "copy of Secret bolt-profile"),
        ({"instance": "other"}, "mcs.tvox.io/instance"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said(change: dict[str, Any], why: str) -> None:
    found = a_profile(IDENTITY | change)
    assert isinstance(found, DamagedProfile)
    assert why in found.why


@pytest.mark.parametrize(("listed", "kept"), [(1, True), (32, True), (33, False)])
def test_a_profile_lists_no_more_than_32_fingerprints(listed: int, kept: bool) -> None:
    assert isinstance(a_profile(IDENTITY | {"fingerprints": [{"sha256": PIN}] * listed}), Profile) is kept


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"link": None}, "lacks label mcs.tvox.io/link"),
        ({"instance": None}, "lacks label mcs.tvox.io/instance"),
        ({"link": "bolt"}, "has label mcs.tvox.io/link=bolt"),
        ({"type": "kubernetes.io/basic-auth"}, "has type kubernetes.io/basic-auth"),
    ],
)
def test_a_whole_profile_with_a_wrong_label_is_the_identity_still_and_says_which(labels: Any, why: str) -> None:
    found = a_profile(**labels)
    assert isinstance(found, DamagedProfile)
    assert why in found.why
    assert (found.link, found.instance, found.number) == ("acme", "mcs", 17)


def test_a_copy_under_another_name_is_nobodys() -> None:
    found = a_profile(name="acme-backup-profile")
    assert found == DamagedProfile("acme-backup", "", None, "is a copy of Secret acme-profile")


# --- slots ---


def test_a_slot_holds_its_number_whatever_is_in_it() -> None:
    for text in TEXTS:
        found = a_slot(files=dict.fromkeys(("fingerprints.json", "server.conf", "tls.crt", "tls.key", "ca.crt"), text))
        assert isinstance(found, SlotSecret)
        assert (found.number, found.instance, found.link, found.fingerprints) == (17, "mcs", "acme", ())


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("mcs-link-017", {"slot": "018"}),
        ("mcs-link-017", {"slot": "copy"}),
        ("mcs-link-017", {"slot": None}),
        ("mcs-link-017", {"instance": "other"}),
        ("mcs-link-017", {"link": None}),
        ("mcs-link-017", {"link": ""}),
        ("mcs-link-017", {"type": "kubernetes.io/basic-auth"}),
        ("mcs-link-018", {}),
    ],
)
def test_a_slot_with_another_name_than_its_labels_is_not_believed_and_its_number_is_blocked(
    name: str, labels: dict[str, Any]
) -> None:
    found = a_slot(name, **labels)
    assert isinstance(found, Damaged) and found.foreign
    assert found.slot == ("mcs", int(name[-3:]))


def test_where_the_slots_list_is_damaged_the_pins_of_its_configuration_count() -> None:
    conf = f"<peer-fingerprint>\n{PIN}\nrubbish\n</peer-fingerprint>"
    found = a_slot(files={"fingerprints.json": "[" * 1000, "server.conf": conf})
    assert [fingerprint.sha256 for fingerprint in found.fingerprints] == [PIN]


# --- what an instance has ---


def test_a_ca_and_an_agent_are_whole_or_damaged() -> None:
    ca, agent = {"ca.crt": "c", "ca.key": "k"}, {"tls.crt": "c", "tls.key": "k", "token": "t"}
    assert isinstance(parse_body(SECRETS, secret("mcs-ca", ca, instance="mcs")), Authority)
    assert isinstance(parse_body(SECRETS, secret("mcs-agent", agent, instance="mcs")), AgentCredentials)
    for name, files in (("mcs-ca", ca), ("mcs-agent", agent)):
        for file in files:
            found = parse_body(SECRETS, secret(name, files | {file: ""}, instance="mcs"))
            assert isinstance(found, Damaged) and not found.foreign
            assert file in found.why


def test_a_copy_of_a_ca_is_not_one() -> None:
    found = parse_body(SECRETS, secret("copy-ca", {"ca.crt": "c", "ca.key": "k"}, instance="mcs"))
    assert isinstance(found, Damaged) and found.foreign


def test_a_certificate_is_cut_where_it_is_too_long_and_judged_elsewhere() -> None:
    body = secret("tls", {"tls.crt": "x" * 1_000_000, "tls.key": "\x00"}, type="kubernetes.io/tls")
    found = parse_body(SECRETS, body)
    assert isinstance(found, TlsSecret)
    assert len(found.chain) < LONGEST_TEXT
    for value in VALUES:
        assert isinstance(parse_body(SECRETS, body | {"data": {"tls.crt": value}}), TlsSecret)
        assert isinstance(parse_body(SECRETS, body | {"data": value}), TlsSecret)


# --- the others ---


@pytest.mark.parametrize("value", [*VALUES, "1e999999999", "250", 250, "2.5e2"])
def test_a_quotas_count_is_a_number_or_not_there(value: Any) -> None:
    key = "count/tvoxlinks.mcs.tvox.io"
    found = parse_body(RESOURCE_QUOTAS, {"status": {"hard": {key: value}, "used": value}})
    assert isinstance(found, Usage)
    assert all(isinstance(number, int) for number in found.hard.values())
    if value in ("250", 250, "2.5e2"):
        assert found.hard == {key: 250}


@pytest.mark.parametrize("part", ["metadata", "spec", "status", "containerStatuses", "conditions", "state"])
@pytest.mark.parametrize("value", VALUES)
def test_a_pod_is_a_pod_whatever_is_missing(part: str, value: Any) -> None:
    media = {"name": "media", "ready": "yes"} | ({"state": value} if part == "state" else {})
    status: Any = {"containerStatuses": [media]} | ({part: value} if part != "state" else {})
    body: Any = {"metadata": {"name": "mcs-0", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status}
    if part in ("metadata", "spec", "status"):
        body[part] = value
    found = parse_body(PODS, body)
    assert isinstance(found, Damaged) if part == "metadata" else found is not None


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_of_the_appliance_is_kept_only_from_a_secret_of_that_name(text: str) -> None:
    body = {"data": {"users-03.json": encoded(text), "users-x.yaml": "- name: anna"}}
    ours = {LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: "mcs"}
    assert set(read_shard(SECRETS, "mcs-users-03", ours, body)) <= {"users-03.json"}
    for name, labels in (("mcs-users-04", ours), ("list", ours), ("mcs-users-03", {}), ("other-users-03", ours)):
        assert read_shard(SECRETS, name, labels, body) == {}
    assert set(read_shard(CONFIG_MAPS, "mcs-links", ours, {"data": {"links.json": text, "x": "y"}})) <= {"links.json"}


# --- metadata and our own kinds ---

GOOD = {"name": "a", "namespace": "demo", "uid": "u", "resourceVersion": "1"}


@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("value", [*VALUES, "1.0", "-1", "9" * 21])
def test_an_object_has_a_name_a_uid_and_a_version_or_is_none(key: str, value: Any) -> None:
    found = tidy({"metadata": GOOD | {key: value}})
    assert found is None or found["metadata"][key] == value
    if key == "resourceVersion" and not (isinstance(value, str) and value.isascii() and value.isdigit()):
        assert found is None


@pytest.mark.parametrize("key", ["labels", "annotations", "ownerReferences", "deletionTimestamp", "creationTimestamp"])
@pytest.mark.parametrize("value", VALUES)
def test_the_rest_of_the_metadata_has_its_shape(key: str, value: Any) -> None:
    metadata = tidy({"metadata": GOOD | {key: value}})["metadata"]  # type: ignore[index]
    assert all(isinstance(v, str) for part in ("labels", "annotations") for v in metadata[part].values())
    assert all(isinstance(owner["uid"], str) for owner in metadata["ownerReferences"])
    assert isinstance(metadata.get("deletionTimestamp", ""), str)


@pytest.mark.parametrize("value", VALUES)
def test_what_is_no_object_is_none(value: Any) -> None:
    assert tidy(value) is None
    assert tidy({"metadata": value}) is None


@pytest.mark.parametrize("part", ["spec", "status"])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("kind", list(Kind))
def test_an_object_of_ours_has_a_spec_and_a_status_that_can_be_read(kind: Kind, part: str, value: Any) -> None:
    good = {Kind.INSTANCE: an_instance(), Kind.COMMUNITY: a_community(), Kind.LINK: a_link("acme")}[kind]
    stored = good | {"metadata": good["metadata"] | GOOD | {"creationTimestamp": "2026-01-01T00:00:00Z"}}
    for odd in (stored | {part: value}, *(stored | {part: good.get(part, {}) | {k: value}} for k in READ[part])):
        body = shaped(odd)
        assert isinstance(body["spec"], dict)
        assert all(isinstance(c["reason"], str) for c in body["status"].get("conditions", []))
        assert all(isinstance(n, int | str) for n in body["status"].get("users", {}).values())
        assert isinstance(body["spec"].get("vpn", {}), dict)
        found = read(kind, body)
        if part == "spec" and odd["spec"] is value:
            assert isinstance(found, Unreadable)
            assert found.problem


READ = {
    "spec": ("tls", "vpn", "instanceRef", "communityRef", "users", "usersFrom", "domain", "network", "nodeSelector"),
    "status": ("conditions", "links", "users", "bandwidth", "slot"),
}
"""What other readers than the models look at."""


def test_a_spec_that_its_readers_could_not_read_is_still_judged_as_it_is_stored() -> None:
    body = shaped(an_instance(tls="a string") | {"metadata": GOOD})
    assert "tls" not in body["spec"]
    found = read(Kind.INSTANCE, body)
    assert isinstance(found, Unreadable)
    assert "spec.tls" in found.problem
