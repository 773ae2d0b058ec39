/** Requests to the portal. Each either answers with a value of `types`, or throws an `ApiError`. */
import * as parse from "./parse";
import type { Call, History, Me, Media, Message, Missed, Page, Place, Recent, SharedFile } from "./types";
import { placeKey } from "./types";

export class ApiError extends Error {
  /** `status` 0: no answer at all. */
  constructor(
    readonly status: number,
    readonly why: string = "",
    readonly retryAfter: number = 0,
  ) {
    super(`${status} ${why}`.trim());
    this.name = "ApiError";
  }
}

type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

const at = encodeURIComponent;

function pathOf(place: Place): string {
  return place.kind === "user" ? `/api/conversations/${at(place.user)}` : `/api/calls/${at(place.call)}`;
}

export function uploadPath(user: string, name: string): string {
  return `${pathOf({ kind: "user", user })}/files?name=${at(name)}`;
}

export function filePath(id: string): string {
  return `/api/files/${at(id)}`;
}

export class Api {
  constructor(private readonly fetch: Fetch) {}

  async login(user: string, password: string): Promise<void> {
    await this.ask("POST", "/api/login", { user, password });
  }

  async logout(everywhere: boolean): Promise<void> {
    await this.ask("POST", everywhere ? "/api/logout-everywhere" : "/api/logout");
  }

  async me(): Promise<Me> {
    return must(parse.me(await this.ask("GET", "/api/me")));
  }

  async directory(q: string, after: string | null, signal?: AbortSignal): Promise<Page> {
    const query = new URLSearchParams({ ...(q && { q }), ...(after && { after }) }).toString();
    return parse.page(await this.ask("GET", `/api/directory${query && `?${query}`}`, undefined, signal));
  }

  async call(users: string[], media: Media): Promise<Call> {
    return must(parse.call(await this.ask("POST", "/api/calls", { users, media })));
  }

  async accept(id: string): Promise<Call> {
    return must(parse.call(await this.ask("POST", `/api/calls/${at(id)}/accept`)));
  }

  async refuse(id: string): Promise<void> {
    await this.ask("POST", `/api/calls/${at(id)}/refuse`);
  }

  async leave(id: string): Promise<void> {
    await this.ask("POST", `/api/calls/${at(id)}/leave`);
  }

  async invite(id: string, user: string): Promise<void> {
    await this.ask("POST", `/api/calls/${at(id)}/invite`, { user });
  }

  /** The call as it is now; null where there is none any more. */
  async callNow(id: string): Promise<Call | null> {
    try {
      const call = parse.call(await this.ask("GET", `/api/calls/${at(id)}`));
      return call?.ended ? null : call;
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 403)) return null;
      throw error;
    }
  }

  async missed(): Promise<Missed[]> {
    return parse.missed(await this.ask("GET", "/api/missed"));
  }

  /** The conversations of late; none where the portal does not tell them. */
  async recents(): Promise<Recent[]> {
    try {
      return parse.recents(await this.ask("GET", "/api/conversations"));
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 403)) return [];
      throw error;
    }
  }

  async history(place: Place, before: string | null): Promise<History> {
    const query = before ? `?before=${at(before)}` : "";
    return parse.history(await this.ask("GET", `${pathOf(place)}/messages${query}`), placeKey(place));
  }

  /** The newest files of two. */
  async files(user: string): Promise<SharedFile[]> {
    return parse.files(await this.ask("GET", `${pathOf({ kind: "user", user })}/files`), user);
  }

  async send(place: Place, text: string): Promise<Message> {
    const key = placeKey(place);
    const message = must(parse.message(await this.ask("POST", `${pathOf(place)}/messages`, { text }), key));
    return { ...message, conversation: key };
  }

  private async ask(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
    let response: Response;
    try {
      response = await this.fetch(path, {
        method,
        credentials: "same-origin",
        ...(signal && { signal }),
        ...(body !== undefined && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new ApiError(0);
    }
    const answer: unknown = response.status === 204 ? null : await response.json().catch(() => null);
    if (!response.ok) throw refusal(response.status, answer, response.headers.get("Retry-After"));
    return answer;
  }
}

export function refusal(status: number, answer: unknown, retryAfter: string | null): ApiError {
  const said = parse.fields(answer);
  const seconds = Number(retryAfter);
  return new ApiError(status, parse.text(said.why) || parse.text(said.error), Number.isFinite(seconds) && seconds > 0 ? seconds : 0);
}

/** An answer without what it is about (a proxy's, say) is no answer. */
function must<T>(value: T | null): T {
  if (value === null) throw new ApiError(0);
  return value;
}
