"""The appliance's files: which user is in which, and back again when what they came from is broken."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from typing import Any

import pytest

from mcs_operator.api import Community, Function, ServiceState
from mcs_operator.api.usersfile import UsersFile
from mcs_operator.contract import shards
from mcs_operator.contract.digest import canonical
from mcs_operator.contract.shards import (
    ServedCertificate,
    ServedCommunity,
    ServedErasure,
    ServedLink,
    ServedLogin,
    ServedUser,
    certificates_files,
    certificates_in,
    checksum_manifest,
    checksum_manifest_instead,
    communities_file,
    communities_in,
    digest_of,
    links_file,
    links_in,
    logins_in,
    packed,
    served_certificate,
    too_large,
    users_files,
    users_in,
)
from mcs_operator.domain.rules.users import UsersPlan, serve
from support.worlds import community, users_file

TWO = (Function.AUDIO, Function.CHAT)
FROM_STAFF = {"usersFrom": [{"configMapRef": {"name": "staff"}}]}
FROM_BOTH = {"usersFrom": [{"configMapRef": {"name": "staff"}}, {"secretRef": {"name": "board"}}]}


def user(name: str, of: str = "acme", functions: tuple[Function, ...] = TWO) -> ServedUser:
    return ServedUser(of, name, name.title(), functions)


def certificate(domain: str) -> ServedCertificate:
    return ServedCertificate(domain, f"chain of {domain}", f"key of {domain}")


# --- there ---


def served_link(name: str, number: int, **other: Any) -> ServedLink:
    return ServedLink(name, number, f"{name}.mcs.test", f"198.18.254.{number}", "acme", True, **other)


def test_that_a_link_is_in_service_is_not_written_so_that_an_upgrade_writes_no_file() -> None:
    out = served_link("b", 18, service_state=ServiceState.OUT_OF_SERVICE)
    first, second = json.loads(links_file([served_link("a", 17), out])["links.json"])["links"]
    assert list(first) == ["address", "community", "domain", "enabled", "name", "number"]
    assert second == first | {
        "name": "b", "number": 18, "domain": "b.mcs.test", "address": "198.18.254.18", "serviceState": "OutOfService",
    }  # fmt: skip


@pytest.mark.parametrize("state", ServiceState)
def test_the_service_state_of_a_link_is_read_back(state: ServiceState) -> None:
    kept = served_link("a", 17, service_state=state)
    assert links_in(packed(links_file([kept]))) == [kept]


def test_a_service_state_that_nobody_knows_takes_nobody_out_of_service() -> None:
    broken = json.loads(links_file([served_link("a", 17)])["links.json"])
    broken["links"][0]["serviceState"] = ["odd"]
    assert links_in(packed({"links.json": json.dumps(broken)})) == [served_link("a", 17)]


def test_without_users_there_is_no_file() -> None:
    assert users_files([]) == {}
    assert certificates_files([]) == {}


def test_a_user_is_in_the_file_of_his_hash_as_the_contract_says() -> None:
    shard = int(hashlib.sha256(b"acme/alice").hexdigest()[:8], 16) % 16
    files = users_files([user("alice")])
    assert list(files) == [f"users-{shard:02d}.json"]
    listed = {"community": "acme", "name": "alice", "displayName": "Alice", "functions": ["Audio", "Chat"]}
    assert json.loads(files[f"users-{shard:02d}.json"]) == {"version": 1, "users": [listed]}


def test_a_certificate_is_in_the_file_of_its_domains_hash() -> None:
    shard = int(hashlib.sha256(b"acme.mcs.test").hexdigest()[:8], 16) % 8
    files = certificates_files([certificate("acme.mcs.test")])
    entry = {"domain": "acme.mcs.test", "certificate": "chain of acme.mcs.test", "key": "key of acme.mcs.test"}
    assert {name: json.loads(text) for name, text in files.items()} == {
        f"certs-{shard}.json": {"version": 1, "certificates": [entry]}
    }


def test_the_order_in_which_users_come_makes_no_difference() -> None:
    everybody = [user(f"u{n}", f"c{n % 3}") for n in range(100)]
    assert users_files(everybody) == users_files(reversed(everybody))


def test_ten_thousand_users_are_spread_over_sixteen_files_that_each_fit_a_secret() -> None:
    everybody = [user(f"user.{n:05d}@example.com", f"c{n % 250}", tuple(Function)) for n in range(10_000)]
    files = users_files(everybody)
    assert len(files) == 16
    assert all(re.fullmatch(r"users-(0\d|1[0-5])\.json", name) for name in files)
    assert max(len(text.encode()) for text in files.values()) < 256 * 1024
    sizes = Counter(len(json.loads(text)["users"]) for text in files.values())
    assert min(sizes) > 500
    assert sum(size * count for size, count in sizes.items()) == 10_000


def test_one_more_user_changes_one_file() -> None:
    before = users_files([user(f"u{n}") for n in range(1000)])
    after = users_files([user(f"u{n}") for n in range(1001)])
    assert len([name for name in after if after[name] != before[name]]) == 1


def test_a_renewed_certificate_changes_one_file() -> None:
    domains = [f"c{n}.mcs.test" for n in range(250)]
    before = certificates_files(certificate(d) for d in domains)
    renewed = ServedCertificate("c7.mcs.test", "new chain", "new key")
    after = certificates_files(renewed if domain == renewed.domain else certificate(domain) for domain in domains)
    assert len([name for name in after if after[name] != before[name]]) == 1


def shard_of(name: str) -> int:
    return int(hashlib.sha256(f"acme/{name}".encode()).hexdigest()[:8], 16) % 16


def long_user(number: int, name: str = "") -> ServedUser:
    """As many bytes as the schema allows."""
    return ServedUser("c" * 40, name or f"{number:0>64}", "\U0001f600" * 128, tuple(Function))


def sizes(files: dict[str, str]) -> list[int]:
    return [len(text.encode()) for text in files.values()]


def test_ten_thousand_users_with_the_longest_names_fit_also_where_all_of_them_meet_one_file() -> None:
    """A tenant chooses the names; a Secret that is too large is refused, and everybody's changes with it."""
    meet = (
        n for n in range(10**9) if int(hashlib.sha256(f"{'c' * 40}/{n:0>64}".encode()).hexdigest()[:8], 16) % 16 == 7
    )
    everybody = [long_user(next(meet)) for _ in range(10_000)]
    files = users_files(everybody)
    assert max(sizes(files)) <= 1024 * 1024
    assert sorted(users_in(packed(files))) == sorted(everybody)


def test_the_largest_certificates_of_an_instance_and_250_links_fit() -> None:
    line = "A" * 64 + "\n"
    largest = (line * 461)[:29_000]
    domains = [f"{n:0>240}.mcs.test" for n in range(251)]
    files = certificates_files(ServedCertificate(domain, largest, "k" * 1000) for domain in domains)
    assert max(sizes(files)) <= 1024 * 1024
    assert set(certificates_in(packed(files))) == set(domains)


def test_a_file_is_filled_to_its_last_byte_and_the_next_one_takes_what_is_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (text,) = users_files([user("alice")]).values()
    entry = len(text) - len('{"users":[],"version":1}')
    meet = (name for n in range(10**6) if shard_of(name := f"{n:05d}") == shard_of("00000"))
    three = [user(next(meet)) for _ in range(3)]
    monkeypatch.setattr(shards, "LARGEST_SHARD", 2 * (entry + 1))
    first = shard_of("00000")
    sizes = {name: len(json.loads(found)["users"]) for name, found in users_files(three).items()}
    assert sizes == {f"users-{first:02d}.json": 2, f"users-{(first + 1) % 16:02d}.json": 1}
    monkeypatch.setattr(shards, "LARGEST_SHARD", 2 * (entry + 1) - 1)
    assert len(users_files(three)) == 3


def test_a_certificate_that_the_appliance_would_not_take_is_left_out_and_the_others_are_there() -> None:
    edge = [
        ServedCertificate("a.test", "c" * 29_000, "k" * 1000),
        ServedCertificate("b.test", "c" * 29_001, "k" * 1000),
    ]
    assert set(certificates_in(packed(certificates_files(edge)))) == {"a.test"}


def test_a_user_whose_file_is_full_stays_where_he_is_when_another_one_changes() -> None:
    everybody = [long_user(n) for n in range(2000)]
    before, after = users_files(everybody), users_files([*everybody[:-1], everybody[-1]._replace(display_name="x")])
    assert len([name for name in after if after[name] != before[name]]) == 1


def test_every_file_is_of_version_1_and_as_canonical_as_ever() -> None:
    """The appliance takes no other version, and other bytes for the same users would be 16 writes at an update."""
    odd = ServedUser("acme", "zoë", 'Zo\u00eb "the \\ one" </script>\t', TWO)
    link = ServedLink("acme", 17, "acme.test", "198.18.254.17", "acme", True)
    files = (
        users_files([odd, user("alice")])
        | certificates_files([certificate("a.test")])
        | links_file([link])
        | communities_file([ServedCommunity("acme", "Acme", True)])
    )
    assert len(files) >= 4
    for text in files.values():
        assert json.loads(text)["version"] == 1
        assert text == canonical(json.loads(text))


# --- portals and passwords ---

ARGON = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
LONGEST_HASH = f"$argon2id$v=19$m=65536,t=4,p=4${'A' * 86}${'A' * 86}"


def login(name: str, of: str = "acme", hash: str = ARGON) -> ServedLogin:
    return ServedLogin(of, name, hash)


def test_a_community_without_a_portal_is_written_as_ever_so_that_an_upgrade_writes_no_file() -> None:
    with_portal = ServedCommunity("globex", "Globex", True, "meet.globex.test")
    file = communities_file([ServedCommunity("acme", "Acme", True), with_portal])
    acme, globex = json.loads(file["communities.json"])["communities"]
    assert acme == {"name": "acme", "displayName": "Acme", "enabled": True}
    assert globex == {"name": "globex", "displayName": "Globex", "enabled": True, "portalDomain": "meet.globex.test"}
    assert communities_in(packed(file)) == [ServedCommunity("acme", "Acme", True), with_portal]


@pytest.mark.parametrize("said", [5, None, ["a"], {}])
def test_a_portal_that_is_no_name_is_none(said: object) -> None:
    entry = {"name": "acme", "displayName": "Acme", "enabled": True, "portalDomain": said}
    damaged = packed({"communities.json": json.dumps({"communities": [entry]})})
    assert communities_in(damaged) == [ServedCommunity("acme", "Acme", True)]


def test_a_hash_is_in_the_file_beside_its_user_as_the_contract_says() -> None:
    files = users_files([user("alice")], [login("alice")])
    shard = shard_of("alice")
    assert list(files) == [f"users-{shard:02d}.json", f"logins-{shard:02d}.json"]
    assert json.loads(files[f"logins-{shard:02d}.json"]) == {
        "version": 1,
        "logins": [{"community": "acme", "name": "alice", "hash": ARGON}],
    }


def test_the_users_files_are_the_same_to_the_byte_whoever_has_a_password() -> None:
    everybody = [user(f"u{n}") for n in range(500)]
    before = users_files(everybody)
    after = users_files(everybody, [login(f"u{n}") for n in range(500)])
    assert {name: text for name, text in after.items() if name.startswith("users-")} == before
    assert users_files(everybody, []) == before


def test_whose_data_is_to_be_erased_stands_beside_the_logins_and_only_where_it_is_asked() -> None:
    asked = [ServedErasure("acme", "alice", "a" * 32), ServedErasure("acme", "gone", "b" * 32)]
    files = users_files([user("alice")], [login("alice")], asked)
    beside = json.loads(files[f"logins-{shard_of('alice'):02d}.json"])
    assert beside["erasures"] == [{"community": "acme", "name": "alice", "id": "a" * 32}]
    assert [entry["name"] for entry in beside["logins"]] == ["alice"]
    alone = json.loads(files[f"logins-{shard_of('gone'):02d}.json"])
    assert (alone["logins"], [entry["name"] for entry in alone["erasures"]]) == ([], ["gone"])
    assert users_files([user("alice")], [login("alice")], []) == users_files([user("alice")], [login("alice")])
    assert logins_in(packed(files)) == {("acme", "alice"): ARGON}
    assert "alice" not in repr(asked)


def test_another_password_changes_one_file() -> None:
    everybody = [user(f"u{n}") for n in range(500)]
    before = users_files(everybody, [login(f"u{n}") for n in range(500)])
    changed = [login(f"u{n}", hash=LONGEST_HASH if n == 7 else ARGON) for n in range(500)]
    after = users_files(everybody, changed)
    assert [name for name in after if after[name] != before[name]] == [f"logins-{shard_of('u7'):02d}.json"]


def test_ten_thousand_of_the_longest_users_and_hashes_fit_two_to_a_secret_wherever_they_meet() -> None:
    """A tenant chooses names and hashes; a Secret that is too large is refused, and everybody's changes with it."""
    meet = (
        n for n in range(10**9) if int(hashlib.sha256(f"{'c' * 40}/{n:0>64}".encode()).hexdigest()[:8], 16) % 16 == 7
    )
    everybody = [long_user(next(meet)) for _ in range(10_000)]
    logins = [ServedLogin(user.community, user.name, LONGEST_HASH) for user in everybody]
    files = users_files(everybody, logins)
    secrets: Counter[str] = Counter()
    for name, text in files.items():
        secrets[name.rpartition("-")[2]] += len(text.encode())
    assert len(secrets) <= 16
    assert max(secrets.values()) <= 1024 * 1024
    assert sorted(users_in(packed(files))) == sorted(everybody)
    assert logins_in(packed(files)) == {(user.community, user.name): LONGEST_HASH for user in everybody}


def test_where_there_is_no_room_the_users_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = [user(f"u{n}") for n in range(40)]
    size = sum(len(text) for text in users_files(everybody).values())
    monkeypatch.setattr(shards, "LARGEST_SHARD", size // 16)
    files = users_files(everybody, [login(f"u{n}") for n in range(40)])
    assert {n: t for n, t in files.items() if n.startswith("users-")} == users_files(everybody)


def test_hashes_are_read_back_and_what_is_none_is_left_out() -> None:
    files = packed(users_files([user("alice")], [login("alice"), login("bob", "globex")]))
    assert logins_in(files) == {("acme", "alice"): ARGON, ("globex", "bob"): ARGON}
    for entry in ({"community": "a", "name": "b", "hash": "plain"}, {"community": "a", "name": "b"}, 5, None):
        assert logins_in(packed({"logins-00.json": json.dumps({"logins": [entry]})})) == {}
    assert logins_in({"logins-00.json": b"not packed"}) == {}


def test_a_hash_is_in_no_text_about_its_login() -> None:
    assert "argon" not in repr(login("alice"))
    assert "alice" not in repr(login("alice"))


def test_the_certificates_of_portals_take_no_room_from_those_of_links() -> None:
    line = "A" * 64 + "\n"
    largest = (line * 461)[:29_000]
    domains = [f"{n:0>240}.mcs.test" for n in range(251)]
    of_links = [ServedCertificate(domain, largest, "k" * 1000) for domain in domains]
    alone = set(certificates_in(packed(certificates_files(of_links))))
    portals = [ServedCertificate(f"a{domain[2:]}", largest, "k" * 1000) for domain in domains]
    files = certificates_files(of_links, portals)
    assert alone <= set(certificates_in(packed(files)))
    assert max(sizes(files)) <= 1024 * 1024


def test_the_certificate_of_a_portal_is_one_of_the_others() -> None:
    together = certificates_files([certificate("a.test")], [certificate("meet.a.test")])
    assert set(certificates_in(packed(together))) == {"a.test", "meet.a.test"}
    assert certificates_files([certificate("a.test")], []) == certificates_files([certificate("a.test")])


def test_a_key_is_in_no_text_about_its_certificate() -> None:
    assert "key of" not in repr(certificate("a.test"))


# --- the manifest ---


def test_the_checksum_manifest_lists_another_content_or_none_of_what_could_not_be_written() -> None:
    wanted = checksum_manifest({"users-03.json": "new", "users-04.json": "new", "links.json": "new"})
    assert json.loads(wanted) == {
        "version": 1,
        "files": {"users-03.json": "new", "users-04.json": "new", "links.json": "new"},
    }
    instead = checksum_manifest_instead(wanted, {"users-03.json": "old", "users-04.json": None})
    assert instead == checksum_manifest({"users-03.json": "old", "links.json": "new"})


def test_the_digest_of_a_packed_file_is_the_files() -> None:
    blob = packed({"x": "zoë"})["x"]
    assert digest_of(blob) == hashlib.sha256("zoë".encode()).hexdigest()
    assert digest_of(b"not packed") is None


# --- PEM ---

CHAIN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN EC PRIVATE KEY-----\nBBBB\n-----END EC PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("chain", "key"),
    [
        pytest.param(CHAIN, KEY, id="as it should be"),
        pytest.param(f"Bag Attributes\n  friendlyName: x\n{CHAIN}garbage", f"# mine\n{KEY}", id="with text around"),
        pytest.param(CHAIN.replace("AAAA", "A\nA\n\nAA"), KEY.replace("\n", "\r\n"), id="in other lines"),
        pytest.param(
            CHAIN + KEY,
            f"-----BEGIN EC PARAMETERS-----\nCC\n-----END EC PARAMETERS-----\n{KEY}{KEY}",
            id="with more in it",
        ),
    ],
)
def test_a_certificate_is_reduced_to_its_blocks(chain: str, key: str) -> None:
    assert served_certificate("a.test", chain, key) == ServedCertificate("a.test", CHAIN, KEY)


def test_a_chain_that_is_as_tools_write_it_stays_byte_for_byte() -> None:
    text = "".join(
        f"-----BEGIN CERTIFICATE-----\n{'A' * 64}\n{'B' * 64}\nCC==\n-----END CERTIFICATE-----\n" for _ in range(3)
    )
    assert served_certificate("a.test", text, KEY).chain == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN CERTIFICATE-----\n" * 37_000,
        f"{CHAIN}x" * 16_000,
        "-----BEGIN A-----\n-----END B-----\n" * 29_000,
    ],
    ids=["nothing", "begins", "no line ends", "ends that fit no begin"],
)
def test_a_megabyte_of_anything_is_gone_through_once(text: str) -> None:
    begun = time.process_time()
    served_certificate("a.test", text, text)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(("size", "wrong"), [(29_940, False), (40_000, True)])
def test_what_is_too_large_is_told_and_what_stands_around_does_not_count(size: int, wrong: bool) -> None:
    block = f"-----BEGIN CERTIFICATE-----\n{'A' * 64}\n-----END CERTIFICATE-----\n"
    chain = block * (size // len(block))
    assert bool(too_large(chain + "#" * 50_000, "")) is wrong
    if wrong:
        assert "and may have 30000" in too_large(chain, "")


@pytest.mark.parametrize(("size", "wrong"), [(29_000, False), (29_900, True)])
def test_chain_and_key_count_together(size: int, wrong: bool) -> None:
    frame = len("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n")
    body = "\n".join(["A" * 64] * ((size - frame) // 65))
    chain = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    key = f"-----BEGIN PRIVATE KEY-----\n{'B' * 64}\n{'B' * 64}\n-----END PRIVATE KEY-----\n"
    assert max(len(chain), len(key)) < 30_000
    assert bool(too_large(chain, key)) is wrong


@pytest.mark.parametrize(("more", "wrong"), [(0, False), (1, True)])
def test_what_the_appliance_gets_may_have_30000_bytes_and_no_more(more: int, wrong: bool) -> None:
    frame = len("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n")
    lines, rest = divmod(30_000 - frame + 1 + more, 65)
    body = "\n".join([*["A" * 64] * lines, *(["A" * (rest - 1)] if rest > 1 else [])])
    chain = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    assert (len(chain), served_certificate("a.test", chain, "").chain) == (30_000 + more, chain)
    for around in ("", "#" * 9):
        assert (too_large(chain + around, "") != "") is wrong


# --- and back ---


def test_what_is_written_is_read_back() -> None:
    everybody = [user("alice"), user("bob", "beta", ()), user("zoë", functions=tuple(Function))]
    found = users_in(packed(users_files(everybody)))
    assert sorted(found, key=lambda u: u.name) == everybody
    known = certificates_in(packed(certificates_files([certificate("a.test"), certificate("b.test")])))
    assert known == {"a.test": certificate("a.test"), "b.test": certificate("b.test")}


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '{"users": 7}',
        '{"users": null}',
        '{"users": [7]}',
        '{"users": [{}]}',
        '{"users": [{"community": "acme", "name": "x"}]}',
        '{"users": [{"community": "acme", "name": ["x"], "displayName": "X"}]}',
        '{"users": [{"community": "acme", "name": "x", "displayName": "X", "functions": 7}]}',
        "[" * 20_000,
        '{"users": ' + "[" * 20_000,
        '{"users": {"community": 1e999}}',
    ],
)
def test_a_damaged_file_is_left_out_and_the_others_are_read(damaged: str) -> None:
    """Somebody edited the shard's Secret: a reconciliation that fails on it would never write it anew."""
    files = packed(users_files([user("alice")]) | {"users-99.json": damaged})
    assert users_in(files) == [user("alice")]


def test_a_user_who_was_copied_into_another_file_is_one_user() -> None:
    (text,) = users_files([user("alice")]).values()
    assert users_in(packed({"users-00.json": text, "users-01.json": text})) == [user("alice")]


LINKS = [
    ServedLink("acme", 17, "acme.test", "198.18.254.17", "staff", True),
    ServedLink("bolt", 18, "bolt.test", "198.18.254.18", "", False),
]
COMMUNITIES = [ServedCommunity("board", "The board", False), ServedCommunity("staff", "Zoë's", True)]


def test_links_and_communities_are_written_in_order_and_read_back() -> None:
    links, communities = links_file(reversed(LINKS)), communities_file(reversed(COMMUNITIES))
    assert json.loads(links["links.json"]) == {
        "version": 1,
        "links": [
            {"name": "acme", "number": 17, "domain": "acme.test", "address": "198.18.254.17"}
            | {"community": "staff", "enabled": True},
            {"name": "bolt", "number": 18, "domain": "bolt.test", "address": "198.18.254.18"}
            | {"community": "", "enabled": False},
        ],
    }
    assert json.loads(communities["communities.json"]) == {
        "version": 1,
        "communities": [
            {"name": "board", "displayName": "The board", "enabled": False},
            {"name": "staff", "displayName": "Zoë's", "enabled": True},
        ],
    }
    assert links_in(packed(links | communities)) == LINKS
    assert communities_in(packed(links | communities)) == COMMUNITIES


@pytest.mark.parametrize("key", ["name", "number", "domain", "address", "community", "enabled"])
def test_a_file_of_links_with_one_that_cannot_be_read_is_left_out(key: str) -> None:
    (good, other) = json.loads(links_file(LINKS)["links.json"])["links"]
    lacking = {name: value for name, value in good.items() if name != key}
    for odd in (lacking, *([] if key == "enabled" else [good | {key: ["x"]}])):
        files = {"a": json.dumps({"links": [other, odd]}), "b": json.dumps({"links": [other]})}
        assert links_in(packed(files)) == [LINKS[1]]


@pytest.mark.parametrize("key", ["name", "displayName", "enabled"])
def test_a_file_of_communities_with_one_that_cannot_be_read_is_left_out(key: str) -> None:
    (good, other) = json.loads(communities_file(COMMUNITIES)["communities.json"])["communities"]
    lacking = {name: value for name, value in good.items() if name != key}
    for odd in (lacking, *([] if key == "enabled" else [good | {key: 7}])):
        files = {"a": json.dumps({"communities": [good, odd]}), "b": json.dumps({"communities": [other]})}
        assert communities_in(packed(files)) == [COMMUNITIES[1]]


def test_a_file_without_entries_has_none() -> None:
    for read in (links_in, communities_in, users_in, certificates_in):
        assert not read(packed({"a": "{}", "b": '{"links": null, "users": null}'}))


def test_of_files_a_packed_copy_is_small() -> None:
    text = "one line of it\n" * 1000
    assert len(packed({"a": text})["a"]) < len(text) / 50


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"certificates": 7}', '{"certificates": [{"domain": "x"}]}'])
def test_a_damaged_file_of_certificates_is_left_out(damaged: str) -> None:
    files = packed(certificates_files([certificate("a.test")]) | {"certs-9.json": damaged})
    assert certificates_in(files) == {"a.test": certificate("a.test")}


def test_what_is_no_packed_file_is_left_out() -> None:
    assert users_in({"users-00.json": b"not packed"}) == []


# --- the last good users ---


def served(subject: Community, *files: UsersFile, before: UsersPlan | None = None, capacity: int = 1000) -> UsersPlan:
    shards = packed(users_files(before.users)) if before else {}
    return serve([subject], {(f.kind, f.name): f for f in files}, capacity, shards)


def names(plan: UsersPlan) -> list[str]:
    return sorted(user.name for user in plan.users)


GOOD = users_file("staff", "[{name: ann}, {name: bob, functions: [Video]}]")


def test_a_file_that_breaks_keeps_those_who_were_served_from_it_with_their_functions() -> None:
    before = served(community(users=("zoe",), **FROM_STAFF), GOOD)
    after = served(community(users=("zoe",), **FROM_STAFF), users_file("staff", "[{name: ann},"), before=before)
    assert sorted(after.users, key=lambda u: u.name) == sorted(before.users, key=lambda u: u.name)


def test_a_file_that_goes_keeps_those_who_were_served_from_it() -> None:
    before = served(community(**FROM_STAFF), GOOD)
    assert names(served(community(**FROM_STAFF), before=before)) == ["ann", "bob"]


def test_a_file_that_is_no_longer_named_keeps_nobody() -> None:
    before = served(community(**FROM_STAFF), GOOD)
    assert names(served(community(), before=before)) == []


def test_what_is_declared_now_goes_before_what_was_served_before() -> None:
    before = served(community(**FROM_STAFF), GOOD)
    now = served(community(users=[{"name": "bob", "displayName": "Robert"}], **FROM_STAFF), before=before)
    assert {u.name: u.display_name for u in now.users} == {"bob": "Robert", "ann": "ann"}


def test_who_is_switched_off_inline_is_off_while_a_file_is_broken() -> None:
    before = served(community(users=("zoe",), **FROM_STAFF), GOOD)
    off = community(users=[{"name": "zoe", "enabled": False}], **FROM_STAFF)
    assert names(served(off, users_file("staff", "{"), before=before)) == ["ann", "bob"]


def test_who_is_switched_off_in_a_good_file_is_off_while_another_is_broken() -> None:
    board = users_file("board", "[{name: eve}]", "Secret")
    before = served(community(**FROM_BOTH), GOOD, board)
    off = users_file("staff", "[{name: ann, enabled: false}, {name: bob}]")
    now = served(community(**FROM_BOTH), off, users_file("board", "{", "Secret"), before=before)
    assert names(now) == ["bob", "eve"]


def test_a_name_that_is_there_twice_brings_back_nobody_who_was_removed() -> None:
    before = served(community(users=("ann", "gone")))
    now = served(community(users=("ann",), **FROM_STAFF), users_file("staff", "[{name: ann}]"), before=before)
    assert names(now) == ["ann"]


def test_a_broken_file_brings_back_nobody_of_another_community() -> None:
    both = serve(
        [community(**FROM_STAFF), community("beta", users=("ann", "carl"))],
        {("ConfigMap", "staff"): GOOD},
        1000,
        {},
    )
    now = served(community(**FROM_STAFF), users_file("staff", "{"), before=both)
    assert {(u.community, u.name) for u in now.users} == {("acme", "ann"), ("acme", "bob")}


def test_a_community_that_is_switched_off_serves_nobody_whatever_its_files_say() -> None:
    before = served(community(**FROM_STAFF), GOOD)
    assert names(served(community(enabled=False, **FROM_STAFF), users_file("staff", "{"), before=before)) == []


def test_the_last_good_users_count_against_the_tier() -> None:
    before = served(community(**FROM_STAFF), GOOD)
    now = served(community(users=("zoe",), **FROM_STAFF), users_file("staff", "{"), before=before, capacity=2)
    assert len(now.users) == 2
    assert now.by_community["acme"].beyond == 1
