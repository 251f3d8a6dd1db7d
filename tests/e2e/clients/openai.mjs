// OpenAI's official client for Node.js makes its usual calls. Run by test_client_node.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROMPT, SAID, WEATHER, failure, key, load, noting, untilIdle, url, user } from "./harness.mjs";

const OpenAI = load("openai").OpenAI;
const { toFile } = load("openai");
const connect = (options) =>
  new OpenAI({ baseURL: url + "/v1", apiKey: key, maxRetries: 0, ...options });
const client = connect();
const CHAT_TOOL = { type: "function", function: { name: "weather", parameters: WEATHER } };
const RESPONSES_TOOL = { type: "function", name: "weather", parameters: WEATHER, strict: true };

test("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("demo") && names.includes("endless"), names);
});

test("chat", async () => {
  const answer = await client.chat.completions.create({ model: "demo", messages: user(PROMPT) });
  assert.equal(answer.choices[0].message.content, SAID);
  assert.equal(answer.choices[0].finish_reason, "stop");
});

test("chat streamed", async () => {
  let text = "";
  for await (const chunk of await client.chat.completions.create({
    model: "demo", messages: user(PROMPT), stream: true,
  }))
    text += chunk.choices[0].delta.content ?? "";
  assert.equal(text, SAID);
});

test("tools", async () => {
  const messages = user("weather in Rome");
  const ask = () => client.chat.completions.create({ model: "demo", messages, tools: [CHAT_TOOL] });
  const asked = (await ask()).choices[0];
  assert.equal(asked.finish_reason, "tool_calls");
  const call = asked.message.tool_calls[0];
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Rome" });
  messages.push(asked.message, { role: "tool", tool_call_id: call.id, content: "sunny" });
  assert.equal((await ask()).choices[0].message.content, "demo-model demo says: sunny");
});

test("tools streamed", async () => {
  const stream = client.chat.completions.stream({
    model: "demo", messages: user("weather in Rome"), tools: [CHAT_TOOL],
  });
  const final = await stream.finalChatCompletion();
  const call = final.choices[0].message.tool_calls[0];
  assert.equal(call.function.name, "weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Rome" });
});

test("completions", async () => {
  const answer = await client.completions.create({ model: "demo", prompt: PROMPT });
  assert.equal(answer.choices[0].text, SAID);
});

test("embeddings", async () => {
  const ask = { model: "demo", input: ["a dog", "a cat"] };
  const decoded = (await client.embeddings.create(ask)).data.map((row) => row.embedding);
  const floats = (await client.embeddings.create({ ...ask, encoding_format: "float" })).data;
  assert.equal(decoded.length, 2);
  floats.forEach((row, i) =>
    row.embedding.forEach((value, j) => assert.ok(Math.abs(value - decoded[i][j]) < 1e-4)));
  assert.equal(decoded[0].length, floats[0].embedding.length);
});

test("responses", async () => {
  const answer = await client.responses.create({ model: "demo", input: PROMPT });
  assert.equal(answer.output_text, SAID);
});

test("responses streamed", async () => {
  const stream = client.responses.stream({ model: "demo", input: PROMPT });
  let text = "";
  for await (const event of stream)
    if (event.type === "response.output_text.delta") text += event.delta;
  assert.equal(text, SAID);
  assert.equal((await stream.finalResponse()).output_text, SAID);
});

test("responses with tools streamed", async () => {
  const stream = client.responses.stream({
    model: "demo", input: "weather in Rome", tools: [RESPONSES_TOOL],
  });
  const [call] = (await stream.finalResponse()).output;
  assert.deepEqual(JSON.parse(call.arguments), { city: "Rome" });
});

test("images", async () => {
  const made = await client.images.generate({ model: "demo", prompt: "a harbour" });
  assert.ok(Buffer.from(made.data[0].b64_json, "base64").includes("PNG"));
  const picture = Buffer.alloc(300_000, "--picture\r\n");
  const edited = await client.images.edit({
    model: "demo", prompt: "x", image: await toFile(picture, "a.png", { type: "image/png" }),
  });
  assert.ok(Buffer.from(edited.data[0].b64_json, "base64").equals(picture));
});

test("audio", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wharf-"));
  const path = join(folder, "harbour.wav");
  writeFileSync(path, Buffer.alloc(5000));
  const heard = await client.audio.transcriptions.create({
    model: "demo", file: createReadStream(path),
  });
  rmSync(folder, { recursive: true });
  assert.equal(heard.text, "demo-model demo heard harbour.wav of 5000 bytes");
  const speech = await client.audio.speech.create({ model: "demo", voice: "alloy", input: "ahoy" });
  assert.ok(Buffer.from(await speech.arrayBuffer()).subarray(0, 4).equals(Buffer.from("RIFF")));
});

test("moderations", async () => {
  const answer = await client.moderations.create({ model: "demo", input: "violence at sea" });
  assert.equal(answer.results[0].flagged, true);
});

test("unknown model", async () => {
  const error = await failure(
    client.chat.completions.create({ model: "dem", messages: user("x") }));
  assert.ok(error instanceof OpenAI.NotFoundError, error);
  assert.equal(error.code, "model_not_found");
});

test("bad key", async () => {
  const error = await failure(connect({ apiKey: "wrong" }).models.list());
  assert.ok(error instanceof OpenAI.AuthenticationError, error);
});

test("a failed load", async () => {
  const error = await failure(
    client.chat.completions.create({ model: "broken", messages: user("x") }));
  assert.ok(error instanceof OpenAI.InternalServerError, error);
  assert.match(error.message, /no such file/);
});

test("what will not get better is not tried again", async () => {
  const answers = [];
  const stubborn = connect({ maxRetries: 2, fetch: noting(answers) });
  const error = await failure(
    stubborn.chat.completions.create({ model: "garbled", messages: user("x") }));
  assert.ok(error instanceof OpenAI.InternalServerError, error);
  assert.deepEqual(answers.map((answer) => answer.status), [502]);
});

test("a client that leaves in mid-stream", async () => {
  const stream = await client.chat.completions.create({
    model: "endless", messages: user("x"), stream: true,
  });
  for await (const chunk of stream) if (chunk) break;
  await untilIdle("endless");
});

test("what is refused is tried again when it should be", async () => {
  const answers = [];
  const running = await client.chat.completions.create({
    model: "endless", messages: user("x"), stream: true,
  });
  const again = connect({
    maxRetries: 3,
    defaultHeaders: { "X-Wharf-Wait": "0" },
    fetch: noting(answers, () => running.controller.abort()),
  });
  const stream = await again.chat.completions.create({
    model: "endless", messages: user("x"), stream: true,
  });
  stream.controller.abort();
  const first = answers[0], last = answers.at(-1);
  assert.deepEqual([first.status, last.status], [503, 200]);
  assert.ok(first.retryAfter >= 1 && last.at - first.at >= first.retryAfter * 1000 - 5, answers);
  await untilIdle("endless");
});
