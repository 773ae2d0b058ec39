"""Other projects' programs, built from their Go modules, and run by a test as processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.api import ROOT
from support.cluster import MissingError
from support.waiting import until


def built(module: str) -> Path:
    """The folder with the programs and files of a module of hack/ecosystem/go; the first time it takes minutes."""
    done = subprocess.run([ROOT / "hack/ecosystem/programs", module], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise MissingError(f"`hack/ecosystem/programs {module}` failed ({done.returncode}); see above")
    return Path(done.stdout.strip())


def kubernetes_of(module: str) -> str:
    """The version of Kubernetes that this module of hack/ecosystem/go is about, such as v1.37.2."""
    required = (ROOT / "hack" / "ecosystem" / "go" / module / "go.mod").read_text()
    (version,) = re.findall(r"^\tk8s\.io/kubernetes (v\S+)", required, re.MULTILINE)
    return str(version)


def debian(package: str, program: str) -> str:
    """The path of a program of a Debian package, which is installed where that is allowed."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/lib/git-core"])
    subprocess.run([ROOT / "hack/prepare", package], check=False)
    for folder in path.split(os.pathsep):
        if (Path(folder) / program).exists():
            return str(Path(folder) / program)
    raise MissingError(f"{program} is missing: Debian's package {package}")


@contextmanager
def running(
    name: str, *command: str | Path, log: Path, ready: Callable[[], bool], timeout: float = 60, **environment: str
) -> Iterator[None]:
    """A process as long as the block lasts; begins when it is ready. What it says is appended to the log."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def is_ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode}:\n{log.read_text(errors='replace')[-3000:]}")
        return ready()

    try:
        until(f"{name} is ready; see {log}", is_ready, timeout)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """Whether something on loopback answers this with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - http, on loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
