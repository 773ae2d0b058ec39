"""A tab that is shared with its sound: what the others see and hear of it."""

from __future__ import annotations

import pytest

from contract.given import usual
from contract.people import two
from contract.subject import Subject, own_address
from support.people import eventually, talk

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SHARES_THE_FILM = ["--auto-select-tab-capture-source-by-title=A film"]
HERTZ = 1320
"""Of the tab's tone, which goes on. Chromium's microphones beep at 400."""
FILM = f"""
<title>A film</title><body style="margin: 0; background: rgb(200, 30, 160)"><script>
  const context = new AudioContext(), tone = new OscillatorNode(context, {{frequency: {HERTZ}}});
  tone.connect(new GainNode(context, {{gain: 0.3}})).connect(context.destination);
  tone.start();
  // A picture that stands still is sent once in a while only.
  const corner = document.body.appendChild(document.createElement("p"));
  setInterval(() => corner.textContent = Date.now(), 100);
</script>
"""
TONES = """
async () => {
  const context = new AudioContext();
  await context.resume();
  const receivers = window.connections.flatMap(connection => connection.getReceivers());
  const heard = receivers.filter(({track}) => track.kind === "audio" && track.readyState === "live").map(({track}) => {
    const analyser = new AnalyserNode(context, {fftSize: 4096, smoothingTimeConstant: 0});
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    return {analyser, hertz: [], bins: new Float32Array(analyser.frequencyBinCount)};
  });
  for (const begun = performance.now(); performance.now() - begun < 2000; await new Promise(r => setTimeout(r, 50))) {
    for (const {analyser, hertz, bins} of heard) {
      analyser.getFloatFrequencyData(bins);
      const loudest = bins.reduce((most, level, bin) => level > bins[most] ? bin : most, 0);
      hertz.push(bins[loudest] > -60 ? loudest * context.sampleRate / analyser.fftSize : 0);
    }
  }
  await context.close();
  return heard.map(({hertz}) => hertz.sort((one, other) => one - other)[Math.floor(hertz.length / 2)]);
}
"""
"""The median of the loudest tone of each voice that arrives, in hertz: 0 for one that is silent most of the time."""
COLOUR = """
element => {
  const canvas = new OffscreenCanvas(16, 9).getContext("2d");
  canvas.drawImage(element, 0, 0, 16, 9);
  return [...canvas.getImageData(12, 6, 1, 1).data].slice(0, 3);
}
"""


async def test_the_others_see_and_hear_the_tab_that_is_shared(appliance: Subject) -> None:
    given = usual(appliance)
    given.instance["publicAddress"] = own_address()
    async with two(appliance, given, flags=SHARES_THE_FILM, mute=False) as (ada, bob):
        # Where the browser gives microphone and camera by itself, it shares a picture of its own in place of any tab.
        for person in (ada, bob):
            await person.page.context.grant_permissions(["microphone", "camera"])
        film = await ada.page.context.new_page()
        await film.set_content(FILM)
        await ada.page.bring_to_front()
        await ada.call("Bob")
        await bob.accept()
        await talk(ada, bob, seconds=40)
        assert not any(await bob.page.evaluate(TONES)), "a microphone that beeps is silent most of the time"
        await ada.button("Share screen").click()
        screen = bob.page.get_by_label("Screen of Ada").last
        await screen.wait_for(timeout=15_000)

        async def is_seen() -> bool:
            red, green, blue = await screen.evaluate(COLOUR)
            return bool(red > 150 and green < 90 and blue > 110)

        async def is_heard() -> bool:
            return any(abs(tone - HERTZ) < 30 for tone in await bob.page.evaluate(TONES))

        await eventually("bob sees what the tab shows", is_seen, 20)
        took = await eventually("bob hears what the tab plays", is_heard, 20)
        print(f"\nheard {took:.1f} s after it was seen: {await bob.page.evaluate(TONES)} Hz")
        # No beeps of microphones any more: where pages play what they hear, the echo canceller takes them for an echo.
        assert await ada.sees_and_hears() and await bob.sees_and_hears()
        await ada.button("Stop sharing").click()

        async def is_over() -> bool:
            return not await is_heard()

        await eventually("its sound is over as well", is_over, 20)
        assert [ada.errors, bob.errors] == [[], []]
