/** Which of the pictures in a call are moving, and how large: as many as the budget of one connection carries. Pure. */

export type Size = "off" | "small" | "large";

export interface Picture {
  id: string;
  kind: "camera" | "screen";
  /** When its sender last spoke; 0 for never. */
  spokeAt: number;
  pinned: boolean;
}

export interface Costs {
  small: number;
  large: number;
  screen: number;
}

export function choosePictures(pictures: Picture[], budget: number, most: number, costs: Costs): Map<string, Size> {
  const sizes = new Map<string, Size>(pictures.map((picture) => [picture.id, "off"]));
  const shown: Picture[] = [];
  let left = budget;
  for (const picture of byImportance(pictures)) {
    const cost = picture.kind === "screen" ? costs.screen : costs.small;
    if (shown.length === most || cost > left) continue;
    left -= cost;
    shown.push(picture);
    sizes.set(picture.id, picture.kind === "screen" ? "large" : "small");
  }
  const first = shown.find((picture) => picture.kind === "camera");
  if (first && costs.large - costs.small <= left) sizes.set(first.id, "large");
  return sizes;
}

/** A desktop is what everybody came for; after that who was pinned, and who spoke last. */
function byImportance(pictures: Picture[]): Picture[] {
  const rank = (picture: Picture): number => (picture.kind === "screen" ? 2 : 0) + (picture.pinned ? 1 : 0);
  return [...pictures].sort((a, b) => rank(b) - rank(a) || b.spokeAt - a.spokeAt || a.id.localeCompare(b.id));
}
