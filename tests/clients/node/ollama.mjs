// Ollama's npm client against a server: node ollama.mjs URL MODEL. Prints "ok NAME" for each check.
import assert from "node:assert/strict";
import { Ollama } from "ollama";

const [host, model] = process.argv.slice(2);
const client = new Ollama({ host });
const messages = [{ role: "user", content: "Say hello." }];
const options = { num_predict: 12, temperature: 0 };
const city = { type: "object", properties: { city: { type: "string", maxLength: 12 } }, required: ["city"],
               additionalProperties: false };

const checks = {
  async models() {
    assert.ok((await client.list()).models.some((m) => m.model === model));
    assert.ok((await client.show({ model })).capabilities.includes("completion"));
    await client.generate({ model, prompt: "", keep_alive: "1h" });
    assert.ok((await client.ps()).models.some((m) => m.model === model));
    assert.ok((await client.version()).version);
  },
  async generates() {
    const ask = { model, prompt: "1 2 3", raw: true, options };
    const whole = await client.generate(ask);
    assert.equal(whole.eval_count, 12);
    let text = "", last;
    for await (const part of await client.generate({ ...ask, stream: true })) {
      text += part.response;
      last = part;
    }
    assert.equal(text, whole.response);
    assert.ok(last.done && last.total_duration > 0);
  },
  async chats() {
    const whole = await client.chat({ model, messages, options });
    let text = "";
    for await (const part of await client.chat({ model, messages, options, stream: true })) text += part.message.content;
    assert.equal(text, whole.message.content);
  },
  async formats() {
    const said = await client.chat({ model, messages, format: city, options: { num_predict: 80, seed: 2 } });
    assert.deepEqual(Object.keys(JSON.parse(said.message.content)), ["city"]);
  },
  async embeds() {
    const found = await client.embed({ model, input: ["one", "two words"] });
    assert.equal(found.embeddings.length, 2);
  },
  async aborts() {
    const stream = await client.chat({ model, messages, stream: true, options: { num_predict: 200 } });
    await assert.rejects(async () => { for await (const _ of stream) stream.abort(); }, { name: "AbortError" });
  },
  async errors() {
    await assert.rejects(client.show({ model: "nothing" }), (e) => e.status_code === 404);
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
