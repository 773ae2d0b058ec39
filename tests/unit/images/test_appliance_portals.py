"""Portals at the front door, and the parts behind them: the real supervisor and HAProxy, with programs that only say
who they are in the place of media server, relay, gate and portal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.cluster import MissingError
from support.levels import left_out_if_missing
from unit.images.appliance_set import APPLIANCE, MountedSet, certificate, link
from unit.images.test_appliance import HAPROXY, Reply, Running, eventually, started

MEET, OTHER = "meet.acme.example.com", "meet.globex.example.com"
A = "tvox-17.example.com"
STUN = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"x" * 12

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIVEKIT = """#!/bin/sh
echo started >>"$MCS_TEST/livekit.log"
printf %s "$LIVEKIT_CONFIG" >"$MCS_TEST/livekit.json"
trap "" TERM
if [ -e "$MCS_TEST/broken" ]; then exit 1; fi
echo $$ >"$MCS_TEST/livekit.pid"
while :; do sleep 0.1; done
"""
RELAY = """#!/usr/bin/python3
import asyncio, os
async def answer(reader, writer):
    writer.write(b"relay " + await reader.read(100))
    await writer.drain()
async def main():
    path = os.environ["MCS_RUN_DIR"] + "/relay.sock"
    if os.path.exists(path):
        os.unlink(path)
    await asyncio.start_unix_server(answer, path)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture(scope="module", autouse=True)
def able() -> None:
    with left_out_if_missing():
        if HAPROXY is None:
            raise MissingError("haproxy is not installed (Debian: apt-get install haproxy)")


def a_home(root: Path) -> Path:
    """The image's files, with parts that only say who they are."""
    home = root / "home"
    for name in ("appliance", "pages"):
        # With __pycache__, else each start compiles it anew; but not what another process is writing there.
        shutil.copytree(APPLIANCE / name, home / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copy(APPLIANCE / "haproxy.cfg", home)
    for name in ("gate", "portal"):
        (home / name).mkdir()
        shutil.copy(Path(__file__).with_name("fake_part.py"), home / name / "__main__.py")
    (home / "bin").mkdir()
    for name, text in (("livekit-server", LIVEKIT.replace("$MCS_TEST", str(root))), ("relay", RELAY)):
        (home / "bin" / name).write_text(text)
        (home / "bin" / name).chmod(0o755)
    return home


def customers(mounted: MountedSet) -> None:
    """acme with TVox 17 and a portal, globex with TVox 18 and a portal, initech with nothing."""
    names = ("acme", "globex", "initech")
    hosts = dict(zip(names, (MEET, OTHER, None), strict=True))
    mounted.communities = [
        {
            "name": name,
            "displayName": name.title(),
            "enabled": True,
            **({"portalDomain": hosts[name]} if hosts[name] else {}),
        }
        for name in names
    ]
    mounted.links = [link(17), link(18, community="globex")]
    mounted.certificates = [certificate(host) for host in (MEET, A)]
    mounted.instance |= {"publicAddress": "203.0.113.10", "mediaPort": 10000, "bandwidthMbps": 100}
    mounted.users = [
        {"community": name, "name": "ada", "displayName": "Ada L.", "functions": ["Chat", "Audio", "Telepathy"]}
        for name in names
    ]
    mounted.logins = [{"community": "acme", "name": "ada", "hash": "$argon2id$v=19$x"}]


def with_parts(root: Path) -> Running:
    (root / "run").mkdir()
    (root / "run/counts.json").write_text(json.dumps({"gate": {"participants": {}}, "portal": {"logins": {}}}))
    return Running(root, MountedSet(root / "etc"), home=a_home(root), more={"MCS_POD_ADDRESS": "127.0.0.1"})


async def with_customers(running: Running) -> Running:
    customers(running.mounted)
    await running.take()
    await eventually(lambda: asks(running, "/"))
    await eventually(lambda: asks(running, "/calls/x/rtc"))
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def idle() -> AsyncIterator[Running]:
    async with started(with_parts) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def serving(idle: Running) -> Running:
    """For tests that change it."""
    return await with_customers(idle)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Running]:
    """For tests that leave it as it was: five processes are started for each."""
    async with started(with_parts) as running:
        yield await with_customers(running)


async def asks(running: Running, path: str) -> dict[str, Any] | None:
    """What our part behind the portal's host was asked; None while it does not answer."""
    reply = await running.get(MEET, path, tls=True)
    return said(reply) if reply.status == 200 else None


def said(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reply.body)
    return found


def handed(running: Running, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((running.root / "run" / name).read_text())
    return found


async def test_without_a_portal_nothing_of_it_runs(idle: Running) -> None:
    idle.mounted.links = [link(17)]
    await idle.take()
    assert not (idle.root / "livekit.log").exists()
    report = await idle.report()
    assert (report["contract"], report["portals"], report["byCommunity"]) == (2, {}, {})


async def test_the_set_is_handed_over_and_nobody_else_may_read_it(served: Running) -> None:
    config = (await served.report())["config"]
    told = handed(served, "set.json")
    own = {"name": "demo", "domain": "mcs.example.com", "publicAddress": "203.0.113.10"}
    assert told["instance"] == own | {"mediaPort": 10000, "bandwidthMbps": 100}
    assert told["communities"][0] == {"name": "acme", "displayName": "Acme", "portal": MEET, "open": True}
    assert told["communities"][2]["portal"] is None
    assert told["users"] == [
        ["acme", "ada", "Ada L.", ["Audio", "Chat"]],
        ["globex", "ada", "Ada L.", ["Audio", "Chat"]],
    ]
    assert handed(served, "logins.json") == {"config": config, "logins": [["acme", "ada", "$argon2id$v=19$x"]]}
    assert handed(served, "mode.json") == {"mode": "open"}
    for name in ("set.json", "logins.json", "mode.json"):
        assert stat.S_IMODE((served.root / "run" / name).stat().st_mode) == 0o600


async def test_a_portal_is_served_by_its_host_and_says_whose_it_is(served: Running) -> None:
    page = await asks(served, "/api/me")
    assert page is not None
    assert (page["part"], page["headers"]["x-mcs-community"]) == ("portal", "acme")
    assert (page["headers"]["x-forwarded-for"], page["headers"]["x-forwarded-proto"]) == ("127.0.0.1", "https")
    for path in ("/calls/abc/rtc", "/calls/abc/rtc/v1?join_request=x", "/calls/abc/rtc/v1/validate"):
        signalling = await asks(served, path)
        assert signalling is not None
        assert (signalling["part"], signalling["path"]) == ("gate", path)
    for path in ("/calls/abc/rtcx", "/calls/abc", "/x/calls/abc/rtc"):
        other = await asks(served, path)
        assert other is not None and other["part"] == "portal"


async def test_no_caller_says_himself_whose_portal_it_is(served: Running) -> None:
    for name in ("X-MCS-Community", "x-mcs-community"):
        reader, writer = await served.connect(MEET, tls=True)
        writer.write(f"GET /api/me HTTP/1.1\r\nHost: {MEET}\r\n{name}: globex\r\n{name}: globex\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        body = json.loads(await reader.read(10_000))
        assert b" 200 " in head and body["headers"]["x-mcs-community"] == "acme"
        writer.close()
    reply = await served.get(A, tls=True)
    assert "x-mcs-community" not in said(reply)["headers"], "a TVox learns nothing of it"


async def test_no_password_goes_over_a_line_that_is_not_encrypted(served: Running) -> None:
    assert (await served.get(MEET)).headers["location"] == f"https://{MEET}/"
    refused = await served.get(OTHER)  # has no certificate yet
    assert (refused.status, refused.headers["mcs-reason"]) == (403, "NotSecure")


@pytest.mark.parametrize(
    ("host", "source", "status"),
    [
        pytest.param(MEET, "127.0.0.17", 200, id="its own customer's"),
        pytest.param(MEET, "127.0.0.18", 403, id="another customer's"),
        pytest.param(MEET, "127.0.0.1", 200, id="not a TVox"),
    ],
)
async def test_a_tvox_reaches_its_own_customers_portal_alone(
    served: Running, host: str, source: str, status: int
) -> None:
    reply = await served.get(host, "/", tls=True, source=source)
    assert reply.status == status
    assert reply.headers.get("mcs-reason") == (None if status == 200 else "ForeignSite")


async def test_a_customers_tvox_leads_to_his_portal(served: Running) -> None:
    reply = await served.get(A, "/mcs/", tls=True)
    assert (reply.status, reply.headers["location"]) == (302, f"https://{MEET}/")
    assert (await served.get(A, "/mcs/x", tls=True)).status == 200, "all else is the TVox's"


async def test_a_disabled_customers_portal_is_closed(serving: Running) -> None:
    serving.mounted.communities[0]["enabled"] = False
    await serving.take()
    reply = await serving.get(MEET, tls=True)
    assert (reply.status, reply.headers["mcs-reason"]) == (503, "Disabled")
    assert handed(serving, "set.json")["communities"][0]["open"] is False
    assert "acme" not in (await serving.report())["portals"]


async def test_a_drain_spares_portals_and_tells_them(served: Running) -> None:
    await served.ask("/drain", "POST")
    assert (await served.get(A, tls=True)).status == 503
    assert await asks(served, "/calls/abc/rtc"), "a call comes back when its network changed"
    assert handed(served, "mode.json") == {"mode": "draining"}
    await served.ask("/drain", "DELETE")
    assert handed(served, "mode.json") == {"mode": "open"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"Drain-Until: 2026-11-30T22:15:00Z", "2026-11-30T22:15:00Z"),
        (b"drain-until:2026-11-30T22:15:00Z ", "2026-11-30T22:15:00Z"),
        (b"Drain-Until: tonight", None),
        (b"Drain-Until: 2026-11-30T22:15:00Z, or so", None),
        (b"Drain-Until", None),
        (b"User-Agent: caf\xe9", None),
    ],
)
async def test_portals_are_told_until_when_a_drain_lasts_at_the_latest(
    served: Running, said: bytes, told: str | None
) -> None:
    assert b" 200 " in await order(served, b"POST", said)
    assert handed(served, "mode.json") == {"mode": "draining"} | ({"until": told} if told else {})
    assert b" 200 " in await order(served, b"POST", b"X: y"), "from now on nobody knows"
    assert handed(served, "mode.json") == {"mode": "draining"}
    assert b" 200 " in await order(served, b"DELETE", b"X: y")


async def order(running: Running, method: bytes, field: bytes) -> bytes:
    """To drain, or not to; the answer's first line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.contract)
    writer.write(method + b" /drain HTTP/1.1\r\nHost: mcs\r\n" + field + b"\r\n\r\n")
    first = await reader.readline()
    writer.close()
    return first


async def relayed(running: Running, host: str, source: str = "127.0.0.1", alpn: str | None = None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    where: dict[str, Any] = {"ssl": context, "server_hostname": host, "local_addr": (source, 0)}
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.https, **where)
        writer.write(STUN)
        async with asyncio.timeout(5):
            answer = await reader.read(100)
        writer.close()
    except (OSError, ssl.SSLError):
        return b""
    return answer


async def test_relayed_media_comes_in_by_https_as_well(served: Running) -> None:
    assert await relayed(served, MEET) == b"relay " + STUN
    assert await relayed(served, A) == b"", "at a portal's name only"
    assert await relayed(served, MEET, source="127.0.0.17") == b"", "a TVox is no browser"
    assert not (await relayed(served, MEET, alpn="http/1.1")).startswith(b"relay"), "a browser said what it speaks"


async def test_what_is_no_request_reaches_nothing(served: Running) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", served.https, ssl=context, server_hostname=A)
    writer.write(b"\x16\x03\x01garbage that is no request\r\n\r\n")
    async with asyncio.timeout(15):
        answer = await reader.read(1000)
    assert answer == b"" or b" 400 " in answer
    writer.close()


def done(task: asyncio.Task[Any]) -> bool:
    return task.done()


async def test_one_customers_portal_takes_nobody_elses_places(idle: Running) -> None:
    await idle.stop()
    idle.files = 700  # the smallest: 100 places, 50 of them for one portal
    customers(idle.mounted)
    idle.mounted.certificates.append(certificate(OTHER))
    await idle.start()
    await idle.take()
    await eventually(lambda: asks(idle, "/"))
    for source in ("127.0.0.5", "127.0.0.6"):  # known from now on, as an office is
        assert (await idle.get(MEET, "/api/me", tls=True, source=source)).status == 200
    # Longer than the others wait for a place: else, on a busy machine, the first give up before the last is refused.
    waiting = [
        asyncio.create_task(idle.get(MEET, "/hang", tls=True, source=f"127.0.0.{5 + number % 2}", within=60))
        for number in range(60)
    ]
    # 50 wait for their answer, and who is beyond the share is refused.
    await eventually(lambda: len(list(filter(done, waiting))) == 10, 25)
    refused = list(filter(done, waiting))
    assert all(task.exception() or task.result().status == 503 for task in refused)
    assert (await idle.get(OTHER, "/", tls=True, source="127.0.0.7")).status == 200
    assert (await idle.get(A, "/", tls=True, source="127.0.0.7")).status == 200
    for task in waiting:
        task.cancel()


async def test_what_a_restart_would_cut_is_counted(serving: Running) -> None:
    counts = {
        "gate": {"participants": {"acme": 2, "globex": "many"}},
        "portal": {"ringing": {"acme": 1}, "transfers": {"globex": 1}, "logins": {"acme": 12, "initech": 3}},
    }
    counts["portal"]["erased"] = ["a" * 32, 7, "x"]  # type: ignore[assignment]
    (serving.root / "run/counts.json").write_text(json.dumps(counts))
    report = await serving.report()
    assert (report["connections"], report["byCommunity"]) == (4, {"acme": 3, "globex": 1})
    assert report["erased"] == ["a" * 32]
    assert report["portals"] == {"acme": {"logins": 12}}, "globex has no certificate, initech no portal"
    # Who is started anew ends no call: what it said last counts for a while.
    for part in ("gate", "portal"):
        (serving.root / f"run/{part}-inner.sock").unlink()
    assert (await serving.report())["connections"] == 4


async def test_what_communities_of_the_set_in_force_use_is_told_over_loopback(idle: Running) -> None:
    nothing = {"communities": {}, "refused": {}, "quota": {}, "retention": {}}
    assert json.loads((await idle.ask("/usage")).body) == nothing
    customers(idle.mounted)
    await idle.take()
    await eventually(lambda: asks(idle, "/"))
    await eventually(lambda: asks(idle, "/calls/x/rtc"))  # the gate, who says how many are connected
    used = {"calls": 1, "callSeconds": 7260, "chatBytes": 205, "fileBytes": 2**40}
    usage = {
        "communities": {"acme": used | {"more": "x", "ada": True}, "initech": used, "long-gone": used, "globex": 7},
        "refused": {"NoBandwidth": 3, "NotAllowed": "many"},
        "quota": {"fileBytes": 2**30},
    }
    (idle.root / "run/usage.json").write_text(json.dumps({"portal": usage}))
    (idle.root / "run/counts.json").write_text(json.dumps({"gate": {"participants": {"acme": 2}}, "portal": {}}))
    told = json.loads((await idle.ask("/usage")).body)
    assert told["communities"] == {"acme": used | {"participants": 2}, "globex": {"participants": 0}}
    assert (told["refused"], told["quota"], told["retention"]) == ({"NoBandwidth": 3}, {"fileBytes": 2**30}, {})


async def test_parts_have_limits_and_learn_no_more_than_they_need(served: Running) -> None:
    gate, portal = await asks(served, "/calls/x/rtc"), await asks(served, "/")
    assert gate is not None and portal is not None
    for part in (gate, portal):
        assert 2**28 < part["limit"] < 2**36
        assert part["nice"] == min(os.nice(0) + 5, 19)
    secrets = {"MCS_LIVEKIT_KEY", "MCS_LIVEKIT_SECRET", "MCS_TURN_SECRET"}
    assert secrets < set(gate["environment"])
    assert not secrets & set(portal["environment"])


async def test_the_media_server_listens_to_nobody_but_the_gate_and_offers_one_address(served: Running) -> None:
    told = json.loads((served.root / "livekit.json").read_text())
    assert told["bind_addresses"] == ["127.0.0.1"]
    assert told["room"]["auto_create"] is False
    rtc = told["rtc"]
    assert (rtc["tcp_port"], rtc["node_ip"], rtc["ips"]) == (0, "127.0.0.1", {"includes": ["127.0.0.1/32"]})
    assert len(rtc["stun_servers"]) == 1 and rtc["stun_servers"][0].startswith("127.0.0.1:"), "no stranger's"


@pytest.mark.parametrize(("path", "other"), [("/calls/x/rtc", "/"), ("/", "/calls/x/rtc")], ids=["gate", "portal"])
async def test_a_part_that_dies_is_started_anew_alone(serving: Running, path: str, other: str) -> None:
    before, beside, haproxy = await asks(serving, path), await asks(serving, other), await serving.pid()
    assert before is not None and beside is not None
    os.kill(before["pid"], signal.SIGKILL)

    async def anew() -> bool:
        now = await asks(serving, path)
        return now is not None and now["pid"] != before["pid"]

    await eventually(anew, 5)
    after = await asks(serving, other)
    assert after is not None and after["pid"] == beside["pid"]
    assert await serving.pid() == haproxy


async def test_a_media_server_that_dies_is_started_anew_and_the_third_time_ends_it(serving: Running) -> None:
    log, haproxy = serving.root / "livekit.log", await serving.pid()
    os.kill(int((serving.root / "livekit.pid").read_text()), signal.SIGKILL)
    await eventually(lambda: log.read_text().count("started") == 2, 5)
    assert await serving.pid() == haproxy
    assert serving.process is not None and serving.process.returncode is None
    (serving.root / "broken").touch()
    os.kill(await eventually(lambda: fresh_pid(serving)), signal.SIGKILL)
    assert await asyncio.wait_for(serving.process.wait(), 15) == 1


def fresh_pid(running: Running) -> int:
    """The media server's, once it has written its own."""
    pid = int((running.root / "livekit.pid").read_text())
    return pid if Path(f"/proc/{pid}").exists() else 0


async def test_a_media_server_that_does_not_end_is_ended(serving: Running) -> None:
    pid = int((serving.root / "livekit.pid").read_text())
    assert await serving.stop() == 0, "it ignores SIGTERM, and the whole takes a few seconds all the same"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_after_a_restart_in_the_middle_of_a_change_portals_go_on_with_the_users_of_before(
    serving: Running,
) -> None:
    told = handed(serving, "set.json")
    await serving.stop()
    serving.mounted.put("users-00.json", b"changed")
    await serving.start()

    async def routed() -> bool:
        with contextlib.suppress(ssl.SSLError):  # before the routing is back no name is known
            return (await serving.get(MEET, tls=True)).status == 200
        return False

    await eventually(routed)
    assert handed(serving, "set.json") == told
