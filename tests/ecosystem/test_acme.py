"""A real browser takes the certificates that the operator has ordered: Debian's Chromium, with all of its checks, knows
the root of the ACME server as it knows those of public ones.

No kubelet runs: a fake link agent stands in for the pod, and the real appliance is beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.acme_lab import GOOD, PORTAL, lab, ready
from support.api import Api
from support.browser import at_home, launched, trust
from support.lab import sh
from support.levels import left_out_if_missing
from support.programs import debian
from support.shards import certificates
from support.snapshots import assert_rests
from support.waiting import until

pytestmark = pytest.mark.integration

NEEDS = "Pebble, built the first time: a minute; Chromium and certutil. Then it takes a minute."
MAP = "--host-resolver-rules=MAP * 127.0.0.1"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    with left_out_if_missing():
        debian("chromium", "chromium")
        debian("libnss3-tools", "certutil")


@pytest.fixture(scope="module", autouse=True)
def no_site() -> Iterator[None]:
    """No tunnel is up. What the appliance asks of a customer's site would leave this machine by its usual way."""
    sites = ["unreachable", "198.18.254.0/24"]
    sh("ip", "route", "replace", *sites)
    yield
    sh("ip", "route", "delete", *sites)


def visited(home: Path, port: int, domains: Iterable[str]) -> dict[str, str]:
    """By whom the browser says that each name's certificate was issued; or what it says in the place of any answer."""

    async def visit() -> dict[str, str]:
        async with launched(MAP, program=at_home(home)) as browser:
            return {domain: await _said(await browser.new_page(), f"https://{domain}:{port}/") for domain in domains}

    return asyncio.run(visit())


async def _said(page: Any, url: str) -> str:
    """No tunnel is up, and an answer without a page is an error to the browser: the certificate counts."""
    answers: list[Any] = []

    def note(answer: Any) -> None:
        answers.append(answer)

    page.on("response", note)
    try:
        await page.goto(url)
    except Exception as error:
        if not answers:
            return str(error).splitlines()[0]
    return str((await answers[0].security_details())["issuer"])


def test_a_browser_takes_what_was_ordered_where_it_trusts_the_servers_root_and_nowhere_else(
    api: Api, tmp_path: Path
) -> None:
    with lab(api, tmp_path) as it:
        for kind, name in (("MCSInstance", "mcs"), ("TVoxLink", "acme"), ("TVoxLink", "beta"), ("Community", "acme")):
            ready(api, kind, name)
        until("the appliance is told of all", lambda: set(certificates(api)) == set(GOOD), 30)
        for domain in GOOD:
            until("it is served", lambda domain=domain: it.site.shown(domain, it.server.root()), 20)
        one, stranger = tmp_path / "one", tmp_path / "stranger"
        for home in (one, stranger):
            home.mkdir()
        trust(one, it.server.root())
        taken = visited(one, it.site.https, GOOD)
        assert {
            domain: issuer.startswith("Pebble Intermediate CA") for domain, issuer in taken.items()
        } == dict.fromkeys(GOOD, True), taken
        (said,) = visited(stranger, it.site.https, [PORTAL]).values()
        assert "ERR_CERT_AUTHORITY_INVALID" in said
        assert_rests(api)
