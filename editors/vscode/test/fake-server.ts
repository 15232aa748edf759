/**
 * A language server for tests: speaks the protocol of docs/lsp.md, writes every message that it gets to the file
 * FAKE_LOG, and crashes or answers as FAKE_MODE says.
 */
import { appendFileSync } from "fs";
import { frame, Unframer } from "../src/framing";

const mode = process.env.FAKE_MODE ?? "";
const note = (what: unknown) => process.env.FAKE_LOG && appendFileSync(process.env.FAKE_LOG, JSON.stringify(what) + "\n");
const send = (message: object) => process.stdout.write(frame({ jsonrpc: "2.0", ...message }));

note({ argv: process.argv.slice(2), cwd: process.cwd() });
if (mode === "crash") {
  process.stderr.write("the model is broken\n");
  process.exit(3);
}
if (mode === "garbage") process.stdout.write("Hello: 1\r\n\r\n");

const status = { state: "ready", model: "fake:1b", chatModel: "fake:1b", message: "", enabled: true };
const text = "hello world()\n  more";

function answer(method: string, params: any): unknown {
  if (method === "hearth/status") return params?.uri ? { ...status, file: { allowed: true, reason: "" } } : status;
  if (method === "textDocument/inlineCompletion") {
    const at = params.position;
    return { items: [{ insertText: text, range: { start: at, end: at }, command: { command: "hearth.accepted", arguments: ["7"] }, data: { id: "7" } }] };
  }
  if (method === "hearth/chat") {
    for (const part of ["Use ", "this:\n\n```py\nx = 1\n```\n"]) send({ method: "hearth/chatDelta", params: { token: params.token, text: part } });
    return { text: "Use this:\n\n```py\nx = 1\n```\n", finish: "stop", model: "fake:1b" };
  }
  return null;
}

const unframer = new Unframer();
process.stdin.on("data", (chunk) => {
  for (const message of unframer.push(chunk) as any[]) {
    note(message);
    if (message.method === "exit" && mode !== "deaf") process.exit(0);
    if (message.method === "initialize" && mode === "late") process.exit(4);
    if (message.id !== undefined && message.method) send({ id: message.id, result: answer(message.method, message.params) });
    if (message.method === "initialized") send({ id: "c1", method: "workspace/configuration", params: { items: [{ section: "hearth" }] } });
  }
});
process.stdin.on("end", () => mode !== "deaf" && process.exit(0));
if (mode === "deaf") {
  process.on("SIGTERM", () => undefined);
  setInterval(() => undefined, 1000);
}
