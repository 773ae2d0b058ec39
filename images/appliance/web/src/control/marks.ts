/** The marks of one user, in this browser. Without storage they hold until the page is closed. */
import { type Marks, noMarks, parseMarks } from "../state/marks";

const KEY = "mcs.marks.";

export function loadMarks(user: string): Marks {
  try {
    return parseMarks(JSON.parse(localStorage.getItem(KEY + user) ?? "null"));
  } catch {
    return noMarks;
  }
}

export function saveMarks(user: string, marks: Marks): void {
  try {
    localStorage.setItem(KEY + user, JSON.stringify(marks));
  } catch {
    // As above.
  }
}
