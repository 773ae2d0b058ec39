/**
 * What is heard: somebody calls, it rings over there, somebody wrote. Made here, so there are no sound files.
 *
 * A ring is one buffer in a loop: browsers slow the timers of a background tab down to one a minute.
 */

type Note = { at: number; length: number; hertz: number; volume: number };

const RING: Note[] = [
  { at: 0, length: 0.32, hertz: 659, volume: 0.5 },
  { at: 0.18, length: 0.32, hertz: 880, volume: 0.5 },
  { at: 0.36, length: 0.5, hertz: 988, volume: 0.5 },
  { at: 0.9, length: 0.32, hertz: 659, volume: 0.4 },
  { at: 1.08, length: 0.32, hertz: 880, volume: 0.4 },
  { at: 1.26, length: 0.5, hertz: 988, volume: 0.4 },
];
const RINGBACK: Note[] = [{ at: 0, length: 1, hertz: 425, volume: 0.16 }];
const MESSAGE: Note[] = [
  { at: 0, length: 0.14, hertz: 784, volume: 0.25 },
  { at: 0.1, length: 0.22, hertz: 1047, volume: 0.25 },
];

export class Tones {
  private context: AudioContext | null = null;
  private playing: AudioBufferSourceNode | null = null;
  private name: "ring" | "ringback" | null = null;
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Whether the browser still waits for a click or a key: before one, it lets no page make a sound. */
  readonly silent = (): boolean => this.context?.state !== "running";

  /** At the start, and from each click and key until it works. */
  unlock(): void {
    if (!this.context) {
      this.context = new AudioContext();
      this.context.onstatechange = () => {
        for (const listener of [...this.listeners]) listener();
      };
    }
    if (this.silent()) void this.context.resume().catch(() => undefined);
  }

  /** Goes on until `stop`. */
  loop(name: "ring" | "ringback"): void {
    if (this.name === name) return;
    this.stop();
    this.name = name;
    this.unlock();
    this.playing = this.start(name === "ring" ? RING : RINGBACK, name === "ring" ? 3.4 : 4);
    if (this.playing) this.playing.loop = true;
  }

  message(): void {
    if (!this.silent()) this.start(MESSAGE, 0.5);
  }

  stop(): void {
    this.playing?.stop();
    this.playing = null;
    this.name = null;
  }

  private start(notes: Note[], seconds: number): AudioBufferSourceNode | null {
    if (!this.context) return null;
    const source = this.context.createBufferSource();
    source.buffer = drawn(this.context, notes, seconds);
    source.connect(this.context.destination);
    source.start();
    return source;
  }
}

function drawn(context: AudioContext, notes: Note[], seconds: number): AudioBuffer {
  const rate = context.sampleRate;
  const buffer = context.createBuffer(1, Math.ceil(seconds * rate), rate);
  const samples = buffer.getChannelData(0);
  for (const note of notes) {
    const from = Math.floor(note.at * rate);
    const count = Math.min(Math.floor(note.length * rate), samples.length - from);
    for (let i = 0; i < count; i++) {
      const t = i / rate;
      // Both ends are faded, or each note would begin and end with a click.
      const fade = Math.min(1, t / 0.012, (note.length - t) / 0.08);
      const wave = Math.sin(2 * Math.PI * note.hertz * t) + 0.25 * Math.sin(4 * Math.PI * note.hertz * t);
      samples[from + i] = (samples[from + i] ?? 0) + wave * fade * note.volume * 0.6;
    }
  }
  return buffer;
}
