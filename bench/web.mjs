// What open dashboards cost the daemon: the page's own web/src/live.ts, fifty times in this process, while
// something happens twenty times a second. `bench/web` starts the daemon and reads its clock.
//     node bench/web.mjs URL PAGES SECONDS
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = new URL("..", import.meta.url).pathname;
const [url, pages, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const { build } = createRequire(`${root}build/web/`)("esbuild");

const folder = await mkdtemp(join(tmpdir(), "wharf-web-"));
await build({
  stdin: {
    contents: 'export { Live } from "./src/live"; export { Daemon } from "./src/api";',
    resolveDir: `${root}build/web`,
  },
  bundle: true, format: "esm", platform: "node", outfile: `${folder}/live.mjs`, logLevel: "error",
});
const { Live, Daemon } = await import(pathToFileURL(`${folder}/live.mjs`).href);
await rm(folder, { recursive: true });

let told = 0;
const open = Array.from({ length: pages }, () => new Live(new Daemon(`${url}/`, () => "")));
for (const page of open) {
  page.listen(() => told++);
  page.start();
}
const isLive = () => open.every((p) => p.connection.value === "live");
while (!isLive()) await new Promise((done) => setTimeout(done, 50));
console.log("live");
await new Promise((done) => setTimeout(done, seconds * 1000));
console.log(JSON.stringify({ pages, told, live: isLive() }));
process.exit(0);
