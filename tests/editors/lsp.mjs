// `hearth lsp` by the official client library (vscode-languageserver-protocol): its types, its framing, its requests.
//
//   node lsp.mjs      HEARTH_BIN is the program (build/hearth), HEARTH_HOME has qwen2.5-coder:0.5b
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { after, before, test } from "node:test";
import { TextDocument } from "vscode-languageserver-textdocument";
import { program, sleep, until } from "./kit.mjs";

const lsp = createRequire(import.meta.url)("vscode-languageserver-protocol/node");
const MODEL = process.env.HEARTH_TEST_MODEL_NAME ?? "qwen2.5-coder:0.5b";
const folder = mkdtempSync(join(tmpdir(), "hearth-lsp-"));
const uri = (name) => pathToFileURL(join(folder, name)).href;

let server, connection, initialized;
const got = { progress: [], created: [], edits: [], status: [], answers: [], deltas: [], registered: [] };

/** As a client library keeps documents: the text changes here first, then the server is told. */
const documents = new Map();
function open(name, languageId, text) {
  const document = TextDocument.create(uri(name), languageId, 1, text);
  documents.set(document.uri, document);
  connection.sendNotification(lsp.DidOpenTextDocumentNotification.type, {
    textDocument: { uri: document.uri, languageId, version: 1, text },
  });
  return document;
}
function change(document, contentChanges) {
  TextDocument.update(document, contentChanges, document.version + 1);
  connection.sendNotification(lsp.DidChangeTextDocumentNotification.type, {
    textDocument: { uri: document.uri, version: document.version }, contentChanges,
  });
}
const held = (document) => connection.sendRequest("hearth/documentText", { textDocument: { uri: document.uri } });
const complete = (document, position, context = { triggerKind: lsp.InlineCompletionTriggerKind.Invoked }, token) =>
  connection.sendRequest(lsp.InlineCompletionRequest.type, { textDocument: { uri: document.uri }, position, context }, token);
const ready = () => until(async () => (await connection.sendRequest("hearth/status", {})).state === "ready", "the model does not load");

before(async () => {
  mkdirSync(join(folder, "other"));
  writeFileSync(join(folder, ".gitignore"), "ignored.py\n");
  server = spawn(program(), ["lsp"], { stdio: ["pipe", "pipe", "inherit"] });
  connection = lsp.createProtocolConnection(new lsp.StreamMessageReader(server.stdout), new lsp.StreamMessageWriter(server.stdin));
  connection.onRequest(lsp.ConfigurationRequest.type, (params) => params.items.map(() => ({ automaticDeadlineMs: 5000, deadlineMs: 5000, endpoint: "http://192.0.2.1" })));
  connection.onRequest(lsp.WorkDoneProgressCreateRequest.type, (params) => void got.created.push(params.token));
  connection.onRequest(lsp.RegistrationRequest.type, (params) => void got.registered.push(...params.registrations));
  connection.onRequest(lsp.ApplyWorkspaceEditRequest.type, (params) => (got.edits.push(params), { applied: true }));
  connection.onNotification("$/progress", (params) => got.progress.push(params));
  connection.onNotification("hearth/statusChanged", (params) => got.status.push(params));
  connection.onNotification("hearth/answer", (params) => got.answers.push(params));
  connection.onNotification("hearth/chatDelta", (params) => got.deltas.push(params));
  connection.listen();
});

after(() => {
  connection.dispose();
  server.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

test("initialize", async () => {
  await assert.rejects(connection.sendRequest(lsp.ShutdownRequest.type), { code: lsp.ErrorCodes.ServerNotInitialized });
  initialized = await connection.sendRequest(lsp.InitializeRequest.type, {
    processId: process.pid,
    rootUri: null,
    workspaceFolders: [{ uri: pathToFileURL(folder).href, name: "w" }],
    initializationOptions: { model: MODEL, statistics: false, editPrompt: true, answers: true },
    capabilities: {
      general: { positionEncodings: [lsp.PositionEncodingKind.UTF16] },
      textDocument: { inlineCompletion: {}, completion: {}, codeAction: {}, synchronization: { didSave: true } },
      window: { workDoneProgress: true },
      workspace: { configuration: true, didChangeConfiguration: { dynamicRegistration: true }, workspaceFolders: true, applyEdit: true, workspaceEdit: { documentChanges: true } },
    },
  });
  const { capabilities } = initialized;
  assert.equal(capabilities.positionEncoding, "utf-16");
  assert.equal(capabilities.textDocumentSync.change, lsp.TextDocumentSyncKind.Incremental);
  assert.ok(capabilities.inlineCompletionProvider && capabilities.completionProvider && capabilities.codeActionProvider);
  connection.sendNotification(lsp.InitializedNotification.type, {});
  await ready();
  assert.deepEqual(got.registered.map((one) => one.method), ["workspace/didChangeConfiguration"]);
  assert.ok(got.status.some((one) => one.state === "loading") && got.status.at(-1).state === "ready");
});

test("progress of loading: created, begun, ended", () => {
  assert.equal(got.created.length, 1);
  const kinds = got.progress.filter((one) => one.token === got.created[0]).map((one) => one.value.kind);
  assert.equal(kinds[0], "begin");
  assert.equal(kinds.at(-1), "end");
  for (const kind of kinds.slice(1, -1)) assert.equal(kind, "report");
});

test("edits in UTF-16 with emoji and combining characters leave both sides equal", async () => {
  const document = open("emoji.py", "python", "# 👩‍💻 e\u0301\r\ns = '😀'\n");
  const pieces = ["a", "\n", "\r\n", "é", "e\u0301", "日", "😀", "👩‍💻", "\t", "𝒳", ""];
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  const inside = (text, at) => (at > 0 && /[\ud800-\udbff]/.test(text[at - 1]) && /[\udc00-\udfff]/.test(text[at] ?? "")) || (text[at - 1] === "\r" && text[at] === "\n");
  for (let n = 0; n < 2000; n++) {
    const changes = [];
    const shadow = TextDocument.create(document.uri, "python", 0, document.getText());
    for (let k = random(3); k >= 0; k--) {
      const text = shadow.getText();
      let from = random(text.length + 1);
      let to = Math.min(text.length, from + random(10));
      if (inside(text, from)) from--;
      if (inside(text, to)) to++;
      const one = { range: { start: shadow.positionAt(from), end: shadow.positionAt(to) }, text: pieces[random(pieces.length)] + pieces[random(pieces.length)] };
      TextDocument.update(shadow, [one], 0);
      changes.push(one);
    }
    change(document, changes);
    if (n % 200 === 0) assert.equal((await held(document)).text, document.getText());
  }
  assert.equal((await held(document)).text, document.getText());
  change(document, [{ text: "whole 😀" }]);
  assert.equal((await held(document)).text, "whole 😀");
});

test("an inline completion behind an emoji", async () => {
  const document = open("area.py", "python", "import math\n\ndef area(radius):  # 😀 e\u0301\n    return \n");
  const { items } = await complete(document, { line: 3, character: 11 });
  assert.equal(items.length, 1);
  assert.match(items[0].insertText, /math\.pi/);
  assert.deepEqual(items[0].range, { start: { line: 3, character: 11 }, end: { line: 3, character: 11 } });
  assert.equal(items[0].command.command, "hearth.accepted");
  const comment = open("comment.py", "python", "def add(a, b):\n    s = '😀👩‍💻'; return a +\n");
  const behind = await complete(comment, { line: 1, character: "    s = '😀👩‍💻'; return a +".length });
  assert.match(behind.items[0].insertText, /b/);
});

test("typing along is answered from the cache", async () => {
  const document = open("cache.py", "python", "def add(a, b):\n    return \n");
  const first = (await complete(document, { line: 1, character: 11 })).items[0];
  const at = { line: 1, character: 11 };
  change(document, [{ range: { start: at, end: at }, text: first.insertText.slice(0, 2) }]);
  const second = (await complete(document, { line: 1, character: 13 })).items[0];
  assert.equal(second.insertText, first.insertText.slice(2));
  assert.notEqual(second.data.source, "computed");
});

test("a cancelled and a superseded request", async () => {
  const document = open("cancel.py", "python", "import os\n\ndef walk(folder):\n    \"\"\"All files below a folder.\"\"\"\n    \n");
  const source = new lsp.CancellationTokenSource();
  const cancelled = complete(document, { line: 4, character: 4 }, undefined, source.token);
  await sleep(5);
  source.cancel();
  await assert.rejects(cancelled, { code: lsp.LSPErrorCodes.RequestCancelled });
  const older = complete(document, { line: 4, character: 3 }, { triggerKind: 2 });
  const newer = complete(document, { line: 4, character: 4 }, { triggerKind: 2 });
  await assert.rejects(older, { code: lsp.LSPErrorCodes.ContentModified });
  assert.ok((await newer).items);
});

test("a selected completion is continued", async () => {
  const document = open("selected.py", "python", "import math\n\ndef area(radius):\n    return ma\n");
  const range = { start: { line: 3, character: 11 }, end: { line: 3, character: 13 } };
  const { items } = await complete(document, range.end, { triggerKind: 1, selectedCompletionInfo: { range, text: "math" } });
  assert.ok(items[0].insertText.startsWith("math"), items[0].insertText);
  assert.deepEqual(items[0].range, range);
  assert.equal(items[0].filterText, items[0].insertText);
});

test("plain completion, only where it is asked for", async () => {
  const document = open("plain.py", "python", "def add(first, second):\n    return fir\n");
  const ask = (triggerKind) => connection.sendRequest(lsp.CompletionRequest.type, { textDocument: { uri: document.uri }, position: { line: 1, character: 14 }, context: { triggerKind } });
  const { items } = await ask(lsp.CompletionTriggerKind.Invoked);
  assert.equal(items.length, 1);
  assert.ok(items[0].textEdit.newText.startsWith("first"), items[0].textEdit.newText);
  assert.deepEqual(items[0].textEdit.range, { start: { line: 1, character: 11 }, end: { line: 1, character: 14 } });
  assert.deepEqual((await ask(lsp.CompletionTriggerKind.TriggerForIncompleteCompletions)).items, []);
});

test("shown, partly accepted, accepted, dismissed: taken without an error", async () => {
  const document = open("events.py", "python", "def add(a, b):\n    return \n");
  const item = (await complete(document, { line: 1, character: 11 })).items[0];
  connection.sendNotification("textDocument/didShowCompletion", { item });
  connection.sendNotification("textDocument/didPartiallyAcceptCompletion", { item, acceptedLength: 1 });
  assert.equal(await connection.sendRequest(lsp.ExecuteCommandRequest.type, item.command), null);
  connection.sendNotification("textDocument/didDismissCompletion", { item });
});

const actions = (document, range, diagnostics = []) =>
  connection.sendRequest(lsp.CodeActionRequest.type, { textDocument: { uri: document.uri }, range, context: { diagnostics } });

test("code actions: explain, fix, document, write tests, edit", async () => {
  const text = "def mean(values):\n    return sum(values) / len(value)\n";
  const document = open("mean.py", "python", text);
  const range = { start: { line: 0, character: 0 }, end: { line: 2, character: 0 } };
  const diagnostics = [{ range, message: "name 'value' is not defined", severity: 1 }];
  const found = await actions(document, range, diagnostics);
  assert.deepEqual(found.map((one) => one.command.command), ["hearth.explain", "hearth.fix", "hearth.document", "hearth.writeTests", "hearth.edit"]);
  assert.ok(found.every((one) => lsp.CodeAction.is(one)));
  assert.deepEqual((await actions(document, { start: range.start, end: range.start })).map((one) => one.title), []);
  const run = (name, more = {}) => {
    const { command, arguments: [argument] } = found.find((one) => one.command.command === name).command;
    return connection.sendRequest(lsp.ExecuteCommandRequest.type, { command, arguments: [{ ...argument, ...more }], workDoneToken: name });
  };
  const explained = await run("hearth.explain");
  assert.match(explained.text, /mean|average|sum/i);
  const streamed = got.answers.filter((one) => one.title === "Explain");
  assert.ok(streamed.length > 2 && streamed.at(-1).done);
  assert.equal(streamed.map((one) => one.text).join(""), explained.text);
  assert.match((await run("hearth.writeTests")).text, /mean/);
  for (const [name, more] of [["hearth.fix"], ["hearth.document"], ["hearth.edit", { instruction: "rename the function to average" }]]) {
    const before = got.edits.length;
    assert.deepEqual(await run(name, more), { applied: true });
    await until(() => got.edits.length > before, `${name} has sent no edit`);
    const [change] = got.edits.at(-1).edit.documentChanges;
    assert.deepEqual(change.textDocument, { uri: document.uri, version: 1 });
    const made = TextDocument.applyEdits(document, change.edits);
    if (name !== "hearth.edit") assert.match(made, /def mean/, name);
    else assert.match(made, /average/);
    assert.ok(made.endsWith("\n"), name);
    assert.deepEqual(got.progress.filter((one) => one.token === name).map((one) => one.value.kind), ["begin", "end"]);
  }
  await assert.rejects(run("hearth.edit"), { code: lsp.ErrorCodes.InvalidParams });
});

test("hearth/edit is not given for a text that has changed", async () => {
  const document = open("changed.py", "python", "def f(a):\n    return a\n");
  const range = { start: { line: 0, character: 0 }, end: { line: 2, character: 0 } };
  const edit = connection.sendRequest("hearth/edit", { textDocument: { uri: document.uri }, range, instruction: "rename a to number" });
  const at = { line: 2, character: 0 };
  change(document, [{ range: { start: at, end: at }, text: "# new\n" }]);
  await assert.rejects(edit, { code: lsp.LSPErrorCodes.ContentModified });
});

test("chat streams, is cancelled, and sees the documents that are named", async () => {
  const document = open("lucky.py", "python", "LUCKY = 4711\n");
  const ask = (more) => connection.sendRequest("hearth/chat", { messages: [{ role: "user", content: "Say hello." }], token: 1, maxTokens: 20, temperature: 0, ...more });
  const alone = await ask({ token: 0 });
  const answer = await ask({ context: [{ uri: document.uri }] });
  assert.ok(answer.promptTokens > alone.promptTokens + 10, `${answer.promptTokens} tokens with a document, ${alone.promptTokens} without`);
  assert.equal(got.deltas.filter((one) => one.token === 1).map((one) => one.text).join(""), answer.text);
  const source = new lsp.CancellationTokenSource();
  const long = connection.sendRequest("hearth/chat", { messages: [{ role: "user", content: "Count to 500." }], token: 2 }, source.token);
  await until(() => got.deltas.some((one) => one.token === 2), "no answer begins");
  source.cancel();
  await assert.rejects(long, { code: lsp.LSPErrorCodes.RequestCancelled });
});

test("workspace folders: their .gitignore counts while they are there", async () => {
  const document = open("ignored.py", "python", "a = \n");
  const file = async () => (await connection.sendRequest("hearth/status", { uri: document.uri })).file;
  assert.deepEqual(await file(), { allowed: false, reason: "ignored" });
  assert.deepEqual((await complete(document, { line: 0, character: 4 })).items, []);
  const event = (added, removed) => connection.sendNotification(lsp.DidChangeWorkspaceFoldersNotification.type, { event: { added, removed } });
  const root = { uri: pathToFileURL(folder).href, name: "w" };
  event([], [root]);
  assert.deepEqual(await file(), { allowed: true, reason: "" });
  event([root], []);
  assert.deepEqual(await file(), { allowed: false, reason: "ignored" });
});

test("no folder names an endpoint; setModel is the person's act", async () => {
  connection.sendNotification(lsp.DidChangeConfigurationNotification.type, { settings: { hearth: { endpoint: "http://192.0.2.1", model: "evil" } } });
  const status = await connection.sendRequest("hearth/status", {});
  assert.equal(status.chat, "embedded");
  assert.equal(status.model, MODEL);
  const before = got.status.length;
  assert.equal(await connection.sendRequest(lsp.ExecuteCommandRequest.type, { command: "hearth.setModel", arguments: [{ model: "no-such-model" }] }), null);
  await until(() => got.status.slice(before).some((one) => one.message), "the failure is not told");
  assert.equal(got.status.at(-1).model, MODEL, "the old model goes on");
  assert.equal(got.status.at(-1).state, "ready");
});

test("closed documents are gone; shutdown and exit", async () => {
  const document = open("closed.py", "python", "a = 1\n");
  connection.sendNotification(lsp.DidCloseTextDocumentNotification.type, { textDocument: { uri: document.uri } });
  await assert.rejects(held(document), { code: lsp.ErrorCodes.InvalidParams });
  await connection.sendRequest(lsp.ShutdownRequest.type);
  await assert.rejects(connection.sendRequest("hearth/status", {}), { code: lsp.ErrorCodes.InvalidRequest });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  await connection.sendNotification(lsp.ExitNotification.type);
  assert.equal(await ended, 0);
});
