// The extension in VS Code itself: ghost text, chat, edits and the status bar, with a real model, as a person uses them.
//
//   node vscode.mjs [FOLDER]     screenshots go to FOLDER, where one is given
//
// HEARTH_BIN is the program (build/hearth), HEARTH_HOME has the models, CODE_SERVER starts code-server, CHROMIUM is the
// browser.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import * as kit from "./vscode_kit.mjs";

const MODEL = process.env.HEARTH_TEST_MODEL_NAME ?? "qwen2.5-coder:0.5b";
const { until, press, ghost, sleep } = kit;

const SHAPES = `import math


def area(radius):
    `;
const NUMBERS = `def mean(values):
    """The arithmetic mean; 0 of an empty list."""
    total = 0
    for value in values:
        total = total + value
    return total / len(values)


print(mean([1, 2, 3]))
`;
const LARGEST = `def mean(values):
    total = 0
    for value in values:
        total = total + value
    return total / len(values)


def largest(values):`;

let editor, page, log;
const sent = (method) => kit.messages(log).filter((one) => one.from === "client" && one.message.method === method).map((one) => one.message.params);
/** The item that the server has given last. */
const lastItem = () => kit.messages(log).findLast((one) => one.from === "server" && one.message.result?.items?.length)?.message.result.items[0];

before(async () => {
  editor = await kit.start({
    files: { "shapes.py": SHAPES, "numbers.py": NUMBERS, "largest.py": LARGEST, ".env": "TOKEN=\n", "emoji.py": "# 👩‍💻 e\u0301\ns = '😀' + \n" },
    settings: (folder) => ({
      "hearth.path": kit.tapped(folder, kit.program(), (log = join(folder, "log"))),
      "hearth.home": process.env.HEARTH_HOME ?? "",
      "hearth.model": MODEL,
      "hearth.automaticDeadlineMs": 3000,
      "hearth.deadlineMs": 5000,
    }),
  });
  page = editor.page;
});
after(kit.stopAll);

// HEARTH_TEST_FAILURES is a folder for what the screen and the protocol were when a test failed.
const failures = process.env.HEARTH_TEST_FAILURES;
afterEach(async (context) => {
  if (!failures || context.passed !== false) return;
  await page.screenshot({ path: join(failures, `${context.name.replace(/\W+/g, "-").slice(0, 40)}.png`) });
  copyFileSync(log, join(failures, "messages.jsonl"));
});

const picture = async (name) => process.argv[2] && kit.screenshot(page, join(process.argv[2], `${name}.png`));
const ready = () => until(async () => (await kit.statusBar(page))?.label.includes("ready"), async () => JSON.stringify(await kit.statusBar(page)));
const shown = (what = () => true) => until(async () => { const text = await ghost(page); return text && what(text) ? text : ""; }, async () => `no ghost text; there is "${await ghost(page)}"`, 30_000);
const diff = () => page.evaluate(() => document.querySelector(".monaco-diff-editor") !== null);
const noDiff = async () => !(await diff());

test("the status bar tells the model and that it is ready", async () => {
  await ready();
  assert.match((await kit.statusBar(page)).text, new RegExp(MODEL));
});

test("ghost text comes while typing; a word, then all of it is accepted", async () => {
  await kit.openFile(page, "shapes.py");
  await kit.goTo(page, 5, 5);
  await page.keyboard.type("return ", { delay: 80 });
  const text = await shown();
  const before = await kit.saved(editor, "shapes.py");
  assert.equal(before, SHAPES + "return ");
  const item = lastItem();
  assert.ok(item.insertText.startsWith(text.split("\n")[0]), `${item.insertText} is not what is shown: ${text}`);

  await press(page, "Control+ArrowRight");
  const rest = await shown((now) => now !== text);
  assert.ok(text.endsWith(rest) && rest.length < text.length, `"${rest}" is not the rest of "${text}"`);
  const word = text.slice(0, text.length - rest.length);
  assert.equal(await kit.saved(editor, "shapes.py"), before + word);
  await until(() => sent("textDocument/didPartiallyAcceptCompletion").length > 0, "the accepted word is not told");
  assert.equal(sent("textDocument/didPartiallyAcceptCompletion").at(-1).acceptedLength, word.length);

  await press(page, "Tab");
  await until(() => sent("workspace/executeCommand").some((one) => one.command === "hearth.accepted"), "the accept is not told");
  assert.equal(await kit.saved(editor, "shapes.py"), before + item.insertText);
});

test("what is typed along stays shown; a line, then the rest is accepted", async () => {
  await kit.openFile(page, "largest.py");
  await kit.goTo(page, 99, 99);
  await page.keyboard.type("\n", { delay: 40 });
  const text = await shown((now) => lastItem().insertText.startsWith(now.split("\n")[0]) && now.includes("\n"));
  const first = lastItem();
  await page.keyboard.type(first.insertText[0]);
  await shown((now) => now.split("\n")[0] === text.split("\n")[0].slice(1));
  await picture("vscode-completion");
  const told = sent("textDocument/didPartiallyAcceptCompletion").length;
  await press(page, "Control+Alt+ArrowRight");
  await until(() => sent("textDocument/didPartiallyAcceptCompletion").length > told, "the line is not told");
  const below = first.range.start.line + 1;
  await until(() => lastItem().range.start.line === below, "nothing is given for the line below");
  await shown();
  const line = first.insertText.split("\n")[0];
  const withLine = await kit.saved(editor, "largest.py");
  assert.ok(withLine.trimEnd().endsWith(`    ${line}`), withLine);
  // At a line's beginning the editor's Tab first makes the indentation, which leaves the text shown.
  await press(page, "Tab");
  await until(() => lastItem().range.start.character > 0, "the indentation does not come");
  await shown();
  await press(page, "Tab");
  await until(async () => (await kit.saved(editor, "largest.py")).includes(first.insertText), "the rest is not accepted");
});

test("Escape dismisses, and that is told", async () => {
  await kit.openFile(page, "shapes.py");
  await kit.goTo(page, 99, 99);
  await page.keyboard.type("\n\n\ndef perimeter(radius):\n", { delay: 40 });
  await page.keyboard.type("return ", { delay: 60 });
  await shown();
  const told = sent("textDocument/didDismissCompletion").length;
  await press(page, "Escape");
  await until(async () => !(await ghost(page)), "the ghost text stays");
  await page.keyboard.type("0");
  await until(() => sent("textDocument/didDismissCompletion").length > told, "the dismissal is not told");
});

test("emoji and combining characters before the cursor", async () => {
  await kit.openFile(page, "emoji.py");
  await kit.goTo(page, 2, 99);
  await page.keyboard.type("'é' + ", { delay: 60 });
  await shown();
  const before = await kit.saved(editor, "emoji.py");
  const { insertText } = lastItem();
  await press(page, "Tab");
  await until(async () => (await kit.saved(editor, "emoji.py")) !== before, "nothing is accepted");
  assert.equal(await kit.saved(editor, "emoji.py"), before.slice(0, -1) + insertText + "\n");
});

test("a file of secrets is left alone", async () => {
  await kit.openFile(page, ".env");
  const asked = sent("textDocument/inlineCompletion").length;
  await page.keyboard.press("End");
  await page.keyboard.type("abc", { delay: 100 });
  await until(async () => (await kit.statusBar(page)).label.includes("secrets"), async () => (await kit.statusBar(page)).label);
  await until(() => sent("textDocument/inlineCompletion").length > asked, "nothing is asked");
  await sleep(1000);
  assert.equal(await ghost(page), "");
  await kit.saved(editor, ".env");
});

let chat;
const answer = () => chat.evaluate(() => document.querySelector("#turns article:last-child")?.textContent ?? "");
const idle = () => until(() => chat.evaluate(() => !document.querySelector("#send").hidden), "the answer does not end");

test("a chat is answered in a stream, and its code is inserted", async () => {
  await kit.openFile(page, "shapes.py");
  chat = await kit.openChat(page);
  await chat.waitForSelector("#text");
  await until(() => chat.evaluate(() => document.querySelector("#name").textContent), "the view does not name the file");
  assert.equal(await chat.evaluate(() => document.querySelector("#name").textContent), "shapes.py");
  await chat.click("#text");
  await chat.type("#text", "Write a Python function is_even(n). Only the code.");
  await chat.evaluate(() => {
    window.lengths = [];
    new MutationObserver(() => window.lengths.push(document.querySelector("#turns article:last-child").textContent.length))
      .observe(document.querySelector("#turns"), { childList: true, subtree: true });
  });
  await page.keyboard.press("Enter");
  await until(async () => (await answer()).length > 20, answer);
  await idle();
  const lengths = await chat.evaluate(() => [...new Set(window.lengths)]);
  assert.ok(lengths.length >= 4, `drawn only ${lengths.length} times: no stream`);
  assert.ok(await chat.$(".block pre"), await answer());
  await picture("vscode-chat");
  const code = await chat.evaluate(() => document.querySelector(".block pre").textContent);
  assert.match(code, /is_even/);
  const button = async (title) => {
    for (const one of await chat.$$(".bar button")) if ((await one.evaluate((b) => b.textContent)) === title) return one;
    throw new Error(`no button ${title}`);
  };
  await (await button("Insert")).click();
  await until(async () => (await kit.saved(editor, "shapes.py")).includes("is_even"), "the code is not inserted");
});

test("a running answer is stopped", async () => {
  await chat.click("#text");
  await chat.type("#text", "Count from 1 to 300, one number a line.");
  await page.keyboard.press("Enter");
  await until(async () => (await answer()).length > 10, answer);
  await chat.click("#stop");
  await idle();
  assert.match(await answer(), /Stopped/);
});

test("an edit with instruction is a diff first, and a change only when it is accepted", async () => {
  await kit.openFile(page, "numbers.py");
  const before = await kit.saved(editor, "numbers.py");
  await kit.goTo(page, 3, 1);
  for (let i = 0; i < 3; i++) await press(page, "Shift+ArrowDown");
  await kit.quickInput(page, "Control+Alt+i", "rename total to result", "edit with instruction");
  await press(page, "Enter");
  await until(diff, "no diff");
  await sleep(1500);
  await picture("vscode-edit");
  assert.equal(readFileSync(join(editor.workspace, "numbers.py"), "utf8"), before);
  await kit.command(page, "Accept Proposed Change");
  await until(noDiff, "the diff stays");
  const changed = await kit.saved(editor, "numbers.py");
  assert.notEqual(changed, before);
  assert.ok(changed.startsWith(before.split("\n").slice(0, 2).join("\n") + "\n"), changed);
  await press(page, "Control+z");
  assert.equal(await kit.saved(editor, "numbers.py"), before, "one undo takes the whole change back");
});

test("a discarded edit leaves the file alone", async () => {
  const before = await kit.saved(editor, "numbers.py");
  await kit.goTo(page, 1, 1);
  await kit.quickInput(page, "Control+Alt+i", "rename the function to average", "edit with instruction");
  await press(page, "Enter");
  await until(diff, "no diff");
  await kit.command(page, "Discard Proposed Change");
  await until(noDiff, "the diff stays");
  assert.equal(await kit.saved(editor, "numbers.py"), before);
});

test("models are listed for picking", async () => {
  await kit.command(page, "Hearth: Pick Model for Completion");
  await until(() => page.evaluate((name) => [...document.querySelectorAll(".quick-input-list .monaco-list-row")].some((row) => row.textContent.includes(name)), MODEL), "the model is not listed");
  await press(page, "Escape");
});

test("a killed server is started again, and completes", async () => {
  await kit.killServer(editor);
  await until(async () => !/ready/.test((await kit.statusBar(page)).label), "nobody notices");
  await ready();
  await kit.openFile(page, "shapes.py");
  await kit.goTo(page, 99, 99);
  await page.keyboard.type("\n\ndef square(x):\nreturn ", { delay: 60 });
  await shown();
});

test("nothing was asked of any other machine", () => {
  const hosts = new Set(editor.requests.filter((url) => /^(https?|wss?):/.test(url)).map((url) => new URL(url).host));
  hosts.delete(`127.0.0.1:${editor.port}`);
  // The name under which the editor's own worker serves the chat's script and style.
  for (const host of hosts) if (/^vscode-remote\+127-002e0-002e0-002e1-003a\d+\.vscode-resource\.vscode-cdn\.net$/.test(host)) hosts.delete(host);
  assert.deepEqual([...hosts], []);
});
