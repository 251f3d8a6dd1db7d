// What the scripts of the Node.js clients have in common. WHARF_NODE is the folder that tools/node
// fills, WHARF_URL and WHARF_KEY say where wharf is.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { File } from "node:buffer";

// Node.js 18 has it under this name only, and the clients look for the global one.
globalThis.File ??= File;

export const load = createRequire(process.env.WHARF_NODE + "/");
export const url = process.env.WHARF_URL;
export const key = process.env.WHARF_KEY;
export const PROMPT = "all hands on deck";
export const SAID = "demo-model demo says: " + PROMPT;
export const WEATHER = {
  type: "object",
  properties: { city: { enum: ["Rome", "Oslo"] } },
  required: ["city"],
  additionalProperties: false,
};

export const user = (content) => [{ role: "user", content }];

// The model's counters, once it has nothing to do: what a client has left, wharf learns a moment later.
export async function untilIdle(model) {
  for (;;) {
    const answer = await fetch(`${url}/wharf/models/${model}`, {
      headers: { Authorization: `Bearer ${key}` },
    });
    const state = await answer.json();
    if (state.in_flight === 0 && state.waiting === 0) return;
  }
}

// The error that the promise ends with.
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("it succeeded");
}

// A fetch that notes what was answered, and when; `after` is told of each.
export function noting(answers, after = () => {}) {
  return async (...request) => {
    const answer = await fetch(...request);
    const retryAfter = Number(answer.headers.get("retry-after"));
    answers.push({ status: answer.status, retryAfter, at: performance.now() });
    await after(answer);
    return answer;
  };
}
