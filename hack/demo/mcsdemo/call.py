"""Two people of the first customer talk, in two real browsers, and what others do meanwhile costs them nothing."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import argon2

from mcs_operator.pki.mint import mint_ca, mint_https
from mcsdemo.clip import record
from support.api import ROOT, Api, Object
from support.browser import CHROMIUM, GIVING, beside, launched
from support.people import Person, received_over, sign_in, talk

COMMUNITY, PORTAL = "acme", "meet.acme.mcs.test"
USERS = {"anna": "Anna Rossi", "bruno": "Bruno Bianchi"}
LEFT = ROOT / "build" / "demo"
"""What stays of a run: the CA to trust, and a picture and a clip of the call."""
PICTURE, CLIP = "call.png", "call.webm"


@dataclass(frozen=True)
class Logins:
    """Whom the portal lets in, and by which CA a browser believes it."""

    passwords: dict[str, str]
    ca: Path


def is_possible() -> bool:
    """Whether there is a browser, and what drives it."""
    try:
        import playwright  # noqa: F401, PLC0415 - not everybody has it
    except ImportError:
        return False
    return CHROMIUM is not None


def open_portal(api: Api) -> Logins:
    """A certificate by a CA of the demo's own, two passwords, and the Community's portal: files, and no restart."""
    LEFT.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    authority = mint_ca("of the demo", now)
    pair = mint_https(authority, PORTAL, [PORTAL], now, days=30)
    (LEFT / "ca.crt").write_text(authority.cert_pem)
    passwords = {user: secrets.token_urlsafe(9) for user in USERS}
    hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
    lines = "".join(f"{user}:{hasher.hash(password)}\n" for user, password in passwords.items())
    chain = {"tls.crt": pair.cert_pem, "tls.key": pair.key_pem}
    api.apply(
        _secret(f"{COMMUNITY}-portal-tls", "kubernetes.io/tls", chain, {}),
        _secret(f"{COMMUNITY}-passwords", "Opaque", {".htpasswd": lines}, {"mcs.tvox.io/passwords": COMMUNITY}),
    )
    api.change(
        "Community",
        COMMUNITY,
        portalDomain=PORTAL,
        tls={"secretRef": {"name": f"{COMMUNITY}-portal-tls"}},
        authentication={"passwordsFrom": [{"secretRef": {"name": f"{COMMUNITY}-passwords"}}]},
    )
    return Logins(passwords, LEFT / "ca.crt")


def _secret(name: str, type: str, data: dict[str, str], labels: dict[str, str]) -> Object:
    encoded = {key: b64encode(text.encode()).decode() for key, text in data.items()}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": encoded}


@asynccontextmanager
async def _two(address: str, logins: Logins) -> AsyncIterator[tuple[Any, Person, Person]]:
    names = f"--host-resolver-rules=MAP {PORTAL} {address}"
    with beside(address) as program:
        async with launched(GIVING, names, program=program) as browser:
            one, other = [
                await sign_in(browser, PORTAL, user, logins.passwords[user], shown) for user, shown in USERS.items()
            ]
            yield browser, one, other


async def call_while(address: str, logins: Logins, changes: Callable[[], None]) -> dict[str, float]:
    """Anna calls Bruno; what arrives at his place while ``changes`` are made, by his browser's own statistics, and
    ``begun``: how many seconds it took until both saw and heard each other."""
    async with _two(address, logins) as (browser, anna, bruno):
        await anna.call(bruno.name)
        await bruno.accept()
        begun = await talk(anna, bruno)
        clip = record(browser, LEFT / CLIP, anna, bruno)
        received = await received_over(bruno, asyncio.gather(asyncio.to_thread(changes), clip))
        await _take_picture(browser, anna, bruno, received)
        await anna.hang_up()
    return received | {"begun": begun}


async def _take_picture(browser: Any, anna: Person, bruno: Person, received: dict[str, float]) -> None:
    """Both pages side by side, and below what was received."""
    shots = [b64encode(await person.page.screenshot()).decode() for person in (anna, bruno)]
    images = "".join(f'<img width=640 src="data:image/png;base64,{shot}">' for shot in shots)
    told = (
        f"{received['audio']:.0f} audio and {received['video']:.0f} video packets, {received['lost']:.0f} lost, while "
        "initech was removed, umbrella added and globex changed"
    )
    page = await browser.new_page(viewport={"width": 1300, "height": 480})
    style = "margin:6px;background:#10141a;color:#fff;font:20px sans-serif;text-align:center"
    await page.set_content(f'<body style="{style}">{images}<p>{told}</p></body>')
    await page.screenshot(path=LEFT / PICTURE)
