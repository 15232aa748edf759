import assert from "node:assert/strict";
import test from "node:test";
import { parseMarkdown, webUrl, type Block, type Span } from "../src/markdown";
import { fileLabel, label, visible } from "../src/text";

const spansOf = (source: string): Span[] => {
  const block = parseMarkdown(source)[0] as Block & { spans: Span[] };
  return block.spans;
};
const plain = (source: string) => spansOf(source).map((span) => `${span.kind}:${span.text}`);

test("the usual forms", () => {
  const kinds = parseMarkdown("# T\n\ntext\nmore\n\n- a\n- b\n1. c\n\n> q\n> r\n\n---\n```py\nx\n```\n").map((block) => block.kind);
  assert.deepEqual(kinds, ["heading", "paragraph", "list", "list", "quote", "rule", "code"]);
  assert.deepEqual(plain("a `b` **c** _d_ e_f_g"), ["text:a ", "code:b", "text: ", "strong:c", "text: ", "emphasis:d", "text: e_f_g"]);
});

test("a fence that is still open is a block that is not closed", () => {
  assert.deepEqual(parseMarkdown("```c\nint x;"), [{ kind: "code", language: "c", text: "int x;", closed: false }]);
  assert.deepEqual(parseMarkdown("````\n```\n````")[0], { kind: "code", language: "", text: "```", closed: true });
});

test("HTML is text", () => {
  for (const html of ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<a href='javascript:1'>x</a>", "<iframe src=//e.example>"]) {
    assert.deepEqual(spansOf(html), [{ kind: "text", text: html }]);
  }
});

test("an image is words and no address to fetch", () => {
  assert.deepEqual(spansOf("![pixel](https://evil.example/p.png?d=secret)"), [
    { kind: "text", text: "image: pixel (https://evil.example/p.png?d=secret)" },
  ]);
  const nested = spansOf("[![x](https://evil.example/a.png)](https://evil.example/)");
  assert.ok(nested.every((span) => span.kind === "text" || span.kind === "link"));
});

test("only the web's links are links", () => {
  assert.deepEqual(spansOf("[a](https://example.org/b)"), [{ kind: "link", text: "a", url: "https://example.org/b" }]);
  const bad = ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "command:workbench.action.quit", "vscode://x/y", "file:///etc/passwd", "https://user@evil.example/", "//evil.example"];
  for (const url of bad) {
    assert.equal(webUrl(url), undefined, url);
    assert.ok(spansOf(`[a](${url})`).every((span) => span.kind !== "link"), url);
  }
});

test("hidden characters are seen", () => {
  assert.equal(visible("a\u202eb\u0007c\u200b\r\nd\te"), "a\ufffdb\ufffdc\ufffd\nd\te");
  assert.equal(fileLabel("/w/a\n\u001b[31m$(alert)\u202e.py"), "a\ufffd\ufffd[31m$\u2060(alert)\ufffd.py");
  assert.equal(label("x".repeat(100), 10).length, 10);
  assert.deepEqual(spansOf("a\u202eb"), [{ kind: "text", text: "a\ufffdb" }]);
});

test("a language is a short word", () => {
  assert.equal((parseMarkdown('```py" onload="x\n```')[0] as any).language, "py");
});

test("long hostile texts take no long time", () => {
  for (const part of ["*", "**a", "[", "![", "`", "_a ", "> ", "[a](", "\\", "- - ", "```\n"]) {
    const begun = Date.now();
    parseMarkdown(part.repeat(20_000));
    assert.ok(Date.now() - begun < 2000, part);
  }
});
