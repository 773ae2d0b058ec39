/** Where one is, as the part of the address behind #: so Back works, and a link to a conversation is a link. */
export type Route =
  | { at: "people" }
  | { at: "with"; user: string }
  | { at: "missed" }
  | { at: "settings" }
  | { at: "call" };

export function parseRoute(hash: string): Route {
  const [first, second] = hash.replace(/^#\/?/, "").split("/");
  if (first === "with" && second) {
    try {
      return { at: "with", user: decodeURIComponent(second) };
    } catch {
      return { at: "people" }; // a broken %-sequence
    }
  }
  return first === "missed" || first === "settings" || first === "call" ? { at: first } : { at: "people" };
}

export function formatRoute(route: Route): string {
  if (route.at === "with") return `#/with/${encodeURIComponent(route.user)}`;
  return route.at === "people" ? "#/" : `#/${route.at}`;
}
