import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react";
import type { Control } from "../control/control";
import { language } from "../i18n/language";
import { type Language, translate } from "../i18n/translate";
import type { Key, Params } from "../i18n/words";
import type { CallMedia, MediaState } from "../media/room";
import type { State } from "../state/state";

export const ControlContext = createContext<Control | null>(null);

export function useControl(): Control {
  const control = useContext(ControlContext);
  if (!control) throw new Error("outside of ControlContext");
  return control;
}

/** What `select` picks must be part of the state, and nothing made anew: else each change would draw everything. */
export function useSelect<T>(select: (state: State) => T): T {
  const { store } = useControl();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

export function useLanguage(): Language {
  return useSyncExternalStore(language.subscribe, language.get);
}

export type Translate = (key: Key, params?: Params) => string;

export function useT(): Translate {
  const now = useLanguage();
  return (key, params) => translate(now, key, params);
}

export function useMedia(): CallMedia | null {
  const { calling } = useControl();
  return useSyncExternalStore(calling.subscribe, () => calling.media);
}

const nothing = (): (() => void) => () => undefined;

export function useMediaState(media: CallMedia | null): MediaState | null {
  return useSyncExternalStore(media?.subscribe ?? nothing, () => media?.get() ?? null);
}

/** The time, once a second. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Whether anybody can see the page. */
export function useVisible(): boolean {
  return useSyncExternalStore(
    (listener) => {
      document.addEventListener("visibilitychange", listener);
      return () => document.removeEventListener("visibilitychange", listener);
    },
    () => !document.hidden,
  );
}
