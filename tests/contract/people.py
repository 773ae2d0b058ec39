"""Two people in a browser, at the portal of an appliance that runs on this machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import argon2

from contract.given import MEET, Given, a_user
from contract.subject import Subject, our_programs, own_address
from mcs_operator.api import Function
from mcs_operator.contract.shards import ServedLogin
from support.appliance import home_with_pages
from support.browser import GIVING, launched
from support.lab import eventually
from support.levels import left_out_if_missing
from support.people import Person, sign_in

PASSWORD = "correct horse battery"


@contextmanager
def our_programs_with_pages(changed: Callable[[Path], None] = lambda home: None) -> Iterator[Subject]:
    """The appliance's programs run on this machine; `changed` makes their copy another one first."""
    with ExitStack() as closing:
        # Not a folder of pytest: the path of a Unix socket must stay below 97 characters.
        root = Path(tempfile.mkdtemp(prefix="mcs-"))
        closing.callback(shutil.rmtree, root, ignore_errors=True)
        with left_out_if_missing():
            home = home_with_pages(root / "home")
            changed(home)
            found = our_programs(root, home, own_address())
        closing.callback(found.close)
        found.start()
        yield found


def served(appliance: Subject, given: Given) -> None:
    """The set is in force, and the portal is there."""
    appliance.takes(given.write(), 20)
    eventually("its portal is served", lambda: "acme" in appliance.report().portals or None, 30)


@asynccontextmanager
async def two(
    appliance: Subject, given: Given, script: str = "", flags: Sequence[str] = (GIVING,), mute: bool = True
) -> AsyncIterator[tuple[Person, Person]]:
    """Ada and Bob, who may do everything, signed in. `script` runs in their pages first; `flags` are the browser's,
    which plays what it hears unless it is `mute`."""
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    given.users = [a_user(name)._replace(functions=tuple(Function)) for name in ("ada", "bob")]
    given.logins = [ServedLogin("acme", name, hashed) for name in ("ada", "bob")]
    served(appliance, given)
    flags = [*flags, "--ignore-certificate-errors", f"--host-resolver-rules=MAP {MEET} 127.0.0.1"]
    at = f"{MEET}:{appliance.place.https}"
    async with launched(*flags, mute=mute) as browser:
        ada = await sign_in(browser, at, "ada", PASSWORD, shown="Ada", script=script)
        yield ada, await sign_in(browser, at, "bob", PASSWORD, shown="Bob", script=script)
