// Ollama's npm client: making, copying, showing, listing and deleting models.
//   node ollama_models.mjs http://HOST:PORT MODEL
import assert from "node:assert/strict";
import { Ollama } from "ollama";

const [host, model] = process.argv.slice(2);
const client = new Ollama({ host });
const names = async () => (await client.list()).models.map((m) => m.name).sort();

const checks = {
  async creates() {
    const said = [];
    const stream = await client.create({ model: "made", from: model, system: "S", template: "{{ .Prompt }}", license: "MIT",
      parameters: { temperature: 0.5, stop: ["x"] }, messages: [{ role: "user", content: "hi" }], stream: true });
    for await (const part of stream) said.push(part.status);
    assert.equal(said.at(-1), "success");
    assert.equal((await client.create({ model: "more", from: "made", system: "T" })).status, "success");
  },
  async shows() {
    const made = await client.show({ model: "made" }), more = await client.show({ model: "more" });
    assert.equal(made.system, "S");
    assert.equal(more.system, "T");
    assert.equal(more.template, "{{ .Prompt }}");
    assert.match(more.parameters, /temperature +0\.5\nstop +"x"/);
    assert.equal(more.details.parent_model, "made:latest");
    assert.deepEqual(more.messages, [{ role: "user", content: "hi" }]);
  },
  async copies() {
    await client.copy({ source: "more", destination: "copy:1" });
    assert.equal((await client.show({ model: "copy:1" })).system, "T");
    assert.deepEqual(await names(), ["copy:1", "made:latest", model, "more:latest"].sort());
    assert.equal(new Set((await client.list()).models.map((m) => m.digest)).size, 1);
  },
  async deletes() {
    for (const name of ["copy:1", "made", "more"]) await client.delete({ model: name });
    assert.deepEqual(await names(), [model]);
  },
  async errors() {
    await assert.rejects(client.create({ model: "x", from: "nothing" }), (e) => e.status_code === 404);
    await assert.rejects(client.create({ model: "x", from: model, template: "{{ if }}" }), (e) => e.status_code === 400);
    await assert.rejects(client.delete({ model: "nothing" }), (e) => e.status_code === 404);
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
