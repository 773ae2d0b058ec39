"""A clip of a call: the pages of those who talk side by side, and below what one of them receives, as it changes.

Recorded by the browser that the call is in: its pictures are drawn into a page of their own, and that page's recorder
writes WebM. So nothing else has to be installed.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from support.people import Person

SECONDS = 20.0
PAUSE = 0.1
"""Seconds between two pictures. More of them would take the time of the call's own: all share two cores."""
WIDTH, HEIGHT, BELOW = 480, 360, 60
_BITS_PER_SECOND = 1_500_000

_STAGE = """([width, height, below, bits]) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * width, height + below];
  const pen = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(), {mimeType: "video/webm", videoBitsPerSecond: bits});
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  window.draw = async ([shots, text]) => {
    const pictures = await Promise.all(shots.map(async (shot) => {
      const answer = await fetch("data:image/jpeg;base64," + shot);
      return createImageBitmap(await answer.blob());
    }));
    pen.fillStyle = "#10141a";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pictures.forEach((picture, place) => pen.drawImage(picture, place * width, 0, width, height));
    pen.fillStyle = "#fff";
    pen.font = "22px sans-serif";
    pen.textAlign = "center";
    pen.fillText(text, width, height + below / 2 + 8);
  };
  window.finish = () => new Promise((done) => {
    recorder.onstop = async () => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result.split(",")[1]);
      reader.readAsDataURL(new Blob(parts));
    };
    recorder.stop();
  });
  recorder.start(1000);
}"""


async def record(browser: Any, path: Path, one: Person, other: Person) -> None:
    """Both pages for 20 s, with what ``other`` receives, into this file."""
    stage = await browser.new_page()
    await stage.evaluate(_STAGE, [WIDTH, HEIGHT, BELOW, _BITS_PER_SECOND])
    begun, before = time.monotonic(), await other.received()
    while (seconds := time.monotonic() - begun) < SECONDS:
        shots = await asyncio.gather(*(p.page.screenshot(type="jpeg", quality=70) for p in (one, other)))
        told = _told(other.name, before, await other.received(), seconds)
        await stage.evaluate("(shown) => window.draw(shown)", [[b64encode(shot).decode() for shot in shots], told])
        await asyncio.sleep(PAUSE)
    path.write_bytes(b64decode(await stage.evaluate("window.finish()")))  # noqa: ASYNC240 - some hundred KiB, at the end
    await stage.close()


def _told(name: str, before: Any, now: Any, seconds: float) -> str:
    packets, lost = (sum(now[k][what] - before[k][what] for k in ("audio", "video")) for what in ("packets", "lost"))
    freezes = now["video"]["freezes"] - before["video"]["freezes"]
    return f"{name} receives: {packets} packets, {lost} lost, {freezes} freezes in {seconds:.0f} s"
