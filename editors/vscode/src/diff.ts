/** Where a code block of an answer belongs in a document, and how it gets there. Lines count from 0. */

/** Lines `start` to `end` (without it) become `text`, which ends without a line feed. */
export interface Placement {
  start: number;
  end: number;
  text: string;
}

/** Compared lines are limited: a table of all pairs is built. */
const CELLS_MAX = 4_000_000;

const DEFINITION =
  /^\s*(?:(?:export|default|public|private|protected|static|async|pub|abstract|final)\s+)*(?:def|class|function|fn|func|struct|interface|enum|trait|impl|type)\s+\*?([A-Za-z_$][\w$]*)/;

/**
 * The place of `code` in `document`: the selected lines; else the definition of the same name; else the lines that it
 * repeats for the most part; else the line of the cursor, in front of which it is inserted.
 */
export function placeBlock(
  document: string,
  code: string,
  cursor: number,
  selection?: { start: number; end: number },
): Placement {
  const lines = splitLines(document);
  const block = trimBlank(splitLines(code));
  const region = selection ?? sameDefinition(lines, block) ?? repeatedLines(lines, block);
  if (region) return { ...region, text: reindent(block, indentAt(lines, region.start)).join("\n") };
  const at = Math.min(Math.max(cursor, 0), lines.length);
  return { start: at, end: at, text: reindent(block, indentAt(lines, at)).join("\n") };
}

/** The document with the placement made, with the document's own line ends. */
export function applyPlacement(document: string, placement: Placement): string {
  const eol = document.includes("\r\n") ? "\r\n" : "\n";
  const lines = splitLines(document);
  const text = placement.text === "" ? [] : splitLines(placement.text);
  return [...lines.slice(0, placement.start), ...text, ...lines.slice(placement.end)].join(eol);
}

/** The smallest run of lines in which two texts differ: lines `start` to `end` of `before` become `lines`. */
export function changedLines(before: string, after: string): { start: number; end: number; lines: string[] } {
  const a = splitLines(before);
  const b = splitLines(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let tail = 0;
  while (tail < a.length - start && tail < b.length - start && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return { start, end: a.length - tail, lines: b.slice(start, b.length - tail) };
}

export function splitLines(text: string): string[] {
  return text.split(/\r\n|\n/);
}

function trimBlank(lines: string[]): string[] {
  let start = 0;
  let end = lines.length;
  while (start < end && lines[start].trim() === "") start++;
  while (end > start && lines[end - 1].trim() === "") end--;
  return lines.slice(start, end);
}

function indentOf(line: string): string {
  return /^[ \t]*/.exec(line)![0];
}

/** The indentation of the first line with text from `at` on. */
function indentAt(lines: string[], at: number): string {
  return indentOf(lines.slice(at).find((line) => line.trim() !== "") ?? "");
}

/** The block moved as a whole, so that its first line is indented like `indent`. */
function reindent(block: string[], indent: string): string[] {
  const own = indentOf(block[0] ?? "");
  if (own === indent) return block;
  return block.map((line) => {
    if (line.trim() === "") return line;
    return line.startsWith(own) ? indent + line.slice(own.length) : line;
  });
}

/** The one definition of the document that the block defines anew, if it defines one thing. */
function sameDefinition(lines: string[], block: string[]): { start: number; end: number } | undefined {
  const outer = indentAt(block, 0).length;
  const own = block.filter((line) => DEFINITION.test(line) && indentOf(line).length === outer);
  if (own.length !== 1 || block.some((line) => isStatement(line, outer))) return undefined;
  const name = DEFINITION.exec(own[0])![1];
  const found = lines.flatMap((line, i) => (DEFINITION.exec(line)?.[1] === name ? [i] : []));
  if (found.length !== 1) return undefined;
  const start = found[0];
  // What the block has in front of its definition (a decorator, a comment) replaces the same lines in front of the other.
  const before = block.indexOf(own[0]);
  const head = block.slice(0, before).map((line) => line.trim());
  const same = head.length > 0 && head.every((line, i) => lines[start - before + i]?.trim() === line);
  return { start: same ? start - before : start, end: blockEnd(lines, start) };
}

/** A line of the block's outermost level that belongs to no definition: the block is more than a definition. */
function isStatement(line: string, outer: number): boolean {
  const text = line.trim();
  if (text === "" || indentOf(line).length > outer || DEFINITION.test(line)) return false;
  return !/^(?:[@#*})\]]|\/[/*]|--|end\b)/.test(text);
}

/** The end of the block that begins in line `start`: by its indentation and a closing line. */
function blockEnd(lines: string[], start: number): number {
  const indent = indentOf(lines[start]).length;
  let end = start + 1;
  for (let i = start + 1; i < lines.length; i++) {
    const text = lines[i].trim();
    if (text === "") continue;
    const own = indentOf(lines[i]).length;
    if (own > indent) end = i + 1;
    else if (own === indent && /^(?:[})\]]|end\b)/.test(text)) end = i + 1;
    else if (own === indent && text === "{") end = i + 1;
    else break;
  }
  return end;
}

/** How much a line tells: brackets alone stand everywhere. */
function weight(line: string): number {
  return line.replace(/[^\p{L}\p{N}_]/gu, "").length >= 3 ? 1 : 0;
}

/**
 * The run of lines that the block repeats: at least six tenths of the block's lines are in it, in order, and at least
 * six tenths of what it would replace are in the block.
 */
function repeatedLines(lines: string[], block: string[]): { start: number; end: number } | undefined {
  if (lines.length * block.length > CELLS_MAX) return undefined;
  const pairs = commonLines(
    lines.map((line) => (weight(line) ? line.trim() : "")),
    block.map((line) => (weight(line) ? line.trim() : "")),
  );
  if (pairs.length === 0) return undefined;
  const start = pairs[0];
  let end = pairs[pairs.length - 1] + 1;
  const telling = (some: string[]) => some.reduce((sum, line) => sum + weight(line), 0);
  if (pairs.length < 0.6 * telling(block) || pairs.length < 0.6 * telling(lines.slice(start, end))) return undefined;
  // Closing brackets behind the last common line belong to it where the block has them as well.
  const tail = block.slice(block.map((line) => line.trim()).lastIndexOf(lines[end - 1].trim()) + 1);
  for (const line of tail) {
    if (weight(line) || end >= lines.length || lines[end].trim() !== line.trim()) break;
    end++;
  }
  return { start, end };
}

/** The lines of `a` in a longest common subsequence with `b`; empty lines are in none. */
function commonLines(a: string[], b: string[]): number[] {
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const below = table[(i + 1) * width + j];
      const right = table[i * width + j + 1];
      const same = a[i] !== "" && a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1 : 0;
      table[i * width + j] = Math.max(same, below, right);
    }
  }
  const found: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const here = table[i * width + j];
    if (a[i] !== "" && a[i] === b[j] && here === table[(i + 1) * width + j + 1] + 1) {
      found.push(i++);
      j++;
    } else if (here === table[(i + 1) * width + j]) i++;
    else j++;
  }
  return found;
}
