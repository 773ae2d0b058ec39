/** From a table's entry to a text. Pure. */
import { en } from "./en";
import { it } from "./it";
import type { Entry, Key, Params, Table } from "./words";

export type Language = "en" | "it";
export const TABLES: Record<Language, Table> = { en, it };
export const LANGUAGES: readonly Language[] = ["en", "it"];

export function translate(language: Language, key: Key, params: Params = {}): string {
  const entry: Entry = TABLES[language][key];
  const form = typeof entry === "string" ? entry : entry[ruleOf(language, params.count)] ?? entry.other;
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => String(params[name] ?? whole));
}

function ruleOf(language: Language, count: string | number | undefined): Intl.LDMLPluralRule {
  return new Intl.PluralRules(language).select(Number(count ?? 0));
}

/** The first of the browser's languages that there is a table for. */
export function preferred(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const language = LANGUAGES.find((one) => tag.toLowerCase().split("-")[0] === one);
    if (language) return language;
  }
  return "en";
}
