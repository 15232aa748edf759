// Stands between an editor and a language server: tap.mjs LOG PROGRAM ARG... writes their messages to LOG, one a line,
// as {"from": "client" | "server", "message": ...}, and passes all bytes on as they are.
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";

const [log, program, ...args] = process.argv.slice(2);
const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });

function note(from) {
  let held = Buffer.alloc(0);
  return (chunk) => {
    held = Buffer.concat([held, chunk]);
    for (;;) {
      const end = held.indexOf("\r\n\r\n");
      const size = end < 0 ? NaN : Number(/content-length: *(\d+)/i.exec(held.subarray(0, end).toString("latin1"))?.[1]);
      if (!(held.length >= end + 4 + size)) return;
      const message = JSON.parse(held.subarray(end + 4, end + 4 + size).toString("utf8"));
      appendFileSync(log, JSON.stringify({ from, at: Date.now(), message }) + "\n");
      held = held.subarray(end + 4 + size);
    }
  };
}

if (args[0] === "lsp") {
  process.stdin.on("data", note("client"));
  child.stdout.on("data", note("server"));
}
process.stdin.pipe(child.stdin);
child.stdout.pipe(process.stdout);
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => child.kill(signal));
child.on("error", () => process.exit(127));
child.on("close", (code, signal) => process.exit(signal ? 1 : code));
