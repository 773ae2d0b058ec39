"""The stand-in TVox (images/tvox/tvox): the real program, with a fake openvpn."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TVOX = Path(__file__).resolve().parents[3] / "images" / "tvox" / "tvox"
FAKE_OPENVPN = """#!/bin/bash
echo "Initialization Sequence Completed"
if grep -q gives-up "$4"; then echo "AUTH: Received control message: AUTH_FAILED"; exit 1; fi
exec sleep 60
"""


class Tvox:
    """A running stand-in: its profile folder, and what its web server says."""

    def __init__(self, folder: Path) -> None:
        self.profiles, self.output = folder / "profiles", folder / "output"
        self.profiles.mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "openvpn").write_text(FAKE_OPENVPN)
        (folder / "bin" / "openvpn").chmod(0o755)
        self.process = subprocess.Popen(
            [sys.executable, TVOX, "--profile-dir", self.profiles, "--web-port", "0", "--echo-port", "0"],
            env={"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TVOX_NAME": "acme", "PYTHONUNBUFFERED": "1"},
            stdout=self.output.open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.web, self.echo = 0, 0
        self.wait(self.said_its_ports)

    def said_its_ports(self) -> bool:
        found = re.search(r"acme: web on (\d+), echo on (\d+)/udp", self.output.read_text())
        if found:
            self.web, self.echo = int(found[1]), int(found[2])
        return bool(found)

    def page(self, path: str = "/", body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}{path}", data=body, headers={"Host": "acme.test"})
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            page: dict[str, Any] = json.load(answer)
        return page

    def tunnel(self) -> dict[str, Any]:
        tunnel: dict[str, Any] = self.page()["tunnel"]
        return tunnel

    def wait(self, condition: Callable[[], object], limit: float = 20) -> None:
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, self.output.read_text()
            time.sleep(0.05)


@pytest.fixture
def tvox(tmp_path: Path) -> Iterator[Tvox]:
    running = Tvox(tmp_path)
    yield running
    running.process.terminate()
    assert running.process.wait(10) == 0


def test_web_says_who_answers_and_what_was_asked(tvox: Tvox) -> None:
    page = tvox.page("/some?thing=1", b"12345")
    assert (page["tvox"], page["host"], page["path"]) == ("acme", "acme.test", "/some?thing=1")
    assert (page["method"], page["body"], page["peer"]) == ("POST", 5, "127.0.0.1")
    assert page["tunnel"] == {"profile": None, "pid": None, "established": False, "starts": 0, "exit": None}


def test_echo_sends_datagrams_back(tvox: Tvox) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(10)
        probe.sendto(b"\x00probe\xff", ("127.0.0.1", tvox.echo))
        assert probe.recv(100) == b"\x00probe\xff"


def test_client_follows_the_profile_as_it_comes_changes_and_goes(tvox: Tvox) -> None:
    (tvox.profiles / "acme.ovpn").write_text("first")
    tvox.wait(lambda: tvox.tunnel()["established"])
    first = tvox.tunnel()
    assert (first["profile"], first["starts"]) == ("acme.ovpn", 1)
    (tvox.profiles / "acme.ovpn").write_text("second")
    tvox.wait(lambda: tvox.tunnel()["starts"] == 2 and tvox.tunnel()["pid"])
    assert tvox.tunnel()["pid"] != first["pid"]
    (tvox.profiles / "acme.ovpn").unlink()
    tvox.wait(lambda: tvox.tunnel() == {**first, "profile": None, "pid": None, "established": False, "starts": 2})


def test_client_that_gave_up_stays_down_until_the_profile_changes(tvox: Tvox) -> None:
    (tvox.profiles / "profile.ovpn").write_text("gives-up")
    tvox.wait(lambda: tvox.tunnel()["exit"] == 1)
    time.sleep(1.5)  # more than one look at the profile
    assert (tvox.tunnel()["starts"], tvox.tunnel()["established"]) == (1, False)
    (tvox.profiles / "profile.ovpn").write_text("good")
    tvox.wait(lambda: tvox.tunnel()["established"])
