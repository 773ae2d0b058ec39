"""What two people leave on the appliance's volume, and the commands of docs/disaster-recovery.md that save it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from e2e.portal import Outsider, host
from support.api import ROOT
from support.mcs import COMMUNITY, POD, Mcs
from support.objects import INSTANCE
from support.snapshots import assert_rests
from support.waiting import until

PAGE = ROOT / "docs" / "disaster-recovery.md"
TEXT, NAME, CONTENT = "see you at ten", "plan.bin", os.urandom(300_000)


def put_back(mcs: Mcs, folder: Path, lines: list[str]) -> None:
    """By these commands; and it is all there, goes on growing, and nobody writes once that is done."""
    for line in lines:
        run(line, mcs, folder)
    served(mcs)
    assert as_user(mcs, "bob", kept) == ([TEXT], {NAME: CONTENT})
    as_user(mcs, "ada", talk)
    assert as_user(mcs, "bob", kept)[0] == [TEXT, TEXT]
    assert_rests(mcs.api)


def documented(what: str) -> list[str]:
    """The commands of the block that has this."""
    blocks = re.findall(r"```text\n(.+?)```", PAGE.read_text(), re.DOTALL)
    (block,) = [block for block in blocks if what in block]
    return [str(line) for line in block.splitlines()]


def run(line: str, mcs: Mcs, folder: Path) -> None:
    """One of those commands, in a folder, on the namespace of this instance."""
    command = line.replace("mcs-demo", mcs.api.namespace)
    known = os.environ | {"KUBECONFIG": str(mcs.api.kubeconfig)}
    done = subprocess.run(["bash", "-euc", command], cwd=folder, env=known, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def served(mcs: Mcs) -> None:
    """Until its pod, its instance and its customer's portal are ready."""
    ready = ("wait", f"pod/{POD}", "--for=condition=Ready", "--timeout=120s")
    until("a pod", lambda: mcs.api.find("Pod", POD), 60)
    mcs.api.kubectl(*ready, timeout=130)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", timeout=180)
    mcs.api.wait_condition("Community", COMMUNITY, "LoginReady", "True", timeout=60)


Session = Callable[..., Any]
"""A request to the portal, as somebody who is signed in."""


def as_user(mcs: Mcs, user: str, deed: Callable[[Session], Awaitable[Any]]) -> Any:
    """What comes of it when this user does it."""

    async def do() -> Any:
        async with Outsider(mcs) as outsider:
            at = f"https://{host(mcs)}"
            known = {"Origin": at, "Cookie": f"__Host-session={await outsider.sign_in(user, COMMUNITY)}"}

            def ask(method: str, path: str, **more: Any) -> Any:
                return outsider.session.request(method, at + path, headers=known, raise_for_status=True, **more)

            return await deed(ask)

    return asyncio.run(do())


async def talk(ask: Session) -> None:
    """To bob: a message, and a file."""
    async with ask("POST", "/api/conversations/bob/messages", json={"text": TEXT}):
        pass
    async with ask("POST", "/api/conversations/bob/files", params={"name": NAME}, data=CONTENT):
        pass


async def kept(ask: Session) -> tuple[list[str], dict[str, bytes]]:
    """What bob finds of ada: the texts, and the files by name."""
    async with ask("GET", "/api/conversations/ada/messages") as answer:
        texts = [one["text"] for one in (await answer.json())["messages"]]
    async with ask("GET", "/api/conversations/ada/files") as answer:
        listed = (await answer.json())["files"]
    files = {}
    for file in listed:
        async with ask("GET", f"/api/files/{file['id']}") as answer:
            files[file["name"]] = await answer.read()
    return texts, files
