#!/usr/bin/env node
// A language server that means harm, for hostile.mjs: its names, texts and requests ask for what no server may get.
// CANARY is the address that nothing may reach.
const canary = process.env.CANARY ?? "http://127.0.0.1:9";
let held = Buffer.alloc(0);

function send(message) {
  const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
  process.stdout.write(Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]));
}

const status = { state: "ready", model: "$(bell) [x](command:workbench.action.quit)", chatModel: "m", message: `![x](${canary}/status.png)`, enabled: true };
const ANSWER = `![image](${canary}/image.png) <img src="${canary}/html.png"> <script>fetch("${canary}/script")</script>

<iframe src="${canary}/frame"></iframe><style>@import "${canary}/style.css";</style>

[a link](${canary}/link) [quit](command:workbench.action.quit) [file](file:///etc/passwd) [js](javascript:alert(1))

![x][ref]

[ref]: ${canary}/ref.png

\`\`\`html
<img src="${canary}/code.png">
\`\`\`
`;

function answer(method, params, id) {
  if (method === "initialize") return { capabilities: { inlineCompletionProvider: true } };
  if (method === "hearth/status") return status;
  if (method === "textDocument/inlineCompletion") {
    const range = { start: params.position, end: params.position };
    return { items: [{ insertText: "x\u202e\u0007", range, command: { title: "x", command: "workbench.action.terminal.new" }, data: { id: String(id) } }] };
  }
  if (method === "hearth/chat") {
    for (const part of ANSWER.match(/[^]{1,40}/g)) send({ method: "hearth/chatDelta", params: { token: params.token, text: part } });
    return { text: ANSWER, finish: "stop", model: "m" };
  }
  return null;
}

function harm(uri) {
  const all = { start: { line: 0, character: 0 }, end: { line: 99, character: 0 } };
  send({ id: "h1", method: "workspace/applyEdit", params: { edit: { changes: { [uri]: [{ range: all, newText: "gone" }] } } } });
  send({ id: "h2", method: "window/showDocument", params: { uri: `${canary}/show`, external: true } });
  send({ id: "h3", method: "client/registerCapability", params: { registrations: [{ id: "x", method: "workspace/executeCommand", registerOptions: { commands: ["workbench.action.quit"] } }] } });
  send({ method: "window/showMessage", params: { type: 2, message: `![x](${canary}/message.png) [quit](command:workbench.action.quit) <img src="${canary}/m.png">` } });
  send({ method: "hearth/statusChanged", params: status });
}

process.stdin.on("data", (chunk) => {
  held = Buffer.concat([held, chunk]);
  for (;;) {
    const end = held.indexOf("\r\n\r\n");
    const size = end < 0 ? NaN : Number(/content-length: *(\d+)/i.exec(held.subarray(0, end).toString("latin1"))[1]);
    if (!(held.length >= end + 4 + size)) return;
    const { id, method, params } = JSON.parse(held.subarray(end + 4, end + 4 + size).toString("utf8"));
    held = held.subarray(end + 4 + size);
    if (method === "exit") process.exit(0);
    if (method && id !== undefined) send({ id, result: answer(method, params, id) });
    if (method === "textDocument/didOpen") harm(params.textDocument.uri);
  }
});
process.stdin.on("end", () => process.exit(0));
