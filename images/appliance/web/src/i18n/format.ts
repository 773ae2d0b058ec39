/** Times, days and sizes as they are written in a language. Pure. */
import type { Language } from "./translate";

/** English as it is written in Europe: 20:40, 29 November. */
const LOCALE: Record<Language, string> = { en: "en-GB", it: "it" };

export function clock(at: number, language: Language): string {
  return new Intl.DateTimeFormat(LOCALE[language], { hour: "2-digit", minute: "2-digit" }).format(at);
}

/** A time of the next hours: with its day, where that is another one. */
export function soon(at: number, now: number, language: Language): string {
  const today = new Date(at).toDateString() === new Date(now).toDateString();
  const weekday = today ? {} : { weekday: "long" as const };
  return new Intl.DateTimeFormat(LOCALE[language], { ...weekday, hour: "2-digit", minute: "2-digit" }).format(at);
}

export function day(at: number, now: number, language: Language): string {
  const days = Math.round((new Date(at).setHours(0, 0, 0, 0) - new Date(now).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0 || days === -1) {
    const word = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(days, "day");
    return word.charAt(0).toUpperCase() + word.slice(1);
  }
  const year = new Date(at).getFullYear() === new Date(now).getFullYear() ? {} : { year: "numeric" as const };
  return new Intl.DateTimeFormat(LOCALE[language], { weekday: "long", day: "numeric", month: "long", ...year }).format(at);
}

/** 4:07, or 1:00:05. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (value: number): string => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

export function size(bytes: number, language: Language): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = Math.min(units.length - 1, bytes > 0 ? Math.floor(Math.log10(bytes) / 3) : 0);
  return new Intl.NumberFormat(LOCALE[language], {
    style: "unit", unit: units[step] ?? "byte", unitDisplay: "short", maximumFractionDigits: step > 1 ? 1 : 0,
  }).format(bytes / 1000 ** step);
}

/** Two letters for a picture: of first and last name. */
export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...(word ?? "")][0]) : [...(words[0] ?? "?")].slice(0, 2);
  return letters.join("").toUpperCase();
}

/** One of eight colours, always the same one for the same user. */
export function tint(user: string): number {
  let hash = 0;
  for (const letter of user) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return hash % 8;
}
