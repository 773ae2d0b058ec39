"""Whatever is mounted, remembered or answered: the appliance ends up with a value or a named fault, and soon."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from unit.images.appliance_set import (
    DOMAIN,
    MountedSet,
    certificate,
    config,
    contract,
    documents,
    handover,
    haproxy,
    link,
    pem,
    people,
    supervisor,
    talk,
    trial,
    weak,
)

COUNT, SEED = int(os.environ.get("MCS_FUZZ", "1000")), int(os.environ.get("MCS_FUZZ_SEED", "13"))
SOON = 1.0
"""Seconds, on a busy machine; each of these took a minute or more, or was an exception."""
DEEP = "[" * 16_000
BEGINNINGS = "-----BEGIN CERTIFICATE-----\n" * 35_000


def read(mounted: MountedSet, previous: config.ConfigSet | None = None) -> config.ConfigSet:
    mounted.write()
    manifest = config.read_manifest(mounted.directory)
    assert manifest is not None
    return config.read_set(mounted.directory, manifest, previous)


@pytest.fixture
def mounted(tmp_path: Path) -> MountedSet:
    return MountedSet(tmp_path, links=[link(17), link(18)], certificates=[certificate("tvox-17.example.com")])


DAMAGED = [
    pytest.param(DEEP.encode(), id="deep"),
    pytest.param(b'{"version":1,"a":' + DEEP.encode(), id="deep in an object"),
    pytest.param(b"", id="empty"),
    pytest.param(b"\xff\xfe\x00", id="bytes"),
    pytest.param('{"version": 1}'.encode("utf-16"), id="UTF-16 without a list"),
    pytest.param(b"9" * 100_000, id="a number of 100,000 digits"),
    pytest.param(b'{"version":1,"certificates":7,"users":{},"links":null,"communities":""}', id="no lists"),
    pytest.param(b" " * (documents.LARGEST_FILE + 1), id="huge"),
]


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("name", ["instance.json", "links.json", "communities.json"])
def test_a_damaged_file_that_says_who_is_served_refuses_the_set_with_its_name(
    mounted: MountedSet, name: str, content: bytes
) -> None:
    mounted.raw = {name: content}
    with pytest.raises(config.SetError, match=name.replace("instance.json", "instance")):
        read(mounted)


@pytest.mark.parametrize("content", DAMAGED[:-1])
def test_a_damaged_file_of_certificates_is_left_out_alone_and_keeps_what_was_in_it(
    mounted: MountedSet, content: bytes
) -> None:
    before = read(mounted)
    mounted.certificates = [certificate("tvox-17.example.com"), certificate("tvox-18.example.com")]
    mounted.raw = {"certs-0.json": content}
    found = read(mounted, before)
    assert [known.domain for known in found.certificates] == ["tvox-18.example.com"]
    assert list(found.spoiled) == ["tvox-17.example.com"]
    assert "certs-0.json" in found.problems[0]
    assert [known.number for known in found.links] == [17, 18]
    again = read(mounted, found)
    assert list(again.spoiled) == ["tvox-17.example.com"], "as long as the file is damaged"


@pytest.mark.parametrize("content", DAMAGED[:-1])
def test_a_damaged_file_of_users_is_left_out_alone(mounted: MountedSet, content: bytes) -> None:
    mounted.raw = {"users-00.json": content}
    found = read(mounted)
    assert (found.users, len(found.certificates), len(found.problems)) == (0, 1, 1)
    assert "users-00.json" in found.problems[0]


@pytest.mark.parametrize(
    "manifest",
    [
        DEEP.encode(),
        b'{"version":1,"files":[]}',
        b'{"version":1,"files":{"instance.json":7}}',
        b'{"version":1,"files":{"..":""}}',
        b'{"version":1,"files":{"":""}}',
        b'{"version":1,"files":{"a\\u0000b":""}}',
        b'{"version":1,"files":{"' + b"x" * 5000 + b'":""}}',
        json.dumps({"version": 1, "files": {f"f{number}": "" for number in range(101)}}).encode(),
    ],
)
def test_a_manifest_of_any_content_is_a_set_or_a_fault_of_the_set(mounted: MountedSet, manifest: bytes) -> None:
    mounted.write()
    with pytest.raises(config.SetError) as refused:
        config.read_set(mounted.directory, manifest, None)
    assert len(str(refused.value)) < 300


async def test_a_manifest_that_cannot_be_read_ends_nothing_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    settings = supervisor.Settings.from_environment(
        {"MCS_CONFIG_DIR": str(tmp_path), "MCS_RUN_DIR": str(tmp_path / "run"), "MCS_PATIENCE_SECONDS": "0"}
    )
    proxy = haproxy.HAProxy("true", tmp_path, tmp_path, {})
    running = supervisor.Supervisor(settings, proxy)
    await running.look()
    assert running.error() == "manifest.json cannot be read: Is a directory"


@pytest.mark.parametrize(
    "certificate_text",
    [
        pytest.param(BEGINNINGS, id="beginnings without an end"),
        pytest.param("-----BEGIN A-----\n" * 60_000, id="beginnings of another kind"),
        pytest.param("".join(f"-----BEGIN X{n}-----\n" for n in range(45_000)), id="beginnings, each of its own kind"),
        pytest.param("-----BEGIN " * 90_000, id="beginnings of beginnings"),
        pytest.param("-----BEGIN CERTIFICATE-----\n\ud800\n-----END CERTIFICATE-----", id="half a character"),
        pytest.param("-----BEGIN CERTIFICATE-----\né\n-----END CERTIFICATE-----", id="no character of PEM"),
    ],
)
def test_a_strange_certificate_is_left_out_soon_and_alone(mounted: MountedSet, certificate_text: str) -> None:
    good = certificate("tvox-18.example.com")
    mounted.certificates = [{**good, "domain": "tvox-17.example.com", "certificate": certificate_text}, good]
    began = time.monotonic()
    found = read(mounted)
    assert time.monotonic() - began < SOON
    assert [known.domain for known in found.certificates] == ["tvox-18.example.com"]
    assert list(found.spoiled) == ["tvox-17.example.com"]


def test_the_blocks_of_a_pem_text_are_found_in_order_and_the_rest_is_not() -> None:
    whole = "x\n-----BEGIN A-----\r\n\r\n 1 \n-----END A-----\n-----BEGIN B B-----\n2\n-----END B B-----"
    text = f"{whole} -----BEGIN C-----\n"
    assert list(pem.blocks(text)) == [
        ("A", "-----BEGIN A-----\n1\n-----END A-----"),
        ("B B", "-----BEGIN B B-----\n2\n-----END B B-----"),
    ]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        pytest.param(certificate(DOMAIN), None, id="a good one"),
        pytest.param(weak("k1"), "no browser can use its kind of key", id="a curve that no browser knows"),
        pytest.param(weak("rsa1024"), "its key is too short", id="a short key"),
        pytest.param(weak("sha1"), "is signed with SHA-1", id="a weak signature"),
        pytest.param(
            {**certificate(DOMAIN), "key": certificate(DOMAIN)["key"]}, "the key does not belong", id="another's key"
        ),
        pytest.param({"certificate": "", "key": ""}, "it cannot be read", id="nothing"),
        pytest.param({"certificate": certificate(DOMAIN)["key"], "key": ""}, "it cannot be read", id="a key alone"),
        pytest.param(
            {
                "certificate": certificate(DOMAIN)["certificate"],
                "key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----",
            },
            "it cannot be read",
            id="half an encrypted key",
        ),
    ],
)
def test_a_trial_says_whether_a_browser_would_take_it(entry: dict[str, str], why: str | None) -> None:
    said = trial.refusal(entry["certificate"].strip() + "\n" + entry["key"].strip() + "\n")
    assert (said is None) if why is None else (said is not None and why in said)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password() -> None:
    entry = certificate(DOMAIN, password=b"secret")
    said = trial.refusal(entry["certificate"] + entry["key"])
    assert said == "the key is encrypted; it must be there in plain"


def hostile(chance: random.Random, depth: int = 0) -> Any:
    """Some JSON value, with a taste for what is nearly right."""
    words = [
        "",
        "acme",
        "tvox-17",
        "a b",
        "198.18.254.17",
        "é\ud83d",
        "x" * 300,
        "-----BEGIN CERTIFICATE-----",
        "\x00\n",
    ]
    plain = [None, True, False, 0, -1, 17, 252, 1e400, 10**30, *words]
    if depth > 4 or chance.random() < 0.6:
        return chance.choice(plain)
    if chance.random() < 0.5:
        return [hostile(chance, depth + 1) for _ in range(chance.randrange(4))]
    keys = ["name", "number", "domain", "address", "community", "enabled", "certificate", "key", "links", "users", "x"]
    keys += ["portalDomain", "functions", "displayName", "hash", "publicAddress", "mediaPort"]
    return {chance.choice(keys): hostile(chance, depth + 1) for _ in range(chance.randrange(6))}


def test_any_content_is_a_set_or_a_named_fault(tmp_path: Path) -> None:
    """A thousand in `make test`, more by MCS_FUZZ, others by MCS_FUZZ_SEED."""
    chance, previous, taken = random.Random(SEED), None, 0  # noqa: S311 - the same each time
    for number in range(COUNT):
        try:
            previous = config.understand(some_files(chance, tmp_path), "0" * 64, previous)
        except config.SetError as why:
            assert str(why).isprintable()
            continue
        taken += 1
        assert all(2 <= known.number <= 251 for known in previous.links)
        haproxy.hosts_entries(previous, ())
        haproxy.tvoxes_entries(previous.links)
        haproxy.communities_entries(previous)
        handed = [json.dumps(make(previous)) for make in (handover.set_document, handover.logins_document)]
        assert all("\\ud83d" not in text for text in handed), "half a character is part of no text"
        if number % 20 == 0:
            config.remember(previous, tmp_path / "last-good.json")
            recalled = config.recall(tmp_path / "last-good.json", previous.instance.name)
            assert recalled is not None
            assert recalled.links == previous.links
    assert COUNT / 10 < taken < COUNT, "both ends are reached"


def some_files(chance: random.Random, directory: Path) -> dict[str, bytes]:
    """A set as the operator writes it, with up to three things in it that are not."""
    mounted = MountedSet(directory, links=[link(17)], certificates=[certificate_of_one()])
    for _ in range(chance.randrange(1, 4)):
        where = chance.choice(["links", "certificates", "users", "logins", "communities", "instance", "raw"])
        value = hostile(chance)
        if where == "raw":
            content = json.dumps(value).encode()
            mounted.raw[chance.choice(list(mounted.files()))] = content[: chance.randrange(len(content) + 1)]
        elif where != "instance":
            setattr(mounted, where, [{**link(18), **value} if isinstance(value, dict) else value, link(19)])
        elif isinstance(value, dict):
            mounted.instance = mounted.instance | value
    return mounted.files()


async def test_any_bytes_on_the_contract_port_get_an_answer_or_an_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - the same each time
    whole = [
        f"{asked} HTTP/1.1\r\n\r\n".encode() for asked in ("GET /readyz", "GET /connections", "POST /drain", "GET /")
    ]

    def asked() -> bytes:
        """A request, and every other time one with a wrong byte or without its end."""
        request = bytearray(chance.choice(whole))
        if chance.random() < 0.5:
            request[chance.randrange(len(request))] = chance.randrange(256)
            del request[chance.randrange(len(request) * 2) :]
        return bytes(request)

    class Nobody:
        def unready(self) -> str | None:
            return None

        def error(self) -> str | None:
            return "\ud800"

        async def report(self) -> dict[str, Any]:
            raise haproxy.RuntimeApiError("x" * 9999)

        async def drain(self, wanted: bool, until: str = "") -> None:
            raise KeyError(wanted)

    serve = contract.connection(contract.contract(Nobody()))
    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=contract.LONGEST_HEAD) as server:
        port, answers = server.sockets[0].getsockname()[1], set()
        for _ in range(COUNT // 5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(asked())
            writer.write_eof()
            answers.add((await asyncio.wait_for(reader.read(), 10))[:12])
            writer.close()
    assert answers <= {b"", *(b"HTTP/1.1 %d" % status for status in (200, 400, 404, 405, 503))}
    assert {b"", b"HTTP/1.1 200", b"HTTP/1.1 400", b"HTTP/1.1 503"} <= answers
    assert not caplog.records


_ONE: list[dict[str, str]] = []


def certificate_of_one() -> dict[str, str]:
    """The same one each time: a key takes longer than all the rest."""
    _ONE[:] = _ONE or [certificate("tvox-17.example.com")]
    return _ONE[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda kept: {**kept, "links": [{**kept["links"][0], "number": "17"}]},
        lambda kept: {**kept, "links": [{**kept["links"][0], "domain": "a b"}]},
        lambda kept: {**kept, "links": [{**kept["links"][0], "address": 7}]},
        lambda kept: {**kept, "links": [None]},
        lambda kept: {**kept, "links": kept["links"] * 2},
        lambda kept: {**kept, "users": "many"},
        lambda kept: {**kept, "config": 7},
        lambda kept: {**kept, "instance": []},
        lambda kept: {**kept, "version": 2},
    ],
)
def test_what_was_remembered_and_then_damaged_is_not_recalled(mounted: MountedSet, tmp_path: Path, spoil: Any) -> None:
    mounted.links = [link(17)]
    path = tmp_path / "last-good.json"
    config.remember(read(mounted), path)
    assert config.recall(path, "demo") is not None
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    assert config.recall(path, "demo") is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"# pxname,svname,scur\ntvox\n", id="a short line"),
        pytest.param(b"# pxname,svname,scur\ntvox,link-x,1\n", id="no number"),
        pytest.param(b"# pxname,svname,scur\ntvox,link-17," + b"9" * 5000 + b"\n", id="a number without end"),
        pytest.param(b"\x00\xff\n" * 100, id="bytes"),
        pytest.param(b'"' + b"x" * 200_000, id="a field without end"),
        pytest.param(b"x" * (haproxy.LONGEST_ANSWER + 1), id="an answer without end"),
    ],
)
async def test_what_haproxy_answers_is_numbers_or_a_named_fault(tmp_path: Path, answer: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    proxy = haproxy.HAProxy("true", tmp_path, tmp_path, {})
    async with await asyncio.start_unix_server(say, tmp_path / "runtime.sock"):
        for ask in (proxy.connections, proxy.clients):
            try:
                said = await ask()
            except haproxy.RuntimeApiError as why:
                assert len(str(why)) < 200
            else:
                assert said == {}, "no line, no link"


async def test_files_of_no_use_are_read_once_and_not_once_a_second(mounted: MountedSet, tmp_path: Path) -> None:
    running = supervisor.Supervisor(
        supervisor.Settings.from_environment(
            {"MCS_CONFIG_DIR": str(tmp_path), "MCS_RUN_DIR": str(tmp_path / "run"), "MCS_PATIENCE_SECONDS": "0"}
        ),
        haproxy.HAProxy("true", tmp_path, tmp_path, {}),
    )
    mounted.raw = {"links.json": DEEP.encode()}
    mounted.write()
    await running.look()
    assert running.error() == "links.json is not JSON"
    (tmp_path / "links.json").unlink()
    await running.look()
    assert running.error() == "links.json is not JSON", "it was read again"
    (tmp_path / "manifest.json").write_bytes(b'{"version": 1, "files": {"links.json": ""}}')
    await running.look()
    assert running.error() == "links.json is named in the manifest and missing", "another manifest is read"


@pytest.mark.parametrize("why", ["short", "x" * 300, "\U0001f600" * 300])
async def test_a_report_of_any_refusals_is_what_the_agent_reads(tmp_path: Path, why: str) -> None:
    settings = supervisor.Settings.from_environment({"MCS_RUN_DIR": str(tmp_path / "run")})
    running = supervisor.Supervisor(settings, haproxy.HAProxy("true", tmp_path, tmp_path, {}))
    instance = config.Instance("demo", "zzz.example.com")
    running.current = config.ConfigSet("0" * 64, instance, (), 0, ())
    running.left_out = {"x" * 240 + str(number): why for number in range(250)} | {instance.domain: why}
    running.problems = ("\U0001f600" * 3000,)

    names = [f"c{number}".ljust(253, "x") for number in range(250)]
    portals = tuple(people.Community(name, name, True, f"{name}.test") for name in names)
    running.current = replace(running.current, people=people.People(portals))
    running.parts.started = True

    class Talking:
        async def counts(self) -> talk.Counts:
            return talk.Counts(dict.fromkeys(names, 8), {}, {}, dict.fromkeys(names, 40))

    running.talk = Talking()

    class Counting:
        certified = dict.fromkeys((f"{name}.test" for name in names), "")

        async def connections(self) -> dict[int, int]:
            return dict.fromkeys(range(2, 252), 24_700)

        async def clients(self) -> haproxy.Clients:
            return haproxy.Clients(24_700, 10**12)

    running.proxy = Counting()  # type: ignore[assignment]
    report = await running.report()
    assert len(json.dumps(report)) < 64 * 1024
    assert report["refused"][0]["domain"] == instance.domain
    assert 1 < len(report["refused"]) <= 251


def test_one_certificate_that_stands_in_for_250_links_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(trial, "refusal", lambda text: tried.append(text) or "no")
    many = [config.Certificate(f"tvox-{number}.example.com", "a") for number in range(250)]
    first = haproxy.try_new(many, {}, set())
    assert (tried, list(first.values())) == (["a"], ["no"])
    assert haproxy.try_new([*many, config.Certificate("b.example.com", "b")], first, set()).keys() > first.keys()
    assert tried == ["a", "b"]
    assert haproxy.try_new(many, {}, {many[0].digest}) == {many[0].digest: None}, "it is served already"


class Door:
    """In HAProxy's place: a mode takes as long as the test wants, and whether a set is reported then is noted."""

    def __init__(self) -> None:
        self.running: supervisor.Supervisor | None = None
        self.modes: list[tuple[str, bool]] = []
        self.asked, self.may_end = asyncio.Event(), asyncio.Event()

    async def apply(self, _: config.ConfigSet) -> dict[str, str]:
        return {}

    async def set_mode(self, mode: str) -> None:
        self.asked.set()
        await self.may_end.wait()
        assert self.running is not None
        self.modes.append((mode, self.running.current is not None))


async def test_no_set_is_told_to_be_in_force_before_the_door_is_open_and_a_drain_meanwhile_is_the_last_word(
    mounted: MountedSet, tmp_path: Path
) -> None:
    mounted.write()
    door = Door()
    settings = supervisor.Settings.from_environment(
        {"MCS_CONFIG_DIR": str(mounted.directory), "MCS_RUN_DIR": str(tmp_path / "run"), "MCS_DATA_DIR": str(tmp_path)}
    )
    running = door.running = supervisor.Supervisor(settings, door)
    taken = asyncio.create_task(running.look())
    await door.asked.wait()
    drained = asyncio.create_task(running.drain(True))
    await asyncio.sleep(0)
    door.may_end.set()
    await asyncio.gather(taken, drained)
    assert door.modes == [("open", False), ("draining", True)]
    assert json.loads((settings.run_dir / "mode.json").read_text()) == {"mode": "draining"}
