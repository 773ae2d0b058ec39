/** What the portal refused, in words for the one who asked. Pure. */
import { ApiError } from "../api/client";
import type { Key } from "../i18n/words";

const UNAVAILABLE: Partial<Record<string, Key>> = {
  "no-bandwidth": "error.noBandwidth",
  "community-full": "error.communityFull",
};

export function callRefusal(error: unknown): Key {
  if (!(error instanceof ApiError)) return "error.failed";
  switch (error.status) {
    case 0:
      return "error.unreachable";
    case 403:
      return "error.forbidden";
    case 404:
    case 410:
      return "error.gone";
    case 409:
      return error.why === "full" ? "error.full" : error.why === "ended" ? "error.gone" : "error.busy";
    case 429:
      return "error.many";
    case 503:
      return UNAVAILABLE[error.why] ?? "error.draining";
    default:
      return "error.failed";
  }
}

export function fileRefusal(error: unknown): Key {
  if (!(error instanceof ApiError)) return "file.failed";
  switch (error.status) {
    case 403:
    case 404:
      return "file.refused";
    case 413:
      return "file.tooLarge";
    case 507:
      return "file.full";
    case 503:
      return error.why === "no-space" ? "file.full" : "file.draining";
    default:
      return "file.failed";
  }
}

export function loginRefusal(error: unknown): Key {
  if (!(error instanceof ApiError)) return "login.failed";
  if (error.status === 0) return "login.unreachable";
  if (error.status === 401) return "login.wrong";
  return error.status === 429 ? "login.later" : "login.failed";
}
