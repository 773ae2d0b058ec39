/** The language of the pages: as chosen, else the browser's. */
import { LANGUAGES, type Language, preferred } from "./translate";

const KEY = "mcs.language";

class Chosen {
  private readonly listeners = new Set<() => void>();
  private value: Language = stored() ?? preferred(navigator.languages);

  constructor() {
    document.documentElement.lang = this.value;
  }

  readonly get = (): Language => this.value;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  set(value: Language): void {
    this.value = value;
    document.documentElement.lang = value;
    try {
      localStorage.setItem(KEY, value);
    } catch {
      // Then it holds until the page is closed.
    }
    for (const listener of [...this.listeners]) listener();
  }
}

function stored(): Language | undefined {
  try {
    return LANGUAGES.find((language) => language === localStorage.getItem(KEY));
  } catch {
    return undefined;
  }
}

export const language = new Chosen();
