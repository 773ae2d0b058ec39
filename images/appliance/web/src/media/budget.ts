/**
 * What a connection may take of the line: about 60 KB/s (480 kbit/s) each way. The media server cannot hold a sender to
 * anything, so it is held here: voice first, then one picture that adapts.
 */

const KBIT = 1000;

export const CONNECTION = 480 * KBIT;
/** Opus is at its best for speech from here on. RED adds the packet before to each one, so a lost one is not heard. */
export const VOICE = 24 * KBIT;
export const VOICE_WITH_RED = 2 * VOICE;
export const SCREEN_SOUND = 32 * KBIT;
export const PICTURE = { small: 90 * KBIT, large: 320 * KBIT, screen: 300 * KBIT };
/** For all pictures that one receives together; the rest is for the voices. */
export const PICTURES = CONNECTION - VOICE_WITH_RED;
export const MOST_PICTURES = 4;
