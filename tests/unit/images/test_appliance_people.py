"""Communities with a portal, their users and logins, as they are read; and the parts that are told of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from unit.images.appliance_set import DOMAIN, MountedSet, config, handover, haproxy, link, media, parts, people, talk

MEET = "meet.acme.example.com"


@pytest.fixture
def mounted(tmp_path: Path) -> MountedSet:
    return MountedSet(tmp_path)


def community(name: str = "acme", **changes: Any) -> dict[str, Any]:
    return {"name": name, "displayName": name.title(), "enabled": True, "portalDomain": MEET, **changes}


def read(mounted: MountedSet, previous: config.ConfigSet | None = None) -> config.ConfigSet:
    mounted.write()
    manifest = config.read_manifest(mounted.directory)
    assert manifest is not None
    return config.read_set(mounted.directory, manifest, previous)


def portals(found: config.ConfigSet) -> dict[str, str | None]:
    return {each.name: each.portal for each in found.people.communities}


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        pytest.param(None, None, id="none"),
        pytest.param(7, "not a DNS name", id="a number"),
        pytest.param("", "not a DNS name", id="nothing"),
        pytest.param("meet acme", "not a DNS name", id="no name"),
        pytest.param("x" * 300, "not a DNS name", id="too long"),
        pytest.param("a|b.example.com", "not a DNS name", id="what would be two fields of a map"),
        pytest.param(DOMAIN, "belongs to somebody else", id="the instance's own"),
        pytest.param("tvox-17.example.com", "belongs to somebody else", id="a TVox's"),
    ],
)
def test_a_portal_that_cannot_be_is_left_out_and_the_community_is_not(
    mounted: MountedSet, domain: object, why: str | None
) -> None:
    mounted.links = [link(17)]
    mounted.communities = [community(portalDomain=domain)]
    found = read(mounted)
    assert portals(found) == {"acme": None}
    assert [why in problem for problem in found.problems] == ([True] if why else [])


def test_a_portal_is_read_and_belongs_to_one(mounted: MountedSet) -> None:
    mounted.communities = [
        community(portalDomain=MEET.upper() + "."),
        community("globex"),
        community("off", enabled=False, portalDomain="off.test"),
    ]
    found = read(mounted)
    assert portals(found) == {"acme": MEET, "globex": None, "off": "off.test"}
    assert [each.open for each in found.people.communities] == [True, True, False]


def test_a_faulty_portal_keeps_the_one_of_before_unless_it_is_another_s_now(mounted: MountedSet) -> None:
    mounted.communities = [community()]
    before = read(mounted)
    mounted.communities = [community(portalDomain="no name")]
    assert portals(read(mounted, before)) == {"acme": MEET}
    mounted.communities = [community(portalDomain="no name"), community("globex")]
    assert portals(read(mounted, before)) == {"acme": None, "globex": MEET}


@pytest.mark.parametrize("name", ["a|b", "a b", "A", "acme\n", "-a", "x" * 254])
def test_a_name_that_would_be_something_else_in_a_map_or_a_header_has_no_portal(mounted: MountedSet, name: str) -> None:
    mounted.communities = [community(name)]
    found = read(mounted)
    assert set(portals(found).values()) == {None}
    assert len(haproxy.hosts_entries(found, ())) == 1


def test_half_a_character_is_in_no_name_that_is_handed_on(mounted: MountedSet) -> None:
    mounted.communities = [
        community(),
        community("half\ud83d"),
        community("globex", displayName="half\ud83d", portalDomain=None),
    ]
    mounted.links = [link(17), link(18, name="half\ud83d"), link(19, community="half\ud83d")]
    found = read(mounted)
    assert [(each.name, each.display_name) for each in found.people.communities] == [
        ("acme", "Acme"),
        ("globex", "globex"),
    ]
    assert [(each.name, each.community) for each in found.links] == [("tvox-17", "acme"), ("tvox-19", "")]
    assert found.problems == (
        "communities.json: 1 entries without a name are left out",
        "links.json: 1 entries without a name are left out",
    )


def test_users_and_logins_are_read_and_what_is_none_is_counted(mounted: MountedSet) -> None:
    ada = {"community": "acme", "name": "ada", "displayName": "Ada\nL.", "functions": ["Chat", "Audio", "Fly", 7]}
    mounted.communities = [community()]
    mounted.users = [ada, {**ada, "displayName": "second"}, {"community": "acme", "name": "bob"}, 7, {"name": ""}]
    mounted.users += [{"community": "acme", "name": "half\ud83d"}, {"community": "acme", "name": "x" * 254}]
    hashes = ["$argon2id$x", "plain", "", None, "$" + "x" * 600, "$2y$é", "$2y$a\nb"]
    mounted.logins = [{"community": "acme", "name": f"u{n}", "hash": found} for n, found in enumerate(hashes)]
    found = read(mounted)
    assert list(found.people.users().values()) == [
        ("acme", "ada", "AdaL.", ("Audio", "Chat")),
        ("acme", "bob", "bob", ()),
    ]
    assert found.users == 2
    assert found.people.logins() == [("acme", "u0", "$argon2id$x")]
    assert found.problems == (
        "users-00.json: 4 entries without a name are left out",
        "logins-00.json: 6 entries without a name and a hash are left out",
    )


@pytest.mark.parametrize("file", ["users-00.json", "logins-00.json"])
def test_a_damaged_file_keeps_what_it_said_before_and_no_other_does(mounted: MountedSet, file: str) -> None:
    mounted.communities = [community()]
    mounted.users = [{"community": "acme", "name": "ada"}]
    mounted.logins = [{"community": "acme", "name": "ada", "hash": "$2y$x"}]
    before = read(mounted)
    mounted.users, mounted.logins = [], []
    mounted.raw = {file: b"damaged"}
    found = read(mounted, before)
    assert (len(found.people.users()), len(found.people.logins())) == ((1, 0) if file == "users-00.json" else (0, 1))
    assert found.problems == (f"{file} is not JSON",)
    mounted.raw = {}
    assert read(mounted, found).users == 0


def test_only_what_somebody_needs_is_handed_over(mounted: MountedSet, tmp_path: Path) -> None:
    mounted.communities = [community(), community("initech", portalDomain=None)]
    mounted.users = [{"community": name, "name": "ada"} for name in ("acme", "initech", "nobody")]
    mounted.logins = [{"community": name, "name": "ada", "hash": "$2y$x"} for name in ("acme", "initech")]
    found = read(mounted)
    assert handover.set_document(found)["users"] == [["acme", "ada", "ada", ()]]
    assert handover.logins_document(found)["logins"] == [["acme", "ada", "$2y$x"]]
    handover.hand_over(found, tmp_path)
    from unit.gate.gate_parts import served

    understood = served.understand((tmp_path / "set.json").read_bytes())
    assert understood is not None
    assert understood.functions("acme", "ada") == frozenset(), "the gate reads what the supervisor writes"


@pytest.mark.parametrize(
    ("said", "handed"),
    [
        ([{"community": "acme", "name": "ada", "id": "a" * 32}], [["acme", "ada", "a" * 32]]),
        ([{"community": "initech", "name": "ada", "id": "a" * 32}], None),
        ([{"community": "acme", "name": "ada", "id": "../x"}, {"community": "acme", "id": "a" * 32}, 7, None], None),
        ({"acme": 1}, None), ("x", None), ([], None), (None, None),
    ],
)  # fmt: skip
def test_the_portal_is_told_whose_data_is_to_be_erased_and_of_nonsense_nothing(
    mounted: MountedSet, said: Any, handed: Any
) -> None:
    mounted.communities = [community(), community("initech", portalDomain=None)]
    mounted.logins = [{"community": "acme", "name": "ada", "hash": "$2y$x"}]
    mounted.erasures = said
    found = read(mounted)
    told = handover.logins_document(found)
    assert told.get("erasures") == handed
    assert told["logins"] == [["acme", "ada", "$2y$x"]]
    assert found.problems == ()


def test_ten_thousand_users_are_read_and_handed_over_within_a_second(mounted: MountedSet, tmp_path: Path) -> None:
    mounted.communities = [community()]
    who = [{"community": "acme", "name": f"user-{n}"} for n in range(10_000)]
    mounted.users = [
        {**one, "displayName": f"User {n}", "functions": list(people.FUNCTIONS)} for n, one in enumerate(who)
    ]
    mounted.logins = [{**one, "hash": "$argon2id$v=19$m=65536,t=3,p=4$" + "x" * 60} for one in who]
    mounted.write()
    began = time.process_time()
    found = read(mounted)
    handover.hand_over(found, tmp_path)
    took = time.process_time() - began
    print(f"\n10,000 users: {took:.2f} s of CPU, set.json {(tmp_path / 'set.json').stat().st_size // 1024} KiB")
    assert found.users == 10_000
    assert took < 1.0


def test_what_is_remembered_leads_to_the_portals_and_names_no_user(mounted: MountedSet, tmp_path: Path) -> None:
    mounted.links, mounted.communities = [link(17)], [community()]
    mounted.users = [{"community": "acme", "name": "ada"}]
    mounted.logins = [{"community": "acme", "name": "ada", "hash": "$2y$x"}]
    mounted.instance |= {"publicAddress": "203.0.113.10", "mediaPort": 10000}
    found = read(mounted)
    config.remember(found, tmp_path / "last-good.json")
    kept = (tmp_path / "last-good.json").read_text()
    assert "$2y$" not in kept and '"ada"' not in kept
    recalled = config.recall(tmp_path / "last-good.json", "demo")
    assert recalled is not None
    assert haproxy.hosts_entries(recalled, ()) == haproxy.hosts_entries(found, ())
    assert haproxy.communities_entries(recalled) == [f"17 acme|{MEET}"]
    assert recalled.instance == found.instance


@pytest.mark.parametrize(
    ("instance", "read_as"),
    [
        ({}, ("", None, None)),
        ({"publicAddress": "203.0.113.10", "mediaPort": 10000, "bandwidthMbps": 100}, ("203.0.113.10", 10000, 100)),
        ({"publicAddress": "mcs.example.com", "mediaPort": 0, "bandwidthMbps": True}, ("", None, None)),
        ({"publicAddress": "::1", "mediaPort": 70000, "bandwidthMbps": -1}, ("", None, None)),
    ],
)
def test_the_instances_numbers_are_numbers(
    mounted: MountedSet, instance: dict[str, Any], read_as: tuple[str, int | None, int | None]
) -> None:
    mounted.instance |= instance
    own = read(mounted).instance
    assert (own.public_address, own.media_port, own.bandwidth_mbps) == read_as


@pytest.mark.parametrize("declared", [7, [], {"calls": "many"}, {"calls": True}, {"calls": 0, "participants": -1}])
def test_a_limit_that_is_no_number_limits_nobody(mounted: MountedSet, declared: Any) -> None:
    mounted.instance |= {"communityLimits": declared}
    assert read(mounted).instance.community_limits == {}


@pytest.mark.parametrize(
    ("declared", "handed"),
    [
        ({"chatSeconds": 7200, "quotaBytes": 1, "more": 1}, {"chatSeconds": 7200, "quotaBytes": 1}),
        ({"chatSeconds": "1h", "fileSeconds": True}, {"chatSeconds": None, "fileSeconds": None}),
        ("1h", {"chatSeconds": None, "fileSeconds": None, "quotaBytes": None}),
        ({}, None),
        (None, None),
    ],
)
def test_the_portal_is_told_what_is_declared_of_its_data_and_what_of_it_is_no_number(
    mounted: MountedSet, declared: object, handed: object
) -> None:
    mounted.instance["portals"] = declared
    assert handover.set_document(read(mounted))["instance"].get("portals") == handed


def test_a_portal_keeps_its_seat_while_others_come_and_go() -> None:
    first = haproxy.seated(["a", "b", "c"], {})
    assert first == {"a": 1, "b": 2, "c": 3}
    second = haproxy.seated(["c", "d", "a"], first)
    assert second == {"a": 1, "c": 3, "d": 2}
    many = haproxy.seated([str(number) for number in range(260)], {})
    assert max(many.values()) == haproxy.SEATS


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, {}),
        ([], {}),
        ({"a": 1, "b": -1, "c": "2", "d": True, "e": 1.5, "f": 10**12}, {"a": 1}),
    ],
)
def test_counts_are_numbers(value: object, found: dict[str, int]) -> None:
    assert talk.numbers(value) == found


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n[", b"HTTP/1.1 500 No\r\n\r\n{}", b"x" * 70_000])
async def test_a_part_that_answers_anything_is_no_fault_of_the_report(tmp_path: Path, answer: bytes) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    for name in ("gate-inner.sock", "portal-inner.sock"):
        await asyncio.start_unix_server(answers, tmp_path / name)
    counts = await talk.Talk(tmp_path).counts()
    assert (counts.open(), counts.logins) == ({}, None)


async def test_a_part_that_says_nothing_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "TIMEOUT", 0.1)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    await asyncio.start_unix_server(silent, tmp_path / "gate-inner.sock")
    async with asyncio.timeout(2):
        assert (await talk.Talk(tmp_path).counts()).open() == {}


def a_part(root: Path, script: str, **changes: Any) -> parts.Part:
    return parts.Part("part", ("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}, root, **changes)


async def until(holds: Any, within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_part_that_dies_is_started_anew_later_each_time(tmp_path: Path) -> None:
    running = parts.Parts(tmp_path)
    running.start([a_part(tmp_path, f"date +%s.%N >>{tmp_path}/log; exit 1")])
    await until(lambda: len(lines(tmp_path / "log")) == 4)
    await running.stop()
    starts = [float(line) for line in lines(tmp_path / "log")]
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert pauses[0] < pauses[1] < pauses[2]
    assert not running.hopeless.is_set()


async def test_however_often_it_dies_it_is_not_left_dead_for_more_than_three_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def dies_at_once(_: parts.Part) -> int:
        return 1

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            raise asyncio.CancelledError

    running = parts.Parts(tmp_path)
    monkeypatch.setattr(running, "_run", dies_at_once)
    monkeypatch.setattr(asyncio, "sleep", wait)
    with pytest.raises(asyncio.CancelledError):
        await running._keep(a_part(tmp_path, "exit 1"))
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0]


async def test_one_that_may_not_die_often_ends_it_all(tmp_path: Path) -> None:
    running = parts.Parts(tmp_path)
    running.start([a_part(tmp_path, f"echo >>{tmp_path}/log; exit 1", deaths=3)])
    async with asyncio.timeout(5):
        await running.hopeless.wait()
    assert len(lines(tmp_path / "log")) == 3
    await running.stop()


async def test_one_that_does_not_end_by_itself_is_ended(tmp_path: Path) -> None:
    running = parts.Parts(tmp_path)
    running.start([a_part(tmp_path, f"trap '' TERM; echo >{tmp_path}/log; while :; do sleep 0.05; done", patience=0.2)])
    await until(lambda: lines(tmp_path / "log"))
    began = time.monotonic()
    await running.stop()
    assert 0.2 <= time.monotonic() - began < 2.0


async def test_one_that_is_not_there_or_cannot_be_started_hurts_nobody(tmp_path: Path) -> None:
    running = parts.Parts(tmp_path)
    absent = a_part(tmp_path / "absent", f"echo >{tmp_path}/absent.log")
    broken = parts.Part("broken", (str(tmp_path / "no-program"),), {}, tmp_path)
    running.start([absent, broken, a_part(tmp_path, f"echo >{tmp_path}/log; sleep 5")])
    await until(lambda: lines(tmp_path / "log"))
    await running.stop()
    assert not (tmp_path / "absent.log").exists()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def agreed(memory: int | None) -> media.Media:
    return media.Media(
        Path("/opt/appliance"), Path("/run/appliance"), Path("/data"), "demo", 10000, 3478, 443, "10.0.0.9", memory
    )


def test_the_parts_fit_into_the_memory_that_there_is() -> None:
    found = {part.name: part for part in agreed(2**33).parts({"PATH": "/bin", "SECRET": "x"})}
    assert list(found) == ["livekit", "relay", "gate", "portal"]
    assert [found[name].environment["GOMEMLIMIT"] for name in ("livekit", "relay")] == [str(2**31), str(2**29)]
    assert [found[name].address_space for name in ("gate", "portal")] == [400 * 2**20 + 2**30] * 2
    assert [found[name].nice for name in found] == [0, 0, 5, 5]
    assert not any("SECRET" in part.environment for part in found.values())
    assert "GOMEMLIMIT" not in agreed(None).parts({})[0].environment


def test_keys_are_others_at_each_start_and_no_log_shows_them() -> None:
    first, second = agreed(None), agreed(None)
    assert (first.key, first.secret, first.turn_secret) != (second.key, second.secret, second.turn_secret)
    for secret in (first.secret, first.turn_secret):
        assert secret not in repr(first)
        assert not any(secret in repr(part) for part in first.parts({}))


def test_the_media_server_is_told_all_that_it_needs() -> None:
    told = json.loads(agreed(None).parts({})[0].environment["LIVEKIT_CONFIG"])
    assert told["rtc"]["node_ip"] == "10.0.0.9"
    assert told["rtc"]["enable_loopback_candidate"] is False
    assert told["logging"]["level"] == "error", "its other lines name users"
