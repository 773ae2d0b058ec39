"""The real relay: whatever a browser asks for, its packets reach the media port and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.appliance import program, tested_programs
from support.ports import free_port
from support.turn import Client, RefusedError, credential

PUBLIC, LATER, POD = "203.0.113.10", "203.0.113.20", "127.0.0.1"
SECRET = "made at each start"
MOST_OF_USER = 48
FOREIGN = ["198.18.254.18", "198.18.254.1", "10.96.0.1", "169.254.169.254", "127.0.0.2", "0.0.0.0", "224.0.0.1"]  # noqa: S104


@dataclass
class Relay:
    """The running relay, and a media server that echoes."""

    run_dir: Path
    port: int
    media: socket.socket
    closing: ExitStack

    @property
    def media_port(self) -> int:
        return int(self.media.getsockname()[1])

    def publish(self, address: str) -> None:
        fresh = self.run_dir / "set.new"
        fresh.write_text(json.dumps({"instance": {"publicAddress": address}, "users": [["acme", "ada"]]}))
        fresh.replace(self.run_dir / "set.json")

    def client(self, way: str = "udp", seconds: float = 3600, name: str = "", secret: str = SECRET) -> Client:
        """With a credential of a user of its own, or of this one."""
        name = name or os.urandom(4).hex()
        to = self.run_dir / "relay.sock" if way == "tls" else (way, self.port)
        return self.closing.enter_context(closing(Client(to, *credential(secret, time.time() + seconds, name))))

    def echo(self) -> bytes:
        """What the media server got; it sends the same back."""
        content, sender = self.media.recvfrom(65536)
        self.media.sendto(b"echo " + content, sender)
        return content


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    binary = program("relay")
    with ExitStack() as stack:
        # Not tmp_path: the path of a Unix socket must stay below 97 characters.
        run_dir = Path(tempfile.mkdtemp(prefix="mcs-"))
        stack.callback(shutil.rmtree, run_dir)
        media = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        media.bind((POD, 0))
        media.settimeout(5)
        running = Relay(run_dir, free_port(), media, stack)
        running.publish(PUBLIC)
        environment = {
            "MCS_RUN_DIR": str(run_dir), "MCS_POD_ADDRESS": POD, "MCS_MEDIA_PORT": str(running.media_port),
            "MCS_TURN_PORT": str(running.port), "MCS_TURN_SECRET": SECRET,
        }  # fmt: skip
        process = subprocess.Popen([binary], env=os.environ | environment)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        eventually((run_dir / "relay.sock").exists)
        eventually(lambda: is_permitted(running.client(), PUBLIC))
        yield running


def eventually(holds: Callable[[], bool], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"did not hold within {within} s"
        time.sleep(0.05)


def is_permitted(client: Client, address: str) -> bool:
    try:
        if client.relayed is None:
            client.allocate()
        client.permit(address)
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("named", [PUBLIC, POD], ids=["by the public address", "by the pod's"])
def test_packets_reach_the_media_server_and_come_back_from_the_address_that_was_named(
    relay: Relay, way: str, named: str
) -> None:
    client = relay.client(way)
    client.allocate()
    client.permit(named)
    for content in (b"one", b"x" * 1200):
        client.send(named, relay.media_port, content)
        assert relay.echo() == content
        assert client.receive() == ((named, relay.media_port), b"echo " + content)


def test_two_browsers_by_https_are_two(relay: Relay) -> None:
    first, second = relay.client("tls"), relay.client("tls")
    assert first.allocate() != second.allocate()


@pytest.mark.parametrize("address", FOREIGN)
def test_no_other_address_is_permitted(relay: Relay, address: str) -> None:
    assert not is_permitted(relay.client(), address)


def test_no_other_port_is_reached(relay: Relay) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((POD, 0))
        other.settimeout(0.5)
        client = relay.client()
        client.allocate()
        for named in (POD, PUBLIC):
            client.permit(named)
            client.send(named, other.getsockname()[1], b"where it must not go")
        client.send(POD, relay.media_port, b"where it may")
        assert relay.echo() == b"where it may"
        with pytest.raises(TimeoutError):
            other.recv(100)


def test_nobody_else_reaches_a_browser_through_it(relay: Relay) -> None:
    client = relay.client()
    relayed = client.allocate()
    client.permit(POD)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((POD, 0))
        stranger.sendto(b"from a stranger", relayed)
    assert client.receive(0.5) is None


@pytest.mark.parametrize(
    ("seconds", "secret"),
    [pytest.param(3600, "another", id="of another secret"), pytest.param(-1, SECRET, id="that is over")],
)
def test_a_credential_that_is_none_gets_nothing(relay: Relay, seconds: float, secret: str) -> None:
    with pytest.raises(RefusedError):
        relay.client(seconds=seconds, secret=secret).allocate()


def test_a_call_outlives_its_credential(relay: Relay) -> None:
    client = relay.client(seconds=2)
    client.allocate()
    client.permit(POD)
    eventually(lambda: not is_permitted(relay.client(seconds=0), POD))
    time.sleep(2)
    client.refresh()
    client.permit(PUBLIC)
    client.send(PUBLIC, relay.media_port, b"still here")
    assert relay.echo() == b"still here"
    late = relay.client()
    late.username, late.password = client.username, client.password
    with pytest.raises(RefusedError):
        late.allocate()


def test_a_user_gets_so_many_relayed_addresses_and_no_more_by_fresh_credentials(relay: Relay) -> None:
    # Each has another expiry, as a browser gets that comes again and again.
    clients = [relay.client(name="many", seconds=3600 + number) for number in range(MOST_OF_USER + 1)]
    for client in clients[:-1]:
        client.allocate()
    with pytest.raises(RefusedError) as refused:
        clients[-1].allocate()
    assert refused.value.code == 486
    relay.client(name="other").allocate()
    clients[0].refresh(0)
    eventually(lambda: allocates(relay.client(name="many")))


def allocates(client: Client) -> bool:
    with suppress(RefusedError):
        return bool(client.allocate())
    return False


def test_the_public_address_changes_and_calls_of_before_go_on(relay: Relay) -> None:
    before = relay.client()
    before.allocate()
    before.permit(PUBLIC)
    assert not is_permitted(relay.client(), LATER)
    relay.publish(LATER)
    eventually(lambda: is_permitted(relay.client(), LATER))
    before.permit(PUBLIC)
    before.send(PUBLIC, relay.media_port, b"still here")
    assert relay.echo() == b"still here"
    assert before.receive() == ((PUBLIC, relay.media_port), b"echo still here")
    (relay.run_dir / "set.json").write_text("{")
    time.sleep(0.5)
    assert is_permitted(relay.client(), LATER), "what cannot be read changes nothing"


def test_the_relays_own_tests_pass() -> None:
    """In Go, beside what they are about."""
    tested_programs()


def test_nobody_but_this_user_may_connect_to_its_socket(relay: Relay) -> None:
    assert (relay.run_dir / "relay.sock").stat().st_mode & 0o777 == 0o600
