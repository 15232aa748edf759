// OpenAI's npm client against a server: node openai.mjs URL MODEL. Prints "ok NAME" for each check.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Say hello." }];
const city = { type: "object", properties: { city: { type: "string", maxLength: 12 } }, required: ["city"],
               additionalProperties: false };
const tools = [{ type: "function", function: { name: "get_weather", description: "Weather", parameters: city } }];
const chat = { model, messages, temperature: 0, max_tokens: 12 };

const checks = {
  async models() {
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    assert.ok(ids.includes(model));
  },
  async completions() {
    const ask = { model, prompt: "1 2 3", max_tokens: 6, temperature: 0 };
    const whole = await client.completions.create(ask);
    assert.equal(whole.usage.completion_tokens, 6);
    let text = "";
    for await (const part of await client.completions.create({ ...ask, stream: true })) text += part.choices[0].text;
    assert.equal(text, whole.choices[0].text);
  },
  async chats() {
    const whole = await client.chat.completions.create(chat);
    const said = whole.choices[0].message.content;
    let text = "", usage;
    const stream = await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } });
    for await (const part of stream) {
      text += part.choices[0]?.delta.content ?? "";
      usage = part.usage ?? usage;
    }
    assert.equal(text, said);
    assert.equal(usage.total_tokens, whole.usage.total_tokens);
  },
  async tools() {
    const ask = { ...chat, tools, tool_choice: "required", max_tokens: 100 };
    const call = (await client.chat.completions.create(ask)).choices[0].message.tool_calls[0];
    assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ["city"]);
    const final = await client.chat.completions.stream(ask).finalChatCompletion();
    assert.equal(final.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
    assert.equal(final.choices[0].finish_reason, "tool_calls");
  },
  async runsTools() {
    const asked = [];
    const runner = client.chat.completions.runTools({
      ...chat, tool_choice: { type: "function", function: { name: "get_weather" } }, max_tokens: 100,
      tools: [{ type: "function", function: { name: "get_weather", description: "Weather", parameters: city,
                parse: JSON.parse, function: (a) => { asked.push(a); return "sunny"; } } }] },
      { maxChatCompletions: 2 });
    await runner.done().catch(() => {});
    assert.ok(asked.length > 0 && "city" in asked[0]);
  },
  async schemas() {
    const response_format = { type: "json_schema", json_schema: { name: "place", strict: true, schema: city } };
    const said = await client.chat.completions.parse({ ...chat, response_format, max_tokens: 80 });
    assert.deepEqual(Object.keys(said.choices[0].message.parsed), ["city"]);
  },
  async responses() {
    const ask = { model, input: "Say hello.", temperature: 0, max_output_tokens: 10 };
    const whole = await client.responses.create(ask);
    const stream = client.responses.stream(ask);
    let text = "";
    for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
    assert.equal(text, whole.output_text);
  },
  async embeddings() {
    const found = await client.embeddings.create({ model, input: ["one", "two words"] });
    assert.equal(found.data.length, 2);
    assert.ok(Math.abs(found.data[0].embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-3);
  },
  async aborts() {
    const stream = await client.chat.completions.create({ ...chat, max_tokens: 200, stream: true });
    for await (const part of stream) if (part.choices[0].delta.content) break;
    const abort = new AbortController();
    const call = client.chat.completions.create({ ...chat, max_tokens: 200 }, { signal: abort.signal });
    setTimeout(() => abort.abort(), 50);
    await assert.rejects(call, OpenAI.APIUserAbortError);
  },
  async errors() {
    await assert.rejects(client.chat.completions.create({ ...chat, model: "nothing" }),
                         (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found");
    await assert.rejects(client.completions.create({ model, prompt: "word ".repeat(40000) }),
                         (e) => e instanceof OpenAI.BadRequestError && e.code === "context_length_exceeded");
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
