"""Running programs, waiting with a time limit, and telling what takes long."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

TELL_EVERY = 15.0  # seconds between two lines about the same long step


class ClusterError(Exception):
    """Something failed that the user should read about without a traceback."""

    exit_code = 1


class MissingRightsError(ClusterError):
    """This user or machine cannot run a node; the message lists what is missing."""

    exit_code = 3


def say(message: str) -> None:
    """One line for the person who waits; stdout stays free for output meant for programs."""
    print(message, file=sys.stderr, flush=True)


def clean_environment() -> dict[str, str]:
    """The environment without proxies: a proxy for the Internet must never see traffic between our own components."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def run(*argv: str | Path, stdin: str | None = None, env: Mapping[str, str] | None = None, limit: float = 120) -> str:
    """Run a program and return its stdout; raises ClusterError with its stderr when it fails or exceeds `limit` s."""
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"took over {limit:.0f} s: {shlex.join(command)}") from error
    except FileNotFoundError as error:
        raise ClusterError(f"not found: {command[0]}") from error
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise ClusterError(f"exit {done.returncode}: {shlex.join(command)}\n{said}")
    return done.stdout


def succeeds(*argv: str | Path, limit: float = 60) -> bool:
    """True when the program exists and exits with 0; its output is dropped."""
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=limit, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def run_long(
    what: str, argv: Sequence[str | Path], log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a program of minutes with its output in `log`, telling the elapsed time every 15 s."""
    log.parent.mkdir(parents=True, exist_ok=True)
    started = told = time.monotonic()
    say(f"{what} ...")
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in argv], cwd=cwd, env=env, stdout=output, stderr=output)
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if time.monotonic() - told >= TELL_EVERY:
                    told = time.monotonic()
                    say(f"  {what}: {told - started:.0f} s{_progress(log)}")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ClusterError(f"{what} failed with exit code {process.returncode} ({log}):\n{tail}")
    say(f"  {what}: done in {time.monotonic() - started:.0f} s")


def _progress(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return f" ({len(lines)} steps, now {lines[-1][:70]})" if lines else ""


def wait_until(what: str, ready: Callable[[], bool], limit: float, pause: float = 0.1) -> None:
    """Ask `ready` until it is true; raises ClusterError after `limit` seconds."""
    started = told = time.monotonic()
    while not ready():
        now = time.monotonic()
        if now - started > limit:
            raise ClusterError(f"{what}: not there after {limit:.0f} s")
        if now - told >= TELL_EVERY:
            told = now
            say(f"  waiting for {what}: {now - started:.0f} s")
        time.sleep(pause)


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold a lock file, so that two commands at once do the work once and neither sees it half done."""
    handle = _locked(lock)
    try:
        yield
    finally:
        handle.close()


def _locked(lock: Path) -> IO[str]:
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run of this command ({lock})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        # `down` removes the file while it holds it: who waited for the removed one must lock the new one.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(lock.stat(), os.fstat(handle.fileno())):
                return handle
        handle.close()


def write_if_changed(path: Path, content: str, mode: int = 0o644) -> bool:
    """Write a file atomically; True when its content is new."""
    if path.exists() and path.read_text() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(mode=mode)
    fresh.chmod(mode)
    fresh.write_text(content)
    fresh.replace(path)
    return True
