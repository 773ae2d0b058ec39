/** A text of the pages before it is in a language: its key, and what is put into it. */
import type { en } from "./en";

export type Key = keyof typeof en;
export type Params = Record<string, string | number>;
export type Words = [key: Key, params?: Params];
/** One form, or one for each number that a language tells apart. */
export type Entry = string | Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
export type Table = Record<Key, Entry>;
