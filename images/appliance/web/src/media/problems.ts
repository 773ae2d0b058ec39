/** What can go wrong with microphone, camera, desktop and line, as one of a few words that people get told. Pure. */

export type Device = "microphone" | "camera" | "screen";
export type Problem =
  | { about: Device; why: "denied" | "missing" | "in-use" | "insecure" | "failed" }
  | { about: "line"; why: "refused" | "blocked" | "draining" | "over" | "taken" | "lost" };

/** Null where nothing is wrong: who closes the browser's choice of a screen has changed his mind. */
export function deviceProblem(about: Device, error: unknown): Problem | null {
  const name = error instanceof Error ? error.name : "";
  switch (name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
    case "SecurityError":
      return about === "screen" && !/system/i.test((error as Error).message) ? null : { about, why: "denied" };
    case "NotFoundError":
    case "DevicesNotFoundError":
    case "OverconstrainedError":
      return { about, why: "missing" };
    case "NotReadableError":
    case "TrackStartError":
      return { about, why: "in-use" };
    case "AbortError":
      return about === "screen" ? null : { about, why: "failed" };
    case "DeviceUnsupportedError":
      return { about, why: "insecure" };
    default:
      // Without https the browser has no `mediaDevices` at all, and what is called is undefined.
      return { about, why: error instanceof TypeError ? "insecure" : "failed" };
  }
}

/** Why the media server could not be joined. `status` is the gate's answer, where there was one. */
export function lineProblem(status: number | undefined, signalled: boolean): Problem {
  if (status === 401 || status === 403) return { about: "line", why: "refused" };
  if (status === 404) return { about: "line", why: "over" };
  if (status === 503) return { about: "line", why: "draining" };
  // Signalling came through and media did not: that is a firewall.
  return { about: "line", why: signalled ? "blocked" : "lost" };
}

export type AfterLoss = "over" | "taken" | "again";

/** What to do when the media server let go. Numbers are those of LiveKit's `DisconnectReason`. */
export function afterLoss(reason: number | undefined): AfterLoss {
  if (reason === 1) return "over"; // asked for by this page
  if (reason === 2) return "taken"; // the same session joined in another tab
  return "again"; // removed, room gone, server gone: the portal knows whether the call goes on
}
