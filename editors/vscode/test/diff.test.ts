import assert from "node:assert/strict";
import test from "node:test";
import { applyPlacement, changedLines, placeBlock } from "../src/diff";

const FILE = `import os

def first(x):
    y = x + 1
    return y

class Box:
    def size(self):
        return len(self.items)

    def empty(self):
        return not self.items

print(first(1))
`;

const apply = (code: string, cursor = 0, selection?: { start: number; end: number }, file = FILE) =>
  applyPlacement(file, placeBlock(file, code, cursor, selection));

test("a definition replaces the one of its name", () => {
  assert.equal(apply("def first(x):\n    return x + 2\n"), FILE.replace("    y = x + 1\n    return y", "    return x + 2"));
});

test("a method is indented as the one that it replaces", () => {
  const got = apply("def empty(self):\n    return len(self.items) == 0");
  assert.equal(got, FILE.replace("not self.items", "len(self.items) == 0"));
});

test("braces end with their block", () => {
  const file = "int a(void)\n{\n    return 1;\n}\n\nfunction b() {\n  return 2;\n}\nlast();\n";
  assert.equal(apply("function b() {\n  return 3;\n}", 0, undefined, file), file.replace("2", "3"));
});

test("the selection comes first", () => {
  assert.equal(apply("z = 1", 0, { start: 3, end: 5 }), FILE.replace("    y = x + 1\n    return y", "    z = 1"));
});

test("a whole file that is repeated with a change is replaced", () => {
  const changed = FILE.replace("import os", "import os\nimport sys");
  assert.equal(apply(changed.trimEnd()), changed);
});

test("what belongs nowhere is inserted at the cursor", () => {
  assert.equal(apply("    print('new')", 13), FILE.replace("print(first(1))", "print('new')\nprint(first(1))"));
  assert.equal(apply("x", 0, undefined, ""), "x\n");
});

test("one common line far away takes nothing with it", () => {
  const file = Array.from({ length: 50 }, (_, i) => `line number ${i}`).join("\n");
  const got = apply("line number 3\nsomething else\nline number 44", 10, undefined, file);
  assert.equal(got.split("\n").length, 53);
});

test("two definitions of a name are not guessed between", () => {
  const file = "def f():\n    one()\n\ndef f():\n    two()\n";
  assert.ok(apply("def f():\n    three()", 5, undefined, file).includes("one()"));
});

test("line ends stay", () => {
  const crlf = FILE.replace(/\n/g, "\r\n");
  const got = apply("def first(x):\n    return 0", 0, undefined, crlf);
  assert.ok(!/[^\r]\n/.test(got) && got.includes("return 0\r\n"));
});

test("the change is as small as can be, and makes the new text", () => {
  const texts = ["", "a", "a\nb\nc", "a\nx\nc", "a\nb", "b\nb\nb", "b\nb", "a\n"];
  for (const before of texts) {
    for (const after of texts) {
      const { start, end, lines } = changedLines(before, after);
      const made = before.split("\n");
      made.splice(start, end - start, ...lines);
      assert.equal(made.join("\n"), after);
    }
  }
  assert.deepEqual(changedLines("a\nb\nc", "a\nx\nc"), { start: 1, end: 2, lines: ["x"] });
});
