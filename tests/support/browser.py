"""Debian's Chromium, driven by Playwright for Python."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
]
GIVING = "--use-fake-ui-for-media-stream"
"""Microphone and camera are given to whoever asks, and their picture and tone are Chromium's own."""
REFUSING = "--deny-permission-prompts"


def as_of(host: str, folder: Path) -> Path:
    """Chromium on a host of the test's own, a network namespace: a program to launch."""
    program = folder / f"chromium-of-{host}"
    program.write_text(f'#!/bin/sh\nexec ip netns exec {host} {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    return program


@asynccontextmanager
async def launched(*flags: str, program: str | Path | None = CHROMIUM) -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright  # not needed to read this file: stories are skipped without it

    async with async_playwright() as started:
        browser = await started.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()
