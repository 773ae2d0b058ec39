"""How the plugin reaches an API server: as kubectl does, whatever the kubeconfig says, and in one line where it cannot.

The API server here is a small HTTP server on the loopback that writes down who asks.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.plugin import write_plugin
from support.waiting import until

pytestmark = pytest.mark.integration


class Recorder(ThreadingHTTPServer):
    """Answers every list with nothing in it, and keeps path and headers of each request."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: tuple[int, str, bytes] = (
            200,
            "application/json",
            json.dumps({"items": [], "metadata": {"resourceVersion": "1"}}).encode(),
        )
        self.seconds = 0.0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Recorder)
        if self.path.startswith("/apis/mcs.tvox.io/"):  # a dispatcher of several kubectls asks for the version first
            self.server.asked.append((self.path, dict(self.headers)))
            time.sleep(self.server.seconds)
        code, kind, body = self.server.answer
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    server = Recorder()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def config(
    server: str = "", user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, **context: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", **context}}],
        "clusters": [{"name": "k", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }


@pytest.fixture
def run(tmp_path: Path) -> Any:
    folder = tmp_path / "bin"
    folder.mkdir()
    write_plugin(folder)

    def run(*arguments: str, expect: int = 0, **environment: str) -> str:
        done = subprocess.run(
            [folder / "kubectl-mcs", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "Unknown child" not in done.stderr
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def written(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def test_whoever_kubectl_would_act_as_the_plugin_acts_as(recorder: Recorder, run: Any, tmp_path: Path) -> None:
    user = {"as": "jane", "as-groups": ["g1", "g2"], "as-uid": "u1", "as-user-extra": {"reason": ["x"]}}
    run("links", "--kubeconfig", written(tmp_path / "k", config(recorder.url, user, namespace="demo")))
    ((path, headers),) = recorder.asked
    assert "/namespaces/demo/tvoxlinks" in path
    assert headers["Impersonate-User"] == "jane"
    assert headers["Impersonate-Uid"] == "u1"
    assert "Impersonate-Extra-Reason" in headers
    assert headers["User-Agent"] == "kubectl-mcs"


def test_whom_the_command_line_names_the_plugin_acts_as(recorder: Recorder, run: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "k", config(recorder.url, namespace="demo"))
    run("links", "--kubeconfig", path, "--as=jane", "--as-group=g1", "--as-group=g2")
    ((_, headers),) = recorder.asked
    assert headers["Impersonate-User"] == "jane"
    assert headers["Impersonate-Group"] in ("g1", "g2")  # the header comes twice, and the last one is kept here


def test_all_namespaces_are_one_request(recorder: Recorder, run: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "k", config(recorder.url, namespace="demo"))
    assert run("links", "--kubeconfig", path, "-A") == "nothing found\n"
    ((asked, _),) = recorder.asked
    assert asked.partition("?")[0] == "/apis/mcs.tvox.io/v1alpha1/tvoxlinks"


def test_an_empty_namespace_is_not_well(recorder: Recorder, run: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "k", config(recorder.url, namespace="demo"))
    assert run("status", "--kubeconfig", path, expect=1) == "There is no MCSInstance in namespace demo.\n"
    assert run("status", "--kubeconfig", path, "-A", expect=1) == "There is no MCSInstance in any namespace.\n"


def test_namespaces_are_those_of_the_option_the_context_and_default(
    recorder: Recorder, run: Any, tmp_path: Path
) -> None:
    file = config(recorder.url, namespace="demo")
    file["contexts"].append({"name": "d", "context": {"cluster": "k", "user": "u"}})
    path = written(tmp_path / "k", file)
    run("links", "--kubeconfig", path)
    run("links", "--kubeconfig", path, "--context=d")
    run("links", "--kubeconfig", path, "--context=d", "-n", "other")
    assert [asked.split("/")[5] for asked, _ in recorder.asked] == ["demo", "default", "other"]


ASKED = """#!/bin/sh
echo asked >> "$0.log"
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}'
"""


def executing(command: str) -> dict[str, Any]:
    return {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never"},
    }


def test_two_files_are_merged_each_with_its_own_relative_paths(run: Any, tmp_path: Path) -> None:
    plugin = Path(written(tmp_path / "a" / "plugin", ASKED))
    plugin.chmod(0o700)
    users = {"users": [{"name": "u", "user": executing("./plugin")}], "apiVersion": "v1", "kind": "Config"}
    first = written(tmp_path / "a" / "k", users)
    second = written(tmp_path / "b" / "k", config(NOBODY) | {"users": []})
    said = run("links", KUBECONFIG=f"{first}:{second}:{tmp_path / 'nothing'}", expect=1)
    assert "connection refused" in said
    assert "asked" in (tmp_path / "a" / "plugin.log").read_text()


NOBODY = "https://127.0.0.1:9"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "no usable kubeconfig: stat", id="no file"),
        pytest.param("a: [", "no usable kubeconfig: error loading config file", id="no YAML"),
        pytest.param("[]", "no usable kubeconfig", id="a list"),
        pytest.param(b"\xff\x00", "no usable kubeconfig", id="binary"),
        pytest.param(
            config("http://127.0.0.1:9") | {"current-context": "zz"},
            "context was not found for specified context: zz",
            id="no context",
        ),
        pytest.param(
            config("http://127.0.0.1:9"), "the API server does not answer: dial tcp 127.0.0.1:9", id="nobody there"
        ),
        pytest.param(config("::"), "no usable kubeconfig", id="no address"),
        pytest.param(config(NOBODY, {"tokenFile": "nothing"}), "nothing: no such file", id="no token file"),
        pytest.param(
            config(NOBODY, {"client-certificate-data": "eA==", "client-key-data": "eA=="}), "tls:", id="no certificate"
        ),
        pytest.param(config(NOBODY, cluster={"certificate-authority-data": "&"}), "illegal base64", id="no base64"),
        pytest.param(
            config(NOBODY, executing("nothing-such")),
            "nothing-such",
            id="a plugin that is not there",
        ),
        pytest.param(
            config(NOBODY, executing("false")),
            "executable false failed with exit code 1",
            id="a plugin that fails",
        ),
    ],
)
def test_what_is_wrong_with_a_kubeconfig_is_said_in_one_line(run: Any, tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "k"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        written(path, content)
    message = run("links", "--kubeconfig", str(path), expect=1)
    assert said in message
    assert message.count("\n") <= 2


def test_what_is_no_api_server_is_said(recorder: Recorder, run: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "k", config(recorder.url))
    recorder.answer = (200, "text/html", b"<html>Welcome</html>")
    assert "is no API server" in run("links", "--kubeconfig", path, expect=1)
    recorder.answer = (200, "application/json", b"[]")
    assert "is no API server" in run("links", "--kubeconfig", path, expect=1)
    recorder.answer = (503, "text/plain", b"come back\nlater")
    assert "the API server does not answer: come back later" in run("links", "--kubeconfig", path, expect=1)
    recorder.answer = (403, "application/json", b'{"reason": "Forbidden", "message": "tvoxlinks is forbidden"}')
    assert run("links", "--kubeconfig", path, expect=1) == "Error: tvoxlinks is forbidden\n"


def test_without_kubectl_it_says_so(run: Any, tmp_path: Path) -> None:
    assert "kubectl is not on the PATH" in run("links", expect=1, PATH=str(tmp_path))


def test_no_kubeconfig_and_no_path_makes_it_fail(run: Any, tmp_path: Path) -> None:
    chance = random.Random(5)  # noqa: S311 - repeatable, and no secret
    whole = yaml.safe_dump(config("http://127.0.0.1:9", {"token": "x", "as": "y"}, namespace="demo")).encode()
    for number in range(int(os.environ.get("MCS_FUZZ", "1000")) // 500):
        cut = chance.randrange(len(whole))
        broken = whole[:cut] + bytes(chance.randrange(256) for _ in range(3)) + whole[cut + chance.randrange(30) :]
        (tmp_path / f"k{number}").write_bytes(broken)
        run("links", "--kubeconfig", str(tmp_path / f"k{number}"), expect=1)
    for path in ("", "/", "/dev/null", "\n", "x" * 5000, "~", "--context"):
        run("links", f"--kubeconfig={path}", expect=1, KUBECONFIG=str(tmp_path / "nothing"))


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_no_proxy_outlives_the_plugin(recorder: Recorder, run: Any, tmp_path: Path, ending: signal.Signals) -> None:
    recorder.seconds = 20
    folder = Path(tempfile.mkdtemp(prefix="m"))  # the path of a socket is short
    path = written(tmp_path / "k", config(recorder.url))
    process = subprocess.Popen(
        # SIGINT is ignored by what runs in the background, as these tests may, and by what that starts.
        [
            "env",
            "--default-signal=INT",
            sys.executable,
            tmp_path / "bin" / "kubectl-mcs",
            "links",
            "--kubeconfig",
            path,
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )
    until("it has asked", lambda: recorder.asked)
    (socket,) = folder.glob("mcs-*/s")
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    process.send_signal(ending)
    _, said = process.communicate(timeout=30)
    recorder.seconds = 0
    assert process.returncode != 0
    assert "Traceback" not in said
    assert not socket.exists()
    folder.rmdir()
    assert not [line for line in Path("/proc").glob("[0-9]*/cmdline") if str(socket) in _read(line)]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
