import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import test from "node:test";
import { Supervisor, type ProcessState, type SupervisorOptions } from "../src/supervisor";

const FAKE = path.join(__dirname, "fake-server.js");

function supervise(mode: string, options: Partial<SupervisorOptions> = {}) {
  const states: [ProcessState, string][] = [];
  const starts: number[] = [];
  const children: ReturnType<typeof spawn>[] = [];
  const supervisor = new Supervisor({
    spawn: () => {
      starts.push(Date.now());
      const child = spawn(process.execPath, [FAKE, "lsp"], { env: { ...process.env, FAKE_MODE: mode }, stdio: "pipe" });
      children.push(child);
      return child;
    },
    started: () => undefined,
    ended: () => undefined,
    askToEnd: () => children.at(-1)!.stdin!.end(),
    stateChanged: (state, message) => states.push([state, message]),
    log: () => undefined,
    pauseMs: 20,
    crashesMax: 4,
    graceMs: 200,
    ...options,
  });
  return { supervisor, states, starts, children };
}

async function until(what: () => boolean, ms = 20_000) {
  const end = Date.now() + ms;
  while (!what()) {
    assert.ok(Date.now() < end, "it takes too long");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("a server that only crashes is started a few times with growing pauses, then left alone", async () => {
  const { supervisor, states, starts } = supervise("crash", { pauseMs: 100 });
  supervisor.start();
  await until(() => supervisor.state === "failed");
  assert.equal(starts.length, 4);
  assert.ok(starts[3] - starts[2] >= 400, "the third pause is four times the first");
  assert.match(states.at(-1)![1], /ended with 3\nthe model is broken/);
  await new Promise((resolve) => setTimeout(resolve, 900));
  assert.equal(starts.length, 4);
});

test("a program that is not there fails with words", async () => {
  const { supervisor, states } = supervise("", { spawn: () => spawn("/nowhere/hearth", ["lsp"], { stdio: "pipe" }) });
  supervisor.start();
  await until(() => supervisor.state === "failed");
  assert.match(states.at(-1)![1], /not there/);
});

test("a server that is killed comes back, and ends when told", async () => {
  const { supervisor, children } = supervise("");
  supervisor.start();
  await until(() => supervisor.state === "running");
  children[0].kill("SIGKILL");
  await until(() => children.length === 2 && supervisor.state === "running");
  await supervisor.stop();
  assert.equal(supervisor.state, "stopped");
  assert.ok(children[1].exitCode !== null || children[1].signalCode !== null);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(children.length, 2);
});

test("a server that was healthy begins anew with its pauses", async () => {
  const { supervisor, children } = supervise("", { healthyMs: 0, crashesMax: 3 });
  supervisor.start();
  for (let i = 0; i < 5; i++) {
    await until(() => children.length === i + 1 && supervisor.state === "running");
    children[i].kill("SIGKILL");
  }
  await until(() => children.length === 6);
  await supervisor.stop();
});

test("a server that does not listen is killed", async () => {
  const { supervisor, children } = supervise("deaf");
  supervisor.start();
  await until(() => supervisor.state === "running");
  await new Promise((resolve) => setTimeout(resolve, 500));
  await supervisor.stop();
  assert.equal(children[0].signalCode, "SIGKILL");
});
