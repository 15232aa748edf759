/** What becomes of the completion on the screen, told from the changes of its document. Needs no editor. */

export interface Ghost {
  /** The item as the server gave it. */
  item: unknown;
  uri: string;
  insertText: string;
  /** Where the inserted text begins. */
  offset: number;
  /** UTF-16 units of `insertText` that were in the document when it was shown, and that are by now. */
  taken: number;
  /** What was typed of it by hand is in `taken` but counts as accepted only when an accept comes on top. */
  accepted: boolean;
}

export type Fate = "typed" | "accepted part" | "accepted all" | "gone";

/** Pairs that the editor closes by itself: two characters at once, yet typed. */
const PAIRS = new Set(["()", "[]", "{}", '""', "''", "``", "<>"]);

/** Changes `ghost` by one change of its document: `removed` units at `offset` became `text`. */
export function follow(ghost: Ghost, offset: number, removed: number, text: string): Fate {
  const rest = ghost.insertText.slice(ghost.taken);
  if (offset !== ghost.offset + ghost.taken || removed > 0 || !rest.startsWith(text)) return "gone";
  ghost.taken += text.length;
  const accept = text.length > 1 && !PAIRS.has(text);
  if (accept) ghost.accepted = true;
  if (text.length === rest.length) return accept ? "accepted all" : "typed";
  return accept ? "accepted part" : "typed";
}
