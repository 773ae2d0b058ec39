"""What the stories do and wait for, in words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.async_api", reason="not installed: playwright")


def expect(what: Any) -> Any:
    return playwright.expect(what)


def button(page: Any, name: str, exact: bool = True) -> Any:
    return page.get_by_role("button", name=name, exact=exact)


async def becomes(page: Any, condition: str) -> None:
    """Until it is so, by the page's own word. Asked from here again and again: Playwright's `wait_for_function` would
    compile text inside of the page, and the pages' Content-Security-Policy refuses that to everybody."""
    async with asyncio.timeout(10):
        while not await page.evaluate(condition):  # noqa: ASYNC110 - the browser tells no event
            await asyncio.sleep(0.05)


AT_REST = """
document.getAnimations().every(one => one.playState !== "running" || one.effect.getTiming().iterations === Infinity)
"""


async def findings(page: Any, axe: str) -> list[str]:
    """What axe finds, once nothing moves any more but what moves for ever."""
    await page.evaluate(axe)
    await becomes(page, AT_REST)
    found = await page.evaluate("axe.run().then(r => r.violations)")
    return [f"{one['id']}: {one['nodes'][0]['html']} {one['nodes'][0]['failureSummary']}" for one in found]
