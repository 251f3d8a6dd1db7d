import { useEffect, useState } from "preact/hooks";
import { daemon, href, live, route, wordsOf } from "../app";
import { bytes, seconds, time, UNKNOWN } from "../format";
import { Empty, Pick, Scroll } from "../parts/basics";
import type { Candidate, Decision } from "../types";

function subject(d: Decision): string {
  return d.model ?? `lease ${d.lease_name || d.lease || "?"}`;
}

/** The decision as a sentence. */
export function sentence(d: Decision): string {
  const who = subject(d);
  const whom = d.for_model ?? (d.for_lease ? `lease ${d.for_lease_name || d.for_lease}` : null);
  const size = d.bytes ? ` (${bytes(d.bytes)})` : "";
  const where = d.devices.length ? ` on ${d.devices.join(", ")}` : "";
  const used = d.last_used_s === null ? "" : ` It was last used ${seconds(d.last_used_s)} before.`;
  const because = d.reason ? `: ${d.reason}` : "";
  switch (d.type) {
    case "evict": return `${who}${size} leaves${d.devices.length ? ` ${d.devices.join(", ")}` : ""}${whom ? ` for ${whom}` : ""}${because}.${used}`;
    case "model_loading": return `${who}${size} is loaded${where}${because}.`;
    case "model_unloading": return `${who}${size} is unloaded${d.devices.length ? ` from ${d.devices.join(", ")}` : ""}${because}.`;
    case "idle_unload": return `${who}${size} leaves${where}: nobody used it for its ttl.`;
    case "load_failed": return `${who} could not be loaded${because}.`;
    case "refused": return `${d.count > 1 ? `${d.count} requests` : "A request"} for ${who} ${d.count > 1 ? "were" : "was"} refused${because}.`;
    case "blocked": return `${who} cannot come in, whoever leaves${d.by_model ? `: ${d.by_model} is in the way` : because}.`;
    case "stuck": return `A process of ${who} cannot be ended.`;
    case "lease_granted": return `${who} has what it asked for${size}${where}.`;
    case "lease_revoked": return `${who} is asked to give back what it has${whom ? ` for ${whom}` : ""}${because}.`;
    case "lease_ended": return `${who} has ended${because}.`;
    case "starving": return `${who} has waited for very long${because}.`;
    default: return `${who}: ${d.type}${because}.`;
  }
}

function Candidates({ list, leaves }: { list: readonly Candidate[]; leaves: string | null }) {
  if (list.length === 0) return null;
  return (
    <details>
      <summary>{list.length === 1 ? "Nobody else could have left" : `Chosen among ${list.length}`}: what each costs</summary>
      <p class="quiet">What a model costs is the time to load it again, times how likely it is to be asked for next.</p>
      <Scroll label="Candidates">
        <table>
          <thead><tr><th scope="col">model</th><th scope="col" class="number">gives back</th>
            <th scope="col" class="number">takes to reload</th><th scope="col" class="number">last used</th>
            <th scope="col" class="number">asked for next</th><th scope="col" class="number">cost</th>
            <th scope="col">stands in the way of leaving</th></tr></thead>
          <tbody>{list.map((c) => (
            <tr key={c.model}>
              <th scope="row">{c.model}{c.model === leaves && " (left)"}</th>
              <td class="number">{bytes(c.bytes)}</td>
              <td class="number">{seconds(c.reload_s)}</td>
              <td class="number">{c.last_used_s === null ? UNKNOWN : `${seconds(c.last_used_s)} before`}</td>
              <td class="number">{c.next_percent} %</td>
              <td class="number">{c.reload_s === null ? UNKNOWN : seconds(c.reload_s * c.next_percent / 100)}</td>
              <td>{[c.pinned && "pinned", c.busy && "busy"].filter(Boolean).join(", ") || "nothing"}</td>
            </tr>))}
          </tbody>
        </table>
      </Scroll>
    </details>
  );
}

const TYPES = ["all", "evict", "model_loading", "model_unloading", "idle_unload", "load_failed", "refused", "blocked"];

export function Why() {
  const model = route.value[1] ?? "";
  const marked = route.value[2] ?? "";
  const [type, setType] = useState("all");
  const [list, setList] = useState<Decision[]>([]);
  const [problem, setProblem] = useState("");
  const at = live.at.value;
  useEffect(() => {
    let over = false;
    const path = model ? `wharf/decisions?limit=300&model=${encodeURIComponent(model)}` : "wharf/decisions?limit=300";
    daemon.json<{ decisions: Decision[] }>(path).then((answer) => {
      if (over) return;
      setList(answer.decisions.reverse());
      setProblem("");
    }, (error: unknown) => !over && setProblem(wordsOf(error)));
    return () => {
      over = true;
    };
  }, [model, at]);
  useEffect(() => {
    if (marked) document.querySelector(".decision.marked")?.scrollIntoView({ block: "center" });
  }, [marked, list.length > 0]);
  const shown = list.filter((d) => type === "all" || d.type === type);
  return (
    <section>
      <h2>Why</h2>
      <div class="row">
        <Pick label="About" value={model} onPick={(id) => (location.hash = id ? href("why", id) : href("why"))}
          options={[["", "everything"] as const, ...(live.status.value?.model_list ?? []).map((m) => m.id)]} />
        <Pick label="What" value={type} options={TYPES.map((t) => [t, t.replaceAll("_", " ")] as const)} onPick={setType} />
      </div>
      {problem && <p class="bad" role="alert">{problem}</p>}
      {shown.length === 0 ? <Empty>Nothing was decided yet.</Empty> : (
        <ol class="decisions">
          {shown.map((d, i) => (
            <li key={`${d.time}${i}`} class={`card decision ${d.time === marked ? "marked" : ""}`} data-type={d.type}>
              <p><time class="quiet" dateTime={d.time}>{time(d.time)}</time> {sentence(d)}</p>
              {d.detail && <p class="quiet clip">{d.detail}</p>}
              <Candidates list={d.candidates} leaves={d.model} />
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

