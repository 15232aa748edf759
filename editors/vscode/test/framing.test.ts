import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import test from "node:test";
import { frame, Unframer } from "../src/framing";
import { Rpc, RpcError } from "../src/rpc";

test("messages come whole however their bytes are cut", () => {
  const messages = [{ a: 1 }, { text: "é😀\r\n\r\nContent-Length: 5" }, []];
  const bytes = Buffer.concat(messages.map(frame));
  for (const size of [1, 2, 3, 7, 64, bytes.length]) {
    const unframer = new Unframer();
    const got: unknown[] = [];
    for (let at = 0; at < bytes.length; at += size) got.push(...unframer.push(bytes.subarray(at, at + size)));
    assert.deepEqual(got, messages);
  }
});

test("the length counts bytes", () => {
  assert.equal(frame("é").toString("latin1").split("\r\n")[0], "Content-Length: 4");
});

test("what cannot be a message throws", () => {
  for (const bad of ["Content-Type: x\r\n\r\n{}", "Content-Length: -1\r\n\r\n", "Content-Length: 999999999\r\n\r\n", "Content-Length: 2\r\n\r\n{]", "x".repeat(5000)]) {
    assert.throws(() => new Unframer().push(Buffer.from(bad)), bad.slice(0, 40));
  }
});

function pair() {
  const input = new PassThrough();
  const output = new PassThrough();
  const sent: any[] = [];
  const unframer = new Unframer();
  output.on("data", (chunk) => sent.push(...unframer.push(chunk)));
  const broken: Error[] = [];
  const rpc = new Rpc(input, output, (error) => broken.push(error));
  return { rpc, sent, broken, say: (message: object) => input.write(frame(message)), input };
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 5));

test("answers find their requests in any order", async () => {
  const { rpc, say } = pair();
  const one = rpc.request("one");
  const two = rpc.request("two");
  say({ id: 2, result: "second" });
  say({ id: 1, error: { code: -32801, message: "overtaken" } });
  assert.equal(await two, "second");
  await assert.rejects(one, (error: RpcError) => error.code === -32801 && error.quiet);
});

test("a cancelled request is cancelled at the peer", async () => {
  const { rpc, sent, say } = pair();
  let cancel = () => {};
  const token = { isCancellationRequested: false, onCancellationRequested: (f: () => void) => ((cancel = f), { dispose() {} }) };
  const waiting = rpc.request("slow", {}, token);
  cancel();
  await soon();
  assert.deepEqual(sent.map((message) => message.method), ["slow", "$/cancelRequest"]);
  assert.deepEqual(sent[1].params, { id: 1 });
  say({ id: 1, error: { code: -32800, message: "cancelled" } });
  await assert.rejects(waiting);
});

test("the peer's requests are answered, unknown ones with an error", async () => {
  const { rpc, sent, say } = pair();
  rpc.onRequest("known", (params) => params.x + 1);
  say({ id: "a", method: "known", params: { x: 1 } });
  say({ id: "b", method: "unknown" });
  await soon();
  assert.equal(sent.find((message) => message.id === "a").result, 2);
  assert.equal(sent.find((message) => message.id === "b").error.code, -32601);
});

test("garbage ends the connection and every request", async () => {
  const { rpc, broken, input } = pair();
  const waiting = rpc.request("one");
  input.write("garbage\r\n\r\n");
  await assert.rejects(waiting, RpcError);
  assert.equal(broken.length, 1);
  await assert.rejects(rpc.request("two"), RpcError);
});
