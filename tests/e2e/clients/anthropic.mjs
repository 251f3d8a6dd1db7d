// Anthropic's official client for Node.js makes its usual calls. Run by test_client_node.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PROMPT, SAID, WEATHER, failure, key, load, noting, untilIdle, url, user } from "./harness.mjs";

const Anthropic = load("@anthropic-ai/sdk").Anthropic;
const connect = (options) => new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, ...options });
const client = connect();
const TOOL = { name: "weather", input_schema: WEATHER };
const ask = (text, more) => ({ model: "demo", max_tokens: 200, messages: user(text), ...more });
const endless = { model: "endless", max_tokens: 100000, messages: user("x"), stream: true };

test("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("demo"), names);
});

test("messages", async () => {
  const answer = await client.messages.create(ask(PROMPT));
  assert.deepEqual([answer.content[0].text, answer.stop_reason], [SAID, "end_turn"]);
});

test("messages streamed", async () => {
  const stream = client.messages.stream(ask(PROMPT));
  let text = "";
  stream.on("text", (delta) => (text += delta));
  assert.equal((await stream.finalMessage()).content[0].text, SAID);
  assert.equal(text, SAID);
});

test("tools", async () => {
  const asked = await client.messages.create(ask("weather in Rome", { tools: [TOOL] }));
  assert.equal(asked.stop_reason, "tool_use");
  const [call] = asked.content;
  assert.deepEqual([call.name, call.input], ["weather", { city: "Rome" }]);
  const told = await client.messages.create(ask("", {
    tools: [TOOL],
    messages: [
      ...user("weather in Rome"),
      { role: "assistant", content: asked.content },
      ...user([{ type: "tool_result", tool_use_id: call.id, content: "sunny" }]),
    ],
  }));
  assert.equal(told.content[0].text, "demo-model demo says: sunny");
});

test("tools streamed", async () => {
  const stream = client.messages.stream(ask("weather in Rome", { tools: [TOOL] }));
  const [call] = (await stream.finalMessage()).content;
  assert.deepEqual([call.type, call.input], ["tool_use", { city: "Rome" }]);
});

test("count tokens", async () => {
  const { messages, model } = ask(PROMPT);
  assert.equal((await client.messages.countTokens({ model, messages })).input_tokens, 4);
});

test("unknown model", async () => {
  const error = await failure(client.messages.create(ask("x", { model: "dem" })));
  assert.ok(error instanceof Anthropic.NotFoundError, error);
  assert.equal(error.error.error.type, "not_found_error");
});

test("bad key", async () => {
  const error = await failure(connect({ apiKey: "wrong" }).messages.create(ask("x")));
  assert.ok(error instanceof Anthropic.AuthenticationError, error);
});

test("a failed load", async () => {
  const error = await failure(client.messages.create(ask("x", { model: "broken" })));
  assert.ok(error instanceof Anthropic.InternalServerError, error);
  assert.match(error.message, /no such file/);
});

test("what will not get better is not tried again", async () => {
  const answers = [];
  const stubborn = connect({ maxRetries: 2, fetch: noting(answers) });
  const error = await failure(
    stubborn.messages.create(ask("x", { model: "garbled" })));
  assert.ok(error instanceof Anthropic.InternalServerError, error);
  assert.deepEqual(answers.map((answer) => answer.status), [502]);
});

test("a client that leaves in mid-stream", async () => {
  for await (const event of await client.messages.create(endless))
    if (event.type === "content_block_delta") break;
  await untilIdle("endless");
});

test("what is refused is tried again when it should be", async () => {
  const answers = [];
  const running = await client.messages.create(endless);
  const again = connect({
    maxRetries: 3,
    defaultHeaders: { "X-Wharf-Wait": "0" },
    fetch: noting(answers, () => running.controller.abort()),
  });
  (await again.messages.create(endless)).controller.abort();
  const first = answers[0], last = answers.at(-1);
  assert.deepEqual([first.status, last.status], [503, 200]);
  assert.ok(first.retryAfter >= 1 && last.at - first.at >= first.retryAfter * 1000 - 5, answers);
  await untilIdle("endless");
});
