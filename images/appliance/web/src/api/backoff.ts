/**
 * When to try again: soon, then less and less often. Each wait is drawn from a span, because everybody loses his
 * connection at the same moment when the portal is started anew, and must not come back at the same moment.
 */
export function backoff(attempt: number, limitMs: number, random: () => number = Math.random): number {
  const most = Math.min(limitMs, 500 * 2 ** Math.min(attempt, 16));
  return Math.round(most / 2 + (random() * most) / 2);
}
