import { useEffect, useState } from "preact/hooks";
import { attempt, daemon, live, now, wordsOf } from "../app";
import { bytes, percent, seconds, time, UNKNOWN } from "../format";
import { Badge, Button, Empty, Pick, Scroll } from "../parts/basics";
import { CaptureView } from "../parts/capture";
import { everything, list, type Listed, type Source } from "../past";
import type { InFlight, Past } from "../types";

const LIVE_MS = 1000;
const PAGE = 50;
const EXPORT_MAX = 10000;

interface Part {
  name: string;
  ms: number;
}

function number(text: string | undefined): number {
  return Number(text ?? 0) || 0;
}

/** How its time divides. */
function partsOf(waited: number, metadata: Record<string, string> | undefined, first: number, total: number): Part[] {
  const loading = Math.min(number(metadata?.["loading_ms"]), Math.max(0, waited));
  const begun = Math.max(waited, 0);
  const answered = first >= 0 ? Math.max(first, begun) : total;
  return [
    { name: "waiting", ms: (waited < 0 ? total : waited) - loading },
    { name: "loading", ms: loading },
    { name: "first token", ms: waited < 0 ? 0 : answered - begun },
    { name: "streaming", ms: waited < 0 || first < 0 ? 0 : total - answered },
  ].filter((p) => p.ms > 0);
}

function Phases({ parts, most }: { parts: readonly Part[]; most: number }) {
  const said = parts.map((p) => `${p.name} ${seconds(p.ms / 1000)}`).join(", ");
  return (
    <div class="phases" role="img" aria-label={said || "no time"} title={said}>
      {parts.map((p) => (
        <span key={p.name} class={`phase-${p.name.replace(" ", "-")}`} style={{ width: `${percent(p.ms, most)}%` }} />))}
    </div>
  );
}

function phaseOf(r: InFlight): string {
  if (r.first_ms >= 0) return "streaming";
  if (r.waited_ms >= 0) return "first token";
  const model = live.status.value?.model_list.find((m) => m.id === r.model);
  return model?.state === "loading" || model?.state === "resuming" ? "loading" : "waiting";
}

function partsNow(r: InFlight, passed: number): Part[] {
  const total = r.elapsed_ms + passed;
  if (r.waited_ms < 0) return [{ name: phaseOf(r), ms: total }];
  return partsOf(r.waited_ms, r.metadata, r.first_ms, total);
}

function LiveRequests() {
  const [list, setList] = useState<InFlight[]>([]);
  const [at, setAt] = useState(Date.now());
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const ask = () => {
      if (document.hidden) return;
      daemon.json<{ requests: InFlight[] | null }>("api/inflight").then((answer) => {
        setList(answer.requests ?? []);
        setAt(Date.now());
        setProblem("");
      }, (error: unknown) => setProblem(wordsOf(error)));
    };
    ask();
    const timer = setInterval(ask, LIVE_MS);
    return () => clearInterval(timer);
  }, []);
  const passed = Math.max(0, now.value - at);
  const most = Math.max(1, ...list.map((r) => r.elapsed_ms + passed));
  const cancel = (r: InFlight) => attempt(`cancel request ${r.id}`, () =>
    daemon.ask(`api/inflight/${r.id}/cancel`, { method: "POST" }));
  return (
    <section aria-labelledby="live">
      <h2 id="live">Under way</h2>
      {problem && <p class="bad" role="alert">{problem}</p>}
      {list.length === 0 ? <Empty>No request is under way.</Empty> : (
        <Scroll label="Requests under way">
          <table>
            <thead><tr><th scope="col">model</th><th scope="col">path</th><th scope="col">class</th><th scope="col">key</th>
              <th scope="col">now</th><th scope="col" class="wide">time</th><th scope="col" class="number">so far</th>
              <th scope="col" class="number">answer</th><th scope="col"><span class="hidden">actions</span></th></tr></thead>
            <tbody>{list.map((r) => (
              <tr key={r.id} data-request={r.id}>
                <th scope="row">{r.model || UNKNOWN}</th><td>{r.req_path}</td>
                <td>{r.metadata?.["class"] ?? UNKNOWN}</td><td>{r.metadata?.["key"] ?? UNKNOWN}</td>
                <td>{phaseOf(r)}</td><td><Phases parts={partsNow(r, passed)} most={most} /></td>
                <td class="number">{seconds((r.elapsed_ms + passed) / 1000)}</td>
                <td class="number">{bytes(r.resp_bytes)}</td>
                <td><Button kind="danger" label={`Cancel the request for ${r.model}`} onClick={() => cancel(r)}>Cancel</Button></td>
              </tr>))}
            </tbody>
          </table>
        </Scroll>)}
    </section>
  );
}

const COLUMNS: [name: string, value: (r: Past) => string | number][] = [
  ["id", (r) => r.id],
  ["time", (r) => r.timestamp],
  ["model", (r) => r.model],
  ["path", (r) => r.req_path],
  ["class", (r) => r.metadata?.["class"] ?? ""],
  ["key", (r) => r.metadata?.["key"] ?? ""],
  ["status", (r) => r.resp_status_code],
  ["ended", (r) => r.ended],
  ["waited_ms", (r) => r.waited_ms],
  ["loading_ms", (r) => number(r.metadata?.["loading_ms"])],
  ["first_ms", (r) => number(r.metadata?.["first_ms"])],
  ["duration_ms", (r) => r.duration_ms],
  ["input_tokens", (r) => r.tokens.input_tokens],
  ["output_tokens", (r) => r.tokens.output_tokens],
  ["tokens_per_second", (r) => r.tokens.tokens_per_second],
  ["error", (r) => r.error_msg ?? ""],
];

/** RFC 4180. What a spreadsheet would take for a formula gets an apostrophe. */
export function csv(rows: readonly Past[]): string {
  const cell = (value: string | number) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [COLUMNS.map(([name]) => name), ...rows.map((r) => COLUMNS.map(([, of]) => cell(of(r))))];
  return lines.map((line) => line.join(",") + "\r\n").join("");
}

function save(name: string, type: string, text: string) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function PastRow({ r, most, onCapture }: { r: Past; most: number; onCapture: () => void }) {
  const first = r.metadata?.["first_ms"] === undefined ? -1 : number(r.metadata["first_ms"]);
  const ended = r.ended === "gone" ? "left" : r.ended;
  const known = (n: number) => (n > 0 ? String(n) : UNKNOWN);
  return (
    <tr data-past={r.id}>
      <td class="nowrap">{time(r.timestamp)}</td>
      <th scope="row">{r.model || UNKNOWN}</th><td>{r.req_path}</td>
      <td>{r.metadata?.["class"] ?? UNKNOWN}</td><td>{r.metadata?.["key"] ?? UNKNOWN}</td>
      <td><Badge kind={r.resp_status_code < 400 ? r.ended : "error"}>{r.resp_status_code} {ended}</Badge>
        {r.error_msg && <p class="bad clip">{r.error_msg}</p>}</td>
      <td><Phases parts={partsOf(r.waited_ms, r.metadata, first, r.duration_ms)} most={most} /></td>
      <td class="number">{seconds(r.duration_ms / 1000)}</td>
      <td class="number">{known(r.tokens.input_tokens)} / {known(r.tokens.output_tokens)}</td>
      <td class="number">{r.tokens.tokens_per_second > 0 ? r.tokens.tokens_per_second.toFixed(1) : UNKNOWN}</td>
      <td>{r.has_capture && <Button label={`Show request ${r.id}`} onClick={onCapture}>Show</Button>}</td>
    </tr>
  );
}

function PastRequests() {
  const [model, setModel] = useState("");
  const [source, setSource] = useState<Source>("memory");
  /** Where the pages begin that led here, the shown one last. */
  const [pages, setPages] = useState<(string | null)[]>([null]);
  const [answer, setAnswer] = useState<Listed | null>(null);
  const [problem, setProblem] = useState("");
  const [capture, setCapture] = useState<number | null>(null);
  const at = live.at.value;
  const page = pages.at(-1) ?? null;
  useEffect(() => {
    let over = false;
    list(daemon, source, model, page, PAGE).then((got) => {
      if (over) return;
      setAnswer(got);
      setProblem("");
    }, (error: unknown) => {
      if (over) return;
      setAnswer(null);
      setProblem(wordsOf(error));
    });
    return () => {
      over = true;
    };
  }, [source, model, page, at]);
  const rows = answer?.rows ?? [];
  const most = Math.max(1, ...rows.map((r) => r.duration_ms));
  const save_as = (kind: "csv" | "json") => attempt(`export as ${kind}`, async () => {
    const all = await everything(daemon, source, model, EXPORT_MAX);
    if (kind === "csv") save("wharf-requests.csv", "text/csv", csv(all));
    else save("wharf-requests.json", "application/json", JSON.stringify(all, null, 1));
  });
  return (
    <section aria-labelledby="past">
      <h2 id="past">Over</h2>
      <div class="row">
        <Pick label="From" value={source} onPick={(from) => (setSource(from as Source), setPages([null]))}
          options={[["memory", "the daemon's memory"] as const, ["history", "the history"] as const]} />
        <Pick label="Model" value={model} onPick={(id) => (setModel(id), setPages([null]))}
          options={[["", "all"] as const, ...(live.status.value?.model_list ?? []).map((m) => m.id)]} />
        <Button onClick={() => save_as("csv")}>Export CSV</Button>
        <Button onClick={() => save_as("json")}>Export JSON</Button>
      </div>
      <ul class="legend">{["waiting", "loading", "first token", "streaming"].map((name) => (
        <li key={name}><i class={`swatch phase-${name.replace(" ", "-")}`} />{name}</li>))}</ul>
      {problem && <p class="bad" role="alert">{problem}</p>}
      {rows.length === 0 ? <Empty>Nothing has been asked yet.</Empty> : (
        <Scroll label="Requests that are over">
          <table>
            <thead><tr><th scope="col">time</th><th scope="col">model</th><th scope="col">path</th><th scope="col">class</th>
              <th scope="col">key</th><th scope="col">ended</th><th scope="col" class="wide">its time</th>
              <th scope="col" class="number">took</th><th scope="col" class="number">tokens in / out</th>
              <th scope="col" class="number">tokens/s</th><th scope="col"><span class="hidden">actions</span></th></tr></thead>
            <tbody>{rows.map((r) => <PastRow key={r.id} r={r} most={most} onCapture={() => setCapture(r.id)} />)}</tbody>
          </table>
        </Scroll>)}
      {answer && (pages.length > 1 || answer.next !== null) && (
        <div class="row">
          <Button disabled={pages.length <= 1} onClick={() => setPages(pages.slice(0, -1))}>Newer</Button>
          <span>page {pages.length}</span>
          <Button disabled={answer.next === null} onClick={() => setPages([...pages, answer.next])}>Older</Button>
        </div>)}
      {capture !== null && <CaptureView key={capture} id={capture} onClose={() => setCapture(null)} />}
    </section>
  );
}

export function Requests() {
  return <><LiveRequests /><PastRequests /></>;
}
