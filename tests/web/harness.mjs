// What drives the page: a browser, pages of it that are watched, and the daemon behind them.
// WHARF_NODE is the folder that tools/node fills, WHARF_CHROMIUM the browser, WHARF_URL the daemon,
// WHARF_LOCKED one that wants WHARF_KEY, WHARF_CONTROL what ends the first and starts it again, and
// WHARF_SHOTS the folder of the pictures.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import http from "node:http";

const load = createRequire(process.env.WHARF_NODE + "/");
const { chromium } = load("playwright-core");
export const axeSource = load("axe-core").source;
export const { WHARF_URL: url, WHARF_LOCKED: locked, WHARF_KEY: key, WHARF_SHOTS: shots } = process.env;
export const SLOWNESS = Number(process.env.WHARF_SLOWNESS ?? 1);

export const VIEWS = ["now", "timeline", "requests", "why", "logs", "try", "plan", "config"];

const browser = await chromium.launch({
  executablePath: process.env.WHARF_CHROMIUM,
  // Containers have no user namespaces to spare, and little in /dev/shm.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});

export const close = () => browser.close();

/** A page, which fails the test when anything is said on its console or asked of anybody else.
 *  allowed: what may be said, as regular expressions. */
export async function open(t, { width = 1280, height = 900, theme = "light", at = url, part = "now", allowed = [], ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ...more });
  const page = await context.newPage();
  const said = [], foreign = [];
  page.setDefaultTimeout(15000 * SLOWNESS);
  page.on("console", (m) => closed || said.push(`${m.type()}: ${m.text()}`));
  page.on("pageerror", (e) => said.push(`error: ${e.message}`));
  page.on("request", (r) => {
    if (!/^(blob|data):/.test(r.url()) && new URL(r.url()).origin !== new URL(at).origin) foreign.push(r.url());
  });
  let closed = false;
  t.after(async () => {
    closed = true;
    await context.close();
    assert.deepEqual(said.filter((s) => !allowed.some((a) => a.test(s))), [], "on the console");
    assert.deepEqual(foreign, [], "asked of others");
  });
  await page.goto(`${at}/ui/#/${part}`);
  return page;
}

export const connected = (page) => page.locator(".connection.live").waitFor();
export const model = (page, id) => page.locator(`[data-model="${id}"]`);
export const badge = (page, id, state) => model(page, id).locator(".badge", { hasText: new RegExp(`^${state}$`) });
export const button = (page, name) => page.getByRole("button", { name, exact: true });
export const shot = (page, name) => page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });

export async function ask(method, path, body) {
  const answer = await fetch(url + path, { method, ...(body ? { body: JSON.stringify(body) } : {}) });
  return answer;
}

export const json = async (path) => (await ask("GET", path)).json();

export const chat = (model, content = "ahoy", more = {}) =>
  ask("POST", "/v1/chat/completions", { model, messages: [{ role: "user", content }], ...more });

/** Nothing is loaded, nothing runs. */
export async function idle() {
  const { requests } = await json("/api/inflight");
  for (const r of requests ?? []) await ask("POST", `/api/inflight/${r.id}/cancel`);
  assert.equal((await ask("POST", "/api/models/unload")).status, 200);
}

export const control = (what) => fetch(`${process.env.WHARF_CONTROL}/${what}`, { method: "POST" });

/** What a proxy in front of wharf does that gives it a prefix. */
export async function prefixed(prefix) {
  const to = new URL(url);
  const server = http.createServer((req, res) => {
    if (!req.url.startsWith(prefix + "/")) return res.writeHead(404).end();
    const ask = http.request({ host: to.hostname, port: to.port, method: req.method, path: req.url.slice(prefix.length), headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      res.flushHeaders();
      answer.pipe(res);
    });
    ask.on("error", () => res.destroy());
    res.on("close", () => ask.destroy());
    req.pipe(ask);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { at: `http://127.0.0.1:${server.address().port}${prefix}`, close: () => (server.closeAllConnections(), server.close()) };
}
