"""A clip of a call: the pages of those who talk side by side, and below what one of them receives, as it changes.

Recorded by the browser that the call is in: its pictures are drawn into a page of their own, and that page's recorder
writes WebM. So nothing else has to be installed.

The page draws at a steady rate, the last pictures again where no new ones have come. A clip lasts from the first
drawing to the last that are written, and where two cores have much to do a pair of pictures takes a second or more, and
so does the recorder until it writes the first one; and whatever is on its way when it is stopped is lost. All that made
clips of 20 s that lasted 15.
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
"""Seconds between two pairs of pictures. More of them would take the time of the call's own: all share two cores."""
DRAWN_EVERY = 0.2
"""Seconds between two drawings, whether there is something new or not. One that is as the last one costs little."""
WIDTH, HEIGHT, BELOW = 480, 360, 60
_BITS_PER_SECOND = 1_500_000

_STAGE = """([width, height, below, bits, every]) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * width, height + below];
  const pen = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(), {mimeType: "video/webm", videoBitsPerSecond: bits});
  const parts = [];
  let pictures = [], text = "", drawing;
  const pause = (seconds) => new Promise((over) => setTimeout(over, 1000 * seconds));
  const written = () => new Promise((told) => {
    recorder.ondataavailable = (event) => { parts.push(event.data); told(event.data.size); };
    recorder.requestData();
  });
  const draw = () => {
    pen.fillStyle = "#10141a";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pictures.forEach((picture, place) => pen.drawImage(picture, place * width, 0, width, height));
    pen.fillStyle = "#fff";
    pen.font = "22px sans-serif";
    pen.textAlign = "center";
    pen.fillText(text, width, height + below / 2 + 8);
  };
  window.show = async ([shots, told]) => {
    pictures = await Promise.all(shots.map(async (shot) => {
      const answer = await fetch("data:image/jpeg;base64," + shot);
      return createImageBitmap(await answer.blob());
    }));
    text = told;
  };
  window.begin = async () => {
    recorder.start();
    draw();
    drawing = setInterval(draw, 1000 * every);
    while (!await written()) await pause(every);
  };
  window.finish = async () => {
    clearInterval(drawing);
    for (let idle = 0; idle < 2; idle = await written() ? 0 : idle + 1) await pause(0.5);
    await new Promise((stopped) => { recorder.onstop = stopped; recorder.stop(); });
    return new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result.split(",")[1]);
      reader.readAsDataURL(new Blob(parts));
    });
  };
}"""


async def record(browser: Any, path: Path, one: Person, other: Person, length: float = SECONDS) -> None:
    """Both pages for so many seconds, with what ``other`` receives, into this file."""
    stage = await browser.new_page()
    await stage.evaluate(_STAGE, [WIDTH, HEIGHT, BELOW, _BITS_PER_SECOND, DRAWN_EVERY])
    before = await other.received()

    async def show(seconds: float) -> None:
        shots = await asyncio.gather(*(p.page.screenshot(type="jpeg", quality=70) for p in (one, other)))
        told = _told(other.name, before, await other.received(), seconds)
        await stage.evaluate("(shown) => window.show(shown)", [[b64encode(shot).decode() for shot in shots], told])

    await show(0)
    await stage.evaluate("window.begin()")
    begun = time.monotonic()
    while (seconds := time.monotonic() - begun) < length:
        await show(seconds)
        await asyncio.sleep(PAUSE)
    path.write_bytes(b64decode(await stage.evaluate("window.finish()")))  # noqa: ASYNC240 - some hundred KiB, at the end
    await stage.close()


def _told(name: str, before: Any, now: Any, seconds: float) -> str:
    packets, lost = (sum(now[k][what] - before[k][what] for k in ("audio", "video")) for what in ("packets", "lost"))
    freezes = now["video"]["freezes"] - before["video"]["freezes"]
    return f"{name} receives: {packets} packets, {lost} lost, {freezes} freezes in {seconds:.0f} s"
