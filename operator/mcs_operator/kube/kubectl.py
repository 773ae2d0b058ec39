"""The way of a person to the API server: through kubectl itself, whose plugin we are.

`kubectl proxy` on a socket that only this user can reach does what kubectl does, because kubectl does it: merged files
with relative paths, exec plugins, tokens from files, proxies, names of servers, and ``as``, without which the plugin
would act with more rights than kubectl. To read a kubeconfig a second way would be right but for the next case.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from kubernetes.aio.client.configuration import Configuration

from mcs_operator.kube.kubeconfig import SERVICE_ACCOUNT, Kubeconfig, KubeconfigError

_START_SECONDS = 30
_TEXT_LIMIT = 500
_NO_CONTEXT = "current-context must exist"
_LOG_LINE = re.compile(r"^[EWIF]\d{4} ", re.MULTILINE)
"""What kubectl logs of each request that failed; we tell it in the answer."""


def _program() -> str:
    if found := shutil.which("kubectl"):
        return found
    raise KubeconfigError("kubectl is not on the PATH; kubectl mcs reaches the cluster through it")


def _options(kubeconfig: str, context: str) -> list[str]:
    options = {"--kubeconfig": kubeconfig, "--context": context}
    return [f"{name}={value}" for name, value in options.items() if value]


async def namespace_of(kubeconfig: str, context: str) -> str:
    """The namespace of the context, or ``default``, as kubectl has it."""
    path = "jsonpath={.contexts[0].context.namespace}"
    code, out, err = await _run("config", "view", "--minify", "--output", path, *_options(kubeconfig, context))
    if code == 0:
        return out or "default"
    if _NO_CONTEXT in err and not context:
        return _own_namespace()
    raise KubeconfigError(f"no usable kubeconfig: {_short(err)}")


def _own_namespace() -> str:
    """Without any kubeconfig: that of the pod that we are in, if we are in one."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        with suppress(OSError, UnicodeDecodeError):
            return SERVICE_ACCOUNT.read_text().strip() or "default"
    return "default"


async def _run(*arguments: str) -> tuple[int, str, str]:
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            _program(), *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        raise KubeconfigError(f"kubectl cannot be run: {error}") from None
    try:
        out, err = await process.communicate()
    finally:
        await _ended(process)
    return process.returncode or 0, out.decode(errors="replace").strip(), err.decode(errors="replace").strip()


@dataclass(frozen=True, slots=True)
class _ThroughSocket(Kubeconfig):
    """Whoever asks through the proxy is known to it already."""

    connector: aiohttp.BaseConnector | None = None

    async def configuration(self) -> Configuration:
        found = Configuration()
        found.host = "http://localhost"
        found.client_session_kwargs = {"connector": self.connector, "trust_env": False}
        return found


@asynccontextmanager
async def proxied(kubeconfig: str, context: str, impersonation: Sequence[str] = ()) -> AsyncIterator[Kubeconfig]:
    """As long as it lasts: the API server through a `kubectl proxy` of our own. ``impersonation``: as --as=jane."""
    with tempfile.TemporaryDirectory(prefix="mcs-") as folder:  # mode 0700: nobody else gets at the socket
        socket = str(Path(folder) / "s")
        process = await _started(socket, [*_options(kubeconfig, context), *impersonation])
        told = asyncio.create_task(_pass_on(process))
        try:
            async with aiohttp.UnixConnector(path=socket, limit=0) as connector:
                yield _ThroughSocket(connector=connector)
        finally:
            await _ended(process)
            told.cancel()


async def _started(socket: str, options: Sequence[str]) -> asyncio.subprocess.Process:
    """With our standard input, by which an exec plugin may ask for a password."""
    pipe = asyncio.subprocess.PIPE
    arguments = ("proxy", f"--unix-socket={socket}", *options)
    try:
        process = await asyncio.create_subprocess_exec(_program(), *arguments, stdout=pipe, stderr=pipe)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"kubectl cannot be run: {error}") from None
    assert process.stdout is not None and process.stderr is not None  # noqa: S101 - they are pipes
    try:
        async with asyncio.timeout(_START_SECONDS):
            if await process.stdout.readline():  # Starting to serve on …
                return process
            said = (await process.stderr.read(_TEXT_LIMIT * 4)).decode(errors="replace")
    except TimeoutError:
        said = f"kubectl proxy does not start within {_START_SECONDS} s"
    except BaseException:
        await _ended(process)
        raise
    await _ended(process)
    raise KubeconfigError(f"no usable kubeconfig: {_short(said)}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Not only asked to end: what has no parent goes on speaking for this person."""
    if process.returncode is None:
        with suppress(ProcessLookupError):  # by asyncio's own kill() the child would be waited for twice
            os.kill(process.pid, signal.SIGKILL)
    await process.wait()


async def _pass_on(process: asyncio.subprocess.Process) -> None:
    """What an exec plugin says to the person, such as where to log in."""
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    while chunk := await process.stderr.read(4096):
        text = chunk.decode(errors="replace")
        if not _LOG_LINE.search(text):
            sys.stderr.write(text)
            sys.stderr.flush()


def _short(said: str) -> str:
    """kubectl's error on one line."""
    text = " ".join(said.removeprefix("error: ").split())
    return text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "…"
