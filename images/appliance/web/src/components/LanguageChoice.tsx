import { LANGUAGES, type Language } from "../i18n/translate";
import { language } from "../i18n/language";
import { Icon } from "./Icon";
import { useLanguage, useT } from "./hooks";

/** Each language is called by its own name: who cannot read this page finds his all the same. */
const NAMES: Record<Language, string> = { en: "English", it: "Italiano" };

export function LanguageChoice() {
  const t = useT();
  const now = useLanguage();
  return (
    <label className="language">
      <Icon name="globe" />
      <span className="sr">{t("login.language")}</span>
      <select value={now} onChange={(event) => language.set(event.target.value as Language)}>
        {LANGUAGES.map((one) => (
          <option key={one} value={one} lang={one}>{NAMES[one]}</option>
        ))}
      </select>
    </label>
  );
}
