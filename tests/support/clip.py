"""A clip, as a browser plays it: nothing else that reads WebM has to be installed."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from support.browser import launched

_PLAY = """
async (clip) => {
  const video = document.createElement("video");
  [video.muted, video.src] = [true, "data:video/webm;base64," + clip];
  const over = new Promise((ended, failed) => {
    video.onended = ended;
    video.onerror = () => failed(new Error(video.error.message));
  });
  document.body.append(video);
  video.defaultPlaybackRate = video.playbackRate = 8;
  await Promise.all([video.play(), over]);
  return [video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames];
}
"""


async def played(clip: Path) -> tuple[float, int]:
    """To its end, eight times as fast: how many seconds it lasts, and how many pictures it has."""
    content = b64encode(clip.read_bytes()).decode()  # noqa: ASYNC240 - some hundred KiB
    async with launched() as browser:
        seconds, pictures = await (await browser.new_page()).evaluate(_PLAY, content)
    return seconds, pictures
