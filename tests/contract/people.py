"""Two people in a browser, at the portal of an appliance that runs on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import argon2

from contract.given import MEET, Given, a_user
from contract.subject import Subject
from mcs_operator.api import Function
from mcs_operator.contract.shards import ServedLogin
from support.browser import GIVING, launched
from support.lab import eventually
from support.people import Person, sign_in

PASSWORD = "correct horse battery"


def served(appliance: Subject, given: Given) -> None:
    """The set is in force, and the portal is there."""
    appliance.takes(given.write(), 20)
    eventually("its portal is served", lambda: "acme" in appliance.report().portals or None, 30)


@asynccontextmanager
async def two(appliance: Subject, given: Given, script: str = "") -> AsyncIterator[tuple[Person, Person]]:
    """Ada and Bob, who may do everything, signed in. `script` runs in their pages first."""
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    given.users = [a_user(name)._replace(functions=tuple(Function)) for name in ("ada", "bob")]
    given.logins = [ServedLogin("acme", name, hashed) for name in ("ada", "bob")]
    served(appliance, given)
    flags = [GIVING, "--ignore-certificate-errors", f"--host-resolver-rules=MAP {MEET} 127.0.0.1"]
    at = f"{MEET}:{appliance.place.https}"
    async with launched(*flags) as browser:
        ada = await sign_in(browser, at, "ada", PASSWORD, shown="Ada", script=script)
        yield ada, await sign_in(browser, at, "bob", PASSWORD, shown="Bob", script=script)
