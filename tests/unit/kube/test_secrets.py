"""Secrets of ours, whole: every field that is read, every sentence that is said of a damaged one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from mcs_operator.contract.openvpn import Where
from mcs_operator.contract.shards import packed
from mcs_operator.contract.slotfiles import SLOT_FILES, slot_revision
from mcs_operator.domain.facts.keys import AcmeAccount, Authority, KeyPair
from mcs_operator.domain.facts.world import (
    AgentCredentials,
    Damaged,
    DamagedProfile,
    Fingerprint,
    Profile,
    SlotSecret,
    TlsSecret,
)
from mcs_operator.kube.parse import parse_body
from mcs_operator.kube.parse.names import Place, Role, place_of_name
from mcs_operator.kube.parse.shard import read_shard
from mcs_operator.kube.resources import CONFIG_MAPS, LINKS, PODS, SECRETS
from mcs_operator.settings import (
    LABEL_INSTANCE,
    LABEL_LINK,
    LABEL_MANAGED_BY,
    LABEL_SLOT,
    OPERATOR,
    certificate_secret,
)
from support.hostile import encoded
from support.worlds import pin

OURS = {LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: "mcs"}
TIMES = {name: f"2026-01-0{day}T00:00:00Z" for day, name in enumerate(("created", "deadline", "seen", "revoked"), 2)}
TOLD = [{"sha256": pin("acme"), "notAfter": "2026-01-01T00:00:00Z"} | TIMES, {"sha256": pin("bolt")}]
READ = (
    Fingerprint(pin("acme"), *(datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 6))),
    Fingerprint(pin("bolt"), None),
)


def secret(
    name: str, files: Mapping[str, str], labels: Mapping[str, Any] = OURS, type: str = "Opaque", **metadata: Any
) -> Any:
    data = {file: encoded(text) for file, text in files.items()}
    return parse_body(SECRETS, {"metadata": {"name": name, "labels": labels} | metadata, "type": type, "data": data})


# --- what an instance has ---


def test_a_ca_and_an_agents_credentials_are_read_whole() -> None:
    assert secret("mcs-ca", {"ca.crt": "c", "ca.key": "k", "x": "y"}) == Authority("c", "k")
    agent = {"tls.crt": "c", "tls.key": "k", "token": "t"}
    assert secret("mcs-agent", agent) == AgentCredentials(KeyPair("c", "k"), "t")
    assert secret("mcs-agent", agent, type="") == AgentCredentials(KeyPair("c", "k"), "t")


def test_what_a_damaged_one_lacks_is_listed() -> None:
    lacks = "missing, too long or no text"
    assert secret("mcs-ca", {}) == Damaged("Secret", "mcs-ca", f"cannot be read: ca.crt and ca.key {lacks}")
    found = secret("mcs-agent", {"tls.key": "k"})
    assert found == Damaged("Secret", "mcs-agent", f"cannot be read: tls.crt and token {lacks}")


def test_what_says_that_it_is_ours_and_is_not_is_foreign_and_told() -> None:
    stranger = "has the operator's label and is not the operator's"
    assert secret("list", {}) == Damaged("Secret", "list", stranger, foreign=True)
    copied = f"has label {LABEL_INSTANCE}=other; if it is the operator's, set {LABEL_INSTANCE}=mcs"
    found = secret("mcs-ca", {}, OURS | {LABEL_INSTANCE: "other"})
    assert found == Damaged("Secret", "mcs-ca", copied, foreign=True)
    kind = f"has type {'x' * 64}, and the operator's are of type Opaque"
    assert secret("mcs-ca", {}, type="x" * 65) == Damaged("Secret", "mcs-ca", kind, foreign=True)


@pytest.mark.parametrize("name", ["mcs-metrics", "mcs-users-03", "mcs-certs-1"])
def test_what_nobody_reads_is_not_read(name: str) -> None:
    assert secret(name, {"token": "t"}) is None


def test_without_our_label_it_is_nobodys_whatever_its_name() -> None:
    assert secret("mcs-ca", {"ca.crt": "c", "ca.key": "k"}, {LABEL_INSTANCE: "mcs"}) is None
    assert secret("list", {}, OURS | {LABEL_MANAGED_BY: 7}) is None


def test_an_object_that_is_only_compared_is_not_read() -> None:
    assert parse_body(CONFIG_MAPS, {"metadata": {"name": "mcs-links"}}) is None


# --- certificates that are ordered ---


def test_an_account_is_read_by_its_exact_name_and_its_labels() -> None:
    assert secret("mcs-acme-account", {"tls.key": "k", "x": "y"}) == AcmeAccount("k")
    assert secret("mcs-acme-account", {"tls.key": "k"}, {}) is None
    wrong = secret("mcs-acme-account", {"x": "y"})
    assert wrong == Damaged("Secret", "mcs-acme-account", "cannot be read: tls.key missing, too long or no text")


def test_what_was_issued_is_read_as_a_certificate_with_the_time_of_its_first_order() -> None:
    name, files = certificate_secret("mcs", "acme.mcs.test"), {"tls.crt": "c", "tls.key": "k"}
    found = secret(name, files, type="kubernetes.io/tls", creationTimestamp="2026-01-02T00:00:00Z")
    assert found == TlsSecret(name, "c", "k", datetime(2026, 1, 2, tzinfo=UTC))
    assert secret(name, files, type="kubernetes.io/tls", creationTimestamp="yesterday") == TlsSecret(name, "c", "k")
    assert place_of_name(SECRETS, name) == Place(Role.CERTIFICATE, "mcs")


def test_a_secret_of_another_type_with_the_name_of_one_is_damaged() -> None:
    name = certificate_secret("mcs", "acme.mcs.test")
    wrong = "has type Opaque, and certificates that are ordered are of type kubernetes.io/tls"
    assert secret(name, {"tls.crt": "c", "tls.key": "k"}) == Damaged("Secret", name, wrong)


# --- certificates that ours name ---


def test_a_certificate_is_read_whatever_bytes_it_has_and_cut_below_64_kib() -> None:
    data = {"tls.crt": encoded("x" * 70_000), "tls.key": base64.b64encode(b"k\xff").decode()}
    body = {"metadata": {"name": "tls"}, "type": "kubernetes.io/tls", "data": data}
    assert parse_body(SECRETS, body) == TlsSecret("tls", "x" * 65_535, "k\ufffd")
    assert parse_body(SECRETS, body | {"data": {"tls.crt": "YQ", "tls.key": 7}}) == TlsSecret("tls", "", "")


# --- slots ---

SLOT = OURS | {LABEL_LINK: "acme", LABEL_SLOT: "017"}
CONF = f"port 1211\nifconfig 10.8.0.1 10.8.0.17\n<peer-fingerprint>\n{pin('carl')}\n</peer-fingerprint>\n"
FILES = dict.fromkeys(SLOT_FILES, "x") | {
    **{"server.conf": CONF, "tls.crt": "c", "tls.key": "k", "tls-crypt.key": "t", "ca.crt": "a"},
    **{"revision": "r1", "fingerprints.json": json.dumps(TOLD)},
}


def a_slot(**files: str | None) -> Any:
    given = FILES | {name.replace("__", "-").replace("_", "."): text for name, text in files.items()}
    return secret("mcs-link-017", {name: text for name, text in given.items() if text is not None}, SLOT)


def test_of_a_slot_is_read_what_decisions_need() -> None:
    expected = SlotSecret(
        number=17,
        instance="mcs",
        link="acme",
        owner_uid="",
        revision="r1",
        content=slot_revision(FILES),
        server=KeyPair("c", "k"),
        tls_crypt="t",
        ca="a",
        fingerprints=READ,
        where=Where(1194, "10.8.0.0/24"),
    )
    assert a_slot() == expected


def test_an_empty_slot_holds_its_number_and_nothing_else() -> None:
    owner = {"apiVersion": "v1", "kind": "TVoxLink", "name": "acme", "uid": "u7"}
    found = secret("mcs-link-017", {}, SLOT, ownerReferences=[owner, owner | {"uid": "u8"}])
    assert found == SlotSecret(17, "mcs", "acme", "u7", "", "", None, None, None, (), None)


@pytest.mark.parametrize("file", SLOT_FILES)
def test_a_slot_that_lacks_a_file_has_no_content_that_counts(file: str) -> None:
    found = secret("mcs-link-017", {name: text for name, text in FILES.items() if name != file}, SLOT)
    assert isinstance(found, SlotSecret)
    assert found.content == ""
    assert (found.server is None) == (file in ("tls.crt", "tls.key"))


@pytest.mark.parametrize("told", ["{}", "[7]", json.dumps(TOLD[1:] * 33), json.dumps([{"sha256": "AA"}]), None, "[]"])
def test_where_a_slots_list_tells_nothing_what_it_accepts_counts(told: str | None) -> None:
    assert a_slot(fingerprints_json=told).fingerprints == (Fingerprint(pin("carl"), None),)


def test_of_the_pins_of_a_damaged_slot_32_are_taken() -> None:
    pins = [pin(str(number)) for number in range(33)]
    conf = "\n".join(["<peer-fingerprint>", *pins, "</peer-fingerprint>"])
    found = a_slot(fingerprints_json=None, server_conf=conf).fingerprints
    assert found == tuple(Fingerprint(one, None) for one in pins[:32])


def test_a_slot_without_a_link_is_told_how_to_get_it_back_and_blocks_its_number() -> None:
    why = f"lacks label {LABEL_LINK}; if it is the operator's, set it to the name of its TVoxLink"
    found = secret("mcs-link-017", FILES, OURS | {LABEL_SLOT: "017"})
    assert found == Damaged("Secret", "mcs-link-017", why, foreign=True, slot=("mcs", 17))
    why = f"lacks label {LABEL_SLOT}; if it is the operator's, set {LABEL_SLOT}=017"
    found = secret("mcs-link-017", FILES, OURS | {LABEL_LINK: "acme"})
    assert found == Damaged("Secret", "mcs-link-017", why, foreign=True, slot=("mcs", 17))


# --- profiles ---

LINK = OURS | {LABEL_LINK: "acme"}
OVPN = "# TVox MCS: VPN profile of link 17, 10.8.0.17.\nremote vpn.example.com 1211\n"
IDENTITY: dict[str, Any] = {"link": "acme", "instance": "mcs", "slot": 17, "created": "2026-01-01T00:00:00Z"} | {
    "released": "2026-01-02T00:00:00Z",
    "fingerprints": TOLD,
}
PROFILE = {"tls.crt": "c", "tls.key": "k", "tls-crypt.key": "t", "acme.ovpn": OVPN}


def a_profile(
    told: Mapping[str, Any] | None = IDENTITY, labels: Any = LINK, lost: tuple[str, ...] = (), **more: Any
) -> Any:
    files = PROFILE | ({} if told is None else {"identity.json": json.dumps(told)}) | more.pop("files", {})
    return secret("acme-profile", {name: text for name, text in files.items() if name not in lost}, labels, **more)


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in IDENTITY.items() if key not in keys}


def test_of_a_profile_is_read_what_decisions_need() -> None:
    assert a_profile() == Profile(
        link="acme",
        instance="mcs",
        number=17,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        released=datetime(2026, 1, 2, tzinfo=UTC),
        fingerprints=READ,
        client=KeyPair("c", "k"),
        tls_crypt="t",
        named=True,
        where=Where(1194, "10.8.0.0/24", "vpn.example.com"),
    )


@pytest.mark.parametrize("lost", ["link", "instance"])
def test_a_profile_that_tells_only_one_of_its_names_is_not_named(lost: str) -> None:
    assert a_profile(without(lost)).named is False


def test_a_profile_without_its_ovpn_does_not_tell_where_it_dials() -> None:
    found = a_profile(without("released"), lost=("acme.ovpn",))
    assert (found.where, found.released) == (None, None)


@pytest.mark.parametrize("number", [2, 251])
def test_a_profile_has_one_of_250_numbers(number: int) -> None:
    assert a_profile(IDENTITY | {"slot": number}).number == number


@pytest.mark.parametrize(
    ("told", "number", "why"),
    [
        (IDENTITY | {"slot": 1}, None, "identity.json has a slot that is not 2 to 251"),
        (without("slot"), None, "identity.json has a slot that is not 2 to 251"),
        (without("created"), 17, "identity.json has no created"),
        (without("fingerprints"), 17, "identity.json has no fingerprints"),
        (IDENTITY | {"fingerprints": {}}, 17, "identity.json lists no fingerprints, or more than 32"),
        (IDENTITY | {"fingerprints": [7]}, 17, "identity.json lists no fingerprints, or more than 32"),
        (IDENTITY | {"fingerprints": [{}]}, 17, "identity.json has a fingerprint that is none"),
        (IDENTITY | {"released": "soon"}, 17, "identity.json has a time that is none"),
    ],
)
def test_what_cannot_be_read_of_an_identity_is_said(told: Any, number: int | None, why: str) -> None:
    assert a_profile(told) == DamagedProfile("acme", "mcs", number, f"cannot be read: {why}")


def test_files_that_a_profile_lacks_are_listed_before_anything_else() -> None:
    lacks = "missing, too long or no text"
    found = a_profile(lost=("tls.crt", "tls.key"))
    assert found == DamagedProfile("acme", "mcs", 17, f"cannot be read: tls.crt and tls.key {lacks}")
    found = a_profile(None, lost=("tls-crypt.key",))
    assert found == DamagedProfile("acme", "mcs", None, f"cannot be read: identity.json and tls-crypt.key {lacks}")
    found = a_profile(None, files={"identity.json": "no JSON"})
    assert found == DamagedProfile("acme", "mcs", None, "cannot be read: identity.json is not JSON")


def test_a_copy_is_known_by_its_content_and_else_by_the_name_of_its_ovpn() -> None:
    copied = DamagedProfile("acme", "", None, "is a copy of Secret bolt-profile")
    assert a_profile(IDENTITY | {"link": "bolt"}) == copied
    assert a_profile(without("link"), lost=("acme.ovpn",), files={"bolt.ovpn": ""}) == copied
    assert isinstance(a_profile(without("link"), files={"bolt.ovpn": ""}), Profile), "of two files neither tells"


def test_who_tells_nothing_is_believed_by_its_label() -> None:
    labelled = "is labelled as TVoxLink bolt's and is not named so"
    found = a_profile(None, LINK | {LABEL_LINK: "bolt"}, lost=("acme.ovpn",))
    assert found == DamagedProfile("acme", "", None, labelled)
    found = a_profile(None, OURS, lost=("acme.ovpn",))
    why = f"lacks label {LABEL_LINK}; if it is the operator's, set {LABEL_LINK}=acme"
    assert found == DamagedProfile("acme", "mcs", None, why)


def test_a_lost_label_is_told_with_the_value_that_it_had() -> None:
    lacks = f"lacks label {LABEL_INSTANCE}; if it is the operator's, set {LABEL_INSTANCE}="
    labels = {LABEL_MANAGED_BY: OPERATOR, LABEL_LINK: "acme"}
    assert a_profile(IDENTITY, labels) == DamagedProfile("acme", "mcs", 17, f"{lacks}mcs")
    found = a_profile(without("instance"), labels)
    assert found == DamagedProfile("acme", "", 17, f"{lacks}<the instance's name>")
    has = f"has label {LABEL_INSTANCE}=other; if it is the operator's, set {LABEL_INSTANCE}=mcs"
    assert a_profile(IDENTITY, LINK | {LABEL_INSTANCE: "other"}) == DamagedProfile("acme", "mcs", 17, has)


# --- names ---


@pytest.mark.parametrize(
    ("resource", "name", "place"),
    [
        (SECRETS, "mcs-agent", Place(Role.AGENT, "mcs", 0)),
        (SECRETS, "mcs-metrics", Place(Role.METRICS, "mcs", 0)),
        (SECRETS, "mcs-ca", Place(Role.AUTHORITY, "mcs", 0)),
        (SECRETS, "mcs-certs-1", Place(Role.SHARD, "mcs", 0)),
        (SECRETS, "mcs-certs-12", None),
        (SECRETS, "mcs-users-3", None),
        (SECRETS, "mcs-manifest", None),
        (CONFIG_MAPS, "mcs-links", Place(Role.SHARD, "mcs", 0)),
        (CONFIG_MAPS, "mcs-manifest", Place(Role.SHARD, "mcs", 0)),
        (CONFIG_MAPS, "-links", None),
        (CONFIG_MAPS, "mcs-ca", None),
        (CONFIG_MAPS, "mcs-link-017", None),
        (PODS, "mcs-ca", None),
        (LINKS, "mcs-links", None),
    ],
)
def test_a_name_is_known_by_its_kind(resource: Any, name: str, place: Place | None) -> None:
    assert place_of_name(resource, name) == place


# --- files of the appliance ---

MIB = 1024 * 1024


def test_files_of_the_appliance_are_kept_from_its_secrets_and_configmaps() -> None:
    data = {"users-03.json": encoded('["è"]'), "users-04.json": encoded("[]")}
    assert read_shard(SECRETS, "mcs-users-03", OURS, {"data": data}) == packed({"users-03.json": '["è"]'})
    both = {"users-03.json": encoded("{}"), "logins-03.json": encoded("[]"), "logins-04.json": encoded("[]")}
    assert read_shard(SECRETS, "mcs-users-03", OURS, {"data": both}) == packed(
        {"users-03.json": "{}", "logins-03.json": "[]"}
    )
    assert read_shard(SECRETS, "mcs-certs-3", OURS, {"data": both}) == {}
    data = {"links.json": "[]", "communities.json": "{}", "manifest.json": "{}", "users-03.json": "[]"}
    files = {"links.json": "[]", "communities.json": "{}"}
    assert read_shard(CONFIG_MAPS, "mcs-links", OURS, {"data": data}) == packed(files)
    assert read_shard(CONFIG_MAPS, "mcs-links", OURS, {"data": data | {"links.json": 7}}) == packed(
        {"communities.json": "{}"}
    )


@pytest.mark.parametrize("content", [base64.b64encode(b"\xff").decode(), "[]x", 7, None])
def test_an_entry_of_a_secret_that_is_no_text_is_left_out_and_not_taken_as_it_is_stored(content: Any) -> None:
    assert read_shard(SECRETS, "mcs-users-03", OURS, {"data": {"users-03.json": content}}) == {}


@pytest.mark.parametrize("name", ["mcs-ca", "mcs-link-017", "acme-profile", "users-03", "list"])
def test_what_is_no_shard_has_no_files(name: str) -> None:
    assert read_shard(SECRETS, name, OURS, {"data": {f"{name}.json": encoded("[]")}}) == {}


@pytest.mark.parametrize(
    "labels", [{LABEL_MANAGED_BY: OPERATOR}, {LABEL_INSTANCE: "mcs"}, OURS | {LABEL_INSTANCE: "x"}]
)
def test_a_shard_has_both_labels(labels: dict[str, str]) -> None:
    assert read_shard(CONFIG_MAPS, "mcs-links", labels, {"data": {"links.json": "[]"}}) == {}


def test_a_file_of_the_appliance_has_a_mebibyte_at_most() -> None:
    def kept(resource: Any, name: str, file: str, content: str) -> bool:
        return set(read_shard(resource, name, OURS, {"data": {file: content}})) == {file}

    assert kept(CONFIG_MAPS, "mcs-links", "links.json", "x" * MIB)
    assert not kept(CONFIG_MAPS, "mcs-links", "links.json", "x" * (MIB + 1))
    assert kept(SECRETS, "mcs-users-03", "users-03.json", encoded("x" * MIB))
    assert not kept(SECRETS, "mcs-users-03", "users-03.json", encoded("x" * (MIB + 1)))


@pytest.mark.parametrize("content", ['"\\ud800"', "[" * 17])
def test_a_file_that_whoever_reads_it_would_fail_at_is_left_out(content: str) -> None:
    data = {"data": {"links.json": content, "communities.json": "{}"}}
    assert set(read_shard(CONFIG_MAPS, "mcs-links", OURS, data)) == {"communities.json"}
