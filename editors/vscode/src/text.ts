/** Text from files, models and servers, made fit to be shown. */

/** Controls, bidirectional overrides and invisible characters: all of them can make a text look like another one. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;

/** `text` with hidden characters made visible; line feeds and tabs stay. */
export function visible(text: string): string {
  return text.replace(/\r\n/g, "\n").replace(HIDDEN, "\ufffd");
}

/** The same for a label of one line. Where the editor draws icons for `$(name)`, a name from outside gets none. */
export function label(text: string, max = 80): string {
  const line = visible(text).replace(/[\n\t]/g, "\ufffd").replace(/\$\(/g, "$\u2060(");
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

/** The last part of a path or URI, as a label. */
export function fileLabel(path: string): string {
  return label(path.slice(path.lastIndexOf("/") + 1));
}
