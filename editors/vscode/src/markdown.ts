/**
 * Markdown into a small tree of text. There is no node for HTML, for an image or for anything else that would be
 * fetched: what the tree cannot say, the chat cannot show. The webview makes elements of it with `textContent` only.
 */
import { visible } from "./text";

export type Span =
  | { kind: "text" | "code" | "strong" | "emphasis"; text: string }
  | { kind: "link"; text: string; url: string };

export type Block =
  | { kind: "heading"; level: number; spans: Span[] }
  | { kind: "paragraph" | "quote"; spans: Span[] }
  | { kind: "list"; ordered: boolean; items: Span[][] }
  | { kind: "code"; language: string; text: string; closed: boolean }
  | { kind: "rule" };

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$/;
const ITEM = /^ {0,6}(?:[-*+]|(\d{1,9})[.)])[ \t]+(.*)$/;

/** A URL that may be offered for opening: the web and nothing else, without a user name that hides the host. */
export function webUrl(text: string): string | undefined {
  if (text.length > 2000 || /[\s\u0000-\u001f]/.test(text)) return undefined;
  try {
    const url = new URL(text);
    const web = url.protocol === "https:" || url.protocol === "http:";
    return web && !url.username && !url.password ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** The blocks of `source`. A fence that is still open (a stream) is a code block that is not `closed`. */
export function parseMarkdown(source: string): Block[] {
  const lines = source.replace(/\r\n?/g, "\n").split("\n");
  const blocks: Block[] = [];
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length) blocks.push({ kind: "paragraph", spans: parseSpans(paragraph.join("\n")) });
    paragraph = [];
  };
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const fence = FENCE.exec(line);
    if (fence) {
      flush();
      i = takeFence(lines, i, fence, blocks);
      continue;
    }
    const single = singleLine(line);
    if (single || line.trim() === "") flush();
    if (single) add(blocks, single);
    else if (line.trim() !== "") paragraph.push(line);
  }
  flush();
  return blocks;
}

/** Takes the fence that begins in line `at`; returns the last line that belongs to it. */
function takeFence(lines: string[], at: number, fence: RegExpExecArray, blocks: Block[]): number {
  const mark = fence[1];
  let end = at + 1;
  const closes = (line: string) => {
    const text = line.trim();
    return text.length >= mark.length && text === mark[0].repeat(text.length);
  };
  while (end < lines.length && !closes(lines[end])) end++;
  const language = /^[\w.+#-]{1,32}/.exec(fence[2].trim())?.[0] ?? "";
  blocks.push({ kind: "code", language, text: lines.slice(at + 1, end).join("\n"), closed: end < lines.length });
  return end;
}

/** The block that is one line by its form, if `line` is such a one. */
function singleLine(line: string): Block | undefined {
  const heading = /^ {0,3}(#{1,6})[ \t]+(.*)$/.exec(line);
  if (heading) return { kind: "heading", level: heading[1].length, spans: parseSpans(heading[2]) };
  if (/^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/.test(line)) return { kind: "rule" };
  const item = ITEM.exec(line);
  if (item) return { kind: "list", ordered: item[1] !== undefined, items: [parseSpans(item[2])] };
  if (/^ {0,3}>/.test(line)) return { kind: "quote", spans: parseSpans(line.replace(/^ {0,3}> ?/, "")) };
  return undefined;
}

/** Items of a list and lines of a quote that follow each other become one. */
function add(blocks: Block[], block: Block): void {
  const last = blocks[blocks.length - 1];
  if (last?.kind === "list" && block.kind === "list" && last.ordered === block.ordered) last.items.push(...block.items);
  else if (last?.kind === "quote" && block.kind === "quote") {
    last.spans.push({ kind: "text", text: "\n" }, ...block.spans);
  } else blocks.push(block);
}

/** Marks that enclose a text, the longer ones first. */
const MARKS: [string, "strong" | "emphasis"][] = [
  ["**", "strong"],
  ["__", "strong"],
  ["*", "emphasis"],
  ["_", "emphasis"],
];

function parseSpans(source: string): Span[] {
  const spans: Span[] = [];
  let text = "";
  /** Where a mark that has no end was looked for in vain: not looked for again, so that the time stays linear. */
  const missing = new Set<string>();
  const find = (mark: string, from: number): number => {
    if (missing.has(mark)) return -1;
    const at = source.indexOf(mark, from);
    if (at < 0) missing.add(mark);
    return at;
  };
  const put = (span: Span) => {
    if (text) spans.push({ kind: "text", text: visible(text) });
    text = "";
    spans.push(span);
  };
  let i = 0;
  while (i < source.length) {
    const taken = takeSpan(source, i, find);
    if (!taken) text += source[i++];
    else {
      if (taken.span.kind === "text") text += taken.span.text;
      else put(taken.span);
      i = taken.end;
    }
  }
  if (text) spans.push({ kind: "text", text: visible(text) });
  return spans;
}

interface Taken {
  span: Span;
  end: number;
}

function takeSpan(source: string, at: number, find: (mark: string, from: number) => number): Taken | undefined {
  const c = source[at];
  if (c === "\\" && /[\\`*_[\]<>!#]/.test(source[at + 1] ?? "")) {
    return { span: { kind: "text", text: source[at + 1] }, end: at + 2 };
  }
  if (c === "`") {
    const end = find("`", at + 1);
    if (end > at + 1) return { span: { kind: "code", text: visible(source.slice(at + 1, end)) }, end: end + 1 };
    return undefined;
  }
  if (c === "[" || (c === "!" && source[at + 1] === "[")) return takeLink(source, at, find);
  for (const [mark, kind] of MARKS) {
    if (!source.startsWith(mark, at) || /[\w*_]/.test(source[at - 1] ?? " ")) continue;
    const end = find(mark, at + mark.length);
    const inner = end < 0 ? "" : source.slice(at + mark.length, end);
    if (inner && inner === inner.trim()) return { span: { kind, text: visible(inner) }, end: end + mark.length };
  }
  return undefined;
}

/** `[text](url)`; an image becomes the words that stand for it, and an odd URL stays text. */
function takeLink(source: string, at: number, find: (mark: string, from: number) => number): Taken | undefined {
  const image = source[at] === "!";
  const begin = at + (image ? 2 : 1);
  const middle = find("](", begin);
  if (middle < 0 || middle - begin > 1000) return undefined;
  const end = find(")", middle);
  if (end < 0 || end - middle > 2000) return undefined;
  const text = visible(source.slice(begin, middle));
  const target = source.slice(middle + 2, end).trim();
  const url = image ? undefined : webUrl(target);
  if (url) return { span: { kind: "link", text, url }, end: end + 1 };
  const shown = `${image ? "image: " : ""}${text} (${visible(target)})`;
  return { span: { kind: "text", text: shown }, end: end + 1 };
}
