import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { daemon, href, live, theme, wordsOf } from "../app";
import { bytes, seconds, time } from "../format";
import { Button, Empty, Pick } from "../parts/basics";
import { colourOf } from "../parts/colours";
import type { Decision, ModelState, Timeline as Answer } from "../types";

const REFRESH_MS = 5000;
const RANGES: [string, string][] = [["60", "1 minute"], ["300", "5 minutes"], ["900", "15 minutes"], ["3600", "1 hour"]];
const GIB = 1024 ** 3;

interface Stay {
  model: string;
  from: number;
  to: number;
  state: ModelState;
  bytes: number;
}

/** Per device: who was there from when to when, and in which state. */
export function staysOf(answer: Answer): Map<string, Stay[]> {
  const stays = new Map<string, Stay[]>(answer.devices.map((d) => [d, []]));
  const open = new Map<string, Stay>();
  for (const c of answer.changes) {
    for (const [key, stay] of open) {
      if (stay.model !== c.model) continue;
      stay.to = c.time_ms;
      open.delete(key);
    }
    for (const device of c.devices) {
      const stay: Stay = { model: c.model, from: c.time_ms, to: answer.now_ms, state: c.state, bytes: c.bytes };
      open.set(`${device}\n${c.model}`, stay);
      const list = stays.get(device) ?? [];
      list.push(stay);
      stays.set(device, list);
    }
  }
  return stays;
}

interface Window {
  from: number;
  to: number;
}

interface LanesProps {
  device: string;
  stays: readonly Stay[];
  decisions: readonly Decision[];
  shown: Window;
}

const NAMES = 120; // of the space on the left, in the drawing's units
const WIDTH = 1000;
const ROW = 26;

/** The decision by which it came, or left: the one about it that is nearest in time. */
function decisionOf(stay: Stay, decisions: readonly Decision[]): Decision | null {
  let best: Decision | null = null;
  for (const d of decisions) {
    if (d.model !== stay.model) continue;
    const away = (x: Decision) => Math.abs(Date.parse(x.time) - stay.from);
    if (!best || away(d) < away(best)) best = d;
  }
  return best;
}

function Lanes({ device, stays, decisions, shown }: LanesProps) {
  const visible = stays.filter((s) => s.to >= shown.from && s.from <= shown.to);
  const models = [...new Set(visible.map((s) => s.model))].sort();
  const x = (at: number) => NAMES + ((Math.min(Math.max(at, shown.from), shown.to) - shown.from) / (shown.to - shown.from)) * (WIDTH - NAMES);
  if (!models.length) return <Empty>Nobody was here.</Empty>;
  return (
    <svg class="lanes" viewBox={`0 0 ${WIDTH} ${models.length * ROW}`} role="group" aria-label={`Who was in on ${device}`}>
      {models.map((m, row) => (
        <g key={m}>
          <text x={0} y={row * ROW + 17} class="lane-name">{m.length > 17 ? `${m.slice(0, 16)}…` : m}</text>
          <line x1={NAMES} x2={WIDTH} y1={(row + 1) * ROW - 0.5} y2={(row + 1) * ROW - 0.5} class="lane-line" />
        </g>))}
      {visible.map((s, i) => {
        const why = decisionOf(s, decisions);
        const from = x(s.from);
        const said = `${s.model} ${s.state} from ${time(s.from)} for ${seconds((s.to - s.from) / 1000)}, ${bytes(s.bytes)}`;
        return (
          <a key={i} href={why ? href("why", s.model, why.time) : href("why", s.model)} aria-label={`${said}. Why?`}>
            <title>{said}</title>
            <rect x={from} y={models.indexOf(s.model) * ROW + 4} width={Math.max(2, x(s.to) - from)} height={ROW - 8} rx={3}
              class={`stay fill-${colourOf(s.model)} ${s.state === "loaded" ? "" : "passing"}`} />
          </a>);
      })}
    </svg>
  );
}

/** A colour of the theme that holds, as a canvas understands it: of the variable itself there is but the text. */
function styleOf(name: string): string {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

interface ChartProps {
  title: string;
  unit: string;
  times: number[];
  series: { label: string; values: (number | null)[] }[];
  shown: Window;
  onZoom: (w: Window | null) => void;
}

const LINES = ["--line-0", "--line-1", "--line-2", "--line-3"];

function Chart({ title, unit, times, series, shown, onZoom }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const look = theme.value;
  const last = series.map((s) => `${s.label} ${s.values.at(-1)?.toFixed(1) ?? "not known"} ${unit}`).join(", ");
  useEffect(() => {
    const place = box.current;
    if (!place) return;
    const axis = { stroke: styleOf("--quiet"), grid: { stroke: styleOf("--edge"), width: 1 }, ticks: { stroke: styleOf("--edge") } };
    const chart = new uPlot({
      width: place.clientWidth, height: 150,
      cursor: { drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: true, range: () => [shown.from / 1000, shown.to / 1000] }, y: { range: (_u, _min, max) => [0, Math.max(1, max * 1.05)] } },
      axes: [axis, { ...axis, size: 56 }],
      series: [{}, ...series.map((s, i) => ({ label: s.label, stroke: styleOf(LINES[i % LINES.length] ?? ""), width: 2, spanGaps: false,
        value: (_u: uPlot, v: number | null) => (v === null ? "–" : `${v.toFixed(1)} ${unit}`) }))],
      hooks: { setSelect: [(u) => {
        if (u.select.width < 5) return;
        onZoom({ from: u.posToVal(u.select.left, "x") * 1000, to: u.posToVal(u.select.left + u.select.width, "x") * 1000 });
      }] },
    }, [times, ...series.map((s) => s.values)] as uPlot.AlignedData, place);
    const resize = new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: 150 }));
    resize.observe(place);
    return () => {
      resize.disconnect();
      chart.destroy();
    };
  }, [times, shown.from, shown.to, look]);
  return <figure class="card chart"><figcaption>{title}<span class="hidden">: now {last}</span></figcaption><div ref={box} /></figure>;
}

function useTimeline() {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [decisions, setDecisions] = useState<Decision[]>([]);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let all: Answer | null = null;
    const ask = async () => {
      if (document.hidden) return;
      try {
        const since = Math.max(0, ...(all ? [all.changes.at(-1)?.time_ms ?? 0] : [0]));
        const sampled = all?.samples.at(-1)?.time_ms ?? 0;
        const news = await daemon.json<Answer>(`wharf/timeline?since=${all ? Math.min(since, sampled) : 0}`);
        const old = all && news.now_ms >= all.now_ms ? all : null;
        all = {
          ...news,
          changes: [...(old?.changes ?? []), ...news.changes.filter((c) => !old || c.time_ms > since)],
          samples: [...(old?.samples ?? []), ...news.samples.filter((s) => !old || s.time_ms > sampled)].slice(-720),
        };
        setAnswer(all);
        setDecisions((await daemon.json<{ decisions: Decision[] }>("wharf/decisions?limit=500")).decisions);
        setProblem("");
      } catch (error) {
        setProblem(wordsOf(error));
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), REFRESH_MS);
    const unlisten = live.listen((e) => {
      if (e.type === "model_loaded" || e.type === "model_unloaded") void ask();
    });
    return () => {
      clearInterval(timer);
      unlisten();
    };
  }, []);
  return { answer, decisions, problem };
}

export function Timeline() {
  const { answer, decisions, problem } = useTimeline();
  const [range, setRange] = useState("300");
  const [zoom, setZoom] = useState<Window | null>(null);
  if (!answer) return problem ? <p class="bad" role="alert">{problem}</p> : <Empty>Asking what was …</Empty>;
  // Of a daemon that is young, not more than there is.
  const first = Math.min(answer.now_ms - 30_000, answer.samples[0]?.time_ms ?? answer.now_ms, answer.changes[0]?.time_ms ?? answer.now_ms);
  const shown = zoom ?? { from: Math.max(first, answer.now_ms - Number(range) * 1000), to: answer.now_ms };
  const stays = staysOf(answer);
  const times = answer.samples.map((s) => s.time_ms / 1000);
  const of = (pick: (d: Answer["samples"][number]["devices"][number]) => number | null) =>
    answer.devices.map((label, i) => ({ label, values: answer.samples.map((s) => (s.devices[i] ? pick(s.devices[i]) : null)) }));
  const known = (series: { values: (number | null)[] }[]) => series.some((s) => s.values.some((v) => v !== null));
  const common = { times, shown, onZoom: setZoom };
  const busy = of((d) => d.utilisation_percent);
  const power = of((d) => d.power_w);
  const half = (shown.to - shown.from) / 4;
  return (
    <>
      <div class="spread">
        <h2>Timeline</h2>
        <div class="row">
          <Pick label="Show" value={range} options={RANGES} onPick={(r) => (setRange(r), setZoom(null))} />
          <Button label="Zoom in" onClick={() => setZoom({ from: shown.from + half, to: shown.to - half })}>+</Button>
          <Button label="Zoom out" onClick={() => setZoom({ from: shown.from - 2 * half, to: Math.min(answer.now_ms, shown.to + 2 * half) })}>−</Button>
          <Button label="Earlier" onClick={() => setZoom({ from: shown.from - half, to: shown.to - half })}>←</Button>
          <Button label="Later" onClick={() => setZoom({ from: shown.from + half, to: shown.to + half })}>→</Button>
          <Button disabled={!zoom} onClick={() => setZoom(null)}>Follow</Button>
        </div>
      </div>
      <p class="quiet">{time(shown.from)} to {time(shown.to)}. Each stay leads to the decision behind it; drag over a chart to zoom.</p>
      {problem && <p class="bad" role="alert">{problem}</p>}
      {[...stays].map(([device, list]) => (
        <section key={device} class="card" aria-label={`Residents of ${device}`}>
          <h3>{device}</h3>
          <Lanes device={device} stays={list} decisions={decisions} shown={shown} />
        </section>))}
      {times.length > 0 && <>
        <Chart title="Memory in use, GiB" unit="GiB" {...common} series={of((d) => (d.used_bytes === null ? null : d.used_bytes / GIB))} />
        <Chart title="Requests" unit="" {...common} series={[
          { label: "waiting", values: answer.samples.map((s) => s.waiting) },
          { label: "in flight", values: answer.samples.map((s) => s.in_flight) }]} />
        {known(busy) && <Chart title="Utilisation, %" unit="%" {...common} series={busy} />}
        {known(power) && <Chart title="Power, W" unit="W" {...common} series={power} />}
      </>}
    </>
  );
}
