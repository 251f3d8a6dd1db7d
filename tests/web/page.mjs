// The page of a real daemon, whose models are the pretended engine's: "small" and "medium" fit side
// by side, "large" beside neither; "endless" is as large, and its answers do not end.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import * as h from "./harness.mjs";

after(h.close);

test("models are loaded and unloaded by buttons", async (t) => {
  await h.idle();
  const page = await h.open(t);
  await h.connected(page);
  await h.badge(page, "small", "unloaded").waitFor();
  await h.button(page, "Load small").click();
  await h.badge(page, "small", "loaded").waitFor();
  const bar = page.getByRole("img", { name: /^Memory of Sim 24G: small 8 GiB, free 15 GiB, reserve 1 GiB$/ });
  await bar.waitFor();
  await page.getByText("8 GiB of 24 GiB used").waitFor();
  await h.button(page, "Load medium").click();
  await h.badge(page, "medium", "loaded").waitFor();
  await h.shot(page, "now");
  await h.button(page, "Pin small").click();
  await page.getByRole("button", { name: "Pin small", pressed: true }).waitFor();
  assert.equal((await h.json("/wharf/models/small")).pinned, true);
  await h.button(page, "Pin small").click();
  await page.getByRole("button", { name: "Pin small", pressed: false }).waitFor();
  await h.button(page, "Unload small").click();
  await h.badge(page, "small", "unloaded").waitFor();
  assert.equal((await h.json("/wharf/models/small")).state, "unloaded");
});

test("what others do is seen at once", async (t) => {
  await h.idle();
  const page = await h.open(t);
  await h.connected(page);
  await h.badge(page, "medium", "unloaded").waitFor();
  assert.equal((await h.chat("medium")).status, 200);
  await h.badge(page, "medium", "loaded").waitFor();
});

test("who waits is shown with a reason, until it is served; a request is cancelled", async (t) => {
  await h.idle();
  const page = await h.open(t);
  await h.connected(page);
  const endless = h.chat("endless", "on and on", { stream: true });
  await h.badge(page, "endless", "loaded").waitFor();
  const waiting = h.chat("small");
  const row = page.locator('[data-waiter="small"]');
  await row.waitFor();
  await row.getByText(/8GiB of device memory: these are busy: endless/).waitFor();
  await row.getByText("normal", { exact: true }).waitFor();
  await h.shot(page, "queue");
  await page.getByRole("link", { name: "Requests" }).click();
  const under = page.locator("[data-request]", { hasText: "endless" });
  await under.getByText("streaming").waitFor();
  await page.locator("[data-request]", { hasText: "small" }).getByText("waiting").waitFor();
  await h.shot(page, "requests-live");
  await under.getByRole("button", { name: "Cancel the request for endless" }).click();
  assert.equal((await waiting).status, 200);
  const past = page.locator("[data-past]", { hasText: "small" }).first();
  await past.getByText("200 done").waitFor();
  await past.getByRole("img", { name: /waiting .*loading .*first token/ }).waitFor();
  await (await endless).text().catch(() => {});
  await page.getByRole("link", { name: "Now" }).click();
  await page.getByText("Nobody waits.").waitFor();
});

test("the mode is set", async (t) => {
  await h.idle();
  const page = await h.open(t);
  await h.connected(page);
  await page.getByLabel("Mode", { exact: true }).selectOption("work");
  await page.getByText("The mode is work.").waitFor();
  await h.badge(page, "small", "loaded").waitFor();
  assert.equal((await h.json("/wharf/mode")).mode, "work");
  await page.getByLabel("Mode", { exact: true }).selectOption("idle");
  await page.getByText("The mode is idle.").waitFor();
});

test("a model goes to another of its places", async (t) => {
  await h.idle();
  const page = await h.open(t);
  await h.connected(page);
  await h.button(page, "Load mover").click();
  await h.badge(page, "mover", "loaded").waitFor();
  await h.button(page, "Move mover to cpu").click();
  await h.button(page, "Move mover to cuda").waitFor();
  assert.equal((await h.json("/wharf/models/mover")).placement, "cpu");
});

test("the page comes back after the daemon, and knows what happened meanwhile", async (t) => {
  await h.idle();
  // A refused connection is said by the browser itself.
  const page = await h.open(t, { allowed: [/Failed to load resource: net::ERR_/] });
  await h.connected(page);
  await h.control("kill");
  await page.locator(".connection.lost").waitFor();
  await page.getByRole("alert").filter({ hasText: "may be old" }).waitFor();
  await h.shot(page, "lost");
  await h.control("start");
  await h.connected(page);
  assert.equal(await page.getByRole("alert").count(), 0);
  assert.equal((await h.chat("medium")).status, 200);
  await h.badge(page, "medium", "loaded").waitFor();
});

test("a model is tried: chat, completion, embeddings", async (t) => {
  await h.idle();
  const page = await h.open(t, { part: "try" });
  await h.connected(page);
  await page.getByLabel("Model", { exact: true }).selectOption("small");
  await page.getByLabel("Message", { exact: true }).fill("all hands on deck");
  await page.getByLabel("Message", { exact: true }).press("Enter");
  const said = page.getByRole("log", { name: "Conversation" }).locator(".said.assistant");
  await said.getByText("demo-model small says: all hands on deck").waitFor();
  await page.getByText(/waited .* first token after .* tokens\/s/).waitFor();
  await h.shot(page, "try");
  await page.getByLabel("What", { exact: true }).selectOption("completion");
  await page.getByLabel("Text to go on with").fill("once upon");
  await h.button(page, "Complete").click();
  await page.getByRole("log", { name: "Answer" }).getByText(/once upon/).waitFor();
  await page.getByLabel("What", { exact: true }).selectOption("embedding");
  await page.getByLabel("Texts, one a line").fill("ship\nboat");
  await h.button(page, "Embed").click();
  await page.getByText(/line 1 and line 2: cosine/).waitFor();
  await page.getByLabel("What", { exact: true }).selectOption("image");
  await page.getByLabel("What it should show").fill("a harbour");
  await h.button(page, "Draw").click();
  await page.getByRole("img", { name: "a harbour" }).waitFor();
  await page.getByLabel("What", { exact: true }).selectOption("speech");
  await page.getByLabel("Text to speak").fill("ahoy");
  await h.button(page, "Speak").click();
  await page.locator("audio").waitFor();
});

test("an answer that does not end is stopped", async (t) => {
  await h.idle();
  const page = await h.open(t, { part: "try" });
  await h.connected(page);
  await page.getByLabel("Model", { exact: true }).selectOption("endless");
  await page.getByLabel("Message", { exact: true }).fill("on");
  await h.button(page, "Send").click();
  await page.locator(".said.assistant p", { hasText: /\w/ }).waitFor();
  await h.button(page, "Stop").click();
  await page.getByText("stopped").waitFor();
  await page.waitForFunction(async () => ((await (await fetch("../api/inflight")).json()).requests ?? []).length === 0);
});

test("a swap stands in the timeline, and leads to its decision with what else could have left", async (t) => {
  await h.idle();
  await h.chat("small");
  await h.chat("medium");
  await h.chat("large");
  const page = await h.open(t, { part: "timeline" });
  await h.connected(page);
  const lanes = page.getByRole("group", { name: "Who was in on Sim 24G" });
  await lanes.getByRole("link", { name: /^large loaded / }).first().waitFor();
  await page.locator(".chart canvas").first().waitFor();
  await h.shot(page, "timeline");
  await page.waitForFunction(() => { // lines have the colours of the theme
    const canvas = document.querySelector(".chart canvas");
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    const drawn = copy.getContext("2d", { willReadFrequently: true });
    drawn.drawImage(canvas, 0, 0);
    const { data } = drawn.getImageData(0, 0, copy.width, copy.height);
    let coloured = 0;
    for (let i = 0; i < data.length; i += 4) coloured += data[i + 3] > 200 && Math.max(...data.slice(i, i + 3)) - Math.min(...data.slice(i, i + 3)) > 60;
    return coloured > 50;
  });
  await h.button(page, "Zoom in").click();
  await h.button(page, "Follow").click();
  await lanes.getByRole("link", { name: /^large loaded / }).last().click();
  await page.locator(".decision.marked", { hasText: "large (20 GiB) is loaded on Sim 24G" }).waitFor();
  await page.getByLabel("About", { exact: true }).selectOption("");
  const evicted = page.locator('[data-type="evict"]', { hasText: "leaves Sim 24G for large" }).first();
  await evicted.locator("summary").click();
  await evicted.getByRole("row", { name: /^(small|medium)/ }).first().waitFor();
  await h.shot(page, "why");
});

test("a plan says who would leave", async (t) => {
  await h.idle();
  await h.chat("large");
  const page = await h.open(t, { part: "plan" });
  await h.connected(page);
  await page.getByLabel("a model were loaded").selectOption("medium");
  await h.button(page, "Ask about the model").click();
  await page.getByText("large would be unloaded, which gives back 20 GiB.").waitFor();
  await h.shot(page, "plan");
  await page.getByLabel("a job wanted memory on each GPU").fill("80GiB");
  await h.button(page, "Ask about the job").click();
  await page.locator('[data-verdict="never"]').waitFor();
  assert.equal((await h.json("/wharf/models/large")).state, "loaded");
});

test("logs follow, are filtered and have their colours", async (t) => {
  await h.idle();
  const page = await h.open(t, { part: "logs/painted" });
  await h.connected(page);
  assert.equal((await h.chat("painted")).status, 200);
  const log = page.getByRole("log", { name: "Log of painted" });
  await log.locator(".ansi-1", { hasText: "red words" }).waitFor();
  await page.getByLabel("Filter", { exact: true }).fill("plain");
  await log.getByText("and plain ones").waitFor();
  assert.equal(await log.getByText("other line").count(), 0);
  await page.getByLabel("Log of", { exact: true }).selectOption("wharf");
  await page.getByLabel("Filter", { exact: true }).fill("painted");
  await page.getByRole("log", { name: "Log of wharf" }).getByText(/painted/).first().waitFor();
  await h.shot(page, "logs");
});

test("the configuration says where its values stand, and a text is checked", async (t) => {
  const page = await h.open(t, { part: "config" });
  await h.connected(page);
  const row = page.getByRole("row", { name: /vram: 8GiB/ }).first();
  await row.getByText(/wharf\.yaml:\d+$/).waitFor();
  assert.equal(await page.getByText("maxConnections").count(), 0);
  await page.getByLabel(/also defaults/).check();
  await page.getByText("maxConnections: 8192").waitFor();
  await page.getByLabel(/^A configuration/).fill("models:\n  a: {cmd: 'x --port ${PORT}', tt: 3, ttl: soon}\n");
  await h.button(page, "Check").click();
  await page.getByText("The daemon would not take it.").waitFor();
  await page.getByText(/unknown key 'tt'.*did you mean 'ttl'/).waitFor();
  await h.shot(page, "config");
  await page.getByLabel(/^A configuration/).fill("models:\n  a: {cmd: 'x --port ${PORT}'}\n");
  await h.button(page, "Check").click();
  await page.getByText("It is right: 1 model.").waitFor();
  assert.equal((await (await h.ask("GET", "/wharf/models")).json()).models.some((m) => m.id === "a"), false);
});

test("a request is shown as it went, and all are exported", async (t) => {
  await h.chat("small", "said, with a \"comma\"");
  const page = await h.open(t, { part: "requests" });
  await h.connected(page);
  await page.locator("[data-past]").first().getByRole("button", { name: /^Show request/ }).click();
  await page.getByLabel("Body: Asked").getByText(/said, with a/).waitFor();
  await page.getByLabel("Body: Answered").getByText(/demo-model small says/).waitFor();
  await h.shot(page, "capture");
  await h.button(page, "Close").click();
  for (const [kind, looks] of [["CSV", /^id,time,model,path,class,key,/], ["JSON", /"model": "small"/]]) {
    const [file] = await Promise.all([page.waitForEvent("download"), h.button(page, `Export ${kind}`).click()]);
    assert.match(await readFile(await file.path(), "utf8"), looks);
  }
  await page.getByLabel("From", { exact: true }).selectOption("history");
  await h.button(page, /^Show request/).first().waitFor({ state: "detached" }); // bodies are kept in memory alone
  const kept = page.locator("[data-past]", { hasText: "small" }).first();
  await kept.waitFor();
  assert.match(await kept.getByRole("img").getAttribute("aria-label"), /first token|streaming/);
});

test("with keys, it asks for one, which stays in the tab", async (t) => {
  const page = await h.open(t, { at: h.locked, allowed: [/401 \(Unauthorized\)/] });
  await page.getByRole("heading", { name: "wharf wants a key" }).waitFor();
  await h.shot(page, "key");
  await page.getByLabel("Key", { exact: true }).fill("wrong");
  await h.button(page, "Use it").click();
  await page.getByText("The key that was given is not known.").waitFor();
  await page.getByLabel("Key", { exact: true }).fill(h.key);
  await h.button(page, "Use it").click();
  await h.connected(page);
  await page.getByText("1 model").first().waitFor();
  const kept = await page.evaluate(() => [sessionStorage.length, JSON.stringify(localStorage), document.cookie]);
  assert.deepEqual(kept, [1, "{}", ""]);
  await page.reload();
  await h.connected(page);
});

test("it works below a prefix that only a proxy knows", async (t) => {
  const proxy = await h.prefixed("/machines/one");
  const page = await h.open(t, { at: proxy.at });
  t.after(proxy.close);
  await h.connected(page);
  await h.model(page, "small").waitFor();
  const answer = await fetch(`${proxy.at}/`, { headers: { Accept: "text/html" } });
  assert.equal(answer.url, `${proxy.at}/ui/`);
});

test("its parts are reached by the keyboard alone", async (t) => {
  const page = await h.open(t);
  await h.connected(page);
  await page.keyboard.press("Tab");
  await page.getByRole("link", { name: "Skip to the content" }).and(page.locator(":focus")).waitFor();
  for (let i = 0; i < 4; i++) await page.keyboard.press("Tab");
  await page.getByRole("link", { name: "Requests" }).and(page.locator(":focus")).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Under way" }).waitFor();
});

test("the theme is the system's, or one's own", async (t) => {
  const page = await h.open(t, { theme: "dark" });
  await h.connected(page);
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await back(), "rgb(15, 22, 28)");
  await page.getByLabel("Theme", { exact: true }).selectOption("light");
  assert.equal(await back(), "rgb(243, 245, 247)");
  await page.reload();
  await h.connected(page);
  assert.equal(await back(), "rgb(243, 245, 247)");
  await page.getByLabel("Theme", { exact: true }).selectOption("system");
  assert.equal(await back(), "rgb(15, 22, 28)");
});

// Each width and each theme once; the long way, each with each.
const LOOKS = [[360, "dark"], [1920, "light"], [360, "light"], [1920, "dark"]];
for (const [width, theme] of LOOKS.slice(0, process.env.WHARF_WEB_LONG ? 4 : 2))
  test(`all parts at ${width} px, ${theme}: nothing sticks out, and axe finds nothing serious`, async (t) => {
    await h.chat("small");
    // What looks for barriers is no part of the page.
    const page = await h.open(t, { width, theme, height: width === 360 ? 740 : 1080, bypassCSP: true });
    await h.connected(page);
    await page.evaluate(h.axeSource);
    for (const part of h.VIEWS) {
      await page.evaluate((to) => (location.hash = `#/${to}`), part);
      await page.locator(`nav a[aria-current="page"][href="#/${part}"]`).waitFor();
      if (part === "now") await page.getByText("Nobody waits.").waitFor();
      if (part === "requests") await page.locator("[data-past]").first().waitFor();
      if (part === "why") await page.locator(".decision").first().waitFor();
      if (part === "timeline") await page.locator(".chart canvas").first().waitFor();
      if (part === "config") await page.getByRole("row", { name: /vram/ }).first().waitFor();
      await h.shot(page, `${part}-${width}-${theme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wide <= 0, `${part} is ${wide} px wider than the window`);
      const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      const bad = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
      assert.deepEqual(bad.map((v) => [v.id, v.nodes.map((n) => `${n.target} ${n.failureSummary}`)]), [], part);
    }
  });

test("all of it is small, compressed, and asked for once", async (t) => {
  const page = await h.open(t);
  await h.connected(page);
  const { files, weight } = await page.evaluate(() => {
    const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .filter((e) => e.name.includes("/ui/"));
    return { files: all.map((e) => e.name), weight: all.reduce((sum, e) => sum + e.encodedBodySize, 0) };
  });
  assert.ok(files.length >= 3, String(files));
  assert.ok(weight > 10_000 && weight < 300_000, `${weight} bytes`);
  const style = files.find((f) => f.endsWith(".css"));
  const answer = await fetch(style);
  assert.equal(answer.headers.get("cache-control"), "public, max-age=31536000, immutable");
  assert.match(answer.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self'; style-src 'self';/);
  const again = await fetch(style, { headers: { "If-None-Match": answer.headers.get("etag") } });
  assert.equal(again.status, 304);
  t.diagnostic(`the page: ${weight} bytes compressed in ${files.length} files`);
});
