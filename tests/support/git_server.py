"""A Git repository served over HTTP on loopback, as GitOps tools fetch it: Git's own server behind Python's."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from support.programs import debian

BRANCH = "main"
_AUTHOR = {f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
# Nothing of the machine's own: a signature, a hook, another default branch.
_ENVIRONMENT = {**os.environ, **_AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


class Repository:
    """The repository, at `url`, and a working tree to commit from."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/customers.git"
        self._tree = folder / "work"
        self._git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", str(folder / "customers.git"), at=folder)
        self._git("init", "--quiet", f"--initial-branch={BRANCH}", str(self._tree), at=folder)
        self._git("remote", "add", "origin", str(folder / "customers.git"))
        self.commit({"README.md": "Customers.\n"})

    def commit(self, files: Mapping[str, str | None]) -> str:
        """One commit of these files by path, None for one that goes; its hash."""
        for path, content in files.items():
            file = self._tree / path
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "change")
        self._git("push", "--quiet", "origin", BRANCH)
        return self._git("rev-parse", "HEAD").strip()

    def read(self, path: str) -> str:
        """A file as it was committed last."""
        return (self._tree / path).read_text()

    def files(self, folder: str) -> list[str]:
        """The paths of the files in a folder."""
        return sorted(str(file.relative_to(self._tree)) for file in (self._tree / folder).iterdir())

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=at or self._tree, env=_ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout


@contextmanager
def git_server(folder: Path) -> Iterator[Repository]:
    """The repository in a folder, served as long as the block lasts."""
    backend = debian("git", "git-http-backend")
    server = _Server(("127.0.0.1", 0), _Handler)
    server.folder, server.backend = folder, backend
    thread = threading.Thread(target=server.serve_forever, args=(0.1,))
    thread.start()
    try:
        yield Repository(folder, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    folder: Path
    backend: str


class _Handler(BaseHTTPRequestHandler):
    """CGI (RFC 3875) for one program: Git clients want its `smart` protocol, which plain files cannot speak."""

    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        length = self.headers.get("Content-Length", "")
        told = {
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": length,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REMOTE_ADDR": self.client_address[0],
        }
        body = self.rfile.read(int(length or "0"))
        done = subprocess.run(
            [self.server.backend], input=body, env=_ENVIRONMENT | told, stdout=subprocess.PIPE, check=False
        )
        self._answer(done.stdout)

    do_POST = do_GET  # noqa: N815 - as the standard library wants it

    def _answer(self, said: bytes) -> None:
        head, _, body = said.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""
